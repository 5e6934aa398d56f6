//! A rendered response: its bytes, its validators and its compressed form. It is kept with the record until the first
//! moment at which a byte of it would change.

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

/// Responses shorter than this, in bytes, are not compressed: that would save nothing.
pub(super) const COMPRESSED_ABOVE: usize = 1024;

/// A rendered answer.
#[derive(Debug)]
pub struct Rendered {
    shape: Shape,
    /// The JSON.
    pub body: Bytes,
    /// Its validators. They cover everything but `freshness`: a refresh that changes nothing else keeps them.
    pub etag: ETag,
    gzip: OnceLock<Bytes>,
    /// Whether the next request for gzip starts the compression: it has not been done, and the response is kept for
    /// later requests. A response that is not kept is not compressed.
    gzip_is_due: AtomicBool,
    /// The wall clock when it was rendered. At an earlier time the response may have been different.
    made_at: Timestamp,
    /// The first moment at which a date in it passes and changes its bytes.
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

    /// The JSON in gzip, if it has been compressed. The first request for gzip starts the compression in the background
    /// for later requests; no request waits for it.
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

    /// Whether it is of that shape and its bytes are still right at `now`.
    pub(super) fn is_valid(&self, shape: &Shape, now: Now) -> bool {
        self.has_shape(shape) && self.made_at <= now.wall && now.wall < self.changes_at
    }
}

impl Answer for Rendered {
    fn made_ready(&self) {
        self.gzip_is_due.store(true, Ordering::Relaxed);
    }

    fn bytes(&self) -> usize {
        // The compressed form comes later and is about a third of the size.
        size_of::<Self>() + self.body.len() + self.body.len() / 3
    }
}

#[cfg(test)]
mod tests;
