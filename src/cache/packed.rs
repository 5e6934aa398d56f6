//! Records that nobody asks for just now, packed: written short and compressed with a dictionary that is made of some
//! records themselves, for what a tenant writes once (campaigns, stores, audiences) is the same for many.
//!
//! The answers that were rendered last are packed with it: who asks again needs no more than those, and is told the very
//! same bytes.
//!
//! A dictionary is kept for as long as a record is held that was packed with it. It holds what many records have in common
//! and may hold some of what only one of them had; nothing of it is ever told.

use std::{
    cell::RefCell,
    fmt, io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use zstd::{
    bulk::Compressor,
    dict::{self, DecoderDictionary, EncoderDictionary},
    zstd_safe::{self, CParameter, DCtx},
};

use super::{
    parts::Parts,
    record::{Brief, Record},
};
use crate::{
    clock::Tick,
    domain::ContactId,
    threads::{Mutex, MutexGuard},
};

/// Fewer records than this are not worth a dictionary.
const MIN_RECORDS: usize = 500;
/// A dictionary is made of so many records at most.
const MAX_RECORDS: usize = 1000;
/// The bytes of a dictionary: docs/PERFORMANCE.md has what other sizes gain.
const DICTIONARY_SIZE: usize = 64 << 10;
/// Campaigns come and go, and what was taken from those who left since is to go as well, whether there is another or not.
const MADE_ANEW: Duration = Duration::from_secs(3600);
/// zstd's compression level: it is not on a request's way.
const LEVEL: i32 = 3;
/// More than any record packs: what claims to be longer is damaged.
const MAX_UNPACKED: usize = 16 << 20;
/// What packing frees lies between what stays, and the allocator rounds up: measured, one in so many bytes is lost so.
const ROUNDED_UP: usize = 8;
/// So many rendered answers are packed with a record: whoever asks for more views than a shop and a till do, waits for them.
const PACKED_ANSWERS: usize = 2;
/// What unpacked text is kept room for from one record to the next.
const DESK_SIZE: usize = 64 << 10;

thread_local! {
    /// What zstd works in while it unpacks, and where it writes to: dear to make, cheap to keep.
    static DESK: RefCell<(DCtx<'static>, Vec<u8>)> = RefCell::default();
}

/// A record in less room.
#[derive(Clone)]
pub(super) struct Packed {
    /// Two frames of zstd, each with its owner's id: [`Told`], and the parts.
    frames: Arc<[u8]>,
    dictionary: Arc<DecoderDictionary<'static>>,
    /// When none of it can be told any more.
    pub(super) kept_until: Tick,
}

/// What every look needs, and the answers, with their owner's id. Written and read by their place.
type Told<R> = (u128, Brief, Vec<R>);

impl Packed {
    /// The bytes that it occupies besides itself.
    pub(super) fn bytes(&self) -> usize {
        let bytes = 2 * size_of::<usize>() + self.frames.len();
        bytes + bytes / ROUNDED_UP
    }

    /// Whether both are the very same.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.frames, &other.frames)
    }

    /// The record of the contact, of which the parts stay packed; `None` where the bytes are damaged or somebody else's.
    pub(super) fn record<R: DeserializeOwned>(&self, id: ContactId) -> Option<Record<R>> {
        let (told, _) = self.frames()?;
        let (owner, brief, answers): Told<R> =
            self.decompressed(told, |plain| postcard::from_bytes(plain).ok())?;
        let answers = answers.into_iter().map(Arc::new).collect();
        is_of(id, owner).then(|| Record::unpacked(id, brief, answers, self.clone()))
    }

    /// The parts of the contact's record.
    pub(super) fn parts(&self, id: ContactId) -> Option<Parts> {
        let (_, parts) = self.frames()?;
        let (owner, parts) = self.decompressed(parts, |plain| postcard::from_bytes(plain).ok())?;
        is_of(id, owner).then_some(parts)
    }

    /// What every look needs to know of the contact's record.
    pub(super) fn brief(&self, id: ContactId) -> Option<Brief> {
        let (told, _) = self.frames()?;
        let (owner, brief) = self.decompressed(told, |plain| {
            let (head, _answers) = postcard::take_from_bytes(plain).ok()?;
            Some(head)
        })?;
        is_of(id, owner).then_some(brief)
    }

    /// Both as they were before they were compressed, of which a dictionary may be made.
    pub(super) fn samples(&self) -> Option<[Vec<u8>; 2]> {
        let (told, parts) = self.frames()?;
        let plain = |frame| self.decompressed(frame, |plain| Some(plain.to_vec()));
        Some([plain(told)?, plain(parts)?])
    }

    /// The same with one bit of its frame of that number turned.
    #[cfg(test)]
    pub(super) fn damaged(&self, frame: usize) -> Self {
        let mut frames = self.frames.to_vec();
        let first = self.frames().expect("two frames").0.len();
        let last = [first, frames.len()][frame] - 1;
        frames[last] ^= 1;
        Self {
            frames: frames.into(),
            ..self.clone()
        }
    }

    fn frames(&self) -> Option<(&[u8], &[u8])> {
        let first = zstd_safe::find_frame_compressed_size(&self.frames).ok()?;
        self.frames.split_at_checked(first)
    }

    /// Reads a frame, if it is whole.
    fn decompressed<T>(&self, frame: &[u8], read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let size = zstd_safe::get_frame_content_size(frame).ok()??;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= MAX_UNPACKED)?;
        DESK.with_borrow_mut(|(context, plain)| {
            plain.clear();
            plain.shrink_to(DESK_SIZE);
            plain.reserve_exact(size);
            let dictionary = self.dictionary.as_ddict();
            context
                .decompress_using_ddict(plain, frame, dictionary)
                .ok()?;
            read(plain)
        })
    }
}

