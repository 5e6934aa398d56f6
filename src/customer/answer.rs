//! The answer in its shapes: rendered once, kept with the record, and served as bytes for as long as
//! not one of them would change.

mod etag;

use std::{
    io::Write,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::etag::ETag;
use super::{Found, render};
use crate::{
    cache::{
        Answer, Cache, Weigh,
        parts::{Origins, Parts},
    },
    clock::Now,
    domain::{Channel, PartSet, plain},
    engage,
    threads::{AtomicBool, Ordering, spawn},
};

/// Answers below this are not compressed: there is nothing to win.
const COMPRESSED_ABOVE: usize = 1024;

/// Which fields leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum View {
    /// What a shopper may see of themselves.
    Storefront,
    /// What staff may see.
    Full,
}

/// What a caller wants to see, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
pub struct Rendered {
    shape: Shape,
    /// The JSON.
    pub body: Bytes,
    /// Its strong validators.
    pub etag: ETag,
    #[serde(skip)]
    gzip: OnceLock<Bytes>,
    /// Whether the next request for gzip has it compressed: it was not yet, and it is kept for later requests. An answer
    /// that is not kept, or was read from a packed record, is not compressed.
    #[serde(skip)]
    gzip_is_due: AtomicBool,
    /// The wall clock when it was rendered: an earlier one may tell otherwise.
    #[serde(with = "plain")]
    made_at: Timestamp,
    /// When a date passes that changes the bytes.
    #[serde(with = "plain")]
    changes_at: Timestamp,
}

impl Rendered {
    /// Whether there is anything to gain from gzip.
    pub fn is_compressible(&self) -> bool {
        self.body.len() >= COMPRESSED_ABOVE
    }

    /// The JSON in gzip, if it is there already. The first who asks has it made beside the request, for those who come
    /// later: nobody waits for it.
    pub fn gzip(self: &Arc<Self>) -> Option<&Bytes> {
        let gzip = self.gzip.get();
        if gzip.is_none()
            && self.is_compressible()
            && self.gzip_is_due.swap(false, Ordering::Relaxed)
        {
            let answer = Arc::clone(self);
            spawn(async move { answer.compress() });
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

    fn holds(&self, shape: &Shape, now: Now) -> bool {
        self.shape == *shape && self.made_at <= now.wall && now.wall < self.changes_at
    }
}

impl Answer for Rendered {
    fn made_ready(&self) {
        self.gzip_is_due.store(true, Ordering::Relaxed);
    }
}

impl Weigh for Rendered {
    fn bytes(&self) -> usize {
        // The compressed form comes later, and is about a third.
        size_of::<Self>() + self.body.len() + self.body.len() / 3
    }
}

/// The answer in that shape: the one kept with the record where it still holds, else rendered now.
/// Kept are answers with all that is asked for, as complete as the record is, and with the default window; others are
/// too many. `None` where what is held is damaged.
pub(super) fn rendered(
    cache: &Cache<Rendered, engage::Error>,
    rules: &Rules,
    found: &Found,
    shape: &Shape,
    now: Now,
) -> Option<Arc<Rendered>> {
    let incomplete = found.record.incomplete().intersection(shape.asked);
    let is_kept = found.degraded == incomplete
        && found.shown == shape.asked
        && shape.expiring_within == rules.expiring_within;
    if is_kept && let Some(kept) = found.record.rendered().find(|kept| kept.holds(shape, now)) {
        return Some(Arc::clone(kept));
    }
    let parts = cache.parts_of(&found.record)?;
    let answer = Arc::new(render(rules, &parts, found, shape, now));
    if is_kept {
        cache.keep_rendered(&found.record, &parts, &answer, |kept| kept.shape == *shape);
    }
    Some(answer)
}

fn render(rules: &Rules, parts: &Parts, found: &Found, shape: &Shape, now: Now) -> Rendered {
    let (body, changes_at) = render::render(rules, parts, found, shape, now.wall);
    Rendered {
        shape: *shape,
        etag: ETag::of(&body),
        body: Bytes::from(body.into_boxed_slice()),
        gzip: OnceLock::new(),
        gzip_is_due: AtomicBool::new(false),
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
