//! The operations of the shared tier and what each guarantees, whatever runs them: `redis` runs each as one Lua script,
//! the tests' stand-in in memory. Everything here is names and bytes: contacts and identifiers are keyed digests, values
//! are sealed.
//!
//! # State
//!
//! - **One epoch** is current. It has an id, a wrapped secret from which names and seals are derived, and the identity
//!   of the server's data set (Redis: `master_replid`). Every operation but [`Backend::open`] names the epoch that its
//!   caller is in, and fails with [`BackendError::Epoch`] if that is not the current one or the data set is another: after
//!   a flush, a restart, a failover, or [`Backend::advance`]. Keys of an ended epoch are never read again; they lapse by
//!   their TTL, or [`Backend::sweep`] removes them.
//! - **A number of negative invalidations** per epoch, from 0.
//! - **A contact** has a generation (a random token, set by the first store), at most one value per part, entity-only
//!   ends per part, and leases per part. One TTL for all of it.
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

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

use crate::domain::{PartMap, PartSet};

/// A store whose lease is followed by more entries of the stream than this is refused.
pub const MAX_ENTRIES_SINCE: usize = 1000;

/// The id of an epoch: 64 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochId(pub u64);

/// The name of a contact: a keyed digest of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContactName(pub [u8; 16]);

/// The name of an alias: a keyed digest of kind, contact type and canonical value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AliasName(pub [u8; 16]);

/// The name of a webhook message: a keyed digest of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageName(pub [u8; 16]);

/// Identifies one flight's lease: the upper half is the same in all tokens of a replica, the lower one is random. As a
/// contact's generation, a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

impl Token {
    /// A new token of a replica.
    pub fn of(replica: ReplicaId) -> Self {
        let upper = replica.0 & 0xffff_ffff_0000_0000;
        Self(upper | u64::from(fastrand::u32(..)))
    }

    /// Whether both are of one replica.
    pub const fn is_of_same_replica(self, other: Token) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}

/// A random number that identifies a replica: one per process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaId(pub u64);

/// A moment of the server's clock: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerTime(pub u64);

/// The position of an entry in the stream; [`Position::START`] is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Milliseconds of the server's clock.
    pub millis: u64,
    /// Distinguishes entries of the same millisecond.
    pub number: u64,
}

impl Position {
    /// Before the first entry.
    pub const START: Position = Position {
        millis: 0,
        number: 0,
    };
}

/// Why an operation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No connection, or it broke; the operation may have taken effect.
    #[error("not connected")]
    Unreachable,
    /// The caller's epoch is not the current one: it must open the current one. Nothing was changed.
    #[error("another epoch")]
    Epoch,
    /// The server is a replica, and refuses writes: connect anew. Nothing was changed.
    #[error("read-only server")]
    ReadOnly,
    /// The server has no memory left for writes. Nothing was changed.
    #[error("server out of memory")]
    Full,
    /// The server forbids a command, or the password is wrong.
    #[error("server forbids the operation")]
    Forbidden,
    /// The server gave a reply that can't be read, or lacks a command.
    #[error("unexpected reply of the server")]
    Unexpected,
}

/// The result of an operation, later.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, BackendError>> + Send + 'a>>;

/// What keeps the shared tier's state. Every method is atomic. None limits its own time: the caller does, and drops the
/// future.
pub trait Backend: Send + Sync + 'static {
    /// Connects, or connects anew: a primary that accepts writes. Until it succeeds, and after the connection broke,
    /// every other operation fails with [`BackendError::Unreachable`] at once.
    fn connect(&self) -> Reply<'_, ()>;

    /// Returns the current epoch. Where there is none, or its data set is another, it makes `offer` the current one, with
    /// an empty stream but for a heartbeat.
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

    /// The entries after `after`, at least one; waits `wait` for one at most, then returns none. Not checked against the
    /// current epoch: [`Backend::beat`] is. Uses a connection of its own.
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

/// An epoch to begin where there is none.
#[derive(Clone, Debug)]
pub struct EpochOffer {
    /// A new random id.
    pub id: EpochId,
    /// A new random secret, wrapped.
    pub wrapped_secret: Bytes,
    /// How long its stream is kept.
    pub stream: StreamLimits,
}

