//! What a flight exchanges with the tier: what it needs, what it gets, and what it stores.

use std::time::Duration;

use super::{
    protocol::{EpochId, Grant, Subject, Token},
    server_clock::Reading,
};
use crate::{
    cache::{
        freshness::{FetchSource, Provenance},
        parts::Parts,
    },
    clock::Tick,
    domain::{ContactId, Lookup, Matches, PartMap, PartSet},
};

/// What a flight looks up.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A contact by its id.
    Contact(ContactId),
    /// The contact that has this identifier; the identifier is not a bare contact id.
    Alias(&'a Lookup),
}

/// What a flight needs. Ages bound what another replica may have fetched.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// What it looks up.
    pub wanted: Wanted<'a>,
    /// The parts that its requests wait for.
    pub needed: PartSet,
    /// The parts that its call would fetch.
    pub fetched: PartSet,
    /// The greatest age of data that its requests accept; zero: they accept no data of another replica, and do not wait
    /// for its call.
    pub max_age: Duration,
    /// The ages of the parts in this replica's memory: data of another replica must be younger.
    pub cached: PartMap<Option<Duration>>,
    /// The age of the alias in this replica's memory.
    pub cached_alias: Option<Duration>,
}

/// What the tier has for a flight.
#[derive(Debug)]
pub enum SharedFetch {
    /// What another replica fetched: everything that the flight needs, but for
    /// [`SharedData::left_to_entities`].
    Data(Box<SharedData>),
    /// That the identifier leads to no contact.
    Negative(SharedNegative),
    /// Nothing, and this replica is to call.
    Leased(SharedLease),
    /// Nothing, and another replica calls: try again soon.
    Busy,
}

/// What another replica fetched. Its provenances have the sequence number of the fetch from the tier, are marked
/// [`Provenance::is_shared`], and count ages from when the other replica's request began.
#[derive(Debug)]
pub struct SharedData {
    /// The contact.
    pub id: ContactId,
    /// The alias that led to it, where it was looked up by one.
    pub alias: Option<SharedAlias>,
    /// The parts.
    pub parts: Parts,
    /// For how long the entity endpoint alone may fill each part; zero: not at all.
    pub entity_only: PartMap<Duration>,
}

impl SharedData {
    /// The parts that may be absent although the flight needs them: if it resolves an alias, its call can't fill the
    /// parts that only the entity endpoints may fill.
    pub fn left_to_entities(&self) -> PartSet {
        if self.alias.is_none() {
            return PartSet::EMPTY;
        }
        let left = self.entity_only.iter().filter(|(_, left)| !left.is_zero());
        left.map(|(part, _)| part).collect()
    }
}

/// An alias that another replica resolved.
#[derive(Clone, Copy, Debug)]
pub struct SharedAlias {
    /// Where it came from, and its age.
    pub provenance: Provenance,
    /// Whether the contact's profile is known to have the identifier.
    pub confirmed: bool,
}

/// An identifier that leads to no contact, as another replica found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedNegative {
    /// The kind of endpoint that said so.
    pub source: FetchSource,
    /// Why.
    pub why: NegativeReason,
    /// When the other replica's request began.
    pub requested_at: Tick,
}

/// Why an identifier leads to no contact.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NegativeReason {
    /// No contact has it.
    NotFound,
    /// Several have it, and it is not known which.
    MultipleMatches,
    /// Engage refuses it, with this code.
    Rejected(Box<str>),
    /// Several have it: these, as far as Engage lists them. The last variant, because it was added last: to a replica
    /// of an earlier version such a value is a miss.
    TheseMatch(Matches),
}

/// The right of one flight to store what it fetches. Given up by [`SharedTier::store`](super::SharedTier::store) or
/// [`SharedTier::release`](super::SharedTier::release); if it is dropped, other replicas wait until it expires.
#[derive(Debug)]
pub struct SharedLease {
    pub(super) epoch: EpochId,
    pub(super) subject: Subject,
    pub(super) token: Token,
    pub(super) leased: PartSet,
    pub(super) grant: Grant,
    /// The server's time when it was granted, and this replica's when that was received.
    pub(super) granted_at: Reading,
}

/// What a flight fetched.
#[derive(Clone, Copy, Debug)]
pub enum SharedFill<'a> {
    /// A contact, with parts of it.
    Contact {
        /// The contact.
        id: ContactId,
        /// The identifier that led to it, where the call resolved one.
        alias: Option<AliasFill<'a>>,
        /// The parts, as this replica would cache them.
        parts: &'a Parts,
        /// The parts of which an entity endpoint returned something new.
        new_from_entity: PartSet,
    },
    /// An identifier that leads to no contact.
    Negative {
        /// The identifier.
        requested: &'a Lookup,
        /// The kind of endpoint that said so.
        source: FetchSource,
        /// Why.
        why: &'a NegativeReason,
    },
}

/// An identifier that was resolved.
#[derive(Clone, Copy, Debug)]
pub struct AliasFill<'a> {
    /// The identifier.
    pub requested: &'a Lookup,
    /// By which kind of endpoint.
    pub source: FetchSource,
    /// Whether the contact's profile is known to have it.
    pub confirmed: bool,
}

/// What this replica's memory must not keep of a fill either, because an invalidation at some replica overtook it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overtaken {
    /// The parts.
    pub parts: PartSet,
    /// The alias.
    pub alias: bool,
}
