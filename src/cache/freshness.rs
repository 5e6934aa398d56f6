//! How long data is served: lifetimes, the two stale windows and their arithmetic, as pure functions of the time.
//!
//! The windows begin where the lifetime ends (RFC 5861): without faults nothing older than
//! lifetime + `stale_while_revalidate` is served, with faults nothing older than lifetime +
//! `stale_if_error`.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{feed::Feed, fence::Sequence};
use crate::{
    clock::Tick,
    domain::{Part, PartMap, PartSet, plain},
};

/// The lifetimes and windows of everything that is cached.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long each part is fresh.
    pub lifetimes: PartMap<Duration>,
    /// How long a part of a contact's history is fresh.
    pub history_lifetime: Duration,
    /// How long after its lifetime data is still served while it is refreshed.
    pub stale_while_revalidate: Duration,
    /// How long after its lifetime data is still served while Engage fails.
    pub stale_if_error: Duration,
    /// How long a request waits for a refresh while the cached data may still be served.
    pub stale_if_slow: Duration,
    /// How long a negative entry, or an alias that could not be confirmed, is used.
    pub negative_lifetime: Duration,
    /// How long Engage's overview may lag behind its entity endpoints.
    pub overview_lag: Duration,
    /// The parts that the overview contains.
    pub overview_parts: PartSet,
    /// Shortens lifetimes while changes may go unreported; `None` without webhooks and without a tier that replicas share:
    /// the lifetimes are chosen for that.
    pub feed: Option<Arc<Feed>>,
}

impl Policy {
    /// The lifetime of a part; an alias has that of the profile.
    pub fn lifetime(&self, part: Part) -> Duration {
        self.lifetimes[part]
    }

    /// The age at which data of that kind of endpoint is expired, however long its own lifetime is. `None`: only its
    /// own lifetime counts.
    pub fn longest_use(&self, source: FetchSource, now: Tick) -> Option<Duration> {
        let feed = self.feed.as_ref()?;
        let in_doubt = feed.fallback() + self.stale_while_revalidate;
        let lag = match source {
            FetchSource::Overview => self.overview_lag,
            FetchSource::Entity => Duration::ZERO,
        };
        Some(feed.trusted_age(now).saturating_sub(lag).max(in_doubt))
    }

    /// A lifetime shortened at random by up to a tenth, so that what was fetched together does not expire together.
    pub fn jittered(lifetime: Duration) -> Duration {
        lifetime.mul_f64(1.0 - 0.1 * fastrand::f64())
    }
}

/// Where and when data was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// When our upstream request began, in the order of events.
    pub sequence: Sequence,
    /// When our upstream request began: ages count from here.
    pub requested_at: Tick,
    /// The same by the wall clock.
    #[serde(with = "plain")]
    pub as_of: Timestamp,
    /// How long the data is fresh.
    pub lifetime: Duration,
    /// Which kind of endpoint returned it.
    pub source: FetchSource,
    /// When the first request began that got this same data from the entity endpoint: an overview that began within the
    /// overview's lag after that may be older. `None` where only an overview returned it.
    pub differed_at: Option<Tick>,
    /// Whether another replica fetched it: then `sequence` is when this replica read it from the shared tier, and says
    /// nothing about when the request began.
    pub is_shared: bool,
}

/// A kind of endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchSource {
    /// `/contactoverview`, which may itself be a cached copy.
    Overview,
    /// An entity endpoint, which returns the present state.
    Entity,
}

/// In which window of its life data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// Within its lifetime.
    Fresh,
    /// Within the stale-while-revalidate window: served while it is refreshed.
    Stale,
    /// Within the stale-if-error window: served if Engage fails.
    Expired,
    /// Beyond every window: never served.
    Dead,
}

impl FetchSource {
    /// The name for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            FetchSource::Overview => "overview",
            FetchSource::Entity => "entity",
        }
    }
}

impl Freshness {
    /// The name for operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Freshness::Fresh => "fresh",
            Freshness::Stale => "stale",
            Freshness::Expired => "expired",
            Freshness::Dead => "dead",
        }
    }
}

impl Provenance {
    /// The time since our upstream request began.
    pub fn age(&self, now: Tick) -> Duration {
        now.since(self.requested_at)
    }