/// The current epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEpoch {
    /// Its id.
    pub id: EpochId,
    /// Its wrapped secret.
    pub wrapped_secret: Bytes,
    /// The last entry of its stream.
    pub last: Position,
    /// The server's time.
    pub now: ServerTime,
}

/// How long entries of the stream are kept. The key itself lives twice as long after its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// `engage.overview_lag` and the longest flight.
    pub keep: Duration,
}

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A contact.
    Contact(ContactName),
    /// An identifier.
    Alias(AliasName),
}

/// See [`Backend::fetch`].
#[derive(Clone, Debug)]
pub struct FetchCommand {
    /// By what the flight looks up. An alias leads to a contact if it has a positive value that is fresh, and the
    /// contact still has the generation in it.
    pub subject: Subject,
    /// The parts without which the reply does not serve the flight: the outcome is [`FetchOutcome::Served`] if each of
    /// them is returned, and for an alias its value. With no parts, an alias alone serves it. A negative value that is
    /// fresh serves an alias flight by itself. For an alias, a part does not count while its entity endpoint alone may
    /// fill it: the call that resolves the alias could not.
    pub needed: PartSet,
    /// The parts that the call fetches: leased for a contact, and checked for the leases of other replicas. An alias
    /// has one lease.
    pub fetched: PartSet,
    /// Data of this age or older is not returned, whatever its lifetime; zero: none. Never `Duration::MAX`: use a day.
    pub max_age: PartMap<Duration>,
    /// The same for the alias.
    pub max_alias_age: Duration,
    /// Whether it waits for another replica's call. Where not, the lease is granted in any case.
    pub waits: bool,
    /// The lease to take where the reply does not serve the flight.
    pub lease: LeaseOffer,
}

/// A lease to take.
///
/// It keeps other replicas waiting, never its own: flights of one replica for the same thing share a call already, and a
/// lease whose grant did not arrive in time belongs to no flight. So two calls of one replica that have parts in common,
/// such as an overview and a part's entity endpoint, are made at the same time, as without the tier.
#[derive(Clone, Copy, Debug)]
pub struct LeaseOffer {
    /// Identifies it, and its replica.
    pub token: Token,
    /// For how long other replicas wait for it.
    pub busy: Duration,
}

/// See [`Backend::fetch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReply {
    /// The server's time.
    pub now: ServerTime,
    /// The alias's value, if it is fresh and stands.
    pub alias: Option<StoredAlias>,
    /// The parts that are fresh and younger than the command's ages: of the contact, or of the one that the alias leads
    /// to. All of them, not only the needed ones.
    pub parts: PartMap<Option<StoredValue>>,
    /// For how long the entity endpoint alone may fill each part of that contact; zero: not at all.
    pub entity_only: PartMap<Duration>,
    /// How it ended.
    pub outcome: FetchOutcome,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// Everything needed was returned; nothing was leased.
    Served,
    /// The caller has the lease, and makes the call.
    Leased(Grant),
    /// Another replica has the lease for so long. Only where the command waits.
    Busy(Duration),
}

/// What a lease remembers of the moment when it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The last entry of the stream.
    pub position: Position,
    /// The number of negative invalidations.
    pub negatives: u64,
}

/// A stored value: fresh for `lifetime` from when it was requested.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredValue {
    /// The time since its request began.
    pub age: Duration,
    /// When its request began. Part of what is sealed with it.
    pub requested_at: ServerTime,
    /// How long it is fresh, of the age. Part of what is sealed with it.
    pub lifetime: Duration,
    /// The value.
    pub sealed: Bytes,
}

/// A stored alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAlias {
    /// The contact that it leads to; `None`: none, or several.
    pub contact: Option<ContactName>,
    /// The value.
    pub value: StoredValue,
}

/// A value to store.
#[derive(Clone)]
pub struct NewValue {
    /// How long it is fresh, from when it was requested. Whole milliseconds.
    pub lifetime: Duration,
    /// The value.
    pub sealed: Bytes,
}

