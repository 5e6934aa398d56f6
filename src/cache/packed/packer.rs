//! Who packs records, and the dictionary that it makes of some of them, for what a tenant writes once (campaigns, stores,
//! audiences) is the same for many.
//!
//! A dictionary is kept for as long as a record is held that was packed with it. It holds what many records have in common
//! and may hold some of what only one of them had; nothing of it is ever told.

use std::{
    io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use serde::Serialize;
use zstd::{
    bulk::Compressor,
    dict::{self, DecoderDictionary, EncoderDictionary},
    zstd_safe::CParameter,
};

use super::{super::record::Record, Packed};
use crate::{
    clock::Tick,
    threads::{Mutex, MutexGuard},
};

/// Fewer records than this are not worth a dictionary.
const MIN_RECORDS: usize = 500;
/// A dictionary is made of so many records at most.
const MAX_RECORDS: usize = 1000;
/// The bytes of a dictionary: docs/PERFORMANCE.md has what other sizes gain.
const DICTIONARY_SIZE: usize = 64 << 10;
/// Campaigns come and go, and what was taken from those who left since is to go as well, whether there is another or not.
pub(super) const MADE_ANEW: Duration = Duration::from_secs(3600);
/// zstd's compression level: it is not on a request's way.
const LEVEL: i32 = 3;

/// What a dictionary is made of, side by side: so many small pieces would leave holes in memory.
#[derive(Default)]
pub(in crate::cache) struct Samples {
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
pub(in crate::cache) struct Packer {
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
    pub(in crate::cache) fn new() -> Self {
        Self {
            newest: Mutex::new(Newest::default()),
        }
    }

    /// Makes a dictionary where one is due, of the samples of as many records at most as it asks for. Where there are too
    /// few, only an empty one stays: better none than one that knows who has left. Not on a request's way.
    pub(in crate::cache) fn renew(
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
        let made = if samples.sizes.len() >= 2 * MIN_RECORDS {
            let content = dict::from_continuous(&samples.bytes, &samples.sizes, DICTIONARY_SIZE)?;
            Some(Dictionary::new(&content, Some(now)))
        } else {
            None
        };
        let mut newest = locked(&self.newest);
        // Not what was made of records that are to be forgotten.
        if newest.forgotten == forgotten {
            let empty = |held: &Dictionary| held.made.is_none();
            newest.dictionary = made.or_else(|| newest.dictionary.take().filter(empty));
        }
        Ok(())
    }

    /// Runs `work` with what packs records. Not on a request's way.
    pub(in crate::cache) fn pack_with(
        &self,
        work: impl FnOnce(&mut Packing<'_>),
    ) -> io::Result<()> {
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
    pub(in crate::cache) fn forget(&self) {
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
pub(in crate::cache) struct Packing<'a> {
    compressor: Compressor<'a>,
    dictionary: &'a Arc<DecoderDictionary<'static>>,
}

impl Packing<'_> {
    /// The record packed; as it was packed before, where it is still the same.
    pub(in crate::cache) fn pack<R: Serialize>(
        &mut self,
        record: &Record<R>,
        kept_until: Tick,
    ) -> Option<Packed> {
        if let Some(packed) = record.packed() {
            return Some(packed.clone());
        }
        Packed::of(record, &mut self.compressor, self.dictionary, kept_until)
    }
}
