//! The shared tier: an optional second tier of the cache, on Redis or Valkey, that all replicas share. It makes them one
//! cache: one call for what several replicas need, invalidations that reach all of them, and one call budget.
//!
//! - [`protocol`] has the operations, and what each guarantees.
//! - `redis` runs them on a server; tests run them on a stand-in.
//! - `names`, `seal` and `value` turn contacts, identifiers and parts into names and sealed bytes, and back.
//! - This module knows the current epoch, limits the time of every operation, and reads the stream.
//!
//! Every failure is a miss and a count, and costs a caller at most [`Settings::timeout`], once: then the tier is not
//! used until a heartbeat has succeeded.

#[cfg_attr(not(test), expect(dead_code, reason = "the facade will use it"))]
mod names;
pub mod protocol;
#[cfg_attr(not(test), expect(dead_code, reason = "the facade will use it"))]
mod seal;
#[cfg_attr(not(test), expect(dead_code, reason = "the facade will use it"))]
mod value;

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{
        FetchStart,
        freshness::{FetchSource, Provenance},
        parts::Parts,
    },
    clock::{Clock, Tick},
    domain::{ContactId, Digester, Lookup, Part, PartMap, PartSet},
};

pub use self::names::budget_name;
use self::protocol::{Backend, BudgetName, Grant, ServerTime, Subject, Token};

/// The settings of the tier.
#[derive(Clone)]
pub struct Settings {
    /// The longest time of an operation.
    pub timeout: Duration,
    /// How long a lease keeps other replicas waiting: `engage.timeout`.
    pub lease: Duration,
    /// For how long the entity endpoint alone may fill what was invalidated.
    pub overview_lag: Duration,
    /// How long an upstream call may be in flight.
    pub longest_flight: Duration,
    /// Lifetimes: what another replica stored with a longer one is fresh for this long.
    pub lifetimes: PartMap<Duration>,
    /// The lifetime of negative entries.
    pub negative_lifetime: Duration,
    /// For how long webhook messages are remembered.
    pub message_memory: Duration,
    /// The keys that wrap epochs' secrets: the first wraps, all unwrap. Each has 32 bytes.
    pub encryption_keys: Vec<[u8; 32]>,
    /// Digests national ids, under a key that all replicas have. Without it profiles with national ids are not shared.
    pub digester: Option<Digester>,
    /// The call budget that all replicas share.
    pub budget: BudgetName,
    /// Its calls a second, of all replicas.
    pub requests_per_second: f64,
    /// Its calls at once, of all replicas.
    pub burst: u32,
}

/// The shared tier. Cheap to clone.
#[derive(Clone)]
pub struct SharedTier {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    backend: Arc<dyn Backend>,
    clock: Clock,
}

/// The tier can't be used now: every operation is a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared tier is unavailable")]
pub struct Unavailable;

/// What a flight looks up.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// A contact by its id.
    Contact(ContactId),
    /// Which contact has an identifier, which is not a bare contact id.
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
pub enum Found {
    /// What another replica fetched: everything that the flight needs.
    Data(Box<SharedData>),
    /// That the identifier leads to no contact.
    Negative(SharedNegative),
    /// Nothing, and this replica is to call.
    Leased(SharedLease),
    /// Nothing, and another replica calls: look again soon.
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
    /// Several have it.
    MultipleMatches,
    /// Engage refuses it, with this code.
    Rejected(Box<str>),
}

/// The right of one flight to store what it fetches. Given up by [`SharedTier::store`] or [`SharedTier::release`]; if it
/// is dropped, other replicas wait until it ends.
#[derive(Debug)]
pub struct SharedLease {
    #[expect(dead_code, reason = "the skeleton")]
    epoch: protocol::EpochId,
    #[expect(dead_code, reason = "the skeleton")]
    subject: Subject,
    #[expect(dead_code, reason = "the skeleton")]
    token: Token,
    #[expect(dead_code, reason = "the skeleton")]
    leased: PartSet,
    #[expect(dead_code, reason = "the skeleton")]
    grant: Grant,
    /// The server's time when it was granted, and this replica's when that was received.
    #[expect(dead_code, reason = "the skeleton")]
    granted_at: (ServerTime, Tick),
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

/// What of a fill this replica's memory must not keep either, because an invalidation overtook it somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overtaken {
    /// The parts.
    pub parts: PartSet,
    /// The alias.
    pub alias: bool,
}

