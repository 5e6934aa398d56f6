//! The one form in which a record's parts are cached: postcard, compressed by zstd, sealed with a digest.
//!
//! Many contacts of a tenant have the same campaigns, stores and audiences. With a dictionary made from some of the
//! records, zstd needs two fifths of the bytes that it needs without one; without one a million contacts exceed their
//! bound (docs/PERFORMANCE.md has the figures). A dictionary may contain text of single contacts, so it is replaced
//! every hour and dropped by a purge of everything; records compressed with it keep it alive until they are dropped.

use std::{
    cell::RefCell,
    fmt,
    hash::Hasher as _,
    io,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use siphasher::sip::SipHasher13;
use zstd::{
    dict::{self, DecoderDictionary, EncoderDictionary},
    zstd_safe::{self, CCtx, DCtx},
};

use super::parts::{Origins, Parts};
use crate::{
    clock::Tick,
    domain::ContactId,
    threads::{Mutex, MutexGuard},
};

/// zstd's level: with a dictionary, higher ones take more time and save nothing.
const LEVEL: i32 = 1;
/// How much of the thread's buffer is kept from one record to the next.
const KEPT_BUFFER: usize = 64 << 10;
/// The length of the digest behind a frame.
const SEAL: usize = size_of::<u64>();

/// A dictionary is made of at least this many records.
pub(super) const MIN_SAMPLES: usize = 500;
/// A dictionary is made of at most this many records.
pub(super) const MAX_SAMPLES: usize = 1000;
/// The bytes of a dictionary: 64 KiB would save another 20 bytes a record.
const DICTIONARY_SIZE: usize = 16 << 10;
/// How long a dictionary is used for new records.
pub(super) const DICTIONARY_LIFETIME: Duration = Duration::from_secs(3600);

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
}

/// zstd's contexts and their buffer: expensive to make, cheap to keep.
#[derive(Default)]
struct Contexts {
    compress: CCtx<'static>,
    decompress: DCtx<'static>,
    buffer: Vec<u8>,
}

/// A contact's parts, compressed. By default there are none.
#[derive(Clone, Default)]
pub(super) struct Compressed {
    /// A frame of zstd and the digest of it and of the contact's id; empty where there are no parts.
    sealed: Box<[u8]>,
    dictionary: Option<Arc<Dictionary>>,
}

struct Dictionary {
    encoder: EncoderDictionary<'static>,
    decoder: DecoderDictionary<'static>,
    made_at: Tick,
}

impl Compressed {
    /// Bytes on the heap.
    pub(super) fn len(&self) -> usize {
        self.sealed.len()
    }

    /// The contact's parts; `None` where the bytes are damaged or another contact's.
    pub(super) fn parts(&self, id: ContactId) -> Option<Parts> {
        if self.sealed.is_empty() {
            return Some(Parts::default());
        }
        self.decompressed(id, |plain| postcard::from_bytes(plain).ok())
    }

    fn decompressed<T>(&self, id: ContactId, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let (frame, expected) = self.sealed.split_last_chunk::<SEAL>()?;
        if seal(id, frame) != *expected {
            return None;
        }
        let size = zstd_safe::get_frame_content_size(frame).ok()??;
        // Not bounded: the digest shows that this process wrote the frame, and everything that was read from Engage
        // must be readable here.
        let size = usize::try_from(size).ok()?;
        CONTEXTS.with_borrow_mut(|contexts| {
            let Contexts {
                decompress, buffer, ..
            } = contexts;
            empty(buffer, size);
            match &self.dictionary {
                Some(dictionary) => {
                    let dictionary = dictionary.decoder.as_ddict();
                    decompress.decompress_using_ddict(buffer, frame, dictionary)
                }
                None => decompress.decompress(buffer, frame),
            }
            .ok()?;
            read(buffer)
        })
    }

    /// The same with one bit flipped.
    #[cfg(test)]
    pub(super) fn damaged(&self, byte: usize) -> Self {
        let mut copy = self.clone();
        copy.sealed[byte] ^= 1;
        copy
    }
}

impl fmt::Debug for Compressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compressed(…)")
    }
}

