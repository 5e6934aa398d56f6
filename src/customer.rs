//! The hall: one question about one customer, answered from what is held, from Engage, or from both.
//! The only room with an opinion on freshness. Knows neither HTTP nor Engage's spelling.
//!
//! [`CustomerService::find`] is the way in; `search` follows one question through its rounds,
//! [`plan`] decides what is missing, `fetch` makes the shared upstream calls and stores what they
//! bring, [`answer`] renders.

pub mod answer;
pub mod contactability;
mod fetch;
pub mod plan;
pub mod render;
mod repair;
mod search;

use std::{sync::Arc, time::Duration};

pub use self::{
    answer::{Rendered, Shape},
    plan::CustomerQuery,
    search::{CacheStatus, Found, StaleReason, Verdict},
};
use self::{fetch::FetchOutcome, search::Search};
pub use crate::cache::{
    explain::{Age, AliasView, ContactView},
    feed::Feed,
    fence::FenceStatus,
};
use crate::{
    cache::{
        Bounds, Cache, CallKey, Counts, IsPurged,
        explain::NegativeView,
        fence::Sequence,
        flight::{Flights, Pace},
        freshness::Policy,
    },
    clock::{Clock, Now},
    domain::{
        Change, ChangeKind, ContactId, Identifier, Identity, Lookup, LookupKey, Match, Part,
        PartSet, aliases::AliasReader,
    },
    engage::{self, EngageClient},
};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Engage gave none, and nothing that is held may stand in.
    #[error(transparent)]
    Upstream(#[from] engage::Error),
    /// The caller's patience ended first; the upstream call runs on.
    #[error("engage did not answer within the caller's time")]
    TooLate,
    /// What was held is damaged, and is held no longer: whoever asks again is answered.
    #[error("what was held is damaged")]
    Damaged,
    /// The caller wants what is held only, and nothing is.
    #[error("the answer is not held")]
    NotCached,
}

impl Error {
    /// Whether Engage knows no contact by the identifier.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Upstream(engage::Error::NotFound))
    }
}

/// Answers questions about customers. Cheap to clone.
#[derive(Clone)]
pub struct CustomerService {
    inner: Arc<Inner>,
}

struct Inner {
    cache: Cache<Rendered, engage::Error>,
    engage: EngageClient,
    overviews: Flights<LookupKey, FetchOutcome>,
    resolutions: Flights<LookupKey, FetchOutcome>,
    parts: Flights<(ContactId, Part), FetchOutcome>,
    alias_reader: AliasReader,
    rules: answer::Rules,
    clock: Clock,
}

/// How many shared upstream calls of one kind may run or wait at once; beyond that callers are told
/// that we are overloaded.
const MAX_FLIGHTS: usize = 1000;

/// What is held for an identifier.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What it leads to, where it is held as a name.
    pub alias: Option<(ContactId, AliasView)>,
    /// Why it leads to nobody, where that is remembered.
    pub negative: Option<NegativeView<engage::Error>>,
    /// What is held of the contact that it is or leads to, and of those that are seen to bear it.
    pub contacts: Vec<ContactView>,
    /// The calls that failed and are not made now.
    pub failures: Vec<FailedCall>,
}

/// A call that failed, and is not made again within its back-off.
#[derive(Clone, Debug)]
pub struct FailedCall {
    /// What it is for.
    pub call: &'static str,
    /// About which contact, where that is known.
    pub contact: Option<ContactId>,
    /// How it failed.
    pub why: engage::Error,
    /// How long it is not made.
    pub left: Duration,
}

/// How much there is of everything that is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// What is held.
    pub counts: Counts,
    /// How many bytes may be.
    pub max_bytes: u64,
    /// Contacts with a fence.
    pub fenced_contacts: usize,
    /// Names with a fence.
    pub fenced_aliases: usize,
    /// Shared calls of the overview, running or waiting.
    pub overviews: usize,
    /// Shared calls that resolve a name.
    pub resolutions: usize,
    /// Shared calls of entity endpoints.
    pub parts: usize,
}

