//! The state of admission under its one lock, and how a call waits for it.

mod outcomes;
mod pending_wait;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use self::pending_wait::PendingWait;
use super::{
    AdmissionRequest, CallLimits,
    breaker::{Breaker, Decision},
    concurrency::ConcurrencyLimit,
    queue::{Grant, NextCall, Outcome, WaitQueue, Waiter},
    shared_budget::SharedBudget,
    throttle::Throttle,
};
use crate::{
    clock::{Clock, Tick},
    domain::PriorityClass,
    engage::{
        call_metrics::CallMetrics,
        error::Error,
        group::{Group, GroupMap},
    },
};

/// Longest time that a call waits for admission, from the first awaited request on if one joins it later. The time in
/// which a shared budget's share is not yet this replica's own does not count.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(1);
/// Upper bound of the queue's length, for any rate.
const MAX_QUEUE: usize = 1000;

/// Shared by all permits and waiters.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) limits: CallLimits,
    pub(super) metrics: Arc<CallMetrics>,
    state: Mutex<State>,
    /// Notified when waiting calls have to check again: a permit was returned, a request for tokens was answered or
    /// failed, or the limits changed.
    pub(super) released: Notify,
    /// Notified when tokens of a shared budget are to be requested.
    pub(super) tokens_due: Notify,
}

/// Everything that a decision depends on.
pub(super) struct State {
    pub(super) throttle: Throttle,
    pub(super) queue: WaitQueue,
    pub(super) breakers: GroupMap<Breaker>,
    /// When each breaker that is not closed opened.
    opened_at: GroupMap<Option<Tick>>,
    pub(super) concurrency: ConcurrencyLimit,
    tickets: u64,
    /// In calls; a retry costs `CALLS_PER_RETRY`.
    pub(super) retry_credit: u32,
}

/// As many calls as are admitted within [`MAX_WAIT`].
pub(super) fn queue_length(rate: f64) -> usize {
    let in_time = (rate * MAX_WAIT.as_secs_f64()).ceil().max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and bounded below"
    )]
    let in_time = in_time as usize;
    in_time.min(MAX_QUEUE)
}

