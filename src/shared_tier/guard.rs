//! Limits the time of operations, and stops them while the tier does not work: after a failure operations fail at once,
//! until the background task has connected again. So no request waits longer than one time-out, once.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::{
    Unavailable,
    epoch::Epoch,
    fault::{Fault, Why},
    metrics::{Metrics, Operation},
    protocol::{EpochId, Reply},
};
use crate::clock::{Clock, Tick};

/// For how long after its start a replica counts as starting. The stream of a server that can be reached is read to its
/// end well within that.
const START: Duration = Duration::from_secs(2);

/// The epoch in which an operation runs.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) epoch: Arc<Epoch>,
    /// Numbers the connections, so that a late failure of one does not end the next.
    pub(super) session: u64,
}

/// What operations can do now.
#[derive(Debug)]
pub(super) enum Condition {
    /// Be tried.
    Usable(Link),
    /// Not be tried before the next epoch is opened: this one has ended.
    EpochEnded(Link),
    /// Not be tried before the stream has caught up.
    CatchingUp(Link),
    /// Not be tried before the background task has connected.
    Closed,
}

/// The state, for operators.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuardStatus {
    pub(super) state: &'static str,
    pub(super) since: Tick,
    pub(super) is_usable: bool,
    /// The last round trip, and their exponential average.
    pub(super) round_trips: Option<(Duration, Duration)>,
    /// When this session entered the current epoch.
    pub(super) epoch_since: Option<Tick>,
}

pub(super) struct Guard {
    clock: Clock,
    metrics: Arc<Metrics>,
    started: Tick,
    state: RwLock<State>,
    /// The session or its epoch has ended, or the next epoch was opened.
    changed: Notify,
    /// Whether any session has caught up.
    was_caught_up: watch::Sender<bool>,
    round_trips: Mutex<Option<(Duration, Duration)>>,
}

struct State {
    session: u64,
    /// What this session has opened.
    epoch: Option<(Arc<Epoch>, Tick)>,
    is_caught_up: bool,
    has_epoch_ended: bool,
    /// The epoch that was current last, in this session or before.
    latest: Option<EpochId>,
    why: Why,
    since: Tick,
    /// The reason that was last logged, since the tier was last available.
    logged: Option<Why>,
}

impl State {
    fn condition(&self) -> Condition {
        let Some((epoch, _)) = &self.epoch else {
            return Condition::Closed;
        };
        let link = Link {
            epoch: Arc::clone(epoch),
            session: self.session,
        };
        match (self.has_epoch_ended, self.is_caught_up) {
            (true, _) => Condition::EpochEnded(link),
            (false, true) => Condition::Usable(link),
            (false, false) => Condition::CatchingUp(link),
        }
    }

    fn is_usable(&self) -> bool {
        self.epoch.is_some() && self.is_caught_up && !self.has_epoch_ended
    }
}