    /// Whether this data's upstream request is known to have begun later than the other's. Between this replica's own
    /// requests the order of events decides. If another replica made one of them, only the times can decide: they make
    /// its request look earlier than it was, never later. At equal times, this replica's own request is the later one
    /// if it began after the other's data was read.
    pub fn is_later_than(&self, other: &Provenance) -> bool {
        let begun_later = self.sequence > other.sequence;
        if !self.is_shared && !other.is_shared {
            return begun_later;
        }
        self.requested_at > other.requested_at
            || (self.requested_at == other.requested_at && !self.is_shared && begun_later)
    }

    /// How long the data is fresh, given the feed at `now`.
    #[inline]
    fn lifetime_at(&self, now: Tick, policy: &Policy) -> Duration {
        policy.feed.as_ref().map_or(self.lifetime, |feed| {
            let true_at = match self.source {
                // Its copy may be older than a change that was missed.
                FetchSource::Overview => self.requested_at - policy.overview_lag,
                FetchSource::Entity => self.requested_at,
            };
            self.lifetime.min(feed.longest_lifetime(true_at, now))
        })
    }

    /// When the lifetime ends, given the feed at `now`.
    #[inline]
    pub fn fresh_until(&self, now: Tick, policy: &Policy) -> Tick {
        self.requested_at + self.lifetime_at(now, policy)
    }

    /// In which window the data is at `now`. While changes may go unreported its lifetime is shorter, but the end of
    /// the last window does not move: an Engage that fails may report no changes either.
    pub fn freshness(&self, now: Tick, policy: &Policy) -> Freshness {
        self.freshness_given(self.fresh_until(now, policy), now, policy)
    }

    /// The same of data whose lifetime ends at `fresh_until`.
    #[inline]
    pub fn freshness_given(&self, fresh_until: Tick, now: Tick, policy: &Policy) -> Freshness {
        if now < fresh_until {
            Freshness::Fresh
        } else if now < fresh_until + policy.stale_while_revalidate {
            Freshness::Stale
        } else if now < self.requested_at + self.lifetime + policy.stale_if_error {
            Freshness::Expired
        } else {
            Freshness::Dead
        }
    }

    /// Whether the last tenth of the lifetime has begun: a request now shows that the data is still in use, and an
    /// early refresh keeps the next one from getting stale data.
    pub fn expires_soon(&self, now: Tick, policy: &Policy) -> bool {
        self.expires_soon_given(self.fresh_until(now, policy), now)
    }

    /// The same of data whose lifetime ends at `fresh_until`.
    #[inline]
    pub fn expires_soon_given(&self, fresh_until: Tick, now: Tick) -> bool {
        let lifetime = fresh_until
            .nanos()
            .saturating_sub(self.requested_at.nanos());
        now.nanos() >= fresh_until.nanos() - lifetime / 10
    }

    /// Whether this data replaces `cached`. Of the same kind of endpoint, the later request wins. An overview may lag,
    /// so it replaces an entity endpoint's data only if its request began later by at least the lag, counted from
    /// [`Provenance::differed_at`].
    pub fn supersedes(&self, cached: &Provenance, overview_lag: Duration) -> bool {
        let catches_up = |overview: &Provenance, entity: &Provenance| {
            let differed_at = entity.differed_at.unwrap_or(entity.requested_at);
            overview.is_later_than(entity) && overview.requested_at >= differed_at + overview_lag
        };
        match (self.source, cached.source) {
            (FetchSource::Overview, FetchSource::Entity) => catches_up(self, cached),
            (FetchSource::Entity, FetchSource::Overview) => !catches_up(cached, self),
            _ => self.is_later_than(cached),
        }
    }

    /// Seconds until the lifetime ends; negative afterwards.
    pub fn ttl_seconds(&self, now: Tick, policy: &Policy) -> i64 {
        ttl_seconds(self.fresh_until(now, policy), now)
    }
}

/// Seconds until a lifetime ends; negative afterwards.
pub fn ttl_seconds(fresh_until: Tick, now: Tick) -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    if now <= fresh_until {
        seconds(fresh_until.since(now))
    } else {
        -seconds(now.since(fresh_until) + Duration::from_millis(999))
    }
}

#[cfg(test)]
mod tests;
