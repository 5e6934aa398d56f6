//! The answer in its shapes: rendered once, kept with the record, and served as bytes for as long as
//! not one of them would change.

use std::{
    io::Write,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_lc_rs::digest;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};

use super::{Found, render};
use crate::{
    cache::{Cache, Weigh},
    clock::Now,
    domain::{Channel, PartSet},
    engage,
    threads::{AtomicBool, Ordering, spawn},
};

/// Answers below this are not compressed: there is nothing to win.
const COMPRESSED_ABOVE: usize = 1024;

/// Which fields leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// What a shopper may see of themselves.
    Storefront,
    /// What staff may see.
    Full,
}

/// What a caller wants to see, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Which fields.
    pub view: View,
    /// Whose promotions; `None` = every channel's.
    pub channel: Option<Channel>,
    /// Which parts.
    pub asked: PartSet,
    /// How soon something must lapse to be listed as expiring.
    pub expiring_within: Duration,
}

/// What leaves by which view, and how it is told.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The attributes of the storefront view.
    pub storefront: Attributes,
    /// The attributes of the full view.
    pub full: Attributes,
    /// The window of answers that are kept rendered.
    pub expiring_within: Duration,
    /// Whose balance is `points.balance`.
    pub default_point_definition: Option<Box<str>>,
    /// The country whose national phone numbers are understood.
    pub phone_region: phonenumber::country::Id,
}

/// Which of Engage's attributes leave beyond the answer's own fields.
#[derive(Clone, Debug)]
pub struct Attributes {
    names: Vec<Box<str>>,
    all: bool,
}

/// The national id leaves only where it is listed by name, whatever `"*"` says.
const NATIONAL_ID: &str = "socialSecurityNumber";

impl Attributes {
    /// The attributes of these names; `"*"` stands for all of them.
    pub fn new(names: &[String]) -> Self {
        Self {
            names: names.iter().map(|name| name.as_str().into()).collect(),
            all: names.iter().any(|name| name == "*"),
        }
    }

    /// Whether the attribute may leave.
    pub fn allows(&self, name: &str) -> bool {
        self.names.iter().any(|listed| &**listed == name) || (self.all && name != NATIONAL_ID)
    }

    /// Whether the national id is listed by name.
    pub fn list_national_id(&self) -> bool {
        self.names.iter().any(|listed| &**listed == NATIONAL_ID)
    }
}

/// An answer, rendered.
#[derive(Debug)]
pub struct Rendered {
    shape: Shape,
    /// The JSON.
    pub body: Bytes,
    /// The strong validator of the JSON.
    pub etag: HeaderValue,
    /// The strong validator of the JSON in gzip.
    pub etag_gzip: HeaderValue,
    gzip: OnceLock<Bytes>,
    is_being_compressed: AtomicBool,
    /// The wall clock when it was rendered: an earlier one may tell otherwise.
    made_at: Timestamp,
    /// When a date passes that changes the bytes.
    changes_at: Timestamp,
}

impl Rendered {
    /// Whether there is anything to gain from gzip.
    pub fn is_compressible(&self) -> bool {
        self.body.len() >= COMPRESSED_ABOVE
    }

    /// The JSON in gzip, if it is there already. The first who asks has it made beside the request, for those who come
    /// later: nobody waits for it.
    pub fn gzip(self: &Arc<Self>) -> Option<Bytes> {
        if let Some(gzip) = self.gzip.get() {
            return Some(gzip.clone());
        }
        if self.is_compressible() && !self.is_being_compressed.swap(true, Ordering::Relaxed) {
            let answer = Arc::clone(self);
            spawn(async move { answer.compress() });
        }
        None
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

    fn holds(&self, shape: &Shape, now: Now) -> bool {
        self.shape == *shape && self.made_at <= now.wall && now.wall < self.changes_at
    }
}

impl Weigh for Rendered {
    fn bytes(&self) -> usize {
        // The compressed form comes later, and is about a third.
        size_of::<Self>() + self.body.len() + self.body.len() / 3 + 2 * self.etag.len()
    }
}

/// The answer in that shape: the one kept with the record where it still holds, else rendered now.
/// Kept are complete answers with the default window; others are too many.
pub(super) fn rendered(
    cache: &Cache<Rendered, engage::Error>,
    rules: &Rules,
    found: &Found,
    shape: &Shape,
    now: Now,
) -> Arc<Rendered> {
    let is_kept = found.degraded.is_empty()
        && found.shown == shape.asked
        && shape.expiring_within == rules.expiring_within;
    if is_kept && let Some(kept) = found.record.rendered().find(|kept| kept.holds(shape, now)) {
        return Arc::clone(kept);
    }
    let answer = Arc::new(render(rules, found, shape, now));
    if is_kept {
        cache.keep_rendered(&found.record, Arc::clone(&answer), |kept| {
            kept.shape == *shape
        });
    }
    answer
}

fn render(rules: &Rules, found: &Found, shape: &Shape, now: Now) -> Rendered {
    let (body, changes_at) = render::render(rules, found, shape, now.wall);
    let digest = digest::digest(&digest::SHA256, &body);
    let mut tag = String::with_capacity(32);
    for byte in &digest.as_ref()[..12] {
        use std::fmt::Write as _;
        let _ = write!(tag, "{byte:02x}");
    }
    let etag = |suffix: &str| {
        HeaderValue::try_from(format!("\"{tag}{suffix}\"")).expect("hex digits make a header value")
    };
    Rendered {
        shape: *shape,
        etag: etag(""),
        etag_gzip: etag("-gzip"),
        body: Bytes::from(body.into_boxed_slice()),
        gzip: OnceLock::new(),
        is_being_compressed: AtomicBool::new(false),
        made_at: now.wall,
        changes_at,
    }
}

/// A moment that many days before another.
pub(super) fn before(moment: Timestamp, window: Duration) -> Timestamp {
    let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
    moment.saturating_sub(window).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
