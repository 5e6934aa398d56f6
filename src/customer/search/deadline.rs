//! How long a request waits, and for which calls: not for a call that is in back-off, and only briefly if the cached
//! data may be served.

use super::{Search, Step, calls::Calls};
use crate::{
    cache::{CallKey, freshness::Freshness, parts::Origins},
    clock::Tick,
    customer::{Error, found::CachedRecord},
    domain::{ContactId, Part},
};

impl Search<'_> {
    /// The step that waits for the calls, unless one of them is in back-off: then its failure is applied without a
    /// call, and the cache is read again. The calls of parts that are requested fresh ignore the back-off; if the
    /// profile is requested fresh, so do those of the overview and of the resolution.
    pub(super) fn wait_unless_in_back_off(
        &mut self,
        calls: Calls,
        now: Tick,
    ) -> Result<Step, Error> {
        if self.query.only_if_cached {
            return Ok(Step::Wait(calls));
        }
        let memory = &self.inner.tiers.memory;
        let failure = |call: &CallKey| {
            let (error, left) = memory.failure(call, now)?;
            Some(Err(error.remembered(left).into()))
        };
        let mut any_failed = false;
        if !self.query.fresh.contains(Part::Profile) {
            let failed = calls.overview.as_ref().and_then(|(lookup, _)| {
                let mut calls = memory.overview_calls(lookup.key());
                calls.find_map(|call| failure(&call))
            });
            if let Some(failure) = failed {
                self.apply_overview(failure, &calls)?;
                any_failed = true;
            }
            let key = self.query.lookup.key();
            let call = calls.resolution.map(|_| CallKey::Resolution(key.clone()));
            if let Some(failure) = call.as_ref().and_then(failure) {
                self.apply_resolution(failure)?;
                any_failed = true;
            }
        }
        for (id, part, _) in &calls.entities {
            if !self.query.fresh.contains(*part)
                && let Some(failure) = failure(&CallKey::Part(*id, *part))
            {
                self.apply_part(*part, failure)?;
                any_failed = true;
            }
        }
        Ok(if any_failed {
            Step::Again
        } else {
            Step::Wait(calls)
        })
    }

    /// Notes the parts that the contact's last overview did not contain.
    pub(super) fn note_missing_from_overview(&mut self, id: ContactId, now: Tick) {
        let missing = self.inner.tiers.memory.missing_from_overview(id, now);
        self.expect_none_in_overview(missing);
    }

    /// The time until which the request waits for calls. It is at most `cache.stale_if_slow` after the request's
    /// arrival if the request accepts stale data, nothing is requested fresh, no failure forbids stale data, the alias,
    /// if there is one, is within its stale windows, and every requested part is cached within its stale windows or is
    /// known to be unavailable.
    pub(super) fn deadline_for(
        &self,
        record: &CachedRecord,
        alias: Option<Freshness>,
        now: Tick,
    ) -> Tick {
        let query = self.query;
        let policy = &self.inner.tiers.memory.policy;
        let may_be_stale = |part: Part| match record.provenance(part) {
            Some(provenance) => {
                !query.is_too_old(provenance, now)
                    && provenance.freshness(now, policy) < Freshness::Dead
            }
            None => part != Part::Profile && self.failed.contains(part),
        };
        let all_may_be_stale = query.stale_if_error
            && query.fresh.is_empty()
            && alias.is_none_or(|alias| alias < Freshness::Dead)
            && self.no_stale.is_empty()
            && query.requested.iter().all(may_be_stale);
        if all_may_be_stale {
            let slow = query.now.tick + policy.stale_if_slow;
            slow.min(query.deadline)
        } else {
            query.deadline
        }
    }
}
