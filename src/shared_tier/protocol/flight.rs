//! What a flight needs, the lease to fetch it, and what it stores.

use std::{fmt, time::Duration};

use bytes::Bytes;

use super::terms::{ContactName, Position, ServerTime, Subject, Token};
use crate::domain::{PartMap, PartSet};

/// A store whose lease is followed by more entries of the stream than this is refused.
pub const MAX_ENTRIES_SINCE: usize = 1000;

/// See [`Backend::fetch`](super::Backend::fetch).
#[derive(Clone, Debug)]
pub struct FetchCommand {
    /// What the flight looks up. An alias leads to a contact if it has a positive value that is fresh, and the contact
    /// still has the generation in it.
    pub subject: Subject,
    /// The parts without which the reply does not serve the flight: the outcome is [`FetchOutcome::Served`] if each of
    /// them is returned, and for an alias its value. With no parts, an alias alone serves it. A negative value that is
    /// fresh and was not invalidated serves an alias flight by itself. For an alias, a part does not count while its
    /// entity endpoint alone may fill it: the call that resolves the alias could not.
    pub needed: PartSet,
    /// The parts that the call fetches: leased for a contact, and checked for the leases of other replicas. For an
    /// alias every lease of another replica counts, whatever its parts.
    pub fetched: PartSet,
    /// Data of this age or older is not returned, whatever its lifetime; zero: none. Never `Duration::MAX`: use a day.
    pub max_age: PartMap<Duration>,
    /// The same for the alias.
    pub max_alias_age: Duration,
    /// Whether the flight waits for another replica's call. If not, the lease is granted in any case.
    pub waits: bool,
    /// The lease to take where the reply does not serve the flight.
    pub lease: LeaseOffer,
}

/// A lease to take.
///
/// It keeps other replicas waiting, never the replica that holds it: flights of one replica for the same thing share a
/// call already, and a lease whose grant did not arrive in time belongs to no flight. So two calls of one replica that
/// have parts in common, such as an overview and a part's entity endpoint, are made at the same time, as without the
/// tier.
#[derive(Clone, Copy, Debug)]
pub struct LeaseOffer {
    /// Identifies it, and its replica.
    pub token: Token,
    /// For how long other replicas wait for it.
    pub busy: Duration,
}

/// See [`Backend::fetch`](super::Backend::fetch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchReply {
    /// The server's time.
    pub now: ServerTime,
    /// The alias's value, if it is fresh and was not invalidated.
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
    /// Another replica has the lease for this long. Only where the command waits.
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
    /// The age up to which it is fresh. Part of what is sealed with it.
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

/// See [`Backend::store`](super::Backend::store).
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

/// See [`Backend::store`](super::Backend::store).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreReply {
    /// The parts that an invalidation overtook, all of them where the chain is broken: no replica may keep them.
    pub overtaken: PartSet,
    /// Whether the alias was overtaken by a purge of its contact or an invalidation of itself, or the chain is broken.
    pub alias_overtaken: bool,
    /// The parts that were stored. For a part that is neither stored nor overtaken, the tier has data that is as new or
    /// newer, or only the entity endpoint may fill it.
    pub stored: PartSet,
    /// Whether the alias was stored.
    pub alias_stored: bool,
}

/// See [`Backend::release`](super::Backend::release).
#[derive(Clone, Copy, Debug)]
pub struct ReleaseCommand {
    /// What the flight looked up.
    pub subject: Subject,
    /// Its lease.
    pub token: Token,
}

impl fmt::Debug for StoredValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredValue")
            .field("age", &self.age)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
