//! One record per contact: an immutable snapshot of its parts, compressed, and of the responses rendered from them.
//! Replacing a part makes a new snapshot, which starts without rendered responses.
//!
//! A hit reads the provenance of each part and a rendered response; parts are decompressed for everything else.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    Answer,
    codec::{Codec, Compressed},
    fence::Sequence,
    freshness::Provenance,
    parts::{Origins, Parts},
};
use crate::{
    domain::{ContactId, Part, PartMap, PartSet},
    threads::{AtomicU8, Ordering},
};

/// How many rendered responses a record keeps: the views and channels in use are few.
const MAX_RENDERED: usize = 8;
/// The allocator's overhead, measured: one byte for this many bytes of compressed parts.
const ROUNDED_UP: usize = 8;

/// What is known of one contact.
#[derive(Debug)]
pub struct Record<R> {
    /// The contact.
    pub id: ContactId,
    provenances: PartMap<Option<Provenance>>,
    /// The parts of which something could not be read.
    incomplete: PartSet,
    compressed: Compressed,
    /// Two are stored inline: usually the storefront view's and the full view's.
    rendered: SmallVec<[Arc<R>; 2]>,
    /// Reads since the last sweep, of which no more than two are counted.
    reads: AtomicU8,
}

impl<R> Record<R> {
    /// A record that is not cached and of which nothing is known.
    pub fn empty(id: ContactId) -> Self {
        Self {
            id,
            provenances: PartMap::default(),
            incomplete: PartSet::EMPTY,
            compressed: Compressed::default(),
            rendered: SmallVec::new(),
            reads: AtomicU8::new(0),
        }
    }

    /// A record of these parts, nothing rendered yet.
    pub(super) fn new(id: ContactId, parts: &Parts, codec: &Codec) -> Self {
        Self {
            provenances: PartMap::from_fn(|part| parts.provenance(part).copied()),
            incomplete: parts.incomplete(),
            compressed: codec.compress(id, parts),
            ..Self::empty(id)
        }
    }

    /// The sequence number of the part; zero without one.
    pub fn sequence(&self, part: Part) -> Sequence {
        self.provenances[part].map_or(Sequence::default(), |provenance| provenance.sequence)
    }

    /// The parts, decompressed; `None` where the bytes are damaged or another contact's.
    pub fn parts(&self) -> Option<Parts> {
        self.compressed.parts(self.id)
    }

    /// The parts as they are stored.
    pub(super) fn compressed(&self) -> &Compressed {
        &self.compressed
    }

    /// The responses rendered from these parts.
    pub fn rendered(&self) -> impl DoubleEndedIterator<Item = &Arc<R>> + ExactSizeIterator {
        self.rendered.iter()
    }

    /// The same parts with one more rendered response; the oldest is dropped.
    pub(super) fn with_rendered(&self, response: Arc<R>, replaces: impl Fn(&R) -> bool) -> Self {
        let mut rendered: SmallVec<_> = self
            .rendered
            .iter()
            .filter(|kept| !replaces(kept))
            .cloned()
            .collect();
        if rendered.len() == MAX_RENDERED {
            rendered.remove(0);
        }
        rendered.push(response);
        Self {
            rendered,
            ..self.without_rendered()
        }
    }

    /// The same parts without any rendered response.
    pub(super) fn without_rendered(&self) -> Self {
        Self {
            id: self.id,
            provenances: self.provenances,
            incomplete: self.incomplete,
            compressed: self.compressed.clone(),
            rendered: SmallVec::new(),
            reads: AtomicU8::new(self.reads()),
        }
    }

    /// Notes a read.
    pub(super) fn note_read(&self) {
        let reads = self.reads();
        // Written twice between sweeps at most, so that cores that read the same record don't contend for its cache
        // line.
        if reads < 2 {
            self.reads.store(reads + 1, Ordering::Relaxed);
        }
    }

    /// The reads since the last sweep, at most two.
    pub(super) fn reads(&self) -> u8 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The same for a sweep; resets the count.
    pub(super) fn take_reads(&self) -> u8 {
        self.reads.swap(0, Ordering::Relaxed)
    }

    /// Bytes of memory, in addition to those that the store takes for an entry.
    pub(super) fn weight(&self) -> usize
    where
        R: Answer,
    {
        let rendered: usize = self.rendered.iter().map(|response| response.bytes()).sum();
        let compressed = self.compressed.len();
        size_of::<Self>() + compressed + compressed / ROUNDED_UP + rendered
    }
}

#[cfg(test)]
impl<R> Record<R> {
    /// The same with one bit of its parts flipped.
    pub(super) fn damaged(&self, byte: usize) -> Self {
        Self {
            compressed: self.compressed.damaged(byte),
            ..self.without_rendered()
        }
    }
}

impl<R> Origins for Record<R> {
    fn provenance(&self, part: Part) -> Option<&Provenance> {
        self.provenances[part].as_ref()
    }

    fn present(&self) -> PartSet {
        let parts = self.provenances.iter();
        parts
            .filter_map(|(part, provenance)| provenance.map(|_| part))
            .collect()
    }

    fn incomplete(&self) -> PartSet {
        self.incomplete
    }
}
