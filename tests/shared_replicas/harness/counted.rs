//! Counts the operations that a replica tries.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::shared_tier::protocol::{
    AdvanceCommand, Backend, BeatCommand, BeatReply, BudgetName, EpochId, EpochOffer, FetchCommand,
    FetchReply, InvalidateCommand, InvalidateReply, OpenEpoch, PeekReply, Position, ReleaseCommand,
    Reply, ServerInfo, StoreCommand, StoreReply, StreamEntry, Subject, TokenCommand, TokenReply,
};

/// A backend whose operations are counted when they begin.
pub(crate) struct Counted<B> {
    backend: B,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl<B> Counted<B> {
    pub(crate) fn new(backend: B) -> Self {
        Self {
            backend,
            counts: Mutex::default(),
        }
    }

    /// How often the operation was tried.
    pub(crate) fn count(&self, operation: &str) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(operation).copied().unwrap_or_default()
    }

    /// The number of attempted operations that requests caused.
    pub(crate) fn by_requests(&self) -> u64 {
        let of_requests = ["fetch", "store", "release", "invalidate", "advance", "peek"];
        of_requests
            .map(|operation| self.count(operation))
            .iter()
            .sum()
    }

    fn note(&self, operation: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(operation).or_default() += 1;
    }
}

impl<B: Backend> Backend for Counted<B> {
    fn connect(&self) -> Reply<'_, ()> {
        self.note("connect");
        self.backend.connect()
    }

    fn open(&self, offer: EpochOffer) -> Reply<'_, OpenEpoch> {
        self.note("open");
        self.backend.open(offer)
    }

    fn rewrap(&self, epoch: EpochId, old: Bytes, new: Bytes) -> Reply<'_, bool> {
        self.note("rewrap");
        self.backend.rewrap(epoch, old, new)
    }

    fn fetch(&self, epoch: EpochId, command: FetchCommand) -> Reply<'_, FetchReply> {
        self.note("fetch");
        self.backend.fetch(epoch, command)
    }

    fn store(&self, epoch: EpochId, command: StoreCommand) -> Reply<'_, StoreReply> {
        self.note("store");
        self.backend.store(epoch, command)
    }

    fn release(&self, epoch: EpochId, command: ReleaseCommand) -> Reply<'_, ()> {
        self.note("release");
        self.backend.release(epoch, command)
    }

    fn invalidate(&self, epoch: EpochId, command: InvalidateCommand) -> Reply<'_, InvalidateReply> {
        self.note("invalidate");
        self.backend.invalidate(epoch, command)
    }

    fn advance(&self, epoch: EpochId, command: AdvanceCommand) -> Reply<'_, ()> {
        self.note("advance");
        self.backend.advance(epoch, command)
    }

    fn read_stream(
        &self,
        epoch: EpochId,
        after: Position,
        wait: Duration,
    ) -> Reply<'_, Vec<StreamEntry>> {
        self.note("read");
        self.backend.read_stream(epoch, after, wait)
    }

    fn beat(&self, epoch: EpochId, command: BeatCommand) -> Reply<'_, BeatReply> {
        self.note("beat");
        self.backend.beat(epoch, command)
    }

    fn lease_tokens(&self, command: TokenCommand) -> Reply<'_, TokenReply> {
        self.note("lease_tokens");
        self.backend.lease_tokens(command)
    }

    fn pause(&self, budget: BudgetName, pause: Duration) -> Reply<'_, ()> {
        self.note("pause");
        self.backend.pause(budget, pause)
    }

    fn peek(&self, epoch: EpochId, subject: Subject) -> Reply<'_, PeekReply> {
        self.note("peek");
        self.backend.peek(epoch, subject)
    }

    fn sweep(&self, ended: EpochId) -> Reply<'_, u64> {
        self.note("sweep");
        self.backend.sweep(ended)
    }

    fn inspect(&self) -> Reply<'_, ServerInfo> {
        self.note("inspect");
        self.backend.inspect()
    }
}
