//! A stand-in for the shared tier's server, in memory: it implements `Backend` as documented, over a clock that a test
//! moves, with faults that a test sets.
//!
//! [`Standin`] is the server, and [`Connection`] is one replica's connection to it. Tests and the capacity example
//! include this file with `#[path]`.

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

/// The ways in which an operation fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation does not arrive, and the connection breaks.
    Unreachable,
    /// The operation takes effect, and the connection breaks before the reply.
    LostReply,
    /// The operation takes effect; the reply waits for [`Standin::release`].
    SlowReply,
    /// The operation takes effect on [`Standin::release`], whether its caller still waits or not.
    SlowRequest,
    /// The operation fails with this error and has no effect.
    Error(BackendError),
}

/// A key that a server may evict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    /// The contact with this number, modulo the number of contacts. The other kinds are numbered likewise.
    Contact(usize),
    Alias(usize),
    Message(usize),
    /// The current epoch's stream.
    Stream,
    Epoch,
    /// A key of any kind.
    Any(usize),
}

/// The server. Clones share it.
#[derive(Clone)]
pub(crate) struct Standin {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    /// Notified when the state changes.
    changes: watch::Sender<u64>,
}

/// An operation that waits for a release.
type Held = Box<dyn FnOnce(&mut Server, u64) + Send>;

#[derive(Default)]
struct State {
    server: Server,
    /// The server's time minus the clock's wall time, in milliseconds.
    offset: i64,
    snapshot: Option<Server>,
    data_sets: u64,
    /// The number of times that all connections were broken.
    breaks: u64,
    /// The fault of all operations, and of the next operation of a kind on any connection.
    fault: Option<Fault>,
    next: VecDeque<(Operation, Fault)>,
    /// The operations that wait for a release, and the number of releases.
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

    /// Drops keys whose TTL has passed only at this interval, because doing it at every operation takes long with many
    /// keys.
    pub(crate) fn drop_every(&self, interval: Duration) {
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        self.change(|state| state.server.drops_every = millis);
    }

    /// A new connection. Not connected yet.
    pub(crate) fn connection(&self) -> Connection {
        let number = self.change(|state| {
            state.connections += 1;
            state.connections - 1
        });
        Connection::new(Arc::clone(&self.shared), number)
    }

    /// Every operation of every connection ends like this from now on; `None` means no fault.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.change(|state| {
            if fault == Some(Fault::Unreachable) {
                state.breaks += 1;
            }
            state.fault = fault;
        });
    }

    /// The next operation of that kind ends like this, on any connection.
    pub(crate) fn fault_next(&self, operation: Operation, fault: Fault) {
        self.change(|state| state.next.push_back((operation, fault)));
    }

    /// Every write fails with this error, [`BackendError::Full`] or [`BackendError::ReadOnly`]; `None` means that
    /// writes succeed.
    pub(crate) fn refuse_writes(&self, error: Option<BackendError>) {
        self.change(|state| state.server.refusal = error);
    }

    /// Ends all faults, and lets slow operations continue.
    pub(crate) fn clear_faults(&self) {
        self.set_fault(None);
        self.refuse_writes(None);
        self.change(|state| state.next.clear());
        self.release();
    }

    /// Whether a fault of a next operation has not happened yet, or a slow request waits for its release.
    pub(crate) fn is_disturbed(&self) -> bool {
        let state = self.shared.lock();
        !state.next.is_empty() || !state.held.is_empty()
    }

    /// Lets the operations continue that are slow at this moment.
    pub(crate) fn release(&self) {
        let now = self.shared.now();
        self.change(|state| {
            state.releases += 1;
            for operation in std::mem::take(&mut state.held) {
                operation(&mut state.server, now);
            }
        });
    }

    /// Sets the server's clock to the wall time plus this many milliseconds.
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

    /// Saves the state that a replica of the server would have.
    pub(crate) fn take_snapshot(&self) {
        self.change(|state| state.snapshot = Some(state.server.clone()));
    }

    /// Makes a replica of the server take over: everything since the snapshot is lost. Every connection breaks.
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

    /// Drops all entries of the current epoch's stream except this many of the newest.
    pub(crate) fn trim_stream(&self, newest: usize) {
        self.change(|state| state.server.trim(newest));
    }

    /// The operations so far, with the numbers of their connections.
    pub(crate) fn calls(&self) -> Vec<(usize, Operation)> {
        self.shared.lock().calls.clone()
    }

    /// The entries of the current epoch's stream.
    pub(crate) fn entries(&self) -> Vec<StreamEntry> {
        self.shared.lock().server.entries()
    }

    /// The numbers of stored contacts, aliases and messages, of all epochs.
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
