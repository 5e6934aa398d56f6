//! A rendered answer: its bytes, its validators and their compressed form, kept with the record for as long as not
//! one byte would change.

mod etag;

use std::{
    io::Write,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;

pub use self::etag::ETag;
use super::{render::Body, view::Shape};
use crate::{cache::Answer, clock::Now};

/// Answers below this are not compressed: nothing would be saved.
pub(super) const COMPRESSED_ABOVE: usize = 1024;

/// A rendered answer.
#[derive(Debug)]
pub struct Rendered {
    shape: Shape,
    /// The JSON.
    pub body: Bytes,
    /// Its validators, of everything but `freshness`: a refresh that changes nothing else keeps them.
    pub etag: ETag,
    gzip: OnceLock<Bytes>,
    /// Whether the next request for gzip has it compressed: not yet done, and the answer is kept for later requests. An
    /// answer that is not kept is not compressed.
    gzip_is_due: AtomicBool,
    /// The wall clock when it was rendered: at an earlier time it may differ.
    made_at: Timestamp,
    /// When a date passes that changes the bytes.
    changes_at: Timestamp,
}

impl Rendered {
    /// An answer of that shape, rendered at `made_at`.
    pub(super) fn new(shape: Shape, body: Body, made_at: Timestamp) -> Self {
        Self {
            shape,
            etag: ETag::of(&body.json[..body.without_freshness]),
            body: Bytes::from(body.json.into_boxed_slice()),
            gzip: OnceLock::new(),
            gzip_is_due: AtomicBool::new(false),
            made_at,
            changes_at: body.changes_at,
        }
    }

    /// Whether gzip saves anything.
    pub fn is_compressible(&self) -> bool {
        self.body.len() >= COMPRESSED_ABOVE
    }

    /// The JSON in gzip, if it has been compressed. The first request for it has it compressed in the background, for
    /// later ones: no request waits for it.
    pub fn gzip(self: &Arc<Self>) -> Option<&Bytes> {
        let gzip = self.gzip.get();
        if gzip.is_none()
            && self.is_compressible()
            && self.gzip_is_due.swap(false, Ordering::Relaxed)
        {
            let answer = Arc::clone(self);
            tokio::spawn(async move { answer.compress() });
        }
        gzip
    }

    fn compress(&self) {
        let mut encoder =
            GzEncoder::new(Vec::with_capacity(self.body.len() / 2), Compression::fast());
        let compressed = encoder
            .write_all(&self.body)
            .and_then(|()| encoder.finish())
            .expect("writing to memory does not fail");
        let _ = self.gzip.set(Bytes::from(compressed.into_boxed_slice()));
    }

    /// Whether it is of that shape.
    pub(super) fn has_shape(&self, shape: &Shape) -> bool {
        self.shape == *shape
    }

    /// Whether it is of that shape and its bytes are right at `now`.
    pub(super) fn is_valid(&self, shape: &Shape, now: Now) -> bool {
        self.has_shape(shape) && self.made_at <= now.wall && now.wall < self.changes_at
    }
}

impl Answer for Rendered {
    fn made_ready(&self) {
        self.gzip_is_due.store(true, Ordering::Relaxed);
    }

    fn bytes(&self) -> usize {
        // The compressed form comes later, and is about a third.
        size_of::<Self>() + self.body.len() + self.body.len() / 3
    }
}

#[cfg(test)]
mod tests;
