//! Decides which of the found parts may be shown, and what the cache did for the request.

use std::{sync::Arc, time::Duration};

use super::{Ready, Search};
use crate::{
    cache::{
        freshness::{Freshness, ttl_seconds},
        parts::Origins,
    },
    clock::Tick,
    customer::{
        Error,
        found::{CacheStatus, CachedRecord, Found, StaleReason, Verdict},
        reasons::PartOutcome,
    },
    domain::{Part, PartMap, PartSet},
};

impl Search<'_> {
    /// Decides what may be shown.
    pub(super) fn conclude(&self, ready: &Ready) -> Result<Found, Error> {
        let Ready { record, plan, .. } = ready;
        let (missing, now) = (plan.missing, ready.now);
        let policy = &self.inner.tiers.memory.policy;
        let mut shown = PartSet::EMPTY;
        let mut degraded = PartSet::EMPTY;
        // While the cache is off, nothing replaces what Engage does not return.
        let is_on = self.inner.tiers.memory.is_on();
        let mut stands_in = self.alias_failed && is_on;
        for part in self.query.requested.iter() {
            if !missing.contains(part) {
                shown.insert(part);
                continue;
            }
            let may_be_stale = is_on
                && self.query.stale_if_error
                && !self.query.fresh.union(self.no_stale).contains(part);
            let provenance = record.provenance(part).filter(|_| may_be_stale);
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
        degraded = degraded.union(record.incomplete().intersection(shown));
        if !shown.contains(Part::Profile) || self.is_too_old(ready.alias) {
            return Err(self.give_up());
        }
        let stand_ins = missing.intersection(shown);
        let (verdict, outcomes) = self.verdict(record, shown, stand_ins, stands_in, now);
        let found = Found {
            record: Arc::clone(record),
            shown,
            degraded,
            verdict,
            outcomes,
            reasons: None,
        };
        Ok(self.with_reasons(found, ready))
    }

    /// Whether the alias could not be resolved again and is too old to be used without that.
    fn is_too_old(&self, alias: Option<Freshness>) -> bool {
        match alias {
            None | Some(Freshness::Fresh | Freshness::Stale) => false,
            Some(Freshness::Expired) => !self.query.stale_if_error,
            Some(Freshness::Dead) => true,
        }
    }

    /// The verdict, and the outcome of each requested part. `stand_ins` are the shown parts that are too old.
    fn verdict(
        &self,
        record: &CachedRecord,
        shown: PartSet,
        stand_ins: PartSet,
        stands_in: bool,
        now: Tick,
    ) -> (Verdict, PartMap<Option<PartOutcome>>) {
        let policy = &self.inner.tiers.memory.policy;
        let is_off = !self.inner.tiers.memory.is_on();
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
            stands_in: stands_in.then_some(self.stale_reason()),
        };
        let mut outcomes = PartMap::default();
        // Of the shown parts: when the oldest was requested, and when the first lifetime ends.
        let mut oldest = now;
        let mut fresh_until = Tick::END;
        for part in self.query.requested.iter() {
            let status = if is_off {
                CacheStatus::Bypass
            } else {
                self.status(part, record, now)
            };
            verdict.status = verdict.status.max(status);
            let provenance = record.provenance(part).filter(|_| shown.contains(part));
            let is_stale = provenance.map(|provenance| {
                let until = provenance.fresh_until(now, policy);
                oldest = oldest.min(provenance.requested_at);
                fresh_until = fresh_until.min(until);
                now >= until
            });
            outcomes[part] = Some(if stand_ins.contains(part) {
                self.stale_reason().outcome()
            } else {
                outcome(status, is_stale)
            });
        }
        verdict.age = now.since(oldest);
        verdict.ttl = ttl_seconds(fresh_until, now);
        if verdict.status <= CacheStatus::Shared {
            verdict.status = match verdict.stands_in {
                None => verdict.status,
                Some(reason) => reason.status(),
            };
        }
        (verdict, outcomes)
    }

    /// Why something stale is served instead of an answer of Engage.
    fn stale_reason(&self) -> StaleReason {
        if self.is_slow {
            StaleReason::Slow
        } else {
            StaleReason::Error
        }
    }

    /// What the cache did for a part of the record that is served.
    pub(super) fn status(&self, part: Part, record: &CachedRecord, now: Tick) -> CacheStatus {
        let first_read = self.first_read.record();
        let cached = first_read.and_then(|record| record.provenance(part));
        match cached {
            _ if self.query.fresh.contains(part) => CacheStatus::Request,
            Some(cached) if cached.sequence == record.sequence(part) => CacheStatus::Hit,
            _ if record
                .provenance(part)
                .is_some_and(|served| served.is_shared) =>
            {
                CacheStatus::Shared
            }
            None => CacheStatus::Miss,
            Some(cached) => match cached.freshness(now, &self.inner.tiers.memory.policy) {
                Freshness::Fresh | Freshness::Stale if self.query.max_age.is_some() => {
                    CacheStatus::Request
                }
                Freshness::Fresh | Freshness::Stale => CacheStatus::Hit,
                Freshness::Expired | Freshness::Dead => CacheStatus::Stale,
            },
        }
    }
}

/// The outcome of a part that is not too old. `is_stale` says whether its lifetime has ended, if it is shown.
fn outcome(status: CacheStatus, is_stale: Option<bool>) -> PartOutcome {
    match (is_stale, status) {
        (None, _) => PartOutcome::Missing,
        (Some(true), CacheStatus::Hit) => PartOutcome::Stale,
        (Some(false), CacheStatus::Hit) => PartOutcome::Fresh,
        (Some(_), CacheStatus::Shared) => PartOutcome::Shared,
        (Some(_), _) => PartOutcome::Fetched,
    }
}
