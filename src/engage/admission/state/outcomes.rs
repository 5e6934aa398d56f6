//! The effect of a call's outcome on the breaker of its group.

use std::time::Duration;

use super::{Shared, Waiter};
use crate::{
    clock::Tick,
    engage::{
        admission::breaker::{Breaker, CallResult},
        error::Error,
        group::Group,
    },
};

impl Shared {
    /// Records the result of a call.
    pub(in crate::engage::admission) fn record(
        &self,
        group: Group,
        subject: u64,
        result: CallResult,
        is_probe: bool,
    ) {
        let cause = match result {
            CallResult::Unauthorized => "API key not accepted",
            CallResult::Good | CallResult::Bad => "calls failed or too slow",
        };
        self.update_breaker(group, cause, |breaker, now| {
            breaker.record(result, subject, is_probe, now)
        });
    }

    /// Records a `Retry-After` for the subject. Returns the remaining time for which calls about it are rejected.
    pub(in crate::engage::admission) fn pause(
        &self,
        group: Group,
        subject: u64,
        retry_after: Duration,
        is_probe: bool,
    ) -> Duration {
        self.update_breaker(group, "failures with Retry-After", |breaker, now| {
            breaker.pause(subject, retry_after, is_probe, now)
        });
        let now = self.clock.tick();
        self.state().breakers[group]
            .rejects(subject, now)
            .unwrap_or_default()
    }

    /// Runs an update that may open the group's breaker; if it does, the group's waiting calls are rejected at once,
    /// except further pages and retries. The log shows when it opens and when it closes, not the probes in between.
    fn update_breaker(
        &self,
        group: Group,
        cause: &'static str,
        update: impl FnOnce(&mut Breaker, Tick) -> bool,
    ) {
        let now = self.clock.tick();
        let (retry_after, waiting, was_closed) = {
            let mut state = self.state();
            let breaker = &mut state.breakers[group];
            if !update(breaker, now) {
                let is_closed = breaker.is_closed();
                let opened_at = state.opened_at[group].take_if(|_| is_closed);
                drop(state);
                log_closed(group, opened_at, now);
                return;
            }
            let retry_after = breaker.rejects_all_for(now).unwrap_or_default();
            let was_closed = state.opened_at[group].is_none();
            state.opened_at[group].get_or_insert(now);
            let is_first_call = |waiter: &Waiter| waiter.group == group && waiter.needs_permit;
            let waiting = state.queue.remove_all(is_first_call);
            (retry_after, waiting, was_closed)
        };
        if was_closed {
            tracing::warn!(group = group.as_str(), cause, "circuit breaker opened");
        }
        self.metrics.opened(group);
        for waiter in waiting {
            waiter.decide(Err(Error::BreakerOpen { retry_after }));
        }
    }
}

fn log_closed(group: Group, opened_at: Option<Tick>, now: Tick) {
    if let Some(opened_at) = opened_at {
        let open_seconds = now.since(opened_at).as_secs_f64();
        let group = group.as_str();
        tracing::info!(group, open_seconds, "circuit breaker closed");
    }
}
