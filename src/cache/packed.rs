//! Records that nobody asks for just now, packed: written short and compressed with a dictionary that is made of some
//! records themselves, for what a tenant writes once (campaigns, stores, audiences) is the same for many.
//!
//! A dictionary is kept for as long as a record is held that was packed with it. It holds what many records have in common
//! and may hold some of what only one of them had; nothing of it is ever told.

use std::{
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use zstd::{
    bulk::Compressor,
    dict::{self, DecoderDictionary, EncoderDictionary},
    zstd_safe::{self, CParameter, DCtx},
};

use super::record::{Parts, Record};
use crate::{
    clock::Tick,
    domain::ContactId,
    threads::{Mutex, MutexGuard},
};

/// Fewer records than this are not worth a dictionary.
const MIN_SAMPLES: usize = 1000;
/// A dictionary is made of so many records at most.
const MAX_SAMPLES: usize = 4000;
/// The bytes of a dictionary: docs/PERFORMANCE.md has what other sizes gain.
const DICTIONARY_SIZE: usize = 64 << 10;
/// Campaigns come and go, and what was taken from those who left since is to go as well, whether there is another or not.
const MADE_ANEW: Duration = Duration::from_secs(3600);
/// zstd's compression level: it is not on a request's way.
const LEVEL: i32 = 3;
/// More than any record packs: what claims to be longer is damaged.
const MAX_UNPACKED: usize = 16 << 20;

/// What is held of a contact.
pub(super) enum Held<R> {
    /// As it is told.
    Ready(Arc<Record<R>>),
    /// In less room.
    Packed(Packed),
}

/// A record in less room.
#[derive(Clone)]
pub(super) struct Packed {
    bytes: Arc<[u8]>,
    dictionary: Arc<DecoderDictionary<'static>>,
    /// When none of it can be told any more.
    pub(super) kept_until: Tick,
}

impl<R> Clone for Held<R> {
    fn clone(&self) -> Self {
        match self {
            Held::Ready(record) => Held::Ready(Arc::clone(record)),
            Held::Packed(packed) => Held::Packed(packed.clone()),
        }
    }
}

impl<R> Held<R> {
    /// Whether both are the very same, not only alike.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Held::Ready(one), Held::Ready(other)) => Arc::ptr_eq(one, other),
            (Held::Packed(one), Held::Packed(other)) => Arc::ptr_eq(&one.bytes, &other.bytes),
            _ => false,
        }
    }
}

impl Packed {
    /// What it occupies besides itself.
    pub(super) fn bytes(&self) -> usize {
        2 * size_of::<usize>() + self.bytes.len()
    }
}

/// Packs and unpacks.
pub(super) struct Packer {
    /// `None` before there is anybody to pack: even an empty one takes a megabyte.
    newest: Mutex<Option<Dictionary>>,
    /// What zstd works in while it unpacks: dear to make, cheap to keep.
    contexts: Mutex<Vec<DCtx<'static>>>,
}

/// What records are packed with.
#[derive(Clone)]
struct Dictionary {
    encoder: Arc<EncoderDictionary<'static>>,
    decoder: Arc<DecoderDictionary<'static>>,
    /// `None` of the empty one, which serves until there are records enough to make another of.
    made: Option<Tick>,
}

impl Dictionary {
    fn new(content: &[u8], made: Option<Tick>) -> Self {
        Self {
            encoder: Arc::new(EncoderDictionary::copy(content, LEVEL)),
            decoder: Arc::new(DecoderDictionary::copy(content)),
            made,
        }
    }
}

impl Packer {
    pub(super) fn new() -> Self {
        Self {
            newest: Mutex::new(None),
            contexts: Mutex::new(Vec::new()),
        }
    }

    /// The record of the contact; `None` where the bytes are damaged or somebody else's.
    pub(super) fn unpack<R>(&self, id: ContactId, packed: &Packed) -> Option<Arc<Record<R>>> {
        let mut context = locked(&self.contexts).pop().unwrap_or_default();
        let plain = decompress(&mut context, packed);
        locked(&self.contexts).push(context);
        let (owner, parts) = postcard::from_bytes::<(u128, Parts)>(&plain?).ok()?;
        (owner == id.as_uuid().as_u128()).then(|| Arc::new(Record::new(id, parts)))
    }

