//! What stands under the lock, and how one waits for a turn.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot, watch};

use super::{
    Demand, Limits,
    breaker::{Breaker, Gate, Mark},
    queue::{Grant, Queue, Turn, Waiter},
    tap::Tap,
};
use crate::{
    clock::{Clock, Tick},
    domain::Urgency,
    engage::{Error, Group, traffic::Traffic},
};

/// The longest time that a call waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// How many calls wait at most, however high the rate.
const MAX_QUEUE: usize = 1000;

/// What all permits and waiters share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) traffic: Arc<Traffic>,
    state: Mutex<State>,
    /// Tells those who wait that a slot was given back.
    freed: Notify,
}

/// What decides, under one lock.
pub(super) struct State {
    pub(super) tap: Tap,
    pub(super) queue: Queue,
    pub(super) breakers: [Breaker; Group::ALL.len()],
    pub(super) in_flight: usize,
    pub(super) max_concurrency: usize,
    tickets: u64,
    /// In calls; a retry costs [`CALLS_PER_RETRY`](super::CALLS_PER_RETRY).
    pub(super) retry_credit: u32,
}

/// As many as get their turn in time.
fn places(rate: f64) -> usize {
    let in_time = (rate * MAX_WAIT.as_secs_f64()).ceil().max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is positive, and what is too large is bounded"
    )]
    let in_time = in_time as usize;
    in_time.min(MAX_QUEUE)
}

