//! One request for one customer, answered from the cache, from Engage, or from both. Decides when cached data is fresh
//! enough; knows neither HTTP nor Engage's spellings.
//!
//! [`CustomerService::find`] is the entry point. `search` follows one request through its rounds, [`plan`] decides
//! which parts are missing, `fetch` makes the shared upstream calls, `tiers` stores their results and applies
//! invalidations, `render` writes the response and [`answer`] keeps it for later requests.

pub mod answer;
mod candidates;
mod contactability;
mod deferred;
mod error;
mod explain;
mod fetch;
mod follow;
mod found;
mod history;
mod invalidation_metrics;
mod maintenance;
pub mod plan;
mod point_names;
mod reasons;
mod render;
#[cfg(test)]
pub(crate) use self::render::schemas;
mod repair;
mod report;
mod search;
mod served;
mod shared_tier_view;
mod stats;
mod tiers;
pub mod view;

use std::{sync::Arc, time::Duration};

pub use self::{
    answer::Rendered,
    candidates::{Candidate, Refusal},
    error::Error,
    explain::{CallInBackOff, Explanation},
    found::{CacheStatus, Found, StaleReason, Verdict},
    history::{FoundHistory, HistoryQuery},
    plan::{CustomerQuery, Purpose},
    reasons::{PartOutcome, PartReason, Reasons, Why},
    report::{ReportError, Reported},
    shared_tier_view::{SharedContact, SharedExplanation, SharedTierStatus},
    stats::Stats,
    tiers::WebhookMessage,
    view::Shape,
};
use self::{
    fetch::{FetchOutcome, HistoryOutcome},
    invalidation_metrics::{InvalidationCause, InvalidationMetrics},
    search::Search,
    served::ServedMetrics,
    tiers::{Invalidation, Tiers},
};
use crate::{
    cache::{
        Bounds, Cache, PartData,
        fence::Sequence,
        flight::{Flights, Pace},
        freshness::Policy,
    },
    clock::{Clock, Now, Tick},
    domain::{
        Change, ContactId, Flow, HistoryPart, HistorySet, IdentifierKind, Lookup, LookupKey, Part,
        PartSet, UniqueKinds, aliases::AliasReader,
    },
    engage::EngageClient,
    shared_tier::SharedTier,
    traces::Tracer,
};
pub use crate::{
    cache::{
        explain::{Age, AliasView, ContactView},
        feed::{Delivery, Feed},
        fence::FenceStatus,
        freshness::FetchSource,
    },
    shared_tier::{Announced, NotShared, SharedAliasView, SharedValueView, Unavailable},
};

/// Answers requests for customers. Cheap to clone.
#[derive(Clone)]
pub struct CustomerService {
    inner: Arc<Inner>,
}

struct Inner {
    tiers: Tiers,
    engage: EngageClient,
    overviews: Flights<LookupKey, FetchOutcome>,
    resolutions: Flights<LookupKey, FetchOutcome>,
    parts: Flights<(ContactId, Part), FetchOutcome>,
    histories: Flights<(ContactId, HistoryPart), HistoryOutcome>,
    alias_reader: AliasReader,
    rules: view::Rules,
    served: ServedMetrics,
    invalidations: InvalidationMetrics,
    tracer: Tracer,
    clock: Clock,
}

/// How many shared upstream calls of one kind may run or wait at once; requests that need another fail with
/// [`Overloaded`](crate::engage::Error::Overloaded).
const MAX_FLIGHTS: usize = 1000;

impl CustomerService {
    /// A service with an empty cache. A request waits for at most `patience`; a call that has run for longer than that
    /// no longer delays the next call for the same contact or identifier.
    pub fn new(
        engage: EngageClient,
        alias_reader: AliasReader,
        rules: view::Rules,
        policy: Policy,
        bounds: Bounds,
        patience: Duration,
        clock: Clock,
    ) -> Self {
        let (in_a_row, spacing) = engage.per_contact_rate();
        let pace = Pace { in_a_row, spacing };
        let memory = Cache::new(policy, bounds, clock.clone());
        Self {
            inner: Arc::new(Inner {
                tiers: Tiers::new(memory, alias_reader.clone(), clock.clone()),
                engage,
                overviews: Flights::new(clock.clone(), patience, pace, MAX_FLIGHTS),
                resolutions: Flights::new(clock.clone(), patience, pace, MAX_FLIGHTS),
                parts: Flights::new(clock.clone(), patience, pace, MAX_FLIGHTS),
                histories: Flights::new(clock.clone(), patience, pace, MAX_FLIGHTS),
                alias_reader,
                rules,
                served: ServedMetrics::default(),
                invalidations: InvalidationMetrics::default(),
                tracer: Tracer::default(),
                clock,
            }),
        }
    }