    /// Runs `work` with what packs records; then makes a dictionary of some of them where one is due. Not on a request's
    /// way.
    pub(super) fn pack_with(
        &self,
        now: Tick,
        work: impl FnOnce(&mut Packing<'_>),
    ) -> io::Result<()> {
        let with = locked(&self.newest)
            .get_or_insert_with(|| Dictionary::new(&[], None))
            .clone();
        let mut compressor = Compressor::with_prepared_dictionary(&with.encoder)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.set_parameter(CParameter::DictIdFlag(false))?;
        let is_due = with.made.is_none_or(|made| now >= made + MADE_ANEW);
        let mut packing = Packing {
            compressor,
            dictionary: &with.decoder,
            samples: Vec::new(),
            wanted: if is_due { MAX_SAMPLES } else { 0 },
        };
        work(&mut packing);
        let samples = packing.samples;
        let next = if samples.len() >= MIN_SAMPLES {
            let content = dict::from_samples(&samples, DICTIONARY_SIZE)?;
            Dictionary::new(&content, Some(now))
        } else if is_due && with.made.is_some() {
            // Too few to make another of: better none than one that knows who has left.
            Dictionary::new(&[], None)
        } else {
            return Ok(());
        };
        let mut newest = locked(&self.newest);
        // Not what was made of records that are to be forgotten.
        let is_still = |newest: &&mut Dictionary| Arc::ptr_eq(&newest.decoder, &with.decoder);
        if let Some(newest) = newest.as_mut().filter(is_still) {
            *newest = next;
        }
        Ok(())
    }

    /// Forgets what it knows of records. Those that are packed can be unpacked all the same.
    pub(super) fn forget(&self) {
        *locked(&self.newest) = None;
    }
}

/// A poisoned lock is as good as any: nothing is changed under these but as a whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn decompress(context: &mut DCtx<'_>, packed: &Packed) -> Option<Vec<u8>> {
    let size = zstd_safe::get_frame_content_size(&packed.bytes).ok()??;
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= MAX_UNPACKED)?;
    let mut plain = Vec::with_capacity(size);
    context
        .decompress_using_ddict(&mut plain, &packed.bytes, packed.dictionary.as_ddict())
        .ok()?;
    Some(plain)
}

/// What packs records, one after the other.
pub(super) struct Packing<'a> {
    compressor: Compressor<'a>,
    dictionary: &'a Arc<DecoderDictionary<'static>>,
    /// What the next dictionary is made of.
    samples: Vec<Vec<u8>>,
    wanted: usize,
}