/// Compresses parts with the newest dictionary.
#[derive(Default)]
pub(super) struct Codec {
    newest: Mutex<Newest>,
    /// The bytes before and after compression. They need no order relative to anything else, so the thread checker's
    /// atomics are not used.
    input: AtomicU64,
    output: AtomicU64,
}

#[derive(Default)]
struct Newest {
    dictionary: Option<Arc<Dictionary>>,
    /// How many times the dictionary was dropped by a purge.
    times_dropped: u64,
}

impl Codec {
    /// Compresses the contact's parts.
    pub(super) fn compress(&self, id: ContactId, parts: &Parts) -> Compressed {
        if parts.present().is_empty() {
            return Compressed::default();
        }
        let plain = postcard::to_allocvec(parts).expect("parts can be written");
        let dictionary = self.locked().dictionary.clone();
        let sealed = CONTEXTS.with_borrow_mut(|contexts| {
            let Contexts {
                compress, buffer, ..
            } = contexts;
            empty(buffer, zstd_safe::compress_bound(plain.len()));
            match &dictionary {
                Some(dictionary) => {
                    let dictionary = dictionary.encoder.as_cdict();
                    compress.compress_using_cdict(buffer, &plain, dictionary)
                }
                None => compress.compress(buffer, &plain, LEVEL),
            }
            .expect("the buffer has room");
            let seal = seal(id, buffer);
            [&buffer[..], &seal].concat().into_boxed_slice()
        });
        self.input.fetch_add(plain.len() as u64, Relaxed);
        self.output.fetch_add(sealed.len() as u64, Relaxed);
        Compressed { sealed, dictionary }
    }

    /// The bytes before and after compression.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.input.load(Relaxed), self.output.load(Relaxed))
    }

    /// Whether a dictionary should be made, if there are enough records.
    pub(super) fn is_dictionary_due(&self, now: Tick) -> bool {
        let newest = self.locked();
        let made_at = newest.dictionary.as_ref().map(|newest| newest.made_at);
        made_at.is_none_or(|made_at| now >= made_at + DICTIONARY_LIFETIME)
    }

    /// Makes a dictionary from some of the records if one is due. With too few records the old one is dropped anyway.
    /// Takes a tenth of a second: never within a request.
    pub(super) fn renew<'a>(
        &self,
        now: Tick,
        records: impl Iterator<Item = (ContactId, &'a Compressed)>,
    ) -> io::Result<()> {
        if !self.is_dictionary_due(now) {
            return Ok(());
        }
        let times_dropped = self.locked().times_dropped;
        // Back to back: thousands of small allocations would leave holes in memory.
        let (mut bytes, mut sizes) = (Vec::new(), Vec::new());
        for (id, record) in records {
            let size = record.decompressed(id, |plain| {
                bytes.extend_from_slice(plain);
                Some(plain.len())
            });
            sizes.extend(size);
        }
        let dictionary = if sizes.len() < MIN_SAMPLES {
            None
        } else {
            let content = dict::from_continuous(&bytes, &sizes, DICTIONARY_SIZE)?;
            Some(Arc::new(Dictionary {
                encoder: EncoderDictionary::copy(&content, LEVEL),
                decoder: DecoderDictionary::copy(&content),
                made_at: now,
            }))
        };
        let mut newest = self.locked();
        // A dictionary made from records that were purged in the meantime is not used.
        if newest.times_dropped == times_dropped {
            newest.dictionary = dictionary;
        }
        Ok(())
    }

    /// Drops the dictionary. What was compressed with it can still be read.
    pub(super) fn drop_dictionary(&self) {
        let mut newest = self.locked();
        newest.dictionary = None;
        newest.times_dropped += 1;
    }

    /// A poisoned lock is harmless: nothing under it is ever changed in part.
    fn locked(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of a frame and of the contact that it is about. It protects against damage, not against forgery.
fn seal(id: ContactId, frame: &[u8]) -> [u8; SEAL] {
    let mut hasher = SipHasher13::new();
    hasher.write(id.as_uuid().as_bytes());
    hasher.write(frame);
    hasher.finish().to_le_bytes()
}

/// Empties the buffer and reserves `room` bytes.
fn empty(buffer: &mut Vec<u8>, room: usize) {
    buffer.clear();
    buffer.shrink_to(KEPT_BUFFER);
    buffer.reserve_exact(room);
}

#[cfg(test)]
mod tests;
