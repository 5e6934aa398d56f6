//! What may be shown of what is there, and what the cache did for it.

use std::{sync::Arc, time::Duration};

use super::{Held, Search, There};
use crate::{
    cache::{Name, freshness::Freshness},
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
    /// The parts that are older than they should be or could not be had.
    pub degraded: PartSet,
    /// What the cache did.
    pub verdict: Verdict,
}

/// What the cache did for a request, in the words of RFC 9211.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The worst of the parts.
    pub status: Status,
    /// Seconds until the first part's lifetime ends; negative afterwards.
    pub ttl: i64,
    /// The age of the oldest part.
    pub age: Duration,
    /// Whether an answer of Engage was stored.
    pub stored: bool,
    /// Whether the request waited for another's call.
    pub collapsed: bool,
    /// Whether stale data stands in for an answer that Engage failed to give.
    pub stale_if_error: bool,
}

/// What became of a part, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
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
    pub(super) fn conclude(&self, there: &There, now: Tick) -> Result<Found, Error> {
        let There { held, name, .. } = there;
        let policy = &self.inner.cache.policy;
        let missing = self.question.plan(&held.parts, now, policy).missing;
        let mut shown = PartSet::EMPTY;
        let mut degraded = PartSet::EMPTY;
        let mut stale_if_error = self.name_failed;
        for part in self.question.asked.iter() {
            let may_stand_in = self.question.stale_if_error
                && !self.question.fresh.union(self.denied).contains(part);
            let usable = held.parts.provenance(part).filter(|provenance| {
                !missing.contains(part)
                    || (may_stand_in && provenance.freshness(now, policy) != Freshness::Dead)
            });
            let Some(provenance) = usable else {
                degraded.insert(part);
                continue;
            };
            shown.insert(part);
            stale_if_error |= missing.contains(part);
            if provenance.is_degraded(now, policy) {
                degraded.insert(part);
            }
        }
        if !shown.contains(Part::Profile) || self.is_name_too_old(name.as_ref(), now) {
            return Err(self.give_up());
        }
        let verdict = self.verdict(held, shown, stale_if_error, now);
        Ok(Found {
            record: Arc::clone(held),
            shown,
            degraded,
            verdict,
        })
    }

    /// Whether the name could not be resolved anew and is too old to be followed all the same.
    fn is_name_too_old(&self, name: Option<&Name>, now: Tick) -> bool {
        let policy = &self.inner.cache.policy;
        name.is_some_and(|name| match name.freshness(now, policy) {
            Freshness::Fresh | Freshness::Stale => false,
            Freshness::Expired => !self.question.stale_if_error,
            Freshness::Dead => true,
        })
    }

    fn verdict(&self, held: &Held, shown: PartSet, stale_if_error: bool, now: Tick) -> Verdict {
        let policy = &self.inner.cache.policy;
        let first_seen = self.first_seen.record();
        let bypass = !self.inner.cache.is_on();
        let status = |part: Part| {
            if bypass {
                return Status::Bypass;
            }
            let seen = first_seen.and_then(|record| record.parts.provenance(part));
            match seen {
                _ if self.question.fresh.contains(part) => Status::Request,
                None => Status::Miss,
                Some(seen) if seen.stamp == held.parts.stamp(part) => Status::Hit,
                Some(seen) => match seen.freshness(now, policy) {
                    Freshness::Fresh | Freshness::Stale if self.question.max_age.is_some() => {
                        Status::Request
                    }
                    Freshness::Fresh | Freshness::Stale => Status::Hit,
                    Freshness::Expired | Freshness::Dead => Status::Stale,
                },
            }
        };
        let shown = || shown.iter().filter_map(|part| held.parts.provenance(part));
        Verdict {
            status: self
                .question
                .asked
                .iter()
                .map(status)
                .max()
                .unwrap_or(Status::Hit),
            ttl: shown()
                .map(|provenance| provenance.ttl_seconds(now, policy))
                .min()
                .unwrap_or(0),
            age: shown()
                .map(|provenance| provenance.age(now))
                .max()
                .unwrap_or_default(),
            stored: self.stored && !bypass,
            collapsed: self.collapsed,
            stale_if_error,
        }
    }
}
