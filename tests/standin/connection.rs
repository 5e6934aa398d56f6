//! One replica's connection to the stand-in: every operation, with the fault that was set for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::shared_tier::protocol::{
    AdvanceCommand, Backend, BackendError, BeatCommand, BeatReply, BudgetName, EpochId, EpochOffer,
    FetchCommand, FetchReply, InvalidateCommand, InvalidateReply, OpenEpoch, PeekReply, Position,
    ReleaseCommand, Reply, ServerInfo, StoreCommand, StoreReply, StreamEntry, Subject,
    TokenCommand, TokenReply,
};
use tokio::sync::oneshot;

use super::{Fault, Operation, Shared, State, server::Server};

/// One replica's connection to the server. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    number: usize,
    link: Arc<Mutex<Link>>,
}

#[derive(Default)]
struct Link {
    is_cut: bool,
    /// Whether entries of the stream do not arrive.
    is_deaf: bool,
    fault: Option<Fault>,
    /// The value of [`State::breaks`] when it connected.
    connected: Option<u64>,
}

impl State {
    /// The fault of an operation; a fault set for the next operation comes first.
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
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self {
            shared,
            number,
            link: Arc::default(),
        }
    }

    /// Cuts this replica off from the server, or lets it connect again.
    pub(crate) fn cut(&self, is_cut: bool) {
        let mut link = self.lock();
        link.is_cut = is_cut;
        link.connected = link.connected.filter(|_| !is_cut);
        drop(link);
        self.shared.changed();
    }

    /// Sets whether entries of the stream fail to arrive here from now on; other operations succeed.
    pub(crate) fn deafen(&self, is_deaf: bool) {
        self.lock().is_deaf = is_deaf;
        self.shared.changed();
    }

    /// Every operation of this connection ends like this from now on; `None` means no fault.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut link = self.lock();
        if fault == Some(Fault::Unreachable) {
            link.connected = None;
        }
        link.fault = fault;
        drop(link);
        self.shared.changed();
    }

    /// Its number in [`super::Standin::calls`].
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn break_off<T>(&self) -> Result<T, BackendError> {
        self.lock().connected = None;
        // A waiting read of the stream notices the change.
        self.shared.changed();
        Err(BackendError::Unreachable)
    }

    fn is_connected(&self) -> bool {
        let link = self.lock();
        link.connected == Some(self.shared.lock().breaks) && !link.is_cut
    }

    /// Runs an operation, with the fault that was set for it.
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
                        // The caller may have given up; the operation still takes effect.
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
            // If the connection became slow in the meantime, its reply is delayed.
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
