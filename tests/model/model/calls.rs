//! Checks whether calls were repeated too soon.

use std::time::Duration;

use engage_bff::{clock::Tick, domain::PartMap, engage::Error};

use super::{CheckResult, Model, NEGATIVE_LIFETIME, demand};
use crate::{
    exchange::{Call, Target, Wire},
    world::Alias,
};

/// From this number of failures on, there may be an outage.
const OUTAGE: usize = 3;
/// Data that is younger than this is never refreshed before it expires.
const SHORTEST_DEMAND: Duration = Duration::from_secs(24);

impl Model {
    /// P5: a call that began after the last request, change and invalidation, and got a response, is not repeated at
    /// the same time; in a case without any change or invalidation, not within `SHORTEST_DEMAND` either.
    pub(crate) fn check_repeats(&self, wire: &Wire, new: &[Call]) -> CheckResult {
        let settled = self
            .last_arrival
            .max(self.last_notice)
            .max(self.last_change);
        let is_true = |call: &&Call| {
            call.response
                .as_ref()
                .is_some_and(|response| !response.faulty && response.answer.is_ok())
        };
        let calm = wire.last_fault.is_none_or(|fault| fault < settled);
        if self.is_off()
            || !calm
            || !self.remembers
            || (self.lag > Duration::ZERO && self.last_change.place > 0)
        {
            return Ok(());
        }
        // Without a lag, an overview may replace an entity read that a request waits for.
        let may_repeat =
            |call: &&Call| self.overview_lag.is_zero() && matches!(call.target, Target::Entity(..));
        // Once the lag has passed, an overview may be trusted again, and is called.
        let quiet = self.last_notice.place == 0 && self.last_change.place == 0;
        for call in new
            .iter()
            .filter(|call| call.offset == 0 && !may_repeat(call))
        {
            let before = wire.calls.iter().filter(is_true).find(|before| {
                let passed = call.start.tick.since(before.start.tick);
                before.target == call.target
                    && before.flight > settled
                    && before
                        .answered
                        .is_some_and(|answered| answered < call.start)
                    && (passed.is_zero() || (passed < SHORTEST_DEMAND && quiet))
                    && !self.expires_between(before.start.tick, call.start.tick)
            });
            demand!(
                before.is_none(),
                "P5",
                "{:?} is called again, after it was answered: {before:?}",
                call.target
            );
        }
        Ok(())
    }

    /// P10: a call that failed for its own reasons is not repeated until its back-off ends, unless something was
    /// invalidated or a request wants fresh data. Several failures in a row may be an outage, whose end cancels all
    /// back-offs.
    pub(crate) fn check_back_off(&self, wire: &Wire, new: &[Call]) -> CheckResult {
        let failed = |call: &Call| {
            let response = call.response.as_ref().filter(|_| call.offset == 0);
            response.is_some_and(|response| {
                matches!(
                    response.answer,
                    Err(Error::Failed { .. } | Error::Invalid { .. })
                )
            })
        };
        let faults = wire.calls.iter().filter(|call| {
            let response = call.response.as_ref();
            response.is_some_and(|response| response.faulty)
        });
        if self.is_off() || !self.remembers || faults.count() >= OUTAGE {
            return Ok(());
        }
        let is_of_a_contact = |target: Target| match target {
            Target::Overview(lookup) => {
                matches!(lookup.alias, Alias::Id(_)) && lookup.kind.is_none()
            }
            Target::Resolution(_) => false,
            Target::Entity(..) => true,
        };
        for call in new.iter().filter(|call| is_of_a_contact(call.target)) {
            let before = wire
                .calls
                .iter()
                .filter(|call| failed(call))
                .find(|before| {
                    let calm = self.last_notice.max(self.last_fresh).max(self.last_switch);
                    before.target == call.target
                        && before.flight > calm
                        && before.answered.is_some_and(|answered| {
                            answered < call.start
                                && call.start.tick.since(answered.tick) < NEGATIVE_LIFETIME
                        })
                });
            demand!(
                before.is_none(),
                "P10",
                "{:?} is called within its back-off, after it failed: {before:?}",
                call.target
            );
        }
        Ok(())
    }

    /// Whether at some time between these two an overview is allowed again to fill some part.
    fn expires_between(&self, from: Tick, to: Tick) -> bool {
        let bounds = self.bounds.iter().flat_map(PartMap::iter);
        let mut ends = bounds.map(|(_, bound)| bound.since + self.overview_lag);
        ends.any(|end| from < end && end <= to)
    }
}
