//! What stands under the lock, and how one waits for a turn.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot, watch};

use super::{
    Demand, Limits,
    breaker::{Breaker, Gate, Mark},
    queue::{Grant, Next, Queue, Turn, Waiter},
    slots::Slots,
    tap::Tap,
};
use crate::{
    clock::{Clock, Tick},
    domain::Claims,
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
    pub(super) slots: Slots,
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
                slots: Slots::new(limits.max_concurrency),
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
        let mut claims = demand.claims.clone();
        let now = self.clock.tick();
        let deadline = now + MAX_WAIT;
        let (turn, told) = oneshot::channel();
        let ticket = {
            let mut state = self.state();
            state.tickets += 1;
            let waiter = Waiter {
                ticket: state.tickets,
                claims: claims.borrow_and_update().clone(),
                group,
                owner: demand.owner,
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
        let turn = place.turn(&mut claims, deadline).await;
        place.is_settled = true;
        turn.inspect_err(|error| self.traffic.refused(error))
    }

    /// Gives a slot back, and lets through whoever waits for one.
    pub(super) fn give_back(&self, group: Group, grant: &Grant) {
        let now = self.clock.tick();
        let mut state = self.state();
        if grant.is_probe {
            state.breakers[group as usize].abandon_probe(now);
        }
        state.slots.give_back(&grant.flow);
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

    /// Notes how a call of the group about the owner went.
    pub(super) fn record(&self, group: Group, owner: u64, mark: Mark, is_probe: bool) {
        let cause = match mark {
            Mark::Refused => "engage does not accept the API key",
            Mark::Good | Mark::Bad => "engage fails, or is too slow",
        };
        self.upset(group, cause, |breaker, now| {
            breaker.record(mark, owner, is_probe, now)
        });
    }

    /// Engage said itself when the owner may be asked about again. Returns how long it is not.
    pub(super) fn pause(
        &self,
        group: Group,
        owner: u64,
        wait: Duration,
        is_probe: bool,
    ) -> Duration {
        self.upset(group, "engage said when to come back", |breaker, now| {
            breaker.pause(owner, wait, is_probe, now)
        });
        let now = self.clock.tick();
        self.state().breakers[group as usize]
            .refuses(owner, now)
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
        if let Some(retry_after) = breaker
            .refuses(waiter.owner, now)
            .filter(|_| waiter.needs_slot)
        {
            return waiter.tell(Err(Error::BreakerOpen { retry_after }));
        }
        let next = self.tap.next(now);
        if next > waiter.deadline {
            let retry_after = next.since(now);
            return waiter.tell(Err(Error::OverBudget { retry_after }));
        }
        if let Some(victim) = self.queue.push(waiter) {
            let refusal = self.refusal(&victim, now);
            victim.tell(Err(refusal));
        }
    }

    /// Why the waiter has to go without a call.
    fn refusal(&self, waiter: &Waiter, now: Tick) -> Error {
        let mut claims = waiter.claims.iter();
        if waiter.needs_slot && !claims.any(|claim| self.slots.may_take(claim)) {
            return Error::Overloaded;
        }
        let retry_after = self.tap.next(now).since(now).max(MAX_WAIT);
        Error::OverBudget { retry_after }
    }

    /// Lets everybody through whose turn has come.
    fn dispatch(&mut self, now: Tick) {
        self.serve(now);
        for waiter in self.queue.remove_all(|waiter| waiter.deadline <= now) {
            let refusal = self.refusal(&waiter, now);
            waiter.tell(Err(refusal));
        }
    }

    fn serve(&mut self, now: Tick) {
        while self.queue.len() > 0 && self.tap.next(now) <= now {
            let Some(Next { ticket, claim }) = self.next() else {
                return;
            };
            let Some(waiter) = self.queue.remove(ticket) else {
                return;
            };
            let breaker = &mut self.breakers[waiter.group as usize];
            let gate = if waiter.needs_slot {
                breaker.gate(waiter.owner, now)
            } else {
                Gate::Pass
            };
            if let Gate::Refuse(retry_after) = gate {
                waiter.tell(Err(Error::BreakerOpen { retry_after }));
                continue;
            }
            self.tap.take(now);
            self.queue.take_turn(&claim);
            let (group, needs_slot) = (waiter.group, waiter.needs_slot);
            let grant = Grant {
                is_probe: gate == Gate::Probe,
                flow: claim.flow,
            };
            if needs_slot {
                self.slots.take(&grant.flow);
            }
            if let Err(Ok(grant)) = waiter.turn.send(Ok(grant)) {
                // It left in this very moment.
                if needs_slot {
                    self.slots.give_back(&grant.flow);
                }
                if grant.is_probe {
                    self.breakers[group as usize].abandon_probe(now);
                }
            }
        }
    }

    fn next(&self) -> Option<Next> {
        self.queue
            .next(|waiter, claim| !waiter.needs_slot || self.slots.may_take(claim))
    }

    /// When waiters may go that can't go now, as far as the tap alone decides it: those that wait for a slot are woken
    /// when one is given back.
    fn wakes_at(&self, now: Tick) -> Option<Tick> {
        let next = self.tap.next(now);
        (next > now).then_some(next)
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
    async fn turn(&mut self, claims: &mut watch::Receiver<Claims>, deadline: Tick) -> Turn {
        let shared = self.shared;
        let clock = &shared.clock;
        let mut may_change = true;
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
                changed = claims.changed(), if may_change => {
                    may_change = changed.is_ok();
                    let claims = claims.borrow_and_update().clone();
                    shared.state().queue.update(self.ticket, claims);
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
            self.shared.give_back(self.group, &grant);
        }
    }
}
