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
    /// How long a request waits for a refresh while what is cached may still be served.
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

    /// The age from which on data of that kind of endpoint is expired, however long its own lifetime is; `None`: its
    /// lifetime decides.
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
    /// When the first request began to which the entity endpoint returned this same data: an overview that began within
    /// the overview's lag after that may be older. `None` where only an overview returned it.
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

    /// Whether this data's upstream request is known to have begun later than the other's. Of this replica's own requests
    /// the order of events says so. Where another replica made one, only the times can: they make its request look
    /// earlier than it was, never later. Of the same moment, an own request that began after the other's data was read is
    /// the later one.
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

    /// Whether the last tenth of the lifetime has begun: a request now shows that the data is still in demand, and a
    /// refresh ahead spares the next one a stale answer.
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
mod tests {
    use super::*;
    use crate::{
        cache::fence::Fences,
        clock::{Clock, ManualClock},
    };

    fn policy() -> Policy {
        Policy {
            lifetimes: PartMap::splat(Duration::from_secs(60)),
            history_lifetime: Duration::from_secs(60),
            stale_while_revalidate: Duration::from_secs(30),
            stale_if_error: Duration::from_secs(3600),
            stale_if_slow: Duration::from_millis(300),
            negative_lifetime: Duration::from_secs(30),
            overview_lag: Duration::from_secs(600),
            overview_parts: PartSet::ALL,
            feed: None,
        }
    }