impl CustomerService {
    /// A service with an empty cache. A caller waits `patience` at most, which is also how long one
    /// upstream call holds up the next for the same thing.
    pub fn new(
        engage: EngageClient,
        alias_reader: AliasReader,
        rules: answer::Rules,
        policy: Policy,
        bounds: Bounds,
        patience: Duration,
        clock: Clock,
    ) -> Self {
        let (in_a_row, spacing) = engage.pace_of_one();
        let pace = Pace { in_a_row, spacing };
        Self {
            inner: Arc::new(Inner {
                cache: Cache::new(policy, bounds, clock.clone()),
                engage,
                overviews: Flights::new(clock.clone(), patience, pace, MAX_FLIGHTS),
                resolutions: Flights::new(clock.clone(), patience, pace, MAX_FLIGHTS),
                parts: Flights::new(clock.clone(), patience, pace, MAX_FLIGHTS),
                alias_reader,
                rules,
                clock,
            }),
        }
    }

    /// Marks a caller's arrival: what it asks for fresh must come from a request that begins later.
    pub fn arrival(&self) -> Sequence {
        self.inner.cache.fences.latest()
    }

    /// Answers with the customer: from memory where that is fresh enough, else from Engage.
    pub async fn find(&self, query: &CustomerQuery) -> Result<Found, Error> {
        Search::new(&self.inner, query).run().await
    }

    /// Answers with the customer from memory alone, if that is an answer and `tell` takes it: then what is stale is
    /// refreshed beside it. If not, nothing has been done yet.
    pub fn find_in_memory<T>(
        &self,
        query: &CustomerQuery,
        tell: impl FnOnce(&Found) -> Option<T>,
    ) -> Option<T> {
        Search::new(&self.inner, query).run_in_memory(tell)
    }

    /// The answer in the shape that the caller wants: the one already rendered where it still holds.
    pub fn render(&self, found: &Found, shape: &Shape) -> Result<Arc<Rendered>, Error> {
        self.render_at(found, shape, self.inner.clock.now())
    }

    /// The same, for who knows the time.
    pub fn render_at(
        &self,
        found: &Found,
        shape: &Shape,
        now: Now,
    ) -> Result<Arc<Rendered>, Error> {
        answer::rendered(&self.inner.cache, &self.inner.rules, found, shape, now)
            .ok_or(Error::Damaged)
    }

    /// Takes note of a change that Engage tells of: what it touched is never served again. However late, repeated or
    /// out of order it comes, it costs a refill at most.
    pub fn apply(&self, change: &Change) {
        self.inner.apply(change);
    }

    /// How the news of changes stands; `None` where there is none.
    pub fn feed(&self) -> Option<&Feed> {
        self.inner.cache.policy.feed.as_deref()
    }

    /// What was fetched of the parts until now is never served again.
    pub fn invalidate(&self, id: ContactId, parts: PartSet) {
        self.inner.invalidate(id, parts);
    }

    /// The contact is gone: nothing fetched of it until now is ever served again.
    pub fn purge(&self, id: ContactId) {
        self.inner.cache.purge(id);
    }

    /// The same for every contact that an identifier names, now or in an answer that is in the air. The contact type does
    /// not narrow it. Looks at every record and every alias.
    pub fn purge_by(&self, lookup: &Lookup) {
        let cache = &self.inner.cache;
        if let Identifier::ContactId(id) = lookup.identifier {
            cache.purge_alias(lookup.key());
            cache.purge(id);
            return;
        }
        // First: an answer that is in the air either meets it or is seen by what follows.
        let (reader, purged) = (self.inner.alias_reader.clone(), lookup.identifier.clone());
        let is_purged: IsPurged = Arc::new(move |identity, asked| {
            reader.matches(&identity.aliases, &purged) == Match::Yes
                || asked.is_some_and(|asked| asked.means_the_same(&purged))
        });
        cache.purge_where(&is_purged);
        // An alias may lead to a contact that does not show the identifier.
        cache.purge_alias(lookup.key());
        let types = cache.contact_types().into_iter().map(Some).chain([None]);
        for contact_type in types {
            for identifier in lookup.identifier.meanings() {
                let digester = &self.inner.alias_reader.digester;
                cache.purge_alias(Lookup::new(identifier, contact_type.clone(), digester).key());
            }
        }
    }

