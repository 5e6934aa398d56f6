//! Admission control: which upstream call may be made, and when. One lock guards all of it: the rate limit with its
//! pauses after a 429, the concurrency limit, the fair queue, a circuit breaker per group of endpoints, and the retry
//! budget.
//!
//! There is no background task: each waiting call wakes when the next call may start or a permit is returned, and then
//! admits every call that may start.

mod breaker;
mod concurrency;
mod queue;
mod round_robin;
mod shared_budget;
mod state;
mod throttle;
mod token_requests;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

pub use self::{
    breaker::BreakerState,
    shared_budget::{SharedBudgetSnapshot, TokenCounts, TokenGrant, TokenRequest},
};
use self::{
    breaker::{Breaker, CallResult},
    queue::Grant,
    shared_budget::MAX_RETURN,
    state::{MAX_WAIT, Shared},
};
use super::{call_metrics::CallMetrics, error::Error, group::Group};
use crate::{
    clock::{Clock, Tick},
    domain::{FlightTrace, Flow, Requesters},
};

/// Retry budget: one retry per so many calls, at most [`MAX_RETRIES`] saved up.
const CALLS_PER_RETRY: u32 = 10;
const MAX_RETRIES: u32 = 10;
/// Longest interval between calls about one contact's part.
const MAX_CONTACT_SPACING: Duration = Duration::from_millis(50);
/// Delay before a retry, in milliseconds.
const RETRY_DELAY: std::ops::Range<u64> = 50..200;
/// The longest time between two attempts of a call: the delay, and the wait for the call budget, twice where an awaited
/// request joins late.
pub(super) const LONGEST_WAIT: Duration = MAX_WAIT
    .saturating_add(MAX_WAIT)
    .saturating_add(MAX_RETURN)
    .saturating_add(Duration::from_millis(RETRY_DELAY.end));

/// Limits of upstream calls.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Calls a second.
    pub requests_per_second: f64,
    /// Calls that may start at once.
    pub burst: u32,
    /// Concurrent calls.
    pub max_concurrency: usize,
    /// A slower call counts as failed, whatever its result.
    pub slow_after: Duration,
}

/// The subject of calls that are about no contact.
pub const NO_SUBJECT: u64 = 0;

/// A call that waits for admission.
#[derive(Clone, Debug)]
pub struct AdmissionRequest {
    /// The flows that request it, with their priorities; more may join while it waits.
    pub requesters: watch::Receiver<Requesters>,
    /// To what a failure is charged: a hash of the contact or of the value looked up, or [`NO_SUBJECT`].
    pub subject: u64,
    /// The span that its calls belong to.
    pub trace: Option<Arc<FlightTrace>>,
}

/// Admission control for all calls to Engage. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

/// The state of admission, for operators.
#[derive(Clone, Debug)]
pub struct AdmissionSnapshot {
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait for admission.
    pub queued: usize,
    /// Calls a second that may be made now: those of a shared budget, or this replica's share of it.
    pub rate: f64,
    /// Calls that may start at once, likewise.
    pub burst: f64,
    /// Most calls in flight.
    pub max_concurrency: usize,
    /// Remaining pause of all calls after a 429.
    pub paused_for: Option<Duration>,
    /// The budget that replicas share, where one is shared.
    pub shared_budget: Option<SharedBudgetSnapshot>,
    /// The breaker of each group, with the remaining time for which it rejects calls.
    pub breakers: Vec<(Group, BreakerState, Option<Duration>)>,
}

/// Permission to make calls one after the other; returned when dropped.
pub struct Permit {
    shared: Arc<Shared>,
    group: Group,
    request: AdmissionRequest,
    /// The flow to which it is charged.
    flow: Flow,
    /// Whether the call is the breaker's probe and its result is still open.
    is_probe: Mutex<bool>,
    /// How many nanoseconds permissions were waited for, since that was last taken.
    waited: AtomicU64,
}