    /// Records the spans of flights. Call this before the service is cloned.
    #[must_use]
    pub fn with_tracer(mut self, tracer: Tracer) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("the service is not cloned yet");
        inner.tracer = tracer;
        self
    }

    /// Adds a tier that replicas share. Call this before the service is cloned.
    #[must_use]
    pub fn with_shared_tier(mut self, shared: Option<SharedTier>) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("the service is not cloned yet");
        inner.tiers.shared = shared;
        self
    }

    /// Learns the aliases of these kinds from profiles. Call this before the service is cloned.
    #[must_use]
    pub fn with_learned_aliases(mut self, unique: UniqueKinds) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("the service is not cloned yet");
        inner.tiers.memory.learn_aliases(unique);
        self
    }

    /// The kinds whose aliases are learned, and for each how often a value turned out to belong to two contacts.
    pub fn alias_conflicts(&self) -> Vec<(IdentifierKind, u64)> {
        self.inner.tiers.memory.conflicts()
    }

    /// The sequence of a request's arrival: data that is requested fresh must be fetched after it.
    pub fn arrival(&self) -> Sequence {
        self.inner.tiers.memory.fences.latest()
    }

    /// The query of an interactive request that arrives at `now`: it requests nothing fresh, sets no greatest age, and
    /// accepts stale data if Engage fails or is slow.
    pub fn query(
        &self,
        flow: Flow,
        lookup: Lookup,
        requested: PartSet,
        now: Now,
        deadline: Tick,
    ) -> CustomerQuery {
        CustomerQuery {
            request_id: None,
            flow,
            lookup,
            prefer: None,
            requested,
            fresh: PartSet::EMPTY,
            now,
            arrival: self.arrival(),
            max_age: None,
            only_if_cached: false,
            stale_if_error: true,
            deadline,
            is_hasty: false,
            purpose: Purpose::Person,
            trace: None,
        }
    }

    /// Answers with the customer: from memory if the cached data is fresh enough, else from the shared tier or from
    /// Engage.
    pub async fn find(&self, query: &CustomerQuery) -> Result<Found, Error> {
        if let Some(preferred) = &query.prefer {
            return Box::pin(self.inner.find_preferred(query, preferred)).await;
        }
        Search::new(&self.inner, query).run().await
    }

    /// Answers from memory alone. `respond` gets the answer and may decline it with `None`; if it takes the answer,
    /// stale parts are refreshed in the background. Also `None` if memory has no such answer; in that case no call has
    /// been started.
    pub fn find_in_memory<T>(
        &self,
        query: &CustomerQuery,
        respond: impl FnOnce(&Found) -> Option<T>,
    ) -> Option<T> {
        if query.prefer.is_some() {
            return None;
        }
        Search::new(&self.inner, query).run_in_memory(respond)
    }

    /// The contact to which a cached alias of the look-up leads.
    pub fn cached_contact(&self, lookup: &Lookup) -> Option<ContactId> {
        let alias = self.inner.tiers.memory.alias(lookup.key());
        alias.map(|alias| alias.id)
    }

    /// The response in the requested shape: the one kept with the record if it is still right, else rendered now.
    pub fn render(&self, found: &Found, shape: &Shape) -> Result<Arc<Rendered>, Error> {
        self.render_at(found, shape, self.inner.clock.now())
    }

    /// The same at a given time.
    pub fn render_at(
        &self,
        found: &Found,
        shape: &Shape,
        now: Now,
    ) -> Result<Arc<Rendered>, Error> {
        let Inner { tiers, rules, .. } = &*self.inner;
        found
            .render(&tiers.memory, rules, shape, now)
            .ok_or(Error::Damaged)
    }

    /// The response with a contact's history. It is rendered for this request and not kept.
    pub fn render_with_history(
        &self,
        found: &Found,
        history: &FoundHistory,
        shape: &Shape,
    ) -> Result<Arc<Rendered>, Error> {
        let Inner { tiers, rules, .. } = &*self.inner;
        let now = self.inner.clock.now();
        found
            .render_with(&history.content, &tiers.memory, rules, shape, now)
            .ok_or(Error::Damaged)
    }

    /// The response without a customer (guest), in the requested shape: for a caller that can go on without one.
    pub fn render_guest(&self, shape: &Shape, history: HistorySet, now: Now) -> Vec<u8> {
        let Inner { tiers, rules, .. } = &*self.inner;
        let memory = &tiers.memory;
        let blank = PartData::Profile(Box::default());
        let blank = memory.part_of_entity(memory.begin(), blank);
        render::guest(rules, shape, history, &blank, now)
    }

    /// Applies a change that Engage reports, here and at the other replicas. A change that is repeated, late or out of
    /// order costs at most a refill.
    pub async fn apply(&self, change: &Change) -> Result<(), NotShared> {
        self.inner.apply(change).await
    }

    /// The same for a change that a webhook reports. With a shared tier, a webhook that any replica has applied before
    /// has no effect.
    pub async fn apply_webhook(
        &self,
        change: &Change,
        message: WebhookMessage<'_>,
    ) -> Result<Announced, NotShared> {
        let invalidations = Vec::from(change);
        let Inner {
            tiers,
            invalidations: metrics,
            ..
        } = &*self.inner;
        let announced = tiers.invalidate(&invalidations, Some(message)).await;
        if announced != Ok(Announced::Repeated) {
            metrics.count(InvalidationCause::Webhook, invalidations.len());
        }
        announced
    }

    /// Records that a genuine webhook could not be read.
    pub async fn note_missed(&self, message: WebhookMessage<'_>) {
        self.inner.tiers.note_missed(message).await;
    }

    /// The feed of webhooks; `None` if none are configured.
    pub fn feed(&self) -> Option<&Feed> {
        self.inner.webhook_feed()
    }

    /// Makes sure that nothing fetched of the parts until now is ever served again. Audiences are left out.
    pub async fn invalidate(&self, id: ContactId, parts: PartSet) -> Result<(), NotShared> {
        self.inner.invalidate(Invalidation::Parts(id, parts)).await
    }

    /// Makes sure that nothing fetched of the contact until now is ever served again.
    pub async fn purge(&self, id: ContactId) -> Result<(), NotShared> {
        self.inner.purge(Invalidation::Contact(id)).await
    }

    /// The same for every contact that has the identifier, in a cached profile or in one still being fetched, whatever
    /// the contact's type. Reads every record and every alias: not for a thread that serves requests.
    pub async fn purge_by(&self, lookup: &Lookup) -> Result<(), NotShared> {
        let invalidation = Invalidation::Identifier(lookup.clone());
        self.inner.purge(invalidation).await
    }

    /// Makes sure that nothing fetched until now is ever served again.
    pub async fn purge_everything(&self) -> Result<(), NotShared> {
        self.inner.purge(Invalidation::Everything).await
    }

    /// Drops every negative entry, because a contact was created, changed or deleted.
    pub async fn drop_negatives(&self) -> Result<(), NotShared> {
        self.inner.invalidate(Invalidation::Negatives).await
    }

    /// Switches the cache of this replica off, which empties its memory, or on again. While it is off, every request is
    /// answered by Engage.
    pub fn switch_cache(&self, on: bool) {
        self.inner.tiers.switch(on);
    }

    /// Whether the cache is used.
    pub fn cache_is_on(&self) -> bool {
        self.inner.tiers.memory.is_on()
    }

    /// The clock of the service.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }
}

impl Inner {
    async fn apply(&self, change: &Change) -> Result<(), NotShared> {
        let invalidations = Vec::from(change);
        self.tiers.invalidate(&invalidations, None).await.map(drop)
    }

    async fn purge(&self, invalidation: Invalidation) -> Result<(), NotShared> {
        self.invalidations.count(InvalidationCause::Purge, 1);
        self.invalidate(invalidation).await
    }

    async fn invalidate(&self, invalidation: Invalidation) -> Result<(), NotShared> {
        self.tiers.invalidate(&[invalidation], None).await.map(drop)
    }

    /// Purges a contact that Engage has just reported as unknown. If the purge can't be announced, it stays owed to the
    /// other replicas.
    async fn purge_missing_contact(&self, id: ContactId) {
        let _owed = self.invalidate(Invalidation::Contact(id)).await;
    }

    fn webhook_feed(&self) -> Option<&Feed> {
        let feed = self.tiers.memory.policy.feed.as_deref();
        feed.filter(|feed| feed.has_webhooks())
    }
}