impl Shared {
    pub(super) fn new(limits: Limits, traffic: Arc<Traffic>, clock: Clock) -> Self {
        let now = clock.tick();
        Self {
            state: Mutex::new(State {
                tap: Tap::new(limits.requests_per_second, limits.burst, now),
                queue: Queue::new(places(limits.requests_per_second)),
                breakers: Default::default(),
                in_flight: 0,
                max_concurrency: limits.max_concurrency,
                tickets: 0,
                retry_credit: 0,
            }),
            freed: Notify::new(),
            clock,
            limits,
            traffic,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn wait(
        self: &Arc<Self>,
        group: Group,
        demand: &Demand,
        needs_slot: bool,
    ) -> Result<Grant, Error> {
        let mut urgency = demand.urgency.clone();
        let now = self.clock.tick();
        let deadline = now + MAX_WAIT;
        let (turn, told) = oneshot::channel();
        let ticket = {
            let mut state = self.state();
            state.tickets += 1;
            let waiter = Waiter {
                ticket: state.tickets,
                client: demand.client.clone(),
                urgency: *urgency.borrow_and_update(),
                group,
                needs_slot,
                deadline,
                turn,
            };
            let ticket = waiter.ticket;
            // Those whose turn has come leave their places first.
            state.dispatch(now);
            state.enqueue(waiter, now);
            state.dispatch(now);
            ticket
        };
        let mut place = Place {
            shared: self,
            ticket,
            group,
            needs_slot,
            told,
            is_settled: false,
        };
        let turn = place.turn(&mut urgency, deadline).await;
        place.is_settled = true;
        turn.inspect_err(|error| self.traffic.refused(error))
    }

    /// Gives a slot back, and lets through whoever waits for one.
    pub(super) fn give_back(&self, group: Group, grant: Grant) {
        let now = self.clock.tick();
        let mut state = self.state();
        if grant.is_probe {
            state.breakers[group as usize].abandon_probe(now);
        }
        state.in_flight -= 1;
        state.dispatch(now);
        if state.queue.len() > 0 {
            // Who waited for a slot waits for the tap from now on.
            self.freed.notify_waiters();
        }
    }

    pub(super) fn close_tap(&self, said: Option<Duration>, begun: Tick) -> Duration {
        let now = self.clock.tick();
        let (pause, waiting) = {
            let mut state = self.state();
            let pause = state.tap.close(said, begun, now);
            (pause, state.queue.remove_all(|_| true))
        };
        let pause_seconds = pause.as_secs_f64();
        tracing::warn!(
            pause_seconds,
            "engage limits the API key's calls: all of them pause"
        );
        for waiter in waiting {
            let retry_after = Some(pause);
            waiter.tell(Err(Error::RateLimited { retry_after }));
        }
        pause
    }

    /// Notes how a call of the group went.
    pub(super) fn record(&self, group: Group, mark: Mark, is_probe: bool) {
        let cause = match mark {
            Mark::Refused => "engage does not accept the API key",
            Mark::Good | Mark::Bad => "engage fails, or is too slow",
        };
        self.upset(group, cause, |breaker, now| {
            breaker.record(mark, is_probe, now)
        });
    }

    /// Engage said itself when the group may be asked again. Returns how long it is not.
    pub(super) fn pause(&self, group: Group, wait: Duration) -> Duration {
        self.upset(group, "engage said when to come back", |breaker, now| {
            breaker.pause(now, wait)
        });
        let now = self.clock.tick();
        self.state().breakers[group as usize]
            .refuses_for(now)
            .unwrap_or_default()
    }

    /// Does what may open the group's breaker; if it does, whoever waits for the group is told at once.
    fn upset(
        &self,
        group: Group,
        cause: &'static str,
        may_open: impl FnOnce(&mut Breaker, Tick) -> bool,
    ) {
        let now = self.clock.tick();
        let (retry_after, waiting) = {
            let mut state = self.state();
            let breaker = &mut state.breakers[group as usize];
            if !may_open(breaker, now) {
                return;
            }
            let retry_after = breaker.refuses_for(now).unwrap_or_default();
            let is_meant = |waiter: &Waiter| waiter.group == group && waiter.needs_slot;
            (retry_after, state.queue.remove_all(is_meant))
        };
        let group_name = group.as_str();
        tracing::warn!(
            group = group_name,
            cause,
            "a breaker opened: calls of the group pause"
        );
        self.traffic.opened(group);
        for waiter in waiting {
            waiter.tell(Err(Error::BreakerOpen { retry_after }));
        }
    }
}

impl State {
    /// Takes a waiter in, or tells it at once why there is no use in waiting.
    fn enqueue(&mut self, waiter: Waiter, now: Tick) {
        if let Some(pause) = self.tap.pause(now) {
            let retry_after = Some(pause);
            return waiter.tell(Err(Error::RateLimited { retry_after }));
        }
        let breaker = &self.breakers[waiter.group as usize];
        if let Some(retry_after) = breaker.refuses_for(now).filter(|_| waiter.needs_slot) {
            return waiter.tell(Err(Error::BreakerOpen { retry_after }));
        }
        let next = self.tap.next(now);
        if next > waiter.deadline {
            let retry_after = next.since(now);
            return waiter.tell(Err(Error::OverBudget { retry_after }));
        }
        if let Some(victim) = self.queue.push(waiter) {
            victim.tell(Err(self.refusal(now)));
        }
    }

    /// Why somebody had to go without a call.
    fn refusal(&self, now: Tick) -> Error {
        if self.in_flight >= self.max_concurrency {
            return Error::Overloaded;
        }
        let retry_after = self.tap.next(now).since(now).max(MAX_WAIT);
        Error::OverBudget { retry_after }
    }

    /// Lets everybody through whose turn has come.
    fn dispatch(&mut self, now: Tick) {
        self.serve(now);
        for waiter in self.queue.remove_all(|waiter| waiter.deadline <= now) {
            waiter.tell(Err(self.refusal(now)));
        }
    }

    fn serve(&mut self, now: Tick) {
        while let Some(ticket) = self.next() {
            if self.tap.next(now) > now {
                return;
            }
            let Some(waiter) = self.queue.serve(ticket) else {
                return;
            };
            let gate = if waiter.needs_slot {
                self.breakers[waiter.group as usize].gate(now)
            } else {
                Gate::Pass
            };
            if let Gate::Refuse(retry_after) = gate {
                waiter.tell(Err(Error::BreakerOpen { retry_after }));
                continue;
            }
            self.tap.take(now);
            let (group, needs_slot) = (waiter.group, waiter.needs_slot);
            self.in_flight += usize::from(needs_slot);
            let is_probe = gate == Gate::Probe;
            if waiter.turn.send(Ok(Grant { is_probe })).is_err() {
                // It left in this very moment.
                self.in_flight -= usize::from(needs_slot);
                if is_probe {
                    self.breakers[group as usize].abandon_probe(now);
                }
            }
        }
    }

    fn next(&self) -> Option<u64> {
        let free = self.max_concurrency.saturating_sub(self.in_flight);
        self.queue.next(|waiter| {
            let kept_free = match waiter.urgency {
                // People come first: some slots are theirs alone.
                Urgency::Ahead => self.max_concurrency / 2,
                Urgency::Refresh => self.max_concurrency / 4,
                Urgency::Miss | Urgency::Fresh => 0,
            };
            !waiter.needs_slot || free > kept_free
        })
    }

    /// When the next waiter may go, as far as the tap alone decides it.
    fn wakes_at(&self, now: Tick) -> Option<Tick> {
        self.next().map(|_| self.tap.next(now))
    }
}

impl Waiter {
    /// A waiter that has left needs no answer.
    fn tell(self, turn: Turn) {
        let _ = self.turn.send(turn);
    }
}

/// A place in the queue; leaving it gives back whatever had been granted.
struct Place<'a> {
    shared: &'a Arc<Shared>,
    ticket: u64,
    group: Group,
    needs_slot: bool,
    told: oneshot::Receiver<Turn>,
    is_settled: bool,
}

impl Place<'_> {
    async fn turn(&mut self, urgency: &mut watch::Receiver<Urgency>, deadline: Tick) -> Turn {
        let shared = self.shared;
        let clock = &shared.clock;
        let mut may_hurry = true;
        loop {
            // From here on nothing that is told is missed.
            let freed = shared.freed.notified();
            let now = clock.tick();
            let wake = {
                let mut state = shared.state();
                state.dispatch(now);
                state.wakes_at(now).map_or(deadline, |at| at.min(deadline))
            };
            tokio::select! {
                biased;
                turn = &mut self.told => return turn.unwrap_or(Err(Error::Lost)),
                changed = urgency.changed(), if may_hurry => {
                    may_hurry = changed.is_ok();
                    let urgency = *urgency.borrow_and_update();
                    shared.state().queue.hurry(self.ticket, urgency);
                }
                () = freed => {}
                () = clock.sleep_until(wake) => {}
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let was_waiting = self.shared.state().queue.remove(self.ticket).is_some();
        if let (false, true, Ok(Ok(grant))) = (was_waiting, self.needs_slot, self.told.try_recv()) {
            self.shared.give_back(self.group, grant);
        }
    }
}
