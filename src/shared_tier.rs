//! The shared tier: an optional second tier of the cache, on Redis or Valkey, that all replicas share. It makes them one
//! cache: one call for what several replicas need, invalidations that reach all of them, and one call budget.
//!
//! - [`protocol`] has the operations, and what each guarantees.
//! - `redis` runs them on a server; tests run them on a stand-in.
//! - `names`, `seal` and `value` turn contacts, identifiers and parts into names and sealed bytes, and back.
//! - `fetch`, `store`, `announce`, `budget` and `explain` are the operations of the service on top of them.
//! - `guard` limits their time, and knows whether the tier works and which epoch is current.
//! - `session`, `heartbeat`, `reading` and `chores` are the background task; `stream` and `progress` keep its state.
//!
//! Every failure is counted, is a miss for a look-up, and costs a caller at most [`Settings::timeout`]. After most
//! failures the tier is not used until it is connected again and a heartbeat has succeeded.

mod announce;
mod budget;
mod chores;
mod epoch;
mod explain;
mod fault;
mod fetch;
mod flight;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod heartbeat;
mod leads_to;
mod log_spacing;
mod metrics;
mod names;
mod progress;
pub mod protocol;
mod reading;
pub mod redis;
mod seal;
mod server_clock;
mod session;
mod status;
mod store;
mod stream;
mod value;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    cache::FetchStart,
    clock::{Clock, Tick},
    domain::{ContactId, Digester, Lookup, Part, PartMap, PartSet},
    metrics::{Registry, Source},
};

use self::{
    budget::Budget,
    chores::Chores,
    epoch::Keys,
    fault::Why,
    guard::{Condition, Guard},
    log_spacing::LogSpacing,
    metrics::{Metrics, Operation},
    progress::Progress,
    protocol::{Backend, BudgetName, ReplicaId},
    server_clock::ServerClock,
};
pub use self::{
    explain::{SharedAliasView, SharedValueView, SharedView},
    flight::{
        AliasFill, Need, NegativeReason, Overtaken, SharedAlias, SharedData, SharedFetch,
        SharedFill, SharedLease, SharedNegative, Wanted,
    },
    leads_to::IdentifierTarget,
    names::budget_name,
    status::TierStatus,
};

/// The settings of the tier.
#[derive(Clone)]
pub struct Settings {
    /// The longest time of an operation.
    pub timeout: Duration,
    /// How long a lease keeps other replicas waiting: `engage.timeout`, but no longer than half of
    /// `server.request_timeout`. So a caller that waited for the lease of a replica that has crashed has as much time
    /// left for a call of its own; where Engage is slower than that, several replicas may call.
    pub lease: Duration,
    /// For how long the entity endpoint alone may fill what was invalidated.
    pub overview_lag: Duration,
    /// The longest time from the start of a flight until its data is stored.
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
    pub budget: BudgetSettings,
}

/// A call budget that all replicas share.
#[derive(Clone, Copy, Debug)]
pub struct BudgetSettings {
    /// Which one: that of an API key.
    pub name: BudgetName,
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
    /// This replica: one number per process.
    replica: ReplicaId,
    keys: Keys,
    guard: Guard,
    progress: Progress,
    server_clock: ServerClock,
    budget: Budget,
    chores: Chores,
    metrics: Arc<Metrics>,
    /// Held while the next epoch is opened.
    reopening: tokio::sync::Mutex<()>,
    is_leaving: AtomicBool,
    gap_log: LogSpacing,
    mismatch_log: LogSpacing,
}

/// The tier can't be used now: every operation is a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared tier is unavailable")]
pub struct Unavailable;

/// An invalidation for all replicas.
#[derive(Clone, Debug)]
pub struct Announcement<'a> {
    /// What it covers.
    pub scope: InvalidationScope<'a>,
    /// The webhook message that it came with: an announcement with a message that was announced before does nothing.
    /// Ignored for [`InvalidationScope::Everything`].
    pub message: Option<&'a str>,
    /// What other replicas apply: they get these bytes from [`StreamEvent::Apply`].
    pub payload: Vec<u8>,
}