/// See [`Backend::store`].
#[derive(Clone, Debug)]
pub struct StoreCommand {
    /// What the flight looked up.
    pub subject: Subject,
    /// Its lease, given up whatever is stored.
    pub token: Token,
    /// The parts that were leased.
    pub leased: PartSet,
    /// What the lease remembers.
    pub grant: Grant,
    /// When the call began, by the server's clock.
    pub requested_at: ServerTime,
    /// The contact that the values are about. `None` for a negative value.
    pub contact: Option<ContactName>,
    /// A new random number: the generation of a contact that has none yet.
    pub generation: Token,
    /// The value of the alias, where the subject is one and the call resolved it.
    pub alias: Option<NewValue>,
    /// The values of parts.
    pub parts: PartMap<Option<NewValue>>,
    /// The parts that came from the overview: not stored while their entity endpoint alone may fill them.
    pub from_overview: PartSet,
    /// For each part whose entity endpoint returned something new: for how long that endpoint alone may fill it now;
    /// zero: no change.
    pub entity_only: PartMap<Duration>,
}

/// See [`Backend::store`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreReply {
    /// The parts that an invalidation overtook, all of them where the chain is broken: no replica may keep them.
    pub overtaken: PartSet,
    /// Whether the alias was overtaken by a purge of its contact or an invalidation of itself, or the chain is broken.
    pub alias_overtaken: bool,
    /// The parts that were stored. Neither stored nor overtaken: newer data is stored, or the entity endpoint alone may
    /// fill it.
    pub stored: PartSet,
    /// Whether the alias was stored.
    pub alias_stored: bool,
}

/// See [`Backend::release`].
#[derive(Clone, Copy, Debug)]
pub struct ReleaseCommand {
    /// What the flight looked up.
    pub subject: Subject,
    /// Its lease.
    pub token: Token,
}

/// What an invalidation covers of one contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The contact.
    pub contact: ContactName,
    /// The parts whose values and leases are dropped, and which only their entity endpoints may fill for a while (the
    /// audiences, which have none, are only dropped).
    pub parts: PartSet,
    /// Whether the contact is gone: everything about it is dropped, its generation too, so that no alias leads to it.
    pub is_purge: bool,
}

/// See [`Backend::invalidate`].
#[derive(Clone, Debug)]
pub struct InvalidateCommand {
    /// What is dropped.
    pub contacts: Vec<Covered>,
    /// Whether every negative value ends.
    pub negatives: bool,
    /// The aliases that are dropped by themselves, with their leases.
    pub aliases: Vec<AliasName>,
    /// For how long the entity endpoints alone may fill the parts: the overview's lag.
    pub entity_only: Duration,
    /// The webhook message that it came with, and for how long that is remembered. If it is remembered already, nothing
    /// is done.
    pub message: Option<(MessageName, Duration)>,
    /// The replica that appends it.
    pub replica: ReplicaId,
    /// What other replicas apply, sealed.
    pub payload: Bytes,
    /// How long the stream is kept.
    pub stream: StreamLimits,
}

/// See [`Backend::invalidate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidateReply {
    /// It was written, at this position.
    Written(Position),
    /// The message was applied before.
    Repeated,
}

/// See [`Backend::advance`].
#[derive(Clone, Debug)]
pub struct AdvanceCommand {
    /// The next epoch.
    pub next: EpochOffer,
    /// The webhook message or replica as in [`InvalidateCommand`].
    pub replica: ReplicaId,
    /// What other replicas apply, sealed by the ending epoch's secret.
    pub payload: Bytes,
}

/// An entry of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its position.
    pub position: Position,
    /// The position of the entry before it; [`Position::START`] if it is the first.
    pub previous: Position,
    /// What it says.
    pub content: EntryContent,
}

/// What an entry says. One of an unknown kind is read as [`EntryContent::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryContent {
    /// Nothing, but the stream is alive.
    Heartbeat,
    /// An invalidation.
    Invalidation {
        /// The replica that appended it, which has applied it already.
        replica: ReplicaId,
        /// What to apply, sealed.
        payload: Bytes,
    },
    /// The last entry of an epoch.
    Advance {
        /// The replica that appended it.
        replica: ReplicaId,
        /// What to apply, sealed by this epoch's secret.
        payload: Bytes,
        /// The next epoch.
        next: EpochId,
        /// Its wrapped secret.
        wrapped_secret: Bytes,
    },
    /// Written by a version that this one does not understand.
    Unknown,
}

/// See [`Backend::beat`].
#[derive(Clone, Copy, Debug)]
pub struct BeatCommand {
    /// The replica.
    pub replica: ReplicaId,
    /// Whether it is about to end: it is not counted any more.
    pub leaves: bool,
    /// The least time between two entries of the stream by heartbeats; a replica that sent none for four times as long
    /// is not alive.
    pub interval: Duration,
    /// How long the stream is kept.
    pub stream: StreamLimits,
}

