//! A stand-in of the shared tier's server, in memory: [`Backend`] as its documentation describes it, over a clock that a
//! test moves, with faults that a test orders.
//!
//! [`Standin`] is the server, [`Connection`] what one replica reaches it by. Tests include this file with `#[path]`, and so
//! does the capacity example.

#[path = "standin/budget.rs"]
mod budget;
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

use bytes::Bytes;
use engage_bff::{
    clock::Clock,
    shared_tier::protocol::{
        AdvanceCommand, Backend, BackendError, BeatCommand, BeatReply, BudgetName, EpochId,
        EpochOffer, FetchCommand, FetchReply, InvalidateCommand, InvalidateReply, OpenEpoch,
        PeekReply, Position, ReleaseCommand, Reply, ServerInfo, StoreCommand, StoreReply,
        StreamEntry, Subject, TokenCommand, TokenReply,
    },
};
use tokio::sync::{oneshot, watch};

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

/// What one replica reaches the server by. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    number: usize,
    link: Arc<Mutex<Link>>,
}

#[derive(Default)]
struct Link {
    is_cut: bool,
    /// Whether what the stream says does not arrive.
    is_deaf: bool,
    fault: Option<Fault>,
    /// The number of [`State::breaks`] when it connected.
    connected: Option<u64>,
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
        Connection {
            shared: Arc::clone(&self.shared),
            number,
            link: Arc::default(),
        }
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

    /// The fault of an operation; one that was ordered for the next comes first.
    fn fault_of(&mut self, operation: Operation, link: &Link) -> Option<Fault> {
        let ordered = self.next.iter().position(|(kind, _)| *kind == operation);
        let ordered = ordered.and_then(|number| self.next.remove(number));
        ordered
            .map(|(_, fault)| fault)
            .or_else(|| link.fault.clone())
            .or_else(|| self.fault.clone())
    }
}

impl Connection {
    /// Cuts this replica off from the server, or connects the wire again.
    pub(crate) fn cut(&self, is_cut: bool) {
        let mut link = self.lock();
        link.is_cut = is_cut;
        link.connected = link.connected.filter(|_| !is_cut);
        drop(link);
        self.shared.changed();
    }

    /// From now on what the stream says does not arrive here, or does again; other operations succeed.
    pub(crate) fn deafen(&self, is_deaf: bool) {
        self.lock().is_deaf = is_deaf;
        self.shared.changed();
    }

    /// From now on every operation of this connection ends like this; `None`: none.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut link = self.lock();
        if fault == Some(Fault::Unreachable) {
            link.connected = None;
        }
        link.fault = fault;
        drop(link);
        self.shared.changed();
    }

    /// Its number in [`Standin::calls`].
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn break_off<T>(&self) -> Result<T, BackendError> {
        self.lock().connected = None;
        // A read of the stream that waits notices it.
        self.shared.changed();
        Err(BackendError::Unreachable)
    }

    fn is_connected(&self) -> bool {
        let link = self.lock();
        link.connected == Some(self.shared.lock().breaks) && !link.is_cut
    }

    /// Runs an operation, with the fault that was ordered for it.
    async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        command: impl FnOnce(&mut Server, u64) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let now = self.shared.now();
        if operation != Operation::Connect && !self.is_connected() {
            return Err(BackendError::Unreachable);
        }
        let fault = self.note(operation);
        match fault {
            None => {
                let result = command(&mut self.shared.lock().server, now);
                self.shared.changed();
                result
            }
            Some(Fault::Unreachable) => self.break_off(),
            Some(Fault::Error(error)) => Err(error),
            Some(Fault::LostReply) => {
                // The caller does not see whether it succeeded.
                let _ = command(&mut self.shared.lock().server, now);
                self.shared.changed();
                self.break_off()
            }
            Some(Fault::SlowReply) => {
                let releases = self.shared.lock().releases;
                let result = command(&mut self.shared.lock().server, now);
                self.shared.changed();
                self.released(releases).await?;
                result
            }
            Some(Fault::SlowRequest) => {
                let (reply, replied) = oneshot::channel();
                self.shared
                    .lock()
                    .held
                    .push(Box::new(move |server: &mut Server, now| {
                        // The caller may have given up; it takes effect all the same.
                        let _ = reply.send(command(server, now));
                    }));
                replied.await.unwrap_or(Err(BackendError::Unreachable))
            }
        }
    }

    /// Counts an operation and returns its fault.
    fn note(&self, operation: Operation) -> Option<Fault> {
        let link = self.lock();
        let mut state = self.shared.lock();
        state.calls.push((self.number, operation));
        if link.is_cut {
            return Some(Fault::Unreachable);
        }
        state.fault_of(operation, &link)
    }

    /// Waits for a release, or until the connection breaks.
    async fn released(&self, releases: u64) -> Result<(), BackendError> {
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if self.shared.lock().releases > releases {
                return Ok(());
            }
            if !self.is_connected() {
                return Err(BackendError::Unreachable);
            }
            let _ = changes.changed().await;
        }
    }

    async fn next_entries(
        &self,
        epoch: EpochId,
        after: Position,
        wait: Duration,
    ) -> Result<Vec<StreamEntry>, BackendError> {
        let mut changes = self.shared.changes.subscribe();
        let deadline = self.shared.clock.tick() + wait;
        let fault = if self.is_connected() {
            self.note(Operation::ReadStream)
        } else {
            Some(Fault::Unreachable)
        };
        match fault {
            None => {}
            Some(Fault::Error(error)) => return Err(error),
            Some(Fault::Unreachable | Fault::LostReply) => return self.break_off(),
            Some(Fault::SlowReply | Fault::SlowRequest) => {
                let releases = self.shared.lock().releases;
                self.released(releases).await?;
            }
        }
        loop {
            changes.borrow_and_update();
            if !self.is_connected() {
                return Err(BackendError::Unreachable);
            }
            let now = self.shared.now();
            let (entries, is_slow, releases) = {
                let link = self.lock();
                let mut state = self.shared.lock();
                let fault = link.fault.as_ref().or(state.fault.as_ref());
                let is_slow = matches!(fault, Some(Fault::SlowReply | Fault::SlowRequest));
                let releases = state.releases;
                let entries = state.server.entries_after(epoch, after, now);
                (entries, is_slow, releases)
            };
            let entries = if self.lock().is_deaf {
                Vec::new()
            } else {
                entries
            };
            // A wire that became slow meanwhile delays what it says.
            if is_slow && !entries.is_empty() {
                self.released(releases).await?;
            }
            let is_over = self.shared.clock.tick() >= deadline;
            if !entries.is_empty() || is_over {
                return Ok(entries);
            }
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = self.shared.clock.sleep_until(deadline) => {}
            }
        }
    }
}

