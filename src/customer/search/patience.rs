//! How long a question waits, and for which calls: not for one that failed for this contact lately, and not for long
//! where what is cached may be served.

use super::{Held, Search, Step, calls::Calls};
use crate::{
    cache::{CallKey, freshness::Freshness, parts::Origins},
    clock::Tick,
    customer::Error,
    domain::{ContactId, Part},
};

impl Search<'_> {
    /// Waits for the calls, unless one of them failed within its back-off: then its failure is taken in without a call.
    /// What is asked for fresh is tried all the same: with the profile also which contact it is.
    pub(super) fn wait_unless_remembered(
        &mut self,
        calls: Calls,
        now: Tick,
    ) -> Result<Step, Error> {
        if self.query.only_if_cached {
            return Ok(Step::Wait(calls));
        }
        let cache = &self.inner.cache;
        let failure = |call: &CallKey| {
            let (error, left) = cache.failure(call, now)?;
            Some(Err(error.remembered(left).into()))
        };
        let mut is_remembered = false;
        if !self.query.fresh.contains(Part::Profile) {
            let failed = calls.overview.as_ref().and_then(|(lookup, _)| {
                let mut owners = cache.overview_calls(lookup.key());
                owners.find_map(|call| failure(&call))
            });
            if let Some(failure) = failed {
                self.take_in_overview(failure, &calls)?;
                is_remembered = true;
            }
            let key = self.query.lookup.key();
            let call = calls.resolution.map(|_| CallKey::Resolution(key.clone()));
            if let Some(failure) = call.as_ref().and_then(failure) {
                self.take_in_resolution(failure)?;
                is_remembered = true;
            }
        }
        for (id, part, _) in &calls.entities {
            if !self.query.fresh.contains(*part)
                && let Some(failure) = failure(&CallKey::Part(*id, *part))
            {
                self.take_in_part(*part, failure)?;
                is_remembered = true;
            }
        }
        Ok(if is_remembered {
            Step::Again
        } else {
            Step::Wait(calls)
        })
    }

    /// Takes note of the parts that the contact's overview did not tell lately: their entity endpoints are asked. The
    /// audiences have none.
    pub(super) fn heed_untold(&mut self, id: ContactId, now: Tick) {
        self.untold = self.untold.union(self.inner.cache.untold(id, now));
        if self.untold.contains(Part::Audiences) {
            self.failed.insert(Part::Audiences);
        }
    }

    /// Until when the question waits for calls: for `cache.stale_if_slow` at most where everything that it asks for is
    /// cached within its stale windows, or known not to be had.
    pub(super) fn patience(&self, held: &Held, alias: Option<Freshness>, now: Tick) -> Tick {
        let query = self.query;
        let policy = &self.inner.cache.policy;
        let may_stand_in = |part: Part| match held.provenance(part) {
            Some(provenance) => {
                !query.is_too_old(provenance, now)
                    && provenance.freshness(now, policy) < Freshness::Dead
            }
            None => part != Part::Profile && self.failed.contains(part),
        };
        let all_stand_in = query.stale_if_error
            && query.fresh.is_empty()
            && alias.is_none_or(|alias| alias < Freshness::Dead)
            && self.denied.is_empty()
            && query.asked.iter().all(may_stand_in);
        if all_stand_in {
            let slow = query.now.tick + policy.stale_if_slow;
            slow.min(query.deadline)
        } else {
            query.deadline
        }
    }
}