impl Packing<'_> {
    /// The record packed.
    pub(super) fn pack<R>(&mut self, record: &Record<R>, kept_until: Tick) -> Option<Packed> {
        let plain = postcard::to_allocvec(&(record.id.as_uuid().as_u128(), &record.parts)).ok()?;
        let bytes = self.compressor.compress(&plain).ok()?.into();
        if self.samples.len() < self.wanted {
            self.samples.push(plain);
        }
        Some(Packed {
            bytes,
            dictionary: Arc::clone(self.dictionary),
            kept_until,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        cache::{
            fence::Fences,
            freshness::{Provenance, Source},
            record::Entry,
        },
        domain::{Audience, Audiences},
    };

    fn id(number: u32) -> ContactId {
        ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c3{number:08x}")).expect("an id")
    }

    /// Somebody whose audiences are mostly everybody's.
    fn record(number: u32) -> Record<()> {
        let audience = |number: u32| Audience {
            id: format!("{number}").into(),
            name: Some(format!("Those who like what is new in campaign {}", number % 7).into()),
        };
        let data = Audiences {
            audiences: (number..number + 5).map(audience).collect(),
            warnings: Vec::new(),
        };
        let provenance = Provenance {
            stamp: Fences::new(Duration::ZERO, Duration::ZERO, 1).stamp(),
            requested_at: Tick::from_nanos(1_000_000_007),
            as_of: Timestamp::new(1_700_000_000, 123_456_789).expect("a time"),
            lifetime: Duration::from_millis(1234),
            source: Source::Overview,
        };
        let parts = Parts {
            audiences: Some(Entry {
                data: Arc::new(data),
                provenance,
                bytes: 7,
            }),
            ..Parts::default()
        };
        Record::new(id(number), parts)
    }

    fn pack_all(with: &Packer, now: Tick, numbers: std::ops::Range<u32>) -> Vec<Packed> {
        let mut all = Vec::new();
        with.pack_with(now, |packing| {
            all.extend(numbers.map(|number| {
                packing
                    .pack(&record(number), Tick::END)
                    .expect("it can be packed")
            }));
        })
        .expect("a dictionary");
        all
    }

    #[track_caller]
    fn assert_unpacks(with: &Packer, number: u32, packed: &Packed) {
        let unpacked = with.unpack::<()>(id(number), packed).expect("whole");
        let (expected, unpacked) = (record(number).parts, &unpacked.parts);
        assert_eq!(unpacked.held(), expected.held());
        let [expected, unpacked] =
            [&expected, unpacked].map(|parts| parts.audiences.as_ref().expect("audiences"));
        assert_eq!(unpacked.provenance, expected.provenance);
        assert_eq!(unpacked.bytes, expected.bytes);
        let words = |entry: &Entry<Audiences>| {
            let word = |audience: &Audience| (audience.id.clone(), audience.name.clone());
            entry.data.audiences.iter().map(word).collect::<Vec<_>>()
        };
        assert_eq!(words(unpacked), words(expected));
    }

    #[test]
    fn a_dictionary_is_made_of_many_records_and_what_was_packed_before_is_read_all_the_same() {
        let packer = Packer::new();
        let size = |packed: &[Packed]| packed.iter().map(Packed::bytes).sum::<usize>();
        let few = pack_all(&packer, Tick::default(), 0..500);
        let first = pack_all(&packer, Tick::default(), 0..2000);
        assert_eq!(size(&few), size(&first[..500]));
        let second = pack_all(&packer, Tick::default(), 0..2000);
        assert!(size(&second) * 3 < size(&first) * 2);
        let later = Tick::default() + MADE_ANEW;
        // Packed with the old one while the new one is made.
        let third = pack_all(&packer, later, 3000..5000);
        let fourth = pack_all(&packer, later, 3000..5000);
        assert!(!Arc::ptr_eq(&third[0].dictionary, &fourth[0].dictionary));
        for (from, packed) in [(0, &first), (0, &second), (3000, &third), (3000, &fourth)] {
            for (number, packed) in (from..).zip(packed).step_by(97) {
                assert_unpacks(&packer, number, packed);
            }
        }
    }

    #[test]
    fn a_dictionary_leaves_after_its_hour_however_few_are_packed() {
        let packer = Packer::new();
        let first = pack_all(&packer, Tick::default(), 0..2000);
        let with_it = pack_all(&packer, Tick::default(), 0..1);
        assert_ne!(with_it[0].bytes, first[0].bytes);
        let later = Tick::default() + MADE_ANEW;
        let before = later - Duration::from_nanos(1);
        // The round that finds it too old is the last that uses it.
        for (now, is_gone) in [(before, false), (later, false), (later, true)] {
            let few = pack_all(&packer, now, 0..1);
            assert_unpacks(&packer, 0, &few[0]);
            assert_eq!(few[0].bytes == first[0].bytes, is_gone);
        }
    }

    #[test]
    fn a_dictionary_is_forgotten_with_the_records_even_while_the_next_is_made() {
        let packer = Packer::new();
        let first = pack_all(&packer, Tick::default(), 0..2000);
        packer.forget();
        let again = pack_all(&packer, Tick::default(), 0..1);
        assert_eq!(again[0].bytes, first[0].bytes);
        packer
            .pack_with(Tick::default(), |packing| {
                for number in 0..2000 {
                    packing.pack(&record(number), Tick::END);
                }
                packer.forget();
            })
            .expect("a dictionary");
        let again = pack_all(&packer, Tick::default(), 0..1);
        assert_eq!(again[0].bytes, first[0].bytes);
        assert_unpacks(&packer, 0, &again[0]);
    }

    #[test]
    fn what_is_damaged_or_somebody_elses_is_not_unpacked() {
        let packer = Packer::new();
        let whole = pack_all(&packer, Tick::default(), 1..2).remove(0);
        assert!(packer.unpack::<()>(id(2), &whole).is_none());
        for place in 0..whole.bytes.len() {
            let mut bytes = whole.bytes.to_vec();
            bytes[place] ^= 1;
            let damaged = Packed {
                bytes: bytes.into(),
                ..whole.clone()
            };
            assert!(
                packer.unpack::<()>(id(1), &damaged).is_none(),
                "byte {place}"
            );
        }
        assert_unpacks(&packer, 1, &whole);
    }
}
