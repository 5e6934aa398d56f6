//! Records that nobody asks for just now, packed: written short and compressed with a dictionary that is made of some
//! records themselves ([`packer`]).
//!
//! The answers that were rendered last are packed with it: who asks again needs no more than those, and is told the very
//! same bytes.

mod packer;

use std::{cell::RefCell, fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use zstd::{
    bulk::Compressor,
    dict::DecoderDictionary,
    zstd_safe::{self, DCtx},
};

pub(super) use self::packer::{Packer, Samples};
use super::{
    parts::Parts,
    record::{Brief, Record},
};
use crate::{clock::Tick, domain::ContactId};

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
    /// The record in less room; `None` where it was packed before and is damaged.
    pub(super) fn of<R: Serialize>(
        record: &Record<R>,
        with: &mut Compressor<'_>,
        dictionary: &Arc<DecoderDictionary<'static>>,
        kept_until: Tick,
    ) -> Option<Self> {
        let mut frames = Vec::new();
        for plain in samples(record)? {
            frames.extend(with.compress(&plain).ok()?);
        }
        Some(Self {
            frames: frames.into(),
            dictionary: Arc::clone(dictionary),
            kept_until,
        })
    }

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

#[cfg(test)]
mod tests;