impl Backend for Connection {
    fn connect(&self) -> Reply<'_, ()> {
        Box::pin(async move {
            self.lock().connected = None;
            self.run(Operation::Connect, |server, _| server.may_accept())
                .await?;
            let breaks = self.shared.lock().breaks;
            self.lock().connected = Some(breaks);
            Ok(())
        })
    }

    fn open(&self, offer: EpochOffer) -> Reply<'_, OpenEpoch> {
        Box::pin(self.run(Operation::Open, |server, now| server.open(offer, now)))
    }

    fn rewrap(&self, epoch: EpochId, old: Bytes, new: Bytes) -> Reply<'_, bool> {
        Box::pin(self.run(Operation::Rewrap, move |server, _| {
            server.rewrap(epoch, &old, new)
        }))
    }

    fn fetch(&self, epoch: EpochId, command: FetchCommand) -> Reply<'_, FetchReply> {
        Box::pin(self.run(Operation::Fetch, move |server, now| {
            server.fetch(epoch, &command, now)
        }))
    }

    fn store(&self, epoch: EpochId, command: StoreCommand) -> Reply<'_, StoreReply> {
        Box::pin(self.run(Operation::Store, move |server, now| {
            server.store(epoch, command, now)
        }))
    }

    fn release(&self, epoch: EpochId, command: ReleaseCommand) -> Reply<'_, ()> {
        Box::pin(self.run(Operation::Release, move |server, _| {
            server.release(epoch, command)
        }))
    }

    fn invalidate(&self, epoch: EpochId, command: InvalidateCommand) -> Reply<'_, InvalidateReply> {
        Box::pin(self.run(Operation::Invalidate, move |server, now| {
            server.invalidate(epoch, command, now)
        }))
    }

    fn advance(&self, epoch: EpochId, command: AdvanceCommand) -> Reply<'_, ()> {
        Box::pin(self.run(Operation::Advance, move |server, now| {
            server.advance(epoch, command, now)
        }))
    }

    fn read_stream(
        &self,
        epoch: EpochId,
        after: Position,
        wait: Duration,
    ) -> Reply<'_, Vec<StreamEntry>> {
        Box::pin(self.next_entries(epoch, after, wait))
    }

    fn beat(&self, epoch: EpochId, command: BeatCommand) -> Reply<'_, BeatReply> {
        Box::pin(self.run(Operation::Beat, move |server, now| {
            server.beat(epoch, command, now)
        }))
    }

    fn lease_tokens(&self, command: TokenCommand) -> Reply<'_, TokenReply> {
        Box::pin(self.run(Operation::LeaseTokens, move |server, now| {
            server.may_write()?;
            let data_set = server.data_set;
            Ok(server.budget(command.budget).lease(command, data_set, now))
        }))
    }

    fn pause(&self, budget: BudgetName, pause: Duration) -> Reply<'_, ()> {
        Box::pin(self.run(Operation::Pause, move |server, now| {
            server.may_write()?;
            server.budget(budget).pause(pause, now);
            Ok(())
        }))
    }

    fn peek(&self, epoch: EpochId, subject: Subject) -> Reply<'_, PeekReply> {
        Box::pin(self.run(Operation::Peek, move |server, now| {
            server.peek(epoch, subject, now)
        }))
    }

    fn sweep(&self, ended: EpochId) -> Reply<'_, u64> {
        Box::pin(self.run(Operation::Sweep, move |server, _| server.sweep(ended)))
    }

    fn inspect(&self) -> Reply<'_, ServerInfo> {
        Box::pin(self.run(Operation::Inspect, |server, _| Ok(server.inspect())))
    }
}