/// See [`Backend::beat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatReply {
    /// The server's time.
    pub now: ServerTime,
    /// Replicas alive, this one included.
    pub alive: u32,
    /// The last entry of the stream.
    pub last: Position,
}

/// The name of a call budget: a digest of the API key. It needs no key of its own, since the API key is random and can't
/// be guessed, and it must be the same in every epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BudgetName(pub [u8; 16]);

/// See [`Backend::lease_tokens`].
///
/// Each replica has a share of the budget, and either lends it or calls within it. Tokens are leased out of what is lent:
/// the bucket fills at the rate times the shares that are lent, and holds at most the burst times those shares, **less the
/// tokens that are leased and may still be used**. A replica that is cut off calls within its own share no sooner than
/// [`TOKEN_LEASE`] after its last `lent_until`, whatever became of the command.
#[derive(Clone, Copy, Debug)]
pub struct TokenCommand {
    /// Which budget.
    pub budget: BudgetName,
    /// The replica.
    pub replica: ReplicaId,
    /// Greater than that of any earlier command of this replica. A command that is older than one that was run, since it
    /// was delayed, changes nothing and is granted nothing.
    pub number: u64,
    /// Calls a second, of all replicas.
    pub rate: f64,
    /// Calls at once, of all replicas.
    pub burst: u32,
    /// How many more tokens are wanted, at most.
    pub wanted: u32,
    /// How many tokens of earlier leases the replica still holds. Those that are neither held nor returned were used.
    pub held: u32,
    /// How many tokens of earlier leases it gives back, and does not use any more.
    pub returned: u32,
    /// How many replicas this one last knew to share the budget, itself included: its own share is the rate and the burst
    /// divided by them.
    pub known_replicas: u32,
    /// Until when it lends its share. A time that has passed lends nothing, and is granted nothing; so does one that is more
    /// than [`LONGEST_LOAN`] ahead. `ServerTime(u64::MAX)`: it ends, and is forgotten. The caller reckons it from a time of
    /// the server that it knows to have passed, not from when the command arrives.
    pub lent_until: ServerTime,
}

/// See [`Backend::lease_tokens`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenReply {
    /// How many tokens are leased. The caller uses them within [`TOKEN_LEASE`] of *sending* the command, or not at all.
    pub granted: u32,
    /// When fewer than wanted: the time until the next.
    pub wait: Duration,
    /// The rest of a pause.
    pub pause: Option<Duration>,
    /// How many replicas share the budget: those that lend their share, and those that did within [`SHARE_MEMORY`].
    pub replicas: u32,
}

/// How long leased tokens are valid.
pub const TOKEN_LEASE: Duration = Duration::from_millis(100);

/// No share is lent for longer at a time: such a time was reckoned before the server's clock was set back.
pub const LONGEST_LOAN: Duration = Duration::from_secs(10);

/// For how long the share of a replica that neither lends it nor left is left unused, since that replica may be cut off.
pub const SHARE_MEMORY: Duration = Duration::from_mins(10);

/// See [`Backend::peek`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeekReply {
    /// The alias's value, valid or not.
    pub alias: Option<StoredAlias>,
    /// The values of the contact, or of the one that the alias leads to.
    pub parts: PartMap<Option<StoredValue>>,
    /// For how long the entity endpoint alone may fill each part.
    pub entity_only: PartMap<Duration>,
    /// For how long the longest lease of another flight lasts.
    pub busy: Duration,
}

/// See [`Backend::inspect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// `redis` or `valkey`.
    pub server: String,
    /// Its version.
    pub version: String,
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: String,
    /// `maxmemory-policy`; empty where the server does not say.
    pub eviction_policy: String,
    /// `maxmemory` in bytes; `None` where the server does not say; 0: no limit.
    pub max_memory: Option<u64>,
    /// Bytes in use.
    pub used_memory: u64,
    /// Whether it writes an append-only file.
    pub appends: bool,
    /// Whether it writes snapshots; `None` where the server does not say.
    pub snapshots: Option<bool>,
    /// Connected replicas of the server.
    pub replicas: u32,
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

impl fmt::Debug for StoredValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredValue")
            .field("age", &self.age)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