    /// The contacts held that bear the identifier.
    fn bearers(&self, identifier: &Identifier) -> Vec<ContactId> {
        let reader = &self.inner.alias_reader;
        let matches = |held: &Identity| reader.matches(&held.aliases, identifier) == Match::Yes;
        self.inner
            .cache
            .contacts_where(|_, held| held.is_some_and(matches))
    }

    /// What is held for an identifier. Looks at every record and every name.
    pub fn explain(&self, lookup: &Lookup) -> Explanation {
        let cache = &self.inner.cache;
        let alias = cache.explain_alias(lookup.key());
        let mut ids = self.bearers(&lookup.identifier);
        if let Identifier::ContactId(id) = lookup.identifier {
            ids.push(id);
        }
        ids.extend(alias.iter().map(|(id, _)| *id));
        ids.sort_unstable();
        ids.dedup();
        let failures = self.failures(lookup.key(), &ids);
        Explanation {
            alias,
            failures,
            negative: cache.explain_negative(lookup.key()),
            contacts: ids.into_iter().map(|id| cache.explain(id)).collect(),
        }
    }

    fn failures(&self, key: &LookupKey, ids: &[ContactId]) -> Vec<FailedCall> {
        let now = self.inner.clock.tick();
        let by_key = [
            (None, CallKey::OverviewBy(key.clone())),
            (None, CallKey::Resolution(key.clone())),
        ];
        let of_contacts = ids.iter().flat_map(|id| {
            let parts = Part::ALL.into_iter().map(|part| CallKey::Part(*id, part));
            let calls = std::iter::once(CallKey::Overview(*id)).chain(parts);
            calls.map(|call| (Some(*id), call))
        });
        let failed = |(contact, call): (Option<ContactId>, CallKey)| {
            let (why, left) = self.inner.cache.failure(&call, now)?;
            Some(FailedCall {
                call: call.as_str(),
                contact,
                why,
                left,
            })
        };
        by_key
            .into_iter()
            .chain(of_contacts)
            .filter_map(failed)
            .collect()
    }

    /// Nothing fetched until now is ever served again.
    pub fn purge_everything(&self) {
        self.inner.cache.purge_everything();
    }

    /// Frees what can't be told any more, and what nobody asked for since this was last done. It takes as long as it takes
    /// to look at everything.
    pub fn maintain(&self) {
        self.inner.cache.sweep_pending_purges();
        self.inner.cache.maintain();
    }

    /// Somebody was created, changed or deleted: no remembered "nobody" or "several" holds any more.
    pub fn drop_negatives(&self) {
        self.inner.cache.drop_negatives();
    }

    /// Switches the cache off, which purges everything, or on again. Off, every question is Engage's to answer.
    pub fn switch_cache(&self, on: bool) {
        self.inner.cache.switch(on);
    }

    /// Whether anything is held and served from memory.
    pub fn cache_is_on(&self) -> bool {
        self.inner.cache.is_on()
    }

    /// What the cache holds.
    pub fn counts(&self) -> Counts {
        self.inner.cache.counts()
    }

    /// How much there is of everything that is bounded.
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let (fenced_contacts, fenced_aliases) = inner.cache.fences.counts();
        Stats {
            counts: inner.cache.counts(),
            max_bytes: inner.cache.max_bytes(),
            fenced_contacts,
            fenced_aliases,
            overviews: inner.overviews.in_flight(),
            resolutions: inner.resolutions.in_flight(),
            parts: inner.parts.in_flight(),
        }
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }
}

impl Inner {
    fn apply(&self, change: &Change) {
        for id in &change.contacts {
            match change.kind {
                ChangeKind::Changed(parts) => self.invalidate(*id, parts),
                ChangeKind::Deleted => self.cache.purge(*id),
                ChangeKind::Created => {}
            }
        }
        if change.concerns_names() {
            self.cache.drop_negatives();
        }
    }

    fn invalidate(&self, id: ContactId, parts: PartSet) {
        let parts = parts.intersection(PartSet::INVALIDATABLE);
        self.cache.invalidate(id, parts);
    }
}
