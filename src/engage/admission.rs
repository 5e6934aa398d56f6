//! Admission: which upstream call may be made, and when. Everything that decides it stands under one
//! lock: the tap (rate, burst, 429), the slots (calls at the same time), the queue (who is next), a
//! breaker for each group of endpoints, and the credit of retries.
//!
//! Nothing runs in the background: whoever waits wakes when the next call may leave, or when a slot
//! is given back, and lets everybody through whose turn has come.

mod breaker;
mod gate;
mod queue;
mod slots;
mod tap;
mod turns;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

pub use self::breaker::BreakerState;
use self::{breaker::Mark, gate::Shared, queue::Grant};
use super::{Error, Group, traffic::Traffic};
use crate::{
    clock::{Clock, Tick},
    domain::{Claims, Flow},
};

/// A retry for so many calls: a tenth of them, at most [`MAX_RETRIES`] in a row.
const CALLS_PER_RETRY: u32 = 10;
const MAX_RETRIES: u32 = 10;
/// The longest time that calls about one thing are kept apart.
const SPACING_OF_ONE: Duration = Duration::from_millis(50);
/// The range of the time before a retry.
const RETRY_AFTER: std::ops::Range<u64> = 50..200;

/// What upstream calls may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls a second.
    pub requests_per_second: f64,
    /// Calls beyond that at once.
    pub burst: u32,
    /// Calls at the same time.
    pub max_concurrency: usize,
    /// A call that takes longer counts as failed, whatever it brings.
    pub slow_after: Duration,
}

/// The owner of calls that are about no contact.
pub const NO_OWNER: u64 = 0;

/// Who wants a call, and about whom.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The flows that want it, and how urgently; there may come more while it waits.
    pub claims: watch::Receiver<Claims>,
    /// To whom a failure is charged: a hash of the contact or of the value looked up, or [`NO_OWNER`].
    pub owner: u64,
}

/// Lets calls through. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

/// How admission stands: for operators.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that wait for their turn.
    pub queued: usize,
    /// How long a 429 still pauses all calls.
    pub paused_for: Option<Duration>,
    /// The breaker of each group, and how long it still refuses.
    pub breakers: Vec<(Group, BreakerState, Option<Duration>)>,
}

/// The right to make calls one after the other; given back when dropped.
pub struct Permit {
    shared: Arc<Shared>,
    group: Group,
    demand: Demand,
    /// Whose slot it is.
    flow: Flow,
    /// Whether the call is to see if Engage is back, and has not said so yet.
    probes: Mutex<bool>,
}

impl Admission {
    /// Admission within these limits.
    pub fn new(limits: Limits, traffic: Arc<Traffic>, clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared::new(limits, traffic, clock)),
        }
    }

    /// Waits for the right to call.
    pub async fn admit(&self, group: Group, demand: Demand) -> Result<Permit, Error> {
        let grant = self.shared.wait(group, &demand, true).await?;
        Ok(Permit {
            shared: Arc::clone(&self.shared),
            group,
            demand,
            flow: grant.flow,
            probes: Mutex::new(grant.is_probe),
        })
    }

    /// Where calls are counted.
    pub(super) fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    /// Whether a call that nobody waits for may be made: half of the burst and half of the slots are
    /// free, and nobody waits.
    pub fn has_room_to_spare(&self) -> bool {
        let now = self.shared.clock.tick();
        let state = self.shared.state();
        state.queue.len() == 0 && state.tap.has_room_to_spare(now) && state.slots.are_half_free()
    }

    /// Half of the burst, and two fifths of the rate or twenty a second: what may be asked about one contact's part.
    pub fn pace_of_one(&self) -> (u32, Duration) {
        let Limits {
            requests_per_second,
            burst,
            ..
        } = self.shared.limits;
        let spacing = Duration::from_secs_f64(2.5 / requests_per_second);
        ((burst / 2).max(1), spacing.min(SPACING_OF_ONE))
    }

    /// How it stands.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.shared.clock.tick();
        let state = self.shared.state();
        let stand = |group: Group| {
            let breaker = &state.breakers[group as usize];
            (group, breaker.state(), breaker.refuses_for(now))
        };
        Snapshot {
            in_flight: state.slots.taken(),
            queued: state.queue.len(),
            paused_for: state.tap.pause(now),
            breakers: Group::ALL.into_iter().map(stand).collect(),
        }
    }
}

impl Permit {
    /// Waits for the right to one more call: a further page, or a retry.
    pub(super) async fn another(&self) -> Result<(), Error> {
        self.shared.wait(self.group, &self.demand, false).await?;
        Ok(())
    }

