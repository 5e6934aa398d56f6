//! What may be shown of what is there, and what the cache did for it.

use std::{sync::Arc, time::Duration};

use super::{Held, Search, There};
use crate::{
    cache::{fence::Sequence, freshness::Freshness, parts::Origins},
    clock::Tick,
    customer::Error,
    domain::{Part, PartSet},
};

/// A customer, found.
#[derive(Debug)]
pub struct Found {
    /// What is known; not all of it may be shown.
    pub record: Arc<Held>,
    /// The parts that may be shown.
    pub shown: PartSet,
    /// The parts that are older than they should be, are incomplete, or could not be had.
    pub degraded: PartSet,
    /// What the cache did.
    pub verdict: Verdict,
}

/// What the cache did for a request, in the words of RFC 9211.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The worst of the parts.
    pub status: CacheStatus,
    /// Seconds until the first part's lifetime ends; negative afterwards.
    pub ttl: i64,
    /// The age of the oldest part.
    pub age: Duration,
    /// Whether an answer of Engage was stored.
    pub stored: bool,
    /// Whether the request waited for another's call.
    pub collapsed: bool,
    /// Why stale data stands in for an answer of Engage, if it does.
    pub stands_in: Option<StaleReason>,
}

/// Why stale data stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// Engage failed to give an answer (RFC 5861, 4).
    Error,
    /// The answer is on its way, and the caller does not wait for it.
    Slow,
}

/// What became of a part, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheStatus {
    /// Answered from memory.
    Hit,
    /// Held, but too old: Engage was asked.
    Stale,
    /// Not held: Engage was asked.
    Miss,
    /// Held, but the caller wanted it anew: Engage was asked.
    Request,
    /// The cache is off: Engage was asked.
    Bypass,
}

impl Search<'_> {
    /// Decides what may be shown of what is there.
    pub(super) fn conclude(&self, there: &There) -> Result<Found, Error> {
        let There { held, plan, .. } = there;
        let (missing, now) = (plan.missing, there.now);
        let policy = &self.inner.cache.policy;
        let mut shown = PartSet::EMPTY;
        let mut degraded = PartSet::EMPTY;
        let mut stands_in = self.name_failed;
        for part in self.query.asked.iter() {
            if !missing.contains(part) {
                shown.insert(part);
                continue;
            }
            let may_stand_in =
                self.query.stale_if_error && !self.query.fresh.union(self.denied).contains(part);
            let provenance = held.provenance(part).filter(|_| may_stand_in);
            match provenance.map(|provenance| provenance.freshness(now, policy)) {
                None | Some(Freshness::Dead) => degraded.insert(part),
                Some(freshness) => {
                    shown.insert(part);
                    stands_in = true;
                    if freshness == Freshness::Expired {
                        degraded.insert(part);
                    }
                }
            }
        }
        degraded = degraded.union(held.incomplete().intersection(shown));
        if !shown.contains(Part::Profile) || self.is_too_old(there.alias) {
            return Err(self.give_up());
        }
        Ok(Found {
            record: Arc::clone(held),
            shown,
            degraded,
            verdict: self.verdict(held, shown, stands_in, now),
        })
    }

    /// Whether the name could not be resolved anew and is too old to be followed all the same.
    fn is_too_old(&self, alias: Option<Freshness>) -> bool {
        match alias {
            None | Some(Freshness::Fresh | Freshness::Stale) => false,
            Some(Freshness::Expired) => !self.query.stale_if_error,
            Some(Freshness::Dead) => true,
        }
    }

    fn verdict(&self, held: &Held, shown: PartSet, stands_in: bool, now: Tick) -> Verdict {
        let policy = &self.inner.cache.policy;
        let is_off = !self.inner.cache.is_on();
        let mut verdict = Verdict {
            status: if is_off {
                CacheStatus::Bypass
            } else {
                CacheStatus::Hit
            },
            ttl: i64::MAX,
            age: Duration::ZERO,
            stored: self.stored && !is_off,
            collapsed: self.collapsed,
            stands_in: stands_in.then_some(if self.is_slow {
                StaleReason::Slow
            } else {
                StaleReason::Error
            }),
        };
        for part in self.query.asked.iter() {
            if !is_off {
                let status = self.status(part, held.sequence(part), now);
                verdict.status = verdict.status.max(status);
            }
            if let Some(provenance) = held.provenance(part)
                && shown.contains(part)
            {
                verdict.ttl = verdict.ttl.min(provenance.ttl_seconds(now, policy));
                verdict.age = verdict.age.max(provenance.age(now));
            }
        }
        verdict
    }

    /// What became of a part of which data of that stamp is told.
    fn status(&self, part: Part, told: Sequence, now: Tick) -> CacheStatus {
        let first_seen = self.first_seen.record();
        let seen = first_seen.and_then(|record| record.provenance(part));
        match seen {
            _ if self.query.fresh.contains(part) => CacheStatus::Request,
            None => CacheStatus::Miss,
            Some(seen) if seen.sequence == told => CacheStatus::Hit,
            Some(seen) => match seen.freshness(now, &self.inner.cache.policy) {
                Freshness::Fresh | Freshness::Stale if self.query.max_age.is_some() => {
                    CacheStatus::Request
                }
                Freshness::Fresh | Freshness::Stale => CacheStatus::Hit,
                Freshness::Expired | Freshness::Dead => CacheStatus::Stale,
            },
        }
    }
}
