//! A stand-in of the shared tier's server, in memory: the `Backend` as its documentation describes it, over a clock that a
//! test moves, with faults that a test orders.
//!
//! [`Standin`] is the server, [`Connection`] what one replica reaches it by. Tests include this file with `#[path]`, and so
//! does the capacity example.

#[path = "standin/budget.rs"]
mod budget;
#[path = "standin/connection.rs"]
mod connection;
#[path = "standin/control.rs"]
mod control;
#[path = "standin/flights.rs"]
mod flights;
#[path = "standin/server.rs"]
mod server;
#[path = "standin/stream.rs"]
mod stream;
#[cfg(test)]
#[path = "standin/tests.rs"]
mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use engage_bff::{
    clock::Clock,
    shared_tier::protocol::{BackendError, StreamEntry},
};
use tokio::sync::watch;

pub(crate) use self::connection::Connection;
use self::server::Server;

/// The kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Connect,
    Open,
    Rewrap,
    Fetch,
    Store,
    Release,
    Invalidate,
    Advance,
    ReadStream,
    Beat,
    LeaseTokens,
    Pause,
    Peek,
    Sweep,
    Inspect,
}

/// How an operation fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not arrive, and the connection breaks.
    Unreachable,
    /// It takes effect, and the connection breaks before the reply.
    LostReply,
    /// It takes effect; the reply waits for [`Standin::release`].
    SlowReply,
    /// It takes effect on [`Standin::release`], whether its caller still waits or not.
    SlowRequest,
    /// It fails with this error, without any effect.
    Error(BackendError),
}

/// A key that a server may evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    /// The contact of that number, modulo how many there are. The same for the others.
    Contact(usize),
    Alias(usize),
    Message(usize),
    /// The current epoch's stream.
    Stream,
    Epoch,
    /// Any of these.
    Any(usize),
}

/// The server. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Standin {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    /// Changes with the state.
    changes: watch::Sender<u64>,
}

/// An operation that waits for the release.
type Held = Box<dyn FnOnce(&mut Server, u64) + Send>;

#[derive(Default)]
struct State {
    server: Server,
    /// The server's time, less the clock's wall time, in milliseconds.
    offset: i64,
    snapshot: Option<Server>,
    data_sets: u64,
    /// Raised to break every connection.
    breaks: u64,
    /// What happens to all operations, and to the next of a kind on any connection.
    fault: Option<Fault>,
    next: VecDeque<(Operation, Fault)>,
    /// What waits for the release, and how often there was one.
    held: Vec<Held>,
    releases: u64,
    calls: Vec<(usize, Operation)>,
    connections: usize,
}

impl Standin {
    /// An empty server, whose clock shows the wall time of `clock`.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                state: Mutex::default(),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// Drops keys whose TTL has passed that seldom, not at every operation, which takes long with many keys.
    pub(crate) fn drop_every(&self, interval: Duration) {
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        self.change(|state| state.server.drops_every = millis);
    }

    /// A connection of its own, which is not connected yet.
    pub(crate) fn connection(&self) -> Connection {
        let number = self.change(|state| {
            state.connections += 1;
            state.connections - 1
        });
        Connection::new(Arc::clone(&self.shared), number)
    }

    /// From now on every operation of every connection ends like this; `None`: none.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.change(|state| {
            if fault == Some(Fault::Unreachable) {
                state.breaks += 1;
            }
            state.fault = fault;
        });
    }

    /// The next operation of that kind ends like this, on whichever connection.
    pub(crate) fn fault_next(&self, operation: Operation, fault: Fault) {
        self.change(|state| state.next.push_back((operation, fault)));
    }

    /// What every write fails with: [`BackendError::Full`] or [`BackendError::ReadOnly`]; `None`: writes succeed.
    pub(crate) fn refuse_writes(&self, error: Option<BackendError>) {
        self.change(|state| state.server.refusal = error);
    }

    /// No faults from now on, and what is slow goes on.
    pub(crate) fn clear_faults(&self) {
        self.set_fault(None);
        self.refuse_writes(None);
        self.change(|state| state.next.clear());
        self.release();
    }

    /// Whether a fault was ordered that has not happened, or an operation waits for its release.
    pub(crate) fn is_disturbed(&self) -> bool {
        let state = self.shared.lock();
        !state.next.is_empty() || !state.held.is_empty()
    }

    /// Lets slow operations go on, those until now.
    pub(crate) fn release(&self) {
        let now = self.shared.now();
        self.change(|state| {
            state.releases += 1;
            for operation in std::mem::take(&mut state.held) {
                operation(&mut state.server, now);
            }
        });
    }

    /// Sets the server's clock to the wall time plus so many milliseconds.
    pub(crate) fn set_offset(&self, millis: i64) {
        self.change(|state| state.offset = millis);
    }

    /// Removes every key.
    pub(crate) fn flush(&self) {
        self.change(|state| state.server = state.server.emptied());
    }

    /// Restarts the server, with its keys or empty. Every connection breaks.
    pub(crate) fn restart(&self, keeps_keys: bool) {
        self.change(|state| {
            if !keeps_keys {
                state.server = state.server.emptied();
            }
            state.replace_data_set();
        });
    }

    /// Remembers the state, as a replica of the server would.
    pub(crate) fn take_snapshot(&self) {
        self.change(|state| state.snapshot = Some(state.server.clone()));
    }

    /// A replica of the server takes over: what came since the snapshot is lost. Every connection breaks.
    pub(crate) fn fail_over(&self) {
        self.change(|state| {
            state.server = match &state.snapshot {
                Some(snapshot) => snapshot.clone(),
                None => state.server.emptied(),
            };
            state.replace_data_set();
        });
    }

    /// Evicts a key. Returns whether there was one.
    pub(crate) fn evict(&self, key: Evicted) -> bool {
        self.change(|state| state.server.evict(key))
    }

    /// Drops all entries of the current epoch's stream but the newest.
    pub(crate) fn trim_stream(&self, newest: usize) {
        self.change(|state| state.server.trim(newest));
    }

    /// The operations until now, with the numbers of their connections.
    pub(crate) fn calls(&self) -> Vec<(usize, Operation)> {
        self.shared.lock().calls.clone()
    }

    /// The entries of the current epoch's stream.
    pub(crate) fn entries(&self) -> Vec<StreamEntry> {
        self.shared.lock().server.entries()
    }

    /// How many contacts, aliases and messages are stored, of all epochs.
    pub(crate) fn counts(&self) -> [usize; 3] {
        self.shared.lock().server.counts()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.shared.lock());
        self.shared.changed();
        result
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The server's time.
    fn now(&self) -> u64 {
        let wall = self.clock.now().wall.as_millisecond();
        let now = wall + self.lock().offset;
        u64::try_from(now).expect("after 1970")
    }
}

impl State {
    fn replace_data_set(&mut self) {
        self.data_sets += 1;
        self.server.data_set = self.data_sets;
        self.server.refusal = None;
        self.breaks += 1;
    }
}