/// What an invalidation covers.
#[derive(Clone, Copy, Debug)]
pub enum InvalidationScope<'a> {
    /// Some contacts: the parts of each, and whether the contact is purged. Some identifiers, whatever they lead to.
    /// With `negatives`, every negative entry too.
    Contacts {
        /// The contacts.
        contacts: &'a [(ContactId, PartSet, bool)],
        /// The identifiers; none is a bare contact id.
        aliases: &'a [&'a Lookup],
        /// Whether every negative entry ends.
        negatives: bool,
    },
    /// Everything that is stored: nothing that is in the tier now is ever read again.
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
    /// An announcement that was written before the last gap, at least this long ago: apply it as of that time. The tier
    /// may contain data that was fetched since.
    ApplyPast(Vec<u8>, Duration),
    /// Announcements may have been missed: drop everything.
    Gap,
    /// Every announcement that was written before this moment has been applied.
    CaughtUp(Tick),
}

/// A request for tokens of the shared call budget; see [`protocol::TokenCommand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLeaseRequest {
    /// How many more tokens are wanted.
    pub wanted: u32,
    /// How many are held.
    pub held: u32,
    /// How many are given back.
    pub returned: u32,
    /// How many replicas share the budget, as far as this one knows.
    pub known_replicas: u32,
    /// Until when this replica's share is lent; [`Tick::END`] if the replica shuts down.
    pub lent_until: Tick,
}

/// Tokens of the shared call budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLease {
    /// How many calls may be made.
    pub tokens: u32,
    /// Until when: [`protocol::TOKEN_LEASE`] after the command was sent.
    pub until: Tick,
    /// With fewer tokens than wanted: when there may be some.
    pub next: Tick,
    /// Until when all calls pause.
    pub paused_until: Option<Tick>,
    /// How many replicas share the budget.
    pub replicas: u32,
}

impl Source for SharedTier {
    fn register(&self, registry: &mut Registry) {
        self.inner.metrics.register(registry);
        registry.add(status::Gauges(Arc::clone(&self.inner)));
    }
}

impl SharedTier {
    /// A tier that is not connected yet: [`SharedTier::run`] connects.
    pub fn new(settings: Settings, backend: Arc<dyn Backend>, clock: Clock) -> Self {
        let metrics = Arc::new(Metrics::default());
        Self {
            inner: Arc::new(Inner {
                keys: Keys::new(&settings),
                budget: Budget::new(settings.budget),
                guard: Guard::new(clock.clone(), Arc::clone(&metrics)),
                settings,
                backend,
                clock,
                replica: ReplicaId(epoch::random()),
                progress: Progress::new(),
                server_clock: ServerClock::default(),
                chores: Chores::default(),
                metrics,
                reopening: tokio::sync::Mutex::default(),
                is_leaving: AtomicBool::new(false),
                gap_log: LogSpacing::default(),
                mismatch_log: LogSpacing::default(),
            }),
        }
    }

    /// Reads what a flight needs, or leases the right to fetch it. `start` was taken before this call.
    pub async fn fetch(
        &self,
        start: FetchStart,
        need: Need<'_>,
    ) -> Result<SharedFetch, Unavailable> {
        self.inner.fetch(start, need).await
    }

    /// Stores what a flight fetched; the flight's upstream request began at `start`. What can't be stored because the
    /// tier fails is overtaken only if its epoch has ended.
    pub async fn store(
        &self,
        lease: SharedLease,
        start: FetchStart,
        fill: SharedFill<'_>,
    ) -> Overtaken {
        self.inner.store(lease, start, fill).await
    }

