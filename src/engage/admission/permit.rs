//! Permission to make calls, and the calls that are made with it: their retries, and what each says about Engage's health.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Admission, AdmissionRequest, RETRY_DELAY, breaker::CallResult, queue::Grant, state::Shared,
};
use crate::{
    clock::Tick,
    domain::{FlightTrace, Flow},
    engage::{error::Error, group::Group},
};

/// Retry budget: one retry per `CALLS_PER_RETRY` calls, at most [`MAX_RETRIES`] saved up.
const CALLS_PER_RETRY: u32 = 10;
const MAX_RETRIES: u32 = 10;

/// Permission to make calls one after the other; returned when dropped.
pub struct Permit {
    shared: Arc<Shared>,
    group: Group,
    request: AdmissionRequest,
    /// The flow to which it is charged.
    flow: Flow,
    /// Whether the call is the breaker's probe and its result is not known yet.
    is_probe: Mutex<bool>,
    /// The nanoseconds that calls waited for permission, since this was last taken.
    waited: AtomicU64,
}

impl Admission {
    /// Waits for permission to call.
    pub async fn admit(&self, group: Group, request: AdmissionRequest) -> Result<Permit, Error> {
        let requested_at = self.shared.clock.tick();
        let grant = self.shared.wait(group, &request, true).await?;
        let waited = self.shared.clock.tick().since(requested_at);
        Ok(Permit {
            shared: Arc::clone(&self.shared),
            group,
            request,
            flow: grant.flow,
            is_probe: Mutex::new(grant.is_probe),
            waited: AtomicU64::new(nanos(waited)),
        })
    }
}

impl Permit {
    /// Waits for permission for one more call: a further page, or a retry.
    pub(in crate::engage) async fn another(&self) -> Result<(), Error> {
        let requested_at = self.shared.clock.tick();
        self.shared.wait(self.group, &self.request, false).await?;
        let waited = self.shared.clock.tick().since(requested_at);
        self.waited.fetch_add(nanos(waited), Ordering::Relaxed);
        Ok(())
    }

    /// The group of endpoints that may be called.
    pub(in crate::engage) fn group(&self) -> Group {
        self.group
    }

    /// The span that its calls belong to.
    pub(in crate::engage) fn trace(&self) -> Option<&Arc<FlightTrace>> {
        self.request.trace.as_ref()
    }

    /// How long calls waited for permission, since this was last called.
    pub(in crate::engage) fn take_waited(&self) -> Duration {
        Duration::from_nanos(self.waited.swap(0, Ordering::Relaxed))
    }

    /// Starts a call.
    pub(in crate::engage) fn begin(&self) -> Attempt<'_> {
        Attempt {
            permit: self,
            started_at: self.shared.clock.tick(),
            is_slow: false,
        }
    }

    /// Adds a call that is not a retry to the retry budget.
    pub(in crate::engage) fn earn_retry_credit(&self) {
        let mut state = self.shared.state();
        state.retry_credit = (state.retry_credit + 1).min(CALLS_PER_RETRY * MAX_RETRIES);
    }

    /// Waits for the delay and permission of a retry. Returns whether the call may be retried.
    pub(in crate::engage) async fn may_retry(&self) -> bool {
        if !self.is_breaker_closed() || !self.spend_retry_credit() {
            return false;
        }
        let clock = &self.shared.clock;
        let wait = Duration::from_millis(fastrand::u64(RETRY_DELAY));
        clock.sleep_until(clock.tick() + wait).await;
        // The breaker may have opened while this waited.
        let may =
            self.is_breaker_closed() && self.another().await.is_ok() && self.is_breaker_closed();
        if may {
            self.shared.metrics.retried(self.group);
        }
        may
    }

    /// Waits for permission to repeat a call that was not processed. Returns whether it may be repeated. A repetition
    /// needs no delay and spends no retry budget, but it is subject to the rate limit.
    pub(in crate::engage) async fn may_repeat(&self) -> bool {
        // A probe that was not processed has not probed yet.
        let is_allowed = || *self.probe_flag() || self.is_breaker_closed();
        let may = is_allowed() && self.another().await.is_ok() && is_allowed();
        if may {
            self.shared.metrics.retried(self.group);
        }
        may
    }

    /// Whether the breaker is closed for the group and for the subject.
    fn is_breaker_closed(&self) -> bool {
        let now = self.shared.clock.tick();
        let state = self.shared.state();
        let breaker = &state.breakers[self.group];
        breaker.is_closed() && breaker.rejects(self.request.subject, now).is_none()
    }

    fn spend_retry_credit(&self) -> bool {
        let mut state = self.shared.state();
        let left = state.retry_credit.checked_sub(CALLS_PER_RETRY);
        state.retry_credit = left.unwrap_or(state.retry_credit);
        left.is_some()
    }

    fn probe_flag(&self) -> MutexGuard<'_, bool> {
        self.is_probe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let grant = Grant {
            is_probe: *self.probe_flag(),
            flow: self.flow.clone(),
        };
        self.shared.release(self.group, &grant);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A call in flight.