/// An invalidation for all replicas.
#[derive(Clone, Debug)]
pub struct Announcement<'a> {
    /// What it covers.
    pub scope: Scope<'a>,
    /// The webhook message that it came with: one that was announced before does nothing.
    pub message: Option<&'a str>,
    /// What other replicas apply: they get these bytes from [`StreamEvent::Apply`].
    pub payload: Vec<u8>,
}

/// What an invalidation covers.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// Some contacts: the parts, and whether the contact is gone. With `negatives`, every negative entry too.
    Contacts {
        /// The contacts.
        contacts: &'a [(ContactId, PartSet, bool)],
        /// Whether every negative entry ends.
        negatives: bool,
    },
    /// Whatever is stored: nothing in the tier is ever read again.
    Everything,
}

/// How an announcement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// No replica serves what it covers after a second.
    Written,
    /// The webhook message was announced before; nothing was done.
    Repeated,
}

/// An announcement could not be written: other replicas may serve what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("other replicas could not be reached")]
pub struct NotShared;

/// What the stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// Another replica's announcement: apply it.
    Apply(Vec<u8>),
    /// Announcements may have been missed: drop everything.
    Gap,
    /// Every announcement until this moment was applied.
    CaughtUp(Tick),
}

/// Tokens of the shared call budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLease {
    /// How many calls may be made.
    pub tokens: u32,
    /// Until when.
    pub until: Tick,
    /// Without tokens: when there may be some.
    pub next: Tick,
    /// Until when all calls pause.
    pub paused_until: Option<Tick>,
    /// How many replicas share the budget.
    pub replicas: u32,
}

impl SharedTier {
    /// A tier that is not connected yet: [`SharedTier::run`] connects.
    pub fn new(settings: Settings, backend: Arc<dyn Backend>, clock: Clock) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                backend,
                clock,
            }),
        }
    }

    /// Looks for what a flight needs, or leases the right to fetch it. `start` was taken before this call.
    #[expect(clippy::unused_async, reason = "the skeleton")]
    pub async fn fetch(&self, start: FetchStart, need: Need<'_>) -> Result<Found, Unavailable> {
        let _ = (start, need, &self.inner.backend, &self.inner.settings);
        Err(Unavailable)
    }

    /// Stores what a flight fetched that began its upstream request at `start`. What can't be stored because the tier
    /// fails is overtaken only if its epoch has ended.
    #[expect(clippy::unused_async, reason = "the skeleton")]
    pub async fn store(
        &self,
        lease: SharedLease,
        start: FetchStart,
        fill: SharedFill<'_>,
    ) -> Overtaken {
        let _ = (lease, start, fill);
        Overtaken::default()
    }

    /// Gives up a lease of a flight that fetched nothing.
    #[expect(clippy::unused_async, reason = "the skeleton")]
    pub async fn release(&self, lease: SharedLease) {
        drop(lease);
    }

    /// Writes an invalidation for all replicas. This replica applies it itself.
    #[expect(clippy::unused_async, reason = "the skeleton")]
    pub async fn announce(&self, announcement: Announcement<'_>) -> Result<Announced, NotShared> {
        let _ = announcement;
        Err(NotShared)
    }

    /// Connects, keeps the connection, and passes what the stream says to `handle`, in order. Never returns.
    pub async fn run<F>(&self, mut handle: impl FnMut(StreamEvent) -> F + Send)
    where
        F: Future<Output = ()> + Send,
    {
        handle(StreamEvent::Gap).await;
        std::future::pending::<()>().await;
    }

    /// Tells the other replicas that this one ends.
    #[expect(clippy::unused_async, reason = "the skeleton")]
    pub async fn leave(&self) {}

    /// Leases tokens of the call budget.
    #[expect(clippy::unused_async, reason = "the skeleton")]
    pub async fn lease_tokens(&self, wanted: u32) -> Result<TokenLease, Unavailable> {
        let _ = wanted;
        Err(Unavailable)
    }

    /// Pauses the call budget for all replicas.
    #[expect(clippy::unused_async, reason = "the skeleton")]
    pub async fn pause(&self, pause: Duration) {
        let _ = pause;
    }

    /// Whether operations are tried: it is connected, in an epoch, and the last heartbeat succeeded.
    pub fn is_available(&self) -> bool {
        let _ = self.inner.clock.tick();
        false
    }

    /// The parts that the tier can keep.
    pub const PARTS: [Part; Part::COUNT] = Part::ALL;
}