    /// Gives up a lease of a flight that fetched nothing.
    pub async fn release(&self, lease: SharedLease) {
        self.inner.release(lease).await;
    }

    /// Writes an invalidation for all replicas. This replica applies it itself.
    pub async fn announce(&self, announcement: Announcement<'_>) -> Result<Announced, NotShared> {
        self.inner.announce(&announcement).await
    }

    /// Connects, keeps the connection, and passes what the stream says to `handle`, in order. Never returns.
    ///
    /// The first event is a gap: whatever was announced before the first connection was missed. An event that was not
    /// handled to its end, because the server failed meanwhile, may come again.
    pub async fn run<F>(&self, handle: impl FnMut(StreamEvent) -> F + Send)
    where
        F: Future<Output = ()> + Send,
    {
        self.inner.run(handle).await;
    }

    /// From now on wraps epochs' secrets with the first of these keys, and unwraps them with all. The current epoch's
    /// secret is wrapped anew after the next connection.
    pub fn replace_keys(&self, keys: &[[u8; 32]]) {
        self.inner.keys.replace(keys);
    }

    /// Leases tokens of this call budget from now on.
    pub fn replace_budget(&self, budget: BudgetSettings) {
        self.inner.budget.replace(budget);
    }

    /// Connects again, without losing what is cached. Until then operations are misses.
    pub fn reconnect(&self) {
        self.inner.guard.end_session(Why::Reloaded);
    }

    /// Announces to the other replicas that this one shuts down, so that it is no longer counted.
    pub async fn leave(&self) {
        self.inner.is_leaving.store(true, Ordering::Relaxed);
        let Condition::Usable(link) = self.inner.guard.condition() else {
            return;
        };
        let beat = self.inner.beat_command();
        let reply = self.inner.backend.beat(link.epoch.id, beat);
        let until = self.inner.deadline();
        let call = self.inner.guard.call(&link, Operation::Beat, until, reply);
        if call.await.is_ok() {
            self.inner.metrics.ended(Operation::Beat, "ok");
        }
    }

    /// Leases tokens of the call budget, and lends this replica's share of it. One request at a time.
    pub async fn lease_tokens(
        &self,
        request: TokenLeaseRequest,
    ) -> Result<TokenLease, Unavailable> {
        self.inner.lease_tokens(request).await
    }

    /// Pauses the call budget for all replicas.
    pub async fn pause(&self, pause: Duration) {
        self.inner.pause(pause).await;
    }

    /// How many replicas share the budget, this one included, as far as is known: 1 before the first connection.
    pub fn known_replicas(&self) -> u32 {
        self.inner.budget.replicas()
    }

    /// Whether operations are tried: it is connected, in an epoch that has not ended, and has caught up with the
    /// stream.
    pub fn is_available(&self) -> bool {
        self.inner.guard.status().is_usable
    }

    /// Whether this replica has just started and has not caught up with the stream yet; for two seconds at most. A caller
    /// that can wait for it is served with what other replicas have.
    pub fn is_starting(&self) -> bool {
        self.inner.guard.is_starting()
    }

    /// Returns once this replica is no longer starting.
    pub async fn started(&self) {
        self.inner.guard.started().await;
    }

    /// The state, for operators.
    pub fn status(&self) -> TierStatus {
        self.inner.status()
    }

    /// What the tier has for an identifier, for operators. Nothing is leased.
    pub async fn explain(&self, wanted: Wanted<'_>) -> Result<SharedView, Unavailable> {
        self.inner.explain(wanted).await
    }

    /// Which contact an identifier, which is not a bare contact id, leads to. Nothing is leased.
    pub async fn leads_to(&self, lookup: &Lookup) -> Result<Option<IdentifierTarget>, Unavailable> {
        self.inner.leads_to(lookup).await
    }

    /// The parts that the tier can keep.
    pub const PARTS: [Part; Part::COUNT] = Part::ALL;
}

impl fmt::Debug for Settings {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}