impl Admission {
    /// Admission control within these limits.
    pub fn new(limits: CallLimits, metrics: Arc<CallMetrics>, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared::new(limits, None, metrics, clock)),
        }
    }

    /// Admission control within limits of rate and burst that so many replicas share. The caller serves
    /// [`next_token_request`](Self::next_token_request); while that fails, this replica calls within its share.
    pub fn with_shared_budget(
        limits: CallLimits,
        replicas: u32,
        metrics: Arc<CallMetrics>,
        clock: Clock,
    ) -> Self {
        Self {
            shared: Arc::new(Shared::new(limits, Some(replicas), metrics, clock)),
        }
    }

    /// Waits until tokens of a shared budget are to be requested. The reply is passed to
    /// [`tokens_granted`](Self::tokens_granted) or [`token_request_failed`](Self::token_request_failed), before this is
    /// called again. Never returns if no budget is shared.
    pub async fn next_token_request(&self) -> TokenRequest {
        self.shared.next_token_request().await
    }

    /// The last request, when this replica ends: gives its share of the budget to the others. No call is made after it.
    /// `None` if no budget is shared.
    pub fn last_token_request(&self) -> Option<TokenRequest> {
        self.shared.last_token_request()
    }

    /// Takes over the reply to a request for tokens.
    pub fn tokens_granted(&self, grant: TokenGrant) {
        self.shared.tokens_granted(grant);
    }

    /// A request for tokens failed: until one succeeds, calls are made within this replica's share.
    pub fn token_request_failed(&self) {
        self.shared.token_request_failed();
    }

    /// Waits for permission to call.
    pub async fn admit(&self, group: Group, request: AdmissionRequest) -> Result<Permit, Error> {
        let asked = self.shared.clock.tick();
        let grant = self.shared.wait(group, &request, true).await?;
        let waited = self.shared.clock.tick().since(asked);
        Ok(Permit {
            shared: Arc::clone(&self.shared),
            group,
            request,
            flow: grant.flow,
            is_probe: Mutex::new(grant.is_probe),
            waited: AtomicU64::new(nanos(waited)),
        })
    }

    /// The metrics of calls.
    pub(super) fn metrics(&self) -> &CallMetrics {
        &self.shared.metrics
    }

    /// Whether there is capacity for background calls: half of the burst and half of the permits are free (of a shared
    /// budget: the last tokens were leased without waiting), and the queue is empty.
    pub fn has_spare_capacity(&self) -> bool {
        let now = self.shared.clock.tick();
        let state = self.shared.state();
        state.queue.len() == 0
            && state.throttle.has_spare_capacity(now)
            && state.concurrency.is_half_free()
    }

    /// Burst and interval of calls about one contact's part: half of the burst, then two fifths of the rate or twenty
    /// calls a second, whichever is more.
    pub fn per_contact_rate(&self) -> (u32, Duration) {
        let CallLimits {
            requests_per_second,
            burst,
            ..
        } = self.shared.limits;
        let spacing = Duration::from_secs_f64(2.5 / requests_per_second);
        ((burst / 2).max(1), spacing.min(MAX_CONTACT_SPACING))
    }

    /// The current state.
    pub fn snapshot(&self) -> AdmissionSnapshot {
        let now = self.shared.clock.tick();
        let state = self.shared.state();
        let state_of = |(group, breaker): (Group, &Breaker)| {
            (group, breaker.state(), breaker.rejects_all_for(now))
        };
        let (rate, burst) = state.throttle.limits(now);
        AdmissionSnapshot {
            rate,
            burst,
            max_concurrency: self.shared.limits.max_concurrency,
            in_flight: state.concurrency.in_use(),
            queued: state.queue.len(),
            paused_for: state.throttle.pause(now),
            shared_budget: state.throttle.shared_budget(now),
            breakers: state.breakers.iter().map(state_of).collect(),
        }
    }
}

impl Permit {
    /// Waits for permission for one more call: a further page, or a retry.
    pub(super) async fn another(&self) -> Result<(), Error> {
        let asked = self.shared.clock.tick();
        self.shared.wait(self.group, &self.request, false).await?;
        let waited = self.shared.clock.tick().since(asked);
        self.waited.fetch_add(nanos(waited), Ordering::Relaxed);
        Ok(())
    }

    /// The group of endpoints that may be called.
    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// The span that its calls belong to.
    pub(super) fn trace(&self) -> Option<&Arc<FlightTrace>> {
        self.request.trace.as_ref()
    }

    /// How long permissions were waited for, since this was last called.
    pub(super) fn take_waited(&self) -> Duration {
        Duration::from_nanos(self.waited.swap(0, Ordering::Relaxed))
    }

    /// Starts a call.
    pub(super) fn begin(&self) -> Attempt<'_> {
        Attempt {
            permit: self,
            started_at: self.shared.clock.tick(),
            is_slow: false,
        }
    }

    /// Adds a call that is not a retry to the retry budget.
    pub(super) fn earn_retry_credit(&self) {
        let mut state = self.shared.state();
        state.retry_credit = (state.retry_credit + 1).min(CALLS_PER_RETRY * MAX_RETRIES);
    }

    /// Waits for the delay and permission of a retry. Returns whether the call may be retried.
    pub(super) async fn may_retry(&self) -> bool {
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

    /// Waits for permission to repeat a call that was not processed. Returns whether it may be repeated: without delay
    /// and retry budget, but within the rate limit.
    pub(super) async fn may_repeat(&self) -> bool {
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
        breaker.state() == BreakerState::Closed
            && breaker.rejects(self.request.subject, now).is_none()
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
pub(super) struct Attempt<'a> {
    permit: &'a Permit,
    started_at: Tick,
    is_slow: bool,
}

impl Attempt<'_> {
    /// When the call counts as too slow.
    pub(super) fn slow_at(&self) -> Tick {
        self.started_at + self.permit.shared.limits.slow_after
    }

    /// Records a failure now, while the slow call goes on.
    pub(super) fn mark_slow(&mut self) {
        self.is_slow = true;
        self.record(CallResult::Bad);
    }

    /// Records the end of the call. One that was not processed and may be repeated says nothing about Engage's health.
    /// Returns the outcome; of a 429, with the remaining pause of all calls.
    pub(super) fn finish<T>(
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

/// What an outcome says about Engage's health; `None` if it is about the request, or a 429.
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