    /// Notes that a call begins.
    pub(super) fn begin(&self) -> Attempt<'_> {
        Attempt {
            permit: self,
            begun: self.shared.clock.tick(),
            is_slow: false,
        }
    }

    /// Notes a call that is no retry: some of them pay for one.
    pub(super) fn earn_credit(&self) {
        let mut state = self.shared.state();
        state.retry_credit = (state.retry_credit + 1).min(CALLS_PER_RETRY * MAX_RETRIES);
    }

    /// Waits until the call may be tried once more, and says whether it may.
    pub(super) async fn may_retry(&self) -> bool {
        if !self.may_pass() || !self.spend_credit() {
            return false;
        }
        let clock = &self.shared.clock;
        let wait = Duration::from_millis(fastrand::u64(RETRY_AFTER));
        clock.sleep_until(clock.tick() + wait).await;
        // The breaker may have opened while this waited.
        let may = self.may_pass() && self.another().await.is_ok() && self.may_pass();
        if may {
            self.shared.traffic.retried(self.group);
        }
        may
    }

    /// Waits until a call that was not processed may be made once more, and says whether it may: at once and without
    /// credit, but within the budget.
    pub(super) async fn may_repeat(&self) -> bool {
        // A call that tries whether Engage is back has not tried it yet.
        let is_let_through = || *self.probes() || self.may_pass();
        let may = is_let_through() && self.another().await.is_ok() && is_let_through();
        if may {
            self.shared.traffic.retried(self.group);
        }
        may
    }

    /// Whether the breaker lets all calls of the group and of the owner pass.
    fn may_pass(&self) -> bool {
        let now = self.shared.clock.tick();
        let state = self.shared.state();
        let breaker = &state.breakers[self.group as usize];
        breaker.state() == BreakerState::Closed && breaker.refuses(self.demand.owner, now).is_none()
    }

    fn spend_credit(&self) -> bool {
        let mut state = self.shared.state();
        let left = state.retry_credit.checked_sub(CALLS_PER_RETRY);
        state.retry_credit = left.unwrap_or(state.retry_credit);
        left.is_some()
    }

    fn probes(&self) -> MutexGuard<'_, bool> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let grant = Grant {
            is_probe: *self.probes(),
            flow: self.flow.clone(),
        };
        self.shared.give_back(self.group, &grant);
    }
}

/// A call under way.
pub(super) struct Attempt<'a> {
    permit: &'a Permit,
    begun: Tick,
    is_slow: bool,
}

impl Attempt<'_> {
    /// When it counts as too slow.
    pub(super) fn slow_at(&self) -> Tick {
        self.begun + self.permit.shared.limits.slow_after
    }

    /// It takes too long: that counts now, not only when it ends.
    pub(super) fn is_slow(&mut self) {
        self.is_slow = true;
        self.record(Mark::Bad);
    }

    /// It ended. One that was not processed and may be repeated says nothing about Engage's health.
    /// Returns what to tell: of a 429, how long calls pause.
    pub(super) fn ended<T>(
        self,
        outcome: Result<T, Error>,
        may_be_repeated: bool,
    ) -> Result<T, Error> {
        let shared = &self.permit.shared;
        let now = shared.clock.tick();
        let error = outcome.as_ref().err();
        shared
            .traffic
            .ended(self.permit.group, error, now.since(self.begun));
        if let Some(Error::RateLimited { retry_after }) = error {
            let pause = shared.close_tap(*retry_after, self.begun);
            return Err(Error::RateLimited {
                retry_after: Some(pause),
            });
        }
        if let Some(Error::Failed {
            status,
            retry_after: Some(wait),
        }) = error
        {
            let Permit { group, demand, .. } = self.permit;
            let is_probe = std::mem::take(&mut *self.permit.probes());
            let pause = shared.pause(*group, demand.owner, *wait, is_probe);
            return Err(Error::Failed {
                status: *status,
                retry_after: Some(pause),
            });
        }
        let says_nothing = may_be_repeated && error.is_some_and(Error::is_unprocessed);
        if let Some(mark) = mark(error)
            && !self.is_slow
            && !says_nothing
        {
            self.record(mark);
        }
        outcome
    }

    fn record(&self, mark: Mark) {
        let Permit { group, demand, .. } = self.permit;
        let is_probe = std::mem::take(&mut *self.permit.probes());
        self.permit
            .shared
            .record(*group, demand.owner, mark, is_probe);
    }
}

/// What an outcome says about the health of Engage; nothing where it is about the question or a 429.
fn mark(error: Option<&Error>) -> Option<Mark> {
    match error {
        None | Some(Error::NotFound | Error::MultipleMatches | Error::Rejected { .. }) => {
            Some(Mark::Good)
        }
        Some(Error::Unauthorized | Error::Forbidden) => Some(Mark::Refused),
        Some(Error::Failed { status, .. }) if *status < 500 => Some(Mark::Good),
        Some(
            Error::Failed { .. }
            | Error::Unreachable { .. }
            | Error::Timeout
            | Error::Invalid { .. },
        ) => Some(Mark::Bad),
        Some(_) => None,
    }
}
