//! Admission control: which upstream call may be made, and when. One lock guards all of it: the rate limit with its
//! pauses after a 429, the concurrency limit, the fair queue, a circuit breaker per group of endpoints, and the retry
//! budget.
//!
//! There is no background task: each waiting call wakes when the next call may start, a permit is returned, a request
//! for tokens ends or the limits change, and then admits every call that may start.

mod breaker;
mod concurrency;
mod limits;
mod permit;
mod queue;
mod round_robin;
mod shared_budget;
mod state;
mod throttle;
mod token_requests;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use self::{
    breaker::Breaker,
    shared_budget::MAX_RETURN,
    state::{MAX_WAIT, Shared},
};
pub use self::{
    breaker::BreakerState,
    permit::Permit,
    shared_budget::{SharedBudgetSnapshot, TokenCounts, TokenGrant, TokenRequest},
};
use super::{call_metrics::CallMetrics, group::Group};
use crate::{
    clock::Clock,
    domain::{FlightTrace, Flow, Priority, Requester, Requesters},
};

/// Longest interval between calls about one contact's part.
const MAX_CONTACT_SPACING: Duration = Duration::from_millis(50);
/// Delay before a retry, in milliseconds.
const RETRY_DELAY: std::ops::Range<u64> = 50..200;
/// The longest time between two attempts of a call: the retry delay, the wait for admission, which starts again if an
/// awaited request joins late, and the wait for this replica's own share of a shared budget.
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
const NO_SUBJECT: u64 = 0;

/// A call that waits for admission.
#[derive(Clone, Debug)]
pub struct AdmissionRequest {
    /// The flows that request it, with their priorities; more may join while it waits.
    pub requesters: watch::Receiver<Requesters>,
    /// What a failure is counted against: a hash of the contact or of the value looked up; zero for neither.
    pub subject: u64,
    /// The span that its calls belong to.
    pub trace: Option<Arc<FlightTrace>>,
}

impl AdmissionRequest {
    /// A call of the service itself, in a flow of this name, about no contact.
    pub fn of_service(flow: &str, priority: Priority) -> Self {
        let flow = Flow::from(flow);
        Self {
            requesters: watch::channel(Requester { flow, priority }.into()).1,
            subject: NO_SUBJECT,
            trace: None,
        }
    }
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
    /// Calls a second that may be made now: the configured rate; of a shared budget, the rate of all replicas or this
    /// replica's share.
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

impl Admission {
    /// Admission control within these limits.
    pub fn new(limits: CallLimits, metrics: Arc<CallMetrics>, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared::new(limits, None, metrics, clock)),
        }
    }

    /// Admission control within a rate and a burst that `replicas` replicas share. The caller sends what
    /// [`next_token_request`](Self::next_token_request) returns; while these requests fail, this replica calls within
    /// its share.
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

    /// The last request, when this replica shuts down: gives its share of the budget to the others. No call is made
    /// after it. `None` if no budget is shared.
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

    /// The metrics of calls.
    pub(super) fn metrics(&self) -> &CallMetrics {
        &self.shared.metrics
    }

    /// Whether there is capacity for background calls: half of the burst and half of the permits are free (of a shared
    /// budget: the last request for tokens was granted in full), no pause or slow start is under way, and the queue is
    /// empty.
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
            (group, breaker.state(now), breaker.rejects_all_for(now))
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