fn is_of(id: ContactId, owner: u128) -> bool {
    id.as_uuid().as_u128() == owner
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packed(…)")
    }
}

/// What of the record is told, and its parts, as they are before they are compressed; of which a dictionary may be made.
pub(super) fn samples<R: Serialize>(record: &Record<R>) -> Option<[Vec<u8>; 2]> {
    let parts = record.parts()?;
    let newest = record.rendered().len().saturating_sub(PACKED_ANSWERS);
    let answers = record.rendered().skip(newest);
    let owner = record.id.as_uuid().as_u128();
    let told: Told<&R> = (
        owner,
        Brief::of(&parts),
        answers.map(|answer| &**answer).collect(),
    );
    Some([
        postcard::to_allocvec(&told).ok()?,
        postcard::to_allocvec(&(owner, &*parts)).ok()?,
    ])
}

/// What a dictionary is made of, side by side: so many small pieces would leave holes in memory.
#[derive(Default)]
pub(super) struct Samples {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
}

impl Extend<[Vec<u8>; 2]> for Samples {
    fn extend<T: IntoIterator<Item = [Vec<u8>; 2]>>(&mut self, samples: T) {
        for sample in samples.into_iter().flatten() {
            self.bytes.extend_from_slice(&sample);
            self.sizes.push(sample.len());
        }
    }
}

/// Packs, with what it knows of records.
pub(super) struct Packer {
    newest: Mutex<Newest>,
}

/// The newest dictionary.
#[derive(Default)]
struct Newest {
    /// `None` before there is anybody to pack: even an empty one takes a megabyte.
    dictionary: Option<Dictionary>,
    /// How often everything was forgotten.
    forgotten: u64,
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
            newest: Mutex::new(Newest::default()),
        }
    }

    /// Makes a dictionary where one is due, of the samples of as many records at most as it asks for. Where there are too
    /// few it makes an empty one: better none than one that knows who has left. Not on a request's way.
    pub(super) fn renew(
        &self,
        now: Tick,
        samples: impl FnOnce(usize) -> Samples,
    ) -> io::Result<()> {
        let forgotten = {
            let newest = locked(&self.newest);
            if !newest.is_due(now) {
                return Ok(());
            }
            newest.forgotten
        };
        let samples = samples(MAX_RECORDS);
        let dictionary = if samples.sizes.len() >= 2 * MIN_RECORDS {
            let content = dict::from_continuous(&samples.bytes, &samples.sizes, DICTIONARY_SIZE)?;
            Dictionary::new(&content, Some(now))
        } else {
            Dictionary::new(&[], None)
        };
        let mut newest = locked(&self.newest);
        // Not what was made of records that are to be forgotten.
        if newest.forgotten == forgotten {
            newest.dictionary = Some(dictionary);
        }
        Ok(())
    }

    /// Runs `work` with what packs records. Not on a request's way.
    pub(super) fn pack_with(&self, work: impl FnOnce(&mut Packing<'_>)) -> io::Result<()> {
        let with = locked(&self.newest)
            .dictionary
            .get_or_insert_with(|| Dictionary::new(&[], None))
            .clone();
        let mut compressor = Compressor::with_prepared_dictionary(&with.encoder)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.set_parameter(CParameter::DictIdFlag(false))?;
        work(&mut Packing {
            compressor,
            dictionary: &with.decoder,
        });
        Ok(())
    }

    /// Forgets what it knows of records. Those that are packed can be unpacked all the same.
    pub(super) fn forget(&self) {
        let mut newest = locked(&self.newest);
        newest.dictionary = None;
        newest.forgotten += 1;
    }
}

impl Newest {
    fn is_due(&self, now: Tick) -> bool {
        let made = self
            .dictionary
            .as_ref()
            .and_then(|dictionary| dictionary.made);
        made.is_none_or(|made| now >= made + MADE_ANEW)
    }
}

/// A poisoned lock is as good as any: nothing is changed under these but as a whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What packs records, one after the other.
pub(super) struct Packing<'a> {
    compressor: Compressor<'a>,
    dictionary: &'a Arc<DecoderDictionary<'static>>,
}

