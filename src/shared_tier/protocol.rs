//! The operations of the shared tier and what each guarantees, whatever runs them: `redis` runs each as one Lua script,
//! except connecting, reading the stream, sweeping and inspecting the server; the tests' stand-in runs them in memory.
//! Everything here is names and bytes: contacts and identifiers are keyed digests, values are sealed.
//!
//! # State
//!
//! - **One epoch** is current. It has an id, a wrapped secret from which names and seals are derived, and the identity
//!   of the server's data set (Redis: `master_replid`). Every operation that takes an `epoch`, except
//!   [`Backend::read_stream`], fails with [`BackendError::Epoch`] if that is not the current one or the data set is
//!   another: after a flush, a restart, a failover, or [`Backend::advance`]. Keys of an ended epoch, except its stream,
//!   are never read again; they expire by their TTL, or [`Backend::sweep`] removes them.
//! - **A number of negative invalidations** per epoch, from 0.
//! - **A contact** has a generation (a random token, set by the first store), at most one value per part, entity-only
//!   ends per part, and leases per part. One TTL for all of it except the entity-only ends, which stay if the contact
//!   expires or is evicted.
//! - **An alias** has one value, positive (a contact and that contact's generation) or negative (the number of negative
//!   invalidations when it was leased), and leases.
//! - **The stream** is the log of invalidations. Its entries are chained: each has the position of the one before, so a
//!   reader notices entries that it can't see any more. Opening an epoch appends the first entry, a heartbeat. Entries
//!   are kept for [`StreamLimits::keep`].
//!
//! # The fence
//!
//! A lease has the position of the last entry when it was granted. A store is refused, part by part, for what an entry
//! since that position names, and as a whole where the chain from that position is broken (the stream was trimmed,
//! evicted or has more than [`MAX_ENTRIES_SINCE`] newer entries). So what is lost is never taken for "no invalidation".
//! The lease itself only keeps other replicas from making the same call.
//!
//! # Time
//!
//! Ages are measured on the server's clock. A caller converts: `requested_at` of a store is the server's time of the
//! lease plus the time that passed on the caller's clock from *receiving* the lease to the start of its call, and data
//! that it receives was requested `age` before it *sent* the fetch. Both make data look older, never younger.

mod budget;
mod epoch;
mod flight;
mod operators;
mod stream;
mod terms;

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

pub use self::{
    budget::{BudgetName, LONGEST_LOAN, SHARE_MEMORY, TOKEN_LEASE, TokenCommand, TokenReply},
    epoch::{EpochOffer, OpenEpoch},
    flight::{
        FetchCommand, FetchOutcome, FetchReply, Grant, LeaseOffer, MAX_ENTRIES_SINCE, NewValue,
        ReleaseCommand, StoreCommand, StoreReply, StoredAlias, StoredValue,
    },
    operators::{PeekReply, ServerInfo},
    stream::{
        AdvanceCommand, BeatCommand, BeatReply, Covered, EntryContent, InvalidateCommand,
        InvalidateReply, StreamEntry,
    },
    terms::{
        AliasName, ContactName, EpochId, MessageName, Position, ReplicaId, ServerTime,
        StreamLimits, Subject, Token,
    },
};

/// Why an operation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// There is no connection, or it broke, or the server is loading or busy; the operation may have taken effect.
    #[error("not connected")]
    Unreachable,
    /// The caller's epoch is not the current one: it must open the current one. Nothing was changed.
    #[error("epoch no longer current")]
    Epoch,
    /// The server refuses writes, because it is a replica, has lost its replicas or can't save: connect again. Nothing
    /// was changed.
    #[error("read-only server")]
    ReadOnly,
    /// The server has no memory left for writes. Nothing was changed.
    #[error("server out of memory")]
    Full,
    /// The server forbids a command, or the password is wrong.
    #[error("server forbids the operation")]
    Forbidden,
    /// The server gave a reply that can't be read, or lacks a command.
    #[error("unexpected reply from the server")]
    Unexpected,
}

/// The pending result of an operation.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// What keeps the shared tier's state. Every method that reads or changes state is atomic, except [`Backend::sweep`].
/// No method limits its own time: the caller does, by dropping the future.
pub trait Backend: Send + Sync + 'static {
    /// Connects, or connects again, to a primary; whether it accepts writes is found out later. Until it succeeds, and
    /// after the connection broke, every other operation fails with [`BackendError::Unreachable`] at once.
    fn connect(&self) -> Reply<'_, ()>;

    /// Returns the current epoch. Where there is none, or its data set is another, it makes `offer` the current one,
    /// with a stream that has only a heartbeat.
    fn open(&self, offer: EpochOffer) -> Reply<'_, OpenEpoch>;

    /// Replaces the current epoch's wrapped secret, if it still is `old`. Returns whether it was.
    fn rewrap(&self, epoch: EpochId, old: Bytes, new: Bytes) -> Reply<'_, bool>;

    /// Reads what a flight needs; where that is not there, leases the right to fetch it, or returns for how long another
    /// replica has that lease.
    fn fetch(&self, epoch: EpochId, command: FetchCommand) -> Reply<'_, FetchReply>;

    /// Stores what a flight fetched, except what was overtaken, and gives up its lease.
    fn store(&self, epoch: EpochId, command: StoreCommand) -> Reply<'_, StoreReply>;

    /// Gives up a lease without storing anything.
    fn release(&self, epoch: EpochId, command: ReleaseCommand) -> Reply<'_, ()>;

    /// Drops what an invalidation covers and appends it to the stream.
    fn invalidate(&self, epoch: EpochId, command: InvalidateCommand) -> Reply<'_, InvalidateReply>;

    /// Ends the epoch: an invalidation that names no contacts. Appends an entry with the next epoch to the stream, which
    /// stays readable, and makes that one current, with a stream of its own.
    fn advance(&self, epoch: EpochId, command: AdvanceCommand) -> Reply<'_, ()>;

    /// The entries after `after`. If there is none yet, waits at most `wait` for one, then returns an empty list. Not
    /// checked against the current epoch: [`Backend::beat`] is. Uses a connection of its own.
    fn read_stream(
        &self,
        epoch: EpochId,
        after: Position,
        wait: Duration,
    ) -> Reply<'_, Vec<StreamEntry>>;

    /// Notes that a replica is alive, counts replicas, and appends a heartbeat if the last entry is older than
    /// [`BeatCommand::interval`].
    fn beat(&self, epoch: EpochId, command: BeatCommand) -> Reply<'_, BeatReply>;

    /// Leases tokens of the call budget of one API key, and takes back what is not used. The budget belongs to no epoch,
    /// but to the data set: in a new one it has no tokens, and lends as if [`TokenCommand::known_replicas`] shared it.
    fn lease_tokens(&self, command: TokenCommand) -> Reply<'_, TokenReply>;

    /// Pauses the budget: no tokens are leased before `pause` has passed.
    fn pause(&self, budget: BudgetName, pause: Duration) -> Reply<'_, ()>;

    /// What is stored, without leasing anything or touching any TTL: for operators.
    fn peek(&self, epoch: EpochId, subject: Subject) -> Reply<'_, PeekReply>;

    /// Removes the keys of an ended epoch, except its stream. Returns how many.
    fn sweep(&self, ended: EpochId) -> Reply<'_, u64>;

    /// What the server says about itself, for `check-config --online`.
    fn inspect(&self) -> Reply<'_, ServerInfo>;
}

macro_rules! redacted {
    ($($name:ident)+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}

redacted!(ContactName AliasName MessageName BudgetName NewValue);