impl Shared {
    /// The state within these limits: this replica's own, or those of `shared_by` replicas that share them.
    pub(super) fn new(
        limits: CallLimits,
        shared_by: Option<u32>,
        metrics: Arc<CallMetrics>,
        clock: Clock,
    ) -> Self {
        let now = clock.tick();
        let (rate, burst) = (limits.requests_per_second, limits.burst);
        let throttle = match shared_by {
            None => Throttle::new(rate, burst, now),
            Some(replicas) => Throttle::shared(SharedBudget::new(rate, burst, replicas, now), now),
        };
        Self {
            state: Mutex::new(State {
                throttle,
                queue: WaitQueue::new(queue_length(limits.requests_per_second)),
                breakers: GroupMap::from_fn(|_| Breaker::default()),
                opened_at: GroupMap::default(),
                concurrency: ConcurrencyLimit::new(limits.max_concurrency),
                tickets: 0,
                retry_credit: 0,
            }),
            released: Notify::new(),
            tokens_due: Notify::new(),
            clock,
            limits,
            metrics,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn wait(
        self: &Arc<Self>,
        group: Group,
        demand: &AdmissionRequest,
        needs_permit: bool,
    ) -> Result<Grant, Error> {
        let mut requesters = demand.requesters.clone();
        let now = self.clock.tick();
        let (sender, receiver) = oneshot::channel();
        let ticket = {
            let mut state = self.state();
            state.tickets += 1;
            let waiter = Waiter {
                ticket: state.tickets,
                requesters: requesters.borrow_and_update().clone(),
                group,
                subject: demand.subject,
                needs_permit,
                since: now,
                sender,
            };
            let ticket = waiter.ticket;
            // Calls that may start now leave the queue first.
            state.dispatch(now);
            state.enqueue(waiter, now);
            state.dispatch(now);
            self.notice_demand(&state, now);
            ticket
        };
        let mut wait = PendingWait {
            shared: self,
            ticket,
            group,
            needs_permit,
            receiver,
            is_decided: false,
        };
        let decision = wait.decision(&mut requesters, now).await;
        wait.is_decided = true;
        match &decision {
            Ok(_) => {
                let waited = self.clock.tick().since(now);
                self.metrics.admitted(group, waited);
            }
            Err(error) => self.metrics.not_made(error),
        }
        decision
    }

    /// Returns a permit and admits the calls that wait for one.
    pub(super) fn release(&self, group: Group, grant: &Grant) {
        let now = self.clock.tick();
        let mut state = self.state();
        if grant.is_probe {
            state.breakers[group].abandon_probe(now);
        }
        state.concurrency.release(&grant.flow);
        state.dispatch(now);
        self.notice_demand(&state, now);
        if state.queue.len() > 0 {
            // A call that waited for a permit now waits for the rate limit.
            self.released.notify_waiters();
        }
    }

    /// Pauses all calls after a 429 to a call that started at `started_at`. Returns the remaining pause.
    pub(super) fn pause_calls(&self, retry_after: Option<Duration>, started_at: Tick) -> Duration {
        let now = self.clock.tick();
        let (pause, waiting, is_new) = {
            let mut state = self.state();
            let is_new = state.throttle.pause(now).is_none();
            let pause = state.throttle.pause_calls(retry_after, started_at, now);
            let waiting = state.queue.remove_all(|_| true);
            self.notice_demand(&state, now);
            (pause, waiting, is_new)
        };
        // Logged once per pause, because other calls in flight may get a 429, too.
        if is_new {
            let pause_seconds = pause.as_secs_f64();
            tracing::warn!(pause_seconds, "upstream rate limit exceeded");
        }
        refuse_for_pause(waiting, pause);
        pause
    }
}

/// Refuses calls that waited when a pause began.
pub(super) fn refuse_for_pause(waiting: Vec<Waiter>, pause: Duration) {
    for waiter in waiting {
        let retry_after = Some(pause);
        waiter.decide(Err(Error::RateLimited { retry_after }));
    }
}

/// Until when a call waits that has been waiting since `since`. The time in which no call could be made, because a
/// shared budget's share was not yet this replica's own, does not count.
fn deadline(throttle: &Throttle, since: Tick) -> Tick {
    since + MAX_WAIT + throttle.returning_for(since)
}

impl State {
    /// Queues a waiter. Rejects it at once during a pause, if its breaker is open, or if it could not be admitted in
    /// time. If the queue is full, drops one of its calls.
    fn enqueue(&mut self, waiter: Waiter, now: Tick) {
        if let Some(pause) = self.throttle.pause(now) {
            let retry_after = Some(pause);
            return waiter.decide(Err(Error::RateLimited { retry_after }));
        }
        let breaker = &self.breakers[waiter.group];
        if let Some(retry_after) = breaker
            .rejects(waiter.subject, now)
            .filter(|_| waiter.needs_permit)
        {
            return waiter.decide(Err(Error::BreakerOpen { retry_after }));
        }
        let next = self.throttle.next(now);
        if next > self.deadline(waiter.since) {
            let retry_after = next.since(now);
            return waiter.decide(Err(Error::OverBudget { retry_after }));
        }
        if let Some(victim) = self.queue.push(waiter) {
            let error = self.rejection(&victim, now);
            victim.decide(Err(error));
        }
    }

    /// Why the waiter is rejected.
    fn rejection(&self, waiter: &Waiter, now: Tick) -> Error {
        let mut requesters = waiter.requesters.iter();
        if waiter.needs_permit
            && !requesters.any(|requester| self.concurrency.may_acquire(requester))
        {
            return Error::Overloaded;
        }
        let retry_after = self.throttle.next(now).since(now).max(MAX_WAIT);
        Error::OverBudget { retry_after }
    }

    /// Admits every call that may start now, and rejects those whose deadline has passed.
    pub(super) fn dispatch(&mut self, now: Tick) {
        self.admit_ready(now);
        let throttle = &self.throttle;
        let is_over = |waiter: &Waiter| deadline(throttle, waiter.since) <= now;
        for waiter in self.queue.remove_all(is_over) {
            let error = self.rejection(&waiter, now);
            waiter.decide(Err(error));
        }
    }

    fn admit_ready(&mut self, now: Tick) {
        while self.queue.len() > 0 && self.throttle.next(now) <= now {
            let Some(NextCall { ticket, requester }) = self.next() else {
                return;
            };
            let is_deferred = requester.priority.class() == PriorityClass::Deferred;
            if is_deferred && self.throttle.next_deferred(now) > now {
                // Nor may a call of a lower class.
                return;
            }
            let Some(waiter) = self.queue.remove(ticket) else {
                return;
            };
            let breaker = &mut self.breakers[waiter.group];
            let decision = if waiter.needs_permit {
                breaker.decide(waiter.subject, now)
            } else {
                Decision::Allow
            };
            if let Decision::Reject(retry_after) = decision {
                waiter.decide(Err(Error::BreakerOpen { retry_after }));
                continue;
            }
            self.throttle.take(now);
            self.queue.record_turn(&requester);
            let (group, needs_permit) = (waiter.group, waiter.needs_permit);
            let grant = Grant {
                is_probe: decision == Decision::Probe,
                flow: requester.flow,
            };
            if needs_permit {
                self.concurrency.acquire(&grant.flow);
            }
            if let Err(Ok(grant)) = waiter.sender.send(Ok(grant)) {
                // The waiting call was dropped at this moment.
                if needs_permit {
                    self.concurrency.release(&grant.flow);
                }
                if grant.is_probe {
                    self.breakers[group].abandon_probe(now);
                }
            }
        }
    }

    fn next(&self) -> Option<NextCall> {
        self.queue.next(|waiter, requester| {
            !waiter.needs_permit || self.concurrency.may_acquire(requester)
        })
    }

    /// Until when a call waits that has been waiting since then.
    fn deadline(&self, since: Tick) -> Tick {
        deadline(&self.throttle, since)
    }

    /// When the rate limit next admits a call, if not now. Calls that wait for a permit are woken when one is returned.
    fn wakes_at(&self, now: Tick) -> Option<Tick> {
        let next = self.throttle.next(now);
        if next > now {
            return Some(next);
        }
        let deferred = self.throttle.next_deferred(now);
        (deferred > now && self.queue.has(PriorityClass::Deferred)).then_some(deferred)
    }
}

impl Waiter {
    /// Sends the decision; it is discarded if the waiting call was dropped.
    fn decide(self, decision: Outcome) {
        let _ = self.sender.send(decision);
    }
}