impl Packing<'_> {
    /// The record packed; as it was packed before, where it is still the same.
    pub(super) fn pack<R: Serialize>(
        &mut self,
        record: &Record<R>,
        kept_until: Tick,
    ) -> Option<Packed> {
        if let Some(packed) = record.packed() {
            return Some(packed.clone());
        }
        let mut frames = Vec::new();
        for plain in samples(record)? {
            frames.extend(self.compressor.compress(&plain).ok()?);
        }
        Some(Packed {
            frames: frames.into(),
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
            parts::{Entry, Origins},
        },
        domain::{Audience, Audiences},
    };

    fn id(number: u32) -> ContactId {
        ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c3{number:08x}")).expect("an id")
    }

    /// Somebody whose audiences are mostly everybody's.
    fn record(number: u32) -> Record<String> {
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
        let answer = format!("{number}, who is of those who like what is new");
        Record::new(id(number), parts).with_rendered(Arc::new(answer), |_| false)
    }

    fn samples_of(numbers: std::ops::Range<u32>, most: usize) -> Samples {
        let mut all = Samples::default();
        let numbers = numbers.take(most);
        all.extend(numbers.map(|number| samples(&record(number)).expect("it can be packed")));
        all
    }

    /// Packs these, of which a dictionary is made first, if one is due.
    fn pack_all(with: &Packer, now: Tick, numbers: std::ops::Range<u32>) -> Vec<Packed> {
        with.renew(now, |most| samples_of(numbers.clone(), most))
            .expect("a dictionary");
        let mut all = Vec::new();
        with.pack_with(|packing| {
            all.extend(numbers.map(|number| {
                packing
                    .pack(&record(number), Tick::END)
                    .expect("it can be packed")
            }));
        })
        .expect("a compressor");
        all
    }

    #[track_caller]
    fn assert_unpacks(number: u32, packed: &Packed) {
        let unpacked = packed.record::<String>(id(number)).expect("whole");
        let whole = record(number);
        assert!(unpacked.same(&whole) && unpacked.held() == whole.held());
        assert!(unpacked.rendered().eq(whole.rendered()));
        assert!(unpacked.packed().is_some_and(|again| again.is(packed)));
        let [expected, unpacked] = [&whole, &unpacked].map(|record| record.parts().expect("whole"));
        let [expected, unpacked] =
            [&*expected, &*unpacked].map(|parts| parts.audiences.as_ref().expect("audiences"));
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
        let few = pack_all(&packer, Tick::default(), 0..400);
        let many = pack_all(&packer, Tick::default(), 0..2000);
        assert!(size(&many[..400]) * 3 < size(&few) * 2);
        let later = pack_all(&packer, Tick::default() + MADE_ANEW, 3000..5000);
        assert!(!Arc::ptr_eq(&many[0].dictionary, &later[0].dictionary));
        for (from, packed) in [(0, &few), (0, &many), (3000, &later)] {
            for (number, packed) in (from..).zip(packed).step_by(97) {
                assert_unpacks(number, packed);
            }
        }
    }

    #[test]
    fn a_dictionary_leaves_after_its_hour_however_few_are_held() {
        let packer = Packer::new();
        let without = pack_all(&packer, Tick::default(), 0..1);
        pack_all(&packer, Tick::default(), 0..2000);
        let later = Tick::default() + MADE_ANEW;
        for (now, is_gone) in [(later - Duration::from_nanos(1), false), (later, true)] {
            let few = pack_all(&packer, now, 0..1);
            assert_unpacks(0, &few[0]);
            assert_eq!(few[0].frames == without[0].frames, is_gone);
        }
    }

    #[test]
    fn a_dictionary_is_forgotten_with_the_records_even_while_it_is_made() {
        let packer = Packer::new();
        let without = pack_all(&packer, Tick::default(), 0..1);
        pack_all(&packer, Tick::default(), 0..2000);
        packer.forget();
        let again = pack_all(&packer, Tick::default(), 0..1);
        assert_eq!(again[0].frames, without[0].frames);
        let while_forgotten = |most| {
            packer.forget();
            samples_of(0..2000, most)
        };
        packer
            .renew(Tick::default(), while_forgotten)
            .expect("a dictionary");
        let again = pack_all(&packer, Tick::default(), 0..1);
        assert_eq!(again[0].frames, without[0].frames);
        assert_unpacks(0, &again[0]);
    }

    #[test]
    fn what_is_damaged_or_somebody_elses_is_not_unpacked() {
        let packer = Packer::new();
        let whole = pack_all(&packer, Tick::default(), 1..2).remove(0);
        assert!(whole.record::<String>(id(2)).is_none() && whole.parts(id(2)).is_none());
        assert!(whole.brief(id(2)).is_none());
        let first = whole.frames().expect("two frames").0.len();
        for place in 0..whole.frames.len() {
            let mut frames = whole.frames.to_vec();
            frames[place] ^= 1;
            let damaged = Packed {
                frames: frames.into(),
                ..whole.clone()
            };
            let (told, parts) = (damaged.record::<String>(id(1)), damaged.parts(id(1)));
            // Who reads one does not look at the other.
            assert!(told.is_none() || parts.is_none(), "byte {place}");
            assert_eq!(
                told.is_none(),
                place < first || parts.is_some(),
                "byte {place}"
            );
        }
        assert_unpacks(1, &whole);
    }
}
