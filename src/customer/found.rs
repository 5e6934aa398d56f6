//! The result of a request: the customer, what may be shown of it, and what the cache did.

use std::{sync::Arc, time::Duration};

use super::{
    answer::Rendered,
    reasons::{PartOutcome, Reasons},
    render::{Content, HistoryContent, render},
    view::{Rules, Shape},
};
use crate::{
    cache::{Cache, parts::Origins, record::Record},
    clock::Now,
    domain::{PartMap, PartSet},
    engage,
};

/// The cached data of a contact, with the responses rendered from it.
pub(super) type CachedRecord = Record<Rendered>;

/// A customer that was found.
#[derive(Debug)]
pub struct Found {
    /// The known data. Not all of it may be shown.
    pub record: Arc<CachedRecord>,
    /// The parts that may be shown.
    pub shown: PartSet,
    /// The parts that are older than they should be, are incomplete, or could not be fetched.
    pub degraded: PartSet,
    /// What the cache did.
    pub verdict: Verdict,
    /// The reasons; `None` for a plain hit.
    pub reasons: Option<Arc<Reasons>>,
    /// How each requested part is served.
    pub outcomes: PartMap<Option<PartOutcome>>,
}

/// What the cache did for a request, in the terms of RFC 9211.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The worst status of the parts.
    pub status: CacheStatus,
    /// Seconds until the first part's lifetime ends; negative afterwards.
    pub ttl: i64,
    /// The age of the oldest part.
    pub age: Duration,
    /// Whether an answer of Engage was stored.
    pub stored: bool,
    /// Whether the request waited for a call that another request had started (coalesced).
    pub collapsed: bool,
    /// Why stale data is served instead of an answer of Engage, if it is.
    pub stands_in: Option<StaleReason>,
}

/// Why stale data is served instead of an answer of Engage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// Engage failed (RFC 5861, 4).
    Error,
    /// Engage has not answered within `cache.stale_if_slow`.
    Slow,
}

impl StaleReason {
    /// The cache status of a response that is served stale for this reason.
    pub(super) const fn status(self) -> CacheStatus {
        match self {
            Self::Error => CacheStatus::StaleIfError,
            Self::Slow => CacheStatus::StaleIfSlow,
        }
    }

    /// The outcome of a part that is served stale for this reason.
    pub(super) const fn outcome(self) -> PartOutcome {
        match self {
            Self::Error => PartOutcome::StaleIfError,
            Self::Slow => PartOutcome::StaleIfSlow,
        }
    }

    /// The `detail` of `Cache-Status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "stale-if-error",
            Self::Slow => "stale-if-slow",
        }
    }
}

/// What the cache did for a part or for a whole response; the worst last. `Cache-Status` (RFC 9211), `Server-Timing`,
/// the label of metrics and the field of log events are all written from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum CacheStatus {
    /// Served from memory.
    Hit = 0,
    /// Not cached here, or too old, but another replica had fetched it. Engage was not called.
    Shared = 1,
    /// Served from memory although it, or the alias that led to it, is too old, because Engage fails. For whole
    /// responses, and for parts of the history.
    StaleIfError = 2,
    /// Served from memory although it, or the alias that led to it, is too old, because Engage is slow. For whole
    /// responses, and for parts of the history.
    StaleIfSlow = 3,
    /// Cached, but too old: Engage was called.
    Stale = 4,
    /// Not cached: Engage was called.
    Miss = 5,
    /// Cached, but the caller wanted it fresh: Engage was called.
    Request = 6,
    /// The cache is off: Engage was called.
    Bypass = 7,
    /// No cached data may be served, and Engage gave no usable answer: the response is without a customer. For whole
    /// responses only.
    Guest = 8,
}

impl CacheStatus {
    /// Every status; the number of each is its index.
    pub const ALL: [Self; 9] = [
        Self::Hit,
        Self::Shared,
        Self::StaleIfError,
        Self::StaleIfSlow,
        Self::Stale,
        Self::Miss,
        Self::Request,
        Self::Bypass,
        Self::Guest,
    ];

    /// The label of metrics, the field of log events, and the description in `Server-Timing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Shared => "shared",
            Self::StaleIfError => StaleReason::Error.as_str(),
            Self::StaleIfSlow => StaleReason::Slow.as_str(),
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Bypass => "bypass",
            Self::Guest => "guest",
        }
    }

    /// Why Engage was called: the `fwd` parameter of `Cache-Status` (RFC 9211, 2.2). `None` means `hit`.
    pub const fn forward_reason(self) -> Option<&'static str> {
        match self {
            Self::Hit | Self::Shared | Self::StaleIfError | Self::StaleIfSlow => None,
            Self::Stale | Self::Miss | Self::Request | Self::Bypass => Some(self.as_str()),
            Self::Guest => Some(Self::Miss.as_str()),
        }
    }
}

impl Verdict {
    /// The verdict of a response that consists of both: the worse status, the earlier end of lifetime, and the greater
    /// age.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        Self {
            status: self.status.max(other.status),
            ttl: self.ttl.min(other.ttl),
            age: self.age.max(other.age),
            stored: self.stored || other.stored,
            collapsed: self.collapsed || other.collapsed,
            stands_in: self.stands_in.or(other.stands_in),
        }
    }

    /// The verdict of a response that also needed something else: the worse status of both. Ages are the response's
    /// own.
    #[must_use]
    pub(super) fn and(self, other: &Verdict) -> Self {
        Self {
            ttl: self.ttl,
            age: self.age,
            ..self.worst(*other)
        }
    }
}

impl Found {
    /// The response in that shape: the one kept with the record if it is still right, else rendered now. `None` if the
    /// cached record is damaged.
    ///
    /// Only responses with the default window, with all requested parts, and as complete as the record itself are kept:
    /// other kinds would be too many.
    pub(super) fn render(
        &self,
        memory: &Cache<Rendered, engage::Error>,
        rules: &Rules,
        shape: &Shape,
        now: Now,
    ) -> Option<Arc<Rendered>> {
        let incomplete = self.record.incomplete().intersection(shape.requested);
        let is_kept = self.degraded == incomplete
            && self.shown == shape.requested
            && shape.expiring_within == rules.expiring_within;
        if is_kept
            && let Some(kept) = self
                .record
                .rendered()
                .find(|kept| kept.is_valid(shape, now))
        {
            return Some(Arc::clone(kept));
        }
        let answer = self.rendered(None, memory, rules, shape, now)?;
        if is_kept {
            memory.keep_rendered(&self.record, &answer, |kept| kept.has_shape(shape));
        }
        Some(answer)
    }

    /// The response with a contact's history, rendered now.
    pub(super) fn render_with(
        &self,
        history: &HistoryContent,
        memory: &Cache<Rendered, engage::Error>,
        rules: &Rules,
        shape: &Shape,
        now: Now,
    ) -> Option<Arc<Rendered>> {
        self.rendered(Some(history), memory, rules, shape, now)
    }

    fn rendered(
        &self,
        history: Option<&HistoryContent>,
        memory: &Cache<Rendered, engage::Error>,
        rules: &Rules,
        shape: &Shape,
        now: Now,
    ) -> Option<Arc<Rendered>> {
        let parts = memory.parts_of(&self.record)?;
        let content = Content {
            id: self.record.id,
            parts: &parts,
            shown: self.shown,
            degraded: self.degraded,
            history,
        };
        let body = render(rules, shape, &content, now.wall);
        Some(Arc::new(Rendered::new(*shape, body, now.wall)))
    }
}

#[cfg(test)]
mod tests;