pub(in crate::engage) struct Attempt<'a> {
    permit: &'a Permit,
    started_at: Tick,
    is_slow: bool,
}

impl Attempt<'_> {
    /// When the call counts as too slow.
    pub(in crate::engage) fn slow_at(&self) -> Tick {
        self.started_at + self.permit.shared.limits.slow_after
    }

    /// Records a failure now, while the slow call continues.
    pub(in crate::engage) fn mark_slow(&mut self) {
        self.is_slow = true;
        self.record(CallResult::Bad);
    }

    /// Records the end of the call. A call that was not processed and may be repeated says nothing about Engage's
    /// health. Returns the outcome; the `Retry-After` of a 429 is replaced by the remaining pause of all calls, that of
    /// another failure by the remaining pause of the subject.
    pub(in crate::engage) fn finish<T>(
        self,
        outcome: Result<T, Error>,
        may_be_repeated: bool,
    ) -> Result<T, Error> {
        let shared = &self.permit.shared;
        let now = shared.clock.tick();
        let error = outcome.as_ref().err();
        shared
            .metrics
            .ended(self.permit.group, error, now.since(self.started_at));
        if let Some(Error::RateLimited { retry_after }) = error {
            let pause = shared.pause_calls(*retry_after, self.started_at);
            return Err(Error::RateLimited {
                retry_after: Some(pause),
            });
        }
        if let Some(Error::Failed {
            status,
            retry_after: Some(wait),
        }) = error
        {
            let Permit { group, request, .. } = self.permit;
            let is_probe = std::mem::take(&mut *self.permit.probe_flag());
            let pause = shared.pause(*group, request.subject, *wait, is_probe);
            return Err(Error::Failed {
                status: *status,
                retry_after: Some(pause),
            });
        }
        let is_inconclusive = may_be_repeated && error.is_some_and(Error::is_unprocessed);
        if let Some(result) = call_result(error)
            && !self.is_slow
            && !is_inconclusive
        {
            self.record(result);
        }
        outcome
    }

    fn record(&self, result: CallResult) {
        let Permit { group, request, .. } = self.permit;
        let is_probe = std::mem::take(&mut *self.permit.probe_flag());
        self.permit
            .shared
            .record(*group, request.subject, result, is_probe);
    }
}

/// What an outcome says about Engage's health; `None` if it says nothing, such as a response about another contact, a
/// tenant that is not configured, or a 429.
fn call_result(error: Option<&Error>) -> Option<CallResult> {
    match error {
        None
        | Some(
            Error::NotFound
            | Error::NotCalculated
            | Error::MultipleMatches(_)
            | Error::Rejected { .. },
        ) => Some(CallResult::Good),
        Some(Error::Unauthorized | Error::Forbidden) => Some(CallResult::Unauthorized),
        Some(Error::Failed { status, .. }) if *status < 500 => Some(CallResult::Good),
        Some(
            Error::Failed { .. }
            | Error::Unreachable { .. }
            | Error::Timeout
            | Error::Invalid { .. },
        ) => Some(CallResult::Bad),
        Some(_) => None,
    }
}