impl Guard {
    pub(super) fn new(clock: Clock, metrics: Arc<Metrics>) -> Self {
        let since = clock.tick();
        Self {
            clock,
            metrics,
            started: since,
            state: RwLock::new(State {
                session: 0,
                epoch: None,
                is_caught_up: false,
                has_epoch_ended: false,
                latest: None,
                why: Why::Starting,
                since,
                logged: None,
            }),
            changed: Notify::new(),
            was_caught_up: watch::Sender::new(false),
            round_trips: Mutex::new(None),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn condition(&self) -> Condition {
        self.read().condition()
    }

    /// The epoch that was current last, as far as this replica knows.
    pub(super) fn latest_epoch(&self) -> Option<EpochId> {
        self.read().latest
    }

    /// The link on which to run an operation; without one the operation fails at once.
    pub(super) fn link(&self, operation: Operation) -> Result<Link, Unavailable> {
        match self.condition() {
            Condition::Usable(link) => Ok(link),
            Condition::EpochEnded(_) | Condition::CatchingUp(_) | Condition::Closed => {
                self.metrics.ended(operation, "unavailable");
                Err(Unavailable)
            }
        }
    }

    /// Runs an operation until the deadline. Every failure ends the session, except that of a full server, and except
    /// the end of the epoch: then the background task opens the next.
    pub(super) async fn call<T>(
        &self,
        link: &Link,
        operation: Operation,
        deadline: Tick,
        reply: Reply<'_, T>,
    ) -> Result<T, Fault> {
        let result = self.timed(operation, deadline, reply).await;
        match result {
            Ok(_) | Err(Fault::Full) => {}
            Err(Fault::Epoch) => self.epoch_ended(link),
            Err(fault) => {
                self.fail(link.session, Why::Fault(fault));
            }
        }
        result
    }

    /// Runs an operation until the deadline, whatever the state. Only failures are counted: the caller counts what a
    /// reply says.
    pub(super) async fn timed<T>(
        &self,
        operation: Operation,
        deadline: Tick,
        reply: Reply<'_, T>,
    ) -> Result<T, Fault> {
        let sent = self.clock.tick();
        let result = tokio::select! {
            biased;
            result = reply => result.map_err(Fault::from),
            () = self.clock.sleep_until(deadline) => Err(Fault::Timeout),
        };
        let took = self.clock.tick().since(sent);
        if operation.is_round_trip() {
            self.metrics.took(operation, took);
        }
        match &result {
            Ok(_) if operation.is_round_trip() => self.note_round_trip(took),
            Ok(_) => {}
            Err(fault) => self.metrics.ended(operation, fault.as_str()),
        }
        result
    }

    fn round_trips(&self) -> MutexGuard<'_, Option<(Duration, Duration)>> {
        self.round_trips
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note_round_trip(&self, took: Duration) {
        let mut trips = self.round_trips();
        let average = trips.map_or(took, |(_, average)| (average * 7 + took) / 8);
        *trips = Some((took, average));
    }

    /// Begins a session: until it has opened an epoch and caught up, operations fail at once.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.write();
        state.session += 1;
        state.epoch = None;
        state.is_caught_up = false;
        state.has_epoch_ended = false;
        state.session
    }

    /// The session has opened an epoch.
    pub(super) fn opened(&self, session: u64, epoch: &Arc<Epoch>) {
        let now = self.clock.tick();
        let mut state = self.write();
        if state.session == session {
            let is_other = state.latest.is_some_and(|latest| latest != epoch.id);
            state.latest = Some(epoch.id);
            state.epoch = Some((Arc::clone(epoch), now));
            drop(state);
            if is_other {
                tracing::info!("shared tier epoch changed");
            }
        }
    }

    /// The session's stream has caught up.
    pub(super) fn caught_up(&self, session: u64) {
        let now = self.clock.tick();
        let mut state = self.write();
        if state.session == session && state.epoch.is_some() && !state.is_caught_up {
            state.is_caught_up = true;
            state.since = now;
            state.logged = None;
            drop(state);
            self.was_caught_up.send_replace(true);
            tracing::info!("shared tier connected");
        }
    }

    /// Whether this replica has just started, and no session has caught up yet.
    pub(super) fn is_starting(&self) -> bool {
        !*self.was_caught_up.borrow() && self.clock.tick().since(self.started) < START
    }

    /// Returns once this replica is no longer starting.
    pub(super) async fn started(&self) {
        let mut was_caught_up = self.was_caught_up.subscribe();
        tokio::select! {
            biased;
            // The sender lives in `self`, so the channel can't close while this waits.
            _ = was_caught_up.wait_for(|was| *was) => {}
            () = self.clock.sleep_until(self.started + START) => {}
        }
    }

    /// Ends the session, unless it has ended already. Returns why it has.
    pub(super) fn fail(&self, session: u64, why: Why) -> Why {
        let now = self.clock.tick();
        let mut state = self.write();
        if state.session != session {
            return state.why;
        }
        let was_usable = state.is_caught_up;
        // A further failure of this session does not count.
        state.session += 1;
        state.epoch = None;
        state.is_caught_up = false;
        state.has_epoch_ended = false;
        if was_usable {
            state.since = now;
        }
        state.why = why;
        let is_new_key_fault = why == Why::WrongKey && state.logged != Some(why);
        let is_news = was_usable || state.logged.is_none() || is_new_key_fault;
        // A reload is not a fault: a fault that follows is logged.
        let is_news = is_news && why != Why::Reloaded;
        if is_news {
            state.logged = Some(why);
        }
        drop(state);
        self.changed.notify_one();
        if !is_news {
        } else if why == Why::WrongKey {
            tracing::error!(alarm = true, "shared tier key unknown");
        } else {
            tracing::warn!(reason = why.as_str(), "shared tier unavailable");
        }
        why
    }

    /// Ends the session, whichever it is.
    pub(super) fn end_session(&self, why: Why) {
        let session = self.read().session;
        self.fail(session, why);
    }

    /// The epoch has ended: operations fail at once until the next is opened.
    pub(super) fn epoch_ended(&self, link: &Link) {
        let mut state = self.write();
        let is_current = state
            .epoch
            .as_ref()
            .is_some_and(|(epoch, _)| epoch.id == link.epoch.id);
        if state.session == link.session && is_current && !state.has_epoch_ended {
            state.has_epoch_ended = true;
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Puts `next` in the place of an epoch that has ended. Does nothing if that was done already.
    pub(super) fn replace(&self, ended: &Link, next: &Arc<Epoch>) {
        let now = self.clock.tick();
        let mut state = self.write();
        let is_current = state
            .epoch
            .as_ref()
            .is_some_and(|(epoch, _)| epoch.id == ended.epoch.id);
        if state.session == ended.session && is_current {
            let is_other = next.id != ended.epoch.id;
            state.latest = Some(next.id);
            state.epoch = Some((Arc::clone(next), now));
            state.has_epoch_ended = false;
            drop(state);
            self.changed.notify_one();
            if is_other {
                tracing::info!("shared tier epoch changed");
            }
        }
    }

    /// Returns after the session or its epoch has ended, or the next epoch was opened. For one task.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn status(&self) -> GuardStatus {
        let state = self.read();
        let name = match state.condition() {
            Condition::Usable(_) => "connected",
            Condition::EpochEnded(_) => "changing epoch",
            Condition::CatchingUp(_) => "catching up",
            Condition::Closed => state.why.as_str(),
        };
        GuardStatus {
            state: name,
            since: state.since,
            is_usable: state.is_usable(),
            round_trips: *self.round_trips(),
            epoch_since: state.epoch.as_ref().map(|(_, since)| *since),
        }
    }
}

#[cfg(test)]
mod tests;