    #[test]
    fn data_passes_its_windows_in_order() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::from(manual.clone());
        let provenance = Provenance {
            sequence: Sequence::default(),
            requested_at: clock.now().tick,
            as_of: clock.now().wall,
            lifetime: Duration::from_secs(60),
            source: FetchSource::Overview,
            differed_at: None,
            is_shared: false,
        };
        let mut at = 0;
        for (second, expected, ttl) in [
            (0, Freshness::Fresh, 60),
            (59, Freshness::Fresh, 1),
            (60, Freshness::Stale, 0),
            (89, Freshness::Stale, -29),
            (90, Freshness::Expired, -30),
            (3659, Freshness::Expired, -3599),
            (3660, Freshness::Dead, -3600),
        ] {
            manual.advance(Duration::from_secs(second - at));
            at = second;
            let now = clock.now().tick;
            assert_eq!(provenance.freshness(now, &policy()), expected, "{second} s");
            assert_eq!(provenance.ttl_seconds(now, &policy()), ttl, "{second} s");
        }
    }

    #[test]
    fn after_a_feed_gap_an_overview_is_trusted_once_its_lag_has_passed() {
        let feed = Feed::new(
            Some(Duration::from_secs(10_000)),
            false,
            Duration::from_secs(20),
        );
        let policy = Policy {
            feed: Some(feed.into()),
            ..policy()
        };
        let at = |second: u64| Tick::default() + Duration::from_secs(second);
        let feed = policy.feed.as_deref().expect("a feed");
        feed.note_received(at(1000));
        for (source, second, ttl) in [
            (FetchSource::Entity, 1000, 20),
            (FetchSource::Entity, 1001, 60),
            (FetchSource::Overview, 1001, 20),
            (FetchSource::Overview, 1600, 20),
            (FetchSource::Overview, 1601, 60),
        ] {
            let provenance = Provenance {
                sequence: Sequence::default(),
                requested_at: at(second),
                as_of: Timestamp::UNIX_EPOCH,
                lifetime: Duration::from_secs(60),
                source,
                differed_at: None,
                is_shared: false,
            };
            let actual = provenance.ttl_seconds(at(second), &policy);
            assert_eq!(actual, ttl, "{source:?} at {second} s");
        }
    }

    #[test]
    fn data_in_doubt_is_used_for_the_fallback_and_its_stale_window() {
        let feed = Feed::new(
            Some(Duration::from_secs(10_000)),
            false,
            Duration::from_secs(20),
        );
        let in_doubt = Policy {
            feed: Some(feed.into()),
            ..policy()
        };
        let now = Tick::default() + Duration::from_secs(5000);
        let longest = in_doubt.longest_use(FetchSource::Entity, now);
        assert_eq!(longest, Some(Duration::from_secs(20 + 30)));
        assert_eq!(policy().longest_use(FetchSource::Entity, now), None);
    }

    #[test]
    fn later_data_supersedes_and_an_overview_only_after_its_lag() {
        let fences = Fences::new(Duration::ZERO, Duration::ZERO, 16);
        let requested = |second: u64, source| Provenance {
            sequence: fences.sequence(),
            requested_at: Tick::default() + Duration::from_secs(second),
            as_of: Timestamp::UNIX_EPOCH,
            lifetime: Duration::from_secs(60),
            source,
            differed_at: (source == FetchSource::Entity)
                .then_some(Tick::default() + Duration::from_secs(second)),
            is_shared: false,
        };
        let lag = Duration::from_secs(600);
        let early = requested(0, FetchSource::Overview);
        let entity = requested(0, FetchSource::Entity);
        let within = requested(599, FetchSource::Overview);
        let after = requested(600, FetchSource::Overview);
        for (newer, older) in [
            (&entity, &early),
            (&within, &early),
            (&entity, &within),
            (&after, &entity),
            (&after, &within),
        ] {
            assert!(newer.supersedes(older, lag), "{newer:?} {older:?}");
            assert!(!older.supersedes(newer, lag), "{older:?} {newer:?}");
        }
        assert!(!entity.supersedes(&entity, lag));
        // Without a lag the order of the requests decides.
        assert!(within.supersedes(&entity, Duration::ZERO));
        assert!(!early.supersedes(&entity, Duration::ZERO));
        // Data that an entity endpoint only repeats does not keep the overview out for longer.
        let first = requested(0, FetchSource::Entity);
        let repeated = Provenance {
            differed_at: first.differed_at,
            ..requested(500, FetchSource::Entity)
        };
        let within = requested(599, FetchSource::Overview);
        let after = requested(600, FetchSource::Overview);
        for (overview, takes_over) in [(&early, false), (&within, false), (&after, true)] {
            assert_eq!(overview.supersedes(&repeated, lag), takes_over);
            assert_eq!(repeated.supersedes(overview, lag), !takes_over);
        }
    }

    #[test]
    fn data_of_another_replica_competes_by_the_time_of_its_request() {
        let fences = Fences::new(Duration::ZERO, Duration::ZERO, 16);
        let requested = |second: u64, is_shared| Provenance {
            sequence: fences.sequence(),
            requested_at: Tick::default() + Duration::from_secs(second),
            as_of: Timestamp::UNIX_EPOCH,
            lifetime: Duration::from_secs(60),
            source: FetchSource::Entity,
            differed_at: None,
            is_shared,
        };
        let own = requested(10, false);
        let of_the_same_moment = requested(10, false);
        assert!(of_the_same_moment.is_later_than(&own));
        // Each was read after the own request began.
        for (second, is_later, is_earlier) in
            [(9, false, true), (10, false, false), (11, true, false)]
        {
            let shared = requested(second, true);
            assert_eq!(shared.is_later_than(&own), is_later, "{second} s");
            assert_eq!(own.is_later_than(&shared), is_earlier, "{second} s");
        }
        // An own request that began after the reading.
        let shared = requested(10, true);
        assert!(requested(10, false).is_later_than(&shared));
        assert!(!requested(9, false).is_later_than(&shared));
        assert!(requested(11, true).is_later_than(&requested(10, true)));
        assert!(!requested(10, true).is_later_than(&requested(10, true)));
    }

    #[test]
    fn jitter_only_shortens_and_by_a_tenth_at_most() {
        let whole = Duration::from_secs(100);
        for _ in 0..1000 {
            let lifetime = Policy::jittered(whole);
            assert!(lifetime <= whole && lifetime >= whole.mul_f64(0.9));
        }
    }
}
