//! A contact's history for one request: from the cache if it is fresh enough, else from Engage. A part that can't be
//! fetched is missing in the response and does not fail it; only a request with `only-if-cached` fails if a part is not
//! cached.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    CustomerService, Error, Inner,
    fetch::{FetchRequest, HistoryOutcome},
    found::{CacheStatus, StaleReason, Verdict},
    plan::CustomerQuery,
    render::HistoryContent,
};
use crate::{
    cache::{
        CallKey, HistoryEntry,
        fence::Sequence,
        flight::{FlightError, FlightHandle, Joined},
        freshness::{Freshness, Provenance},
    },
    clock::Tick,
    domain::{ContactId, Demand, HistoryMap, HistoryPart, HistorySet, PartSet, Priority},
    engage,
};

/// Upper bound of the rounds of one request. Each invalidation of the contact during the request may cause another
/// round; this many are not plausible.
const MAX_ROUNDS: usize = 6;

/// What a request wants from a contact's history.
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuery {
    /// The requested parts.
    pub requested: HistorySet,
    /// Those of them that are requested fresh.
    pub fresh: HistorySet,
    /// How many items of each list it wants.
    pub limit: usize,
    /// Only items older than this, if set.
    pub before: Option<Timestamp>,
}

/// The part of a request's result that is a contact's history.
#[derive(Debug)]
pub struct FoundHistory {
    pub(super) content: HistoryContent,
    /// What the cache did for each requested part.
    verdicts: Vec<Verdict>,
}

impl FoundHistory {
    /// Whether a requested part is missing, incomplete or older than it should be.
    pub(super) fn is_degraded(&self) -> bool {
        !self.content.degraded.is_empty()
    }
}

/// The result for one part.
struct FoundPart {
    entry: Option<Arc<HistoryEntry>>,
    is_degraded: bool,
    verdict: Verdict,
}

/// The state of one request for one part.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a plain fact about the rounds so far"
)]
struct HistorySearch<'a> {
    inner: &'a Arc<Inner>,
    query: &'a CustomerQuery,
    id: ContactId,
    part: HistoryPart,
    is_fresh: bool,
    /// What this request's calls fetched, if anything.
    fetched: Option<Arc<HistoryEntry>>,
    /// The provenance of the entry that was cached when this search began.
    first_read: Option<Provenance>,
    has_failed: bool,
    /// Whether the failure allows stale data to be served.
    may_be_stale: bool,
    /// Whether stale data is served because a refresh is slow.
    is_slow: bool,
    collapsed: bool,
}

impl CustomerService {
    /// Answers with the requested parts of the contact's history. [`find`](Self::find) must have found the contact for
    /// the same query.
    pub async fn find_history(
        &self,
        query: &CustomerQuery,
        wanted: &HistoryQuery,
        id: ContactId,
    ) -> Result<FoundHistory, Error> {
        let find = async |part| {
            if !wanted.requested.contains(part) {
                return Ok(None);
            }
            let is_fresh = wanted.fresh.contains(part);
            let search = HistorySearch::new(&self.inner, query, (id, part), is_fresh);
            search.run().await.map(Some)
        };
        let (transactions, vouchers, purchases) = tokio::join!(
            find(HistoryPart::PointTransactions),
            find(HistoryPart::RedeemedVouchers),
            find(HistoryPart::Purchases),
        );
        let found = [
            (HistoryPart::PointTransactions, transactions?),
            (HistoryPart::RedeemedVouchers, vouchers?),
            (HistoryPart::Purchases, purchases?),
        ];
        let mut history = FoundHistory {
            content: HistoryContent {
                entries: HistoryMap::default(),
                degraded: HistorySet::EMPTY,
                limit: wanted.limit,
                before: wanted.before,
            },
            verdicts: Vec::new(),
        };
        for (part, found) in found {
            let Some(found) = found else { continue };
            if found.is_degraded {
                history.content.degraded.insert(part);
            }
            history.content.entries[part] = found.entry;
            history.verdicts.push(found.verdict);
        }
        Ok(history)
    }

    /// Whether an invalidation may have overtaken something that was found, while the calls for the history ran. If so,
    /// the customer and the history must both be found again.
    pub fn is_overtaken(
        &self,
        query: &CustomerQuery,
        id: ContactId,
        history: &FoundHistory,
        since: Sequence,
    ) -> bool {
        let (memory, key) = (&self.inner.tiers.memory, query.lookup.key());
        let alias = memory.alias(key);
        let entries = history.content.entries.iter();
        let mut entries = entries.filter_map(|(_, entry)| entry.as_deref());
        memory.fences.not_before(id, PartSet::ALL) > since
            || memory.fences.alias_not_before(key) > since
            || memory.last_purge() > since
            || alias.is_some_and(|alias| alias.id != id)
            || entries.any(|entry| !memory.allows_history(entry))
    }
}

impl FoundHistory {
    /// What the cache did for a response with this history; `of_parts` is what it did for the other parts.
    pub fn verdict(&self, of_parts: Verdict) -> Verdict {
        self.verdicts.iter().copied().fold(of_parts, Verdict::worst)
    }
}

impl<'a> HistorySearch<'a> {
    fn new(
        inner: &'a Arc<Inner>,
        query: &'a CustomerQuery,
        (id, part): (ContactId, HistoryPart),
        is_fresh: bool,
    ) -> Self {
        let cached = inner.tiers.memory.history(id, part);
        Self {
            inner,
            query,
            id,
            part,
            is_fresh,
            fetched: None,
            first_read: cached.map(|cached| cached.provenance),
            has_failed: false,
            may_be_stale: query.stale_if_error && !is_fresh,
            is_slow: false,
            collapsed: false,
        }
    }

    async fn run(mut self) -> Result<FoundPart, Error> {
        let memory = &self.inner.tiers.memory;
        for _ in 0..MAX_ROUNDS {
            let now = self.inner.clock.tick();
            let entry = self.read();
            let usable = entry.as_ref().filter(|entry| self.is_usable(entry, now));
            if let Some(usable) = usable {
                let freshness = usable.provenance.freshness(now, &memory.policy);
                if freshness == Freshness::Stale {
                    self.refresh(now);
                }
                return Ok(self.found(entry, None, now));
            }
            if self.has_failed {
                break;
            }
            if self.query.only_if_cached {
                return Err(Error::NotCached);
            }
            let call = CallKey::History(self.id, self.part);
            match memory.failure(&call, now) {
                Some((error, _)) if !self.is_fresh => self.note_failure(&error),
                _ => self.fetch(entry.as_deref(), now).await,
            }
        }
        Ok(self.conclude())
    }

    /// The newer of the cached entry and the one that this request fetched, if no fence forbids it.
    fn read(&self) -> Option<Arc<HistoryEntry>> {
        let memory = &self.inner.tiers.memory;
        let cached = memory.history(self.id, self.part);
        let fetched = self.fetched.as_ref();
        let fetched = fetched.filter(|fetched| memory.allows_history(fetched));
        match (cached, fetched) {
            (Some(cached), Some(fetched))
                if cached.provenance.is_later_than(&fetched.provenance) =>
            {
                Some(cached)
            }
            (_, Some(fetched)) => Some(Arc::clone(fetched)),
            (cached, None) => cached,
        }
    }

    /// Whether the entry may be served without a call.
    fn is_usable(&self, entry: &HistoryEntry, now: Tick) -> bool {
        let provenance = &entry.provenance;
        // It was fetched after the request arrived, so it may be used, however long the call took.
        let is_new = provenance.sequence > self.query.arrival;
        let policy = &self.inner.tiers.memory.policy;
        let is_young = || {
            !self.query.is_too_old(provenance, now)
                && provenance.freshness(now, policy) < Freshness::Expired
        };
        is_new || (!self.is_fresh && is_young())
    }

    /// Makes the call and waits for it, until the deadline.
    async fn fetch(&mut self, cached: Option<&HistoryEntry>, now: Tick) {
        let deadline = self.deadline(cached, now);
        let (priority, max_age) = if self.is_fresh {
            (Priority::Fresh, Duration::ZERO)
        } else {
            let max_age = self.query.max_age.unwrap_or(Demand::ANY_AGE);
            (Priority::Miss, max_age.min(Demand::ANY_AGE))
        };
        let handle = match self.join(priority, max_age) {
            Ok(handle) => handle,
            Err(error) => return self.note_failure(&error.into()),
        };
        self.collapsed |= handle.joined == Joined::Collapsed;
        self.query.note_joined(&handle);
        let outcome = tokio::select! {
            biased;
            outcome = handle.outcome() => outcome,
            () = self.inner.clock.sleep_until(deadline) => {
                self.is_slow |= self.query.is_hasty || deadline < self.query.deadline;
                self.has_failed = true;
                return;
            }
        };
        match outcome.map_err(engage::Error::from).flatten() {
            Ok(entry) => self.fetched = Some(entry),
            Err(error) => self.note_failure(&error),
        }
    }

    fn join(
        &self,
        priority: Priority,
        max_age: Duration,
    ) -> Result<FlightHandle<HistoryOutcome>, FlightError> {
        let not_before = self
            .inner
            .tiers
            .memory
            .history_not_before(self.id, self.part);
        let request = FetchRequest {
            cause: self.query.cause(),
            flow: &self.query.flow,
            priority,
            not_before: if self.is_fresh {
                not_before.max(self.query.arrival)
            } else {
                not_before
            },
            demand: Demand {
                needed: PartSet::EMPTY,
                max_age,
            },
            trace: self.query.trace.as_deref(),
        };
        self.inner.join_history(self.id, self.part, request)
    }

    /// Starts a call that refreshes the stale entry. Does not wait for it.
    fn refresh(&self, now: Tick) {
        let call = CallKey::History(self.id, self.part);
        let is_in_back_off = self.inner.tiers.memory.failure(&call, now).is_some();
        if !self.query.only_if_cached && !is_in_back_off {
            drop(self.join(Priority::Refresh, Demand::ANY_AGE));
        }
    }

    /// The time until which the request waits. If stale data may be served, it waits for at most `cache.stale_if_slow`.
    fn deadline(&self, cached: Option<&HistoryEntry>, now: Tick) -> Tick {
        let policy = &self.inner.tiers.memory.policy;
        let may_be_stale = |entry: &HistoryEntry| {
            !self.query.is_too_old(&entry.provenance, now)
                && entry.provenance.freshness(now, policy) < Freshness::Dead
        };
        if self.may_be_stale && cached.is_some_and(may_be_stale) {
            let slow = self.query.now.tick + policy.stale_if_slow;
            slow.min(self.query.deadline)
        } else {
            self.query.deadline
        }
    }

    fn note_failure(&mut self, error: &engage::Error) {
        self.has_failed = true;
        self.may_be_stale &= error.allows_stale();
    }

    /// The result when Engage's answer is missing: stale data, if it may be served, else none.
    fn conclude(&self) -> FoundPart {
        let now = self.inner.clock.tick();
        let memory = &self.inner.tiers.memory;
        let policy = &memory.policy;
        let entry = self.read().filter(|entry| {
            self.may_be_stale
                && memory.is_on()
                && entry.provenance.freshness(now, policy) < Freshness::Dead
        });
        let reason = if self.is_slow {
            StaleReason::Slow
        } else {
            StaleReason::Error
        };
        let reason = entry.is_some().then_some(reason);
        self.found(entry, reason, now)
    }

    fn found(
        &self,
        entry: Option<Arc<HistoryEntry>>,
        stands_in: Option<StaleReason>,
        now: Tick,
    ) -> FoundPart {
        let policy = &self.inner.tiers.memory.policy;
        let provenance = entry.as_ref().map(|entry| &entry.provenance);
        let is_expired = |provenance: &Provenance| {
            stands_in.is_some() && provenance.freshness(now, policy) >= Freshness::Expired
        };
        let is_off = !self.inner.tiers.memory.is_on();
        let mut verdict = Verdict {
            status: self.status(provenance, now),
            ttl: provenance.map_or(i64::MAX, |served| served.ttl_seconds(now, policy)),
            age: provenance.map_or(Duration::ZERO, |served| served.age(now)),
            stored: self.fetched.is_some() && !is_off,
            collapsed: self.collapsed,
            stands_in,
        };
        if let (CacheStatus::Hit, Some(reason)) = (verdict.status, stands_in) {
            verdict.status = reason.status();
        }
        FoundPart {
            is_degraded: entry.as_ref().is_none_or(|entry| entry.incomplete)
                || provenance.is_some_and(is_expired),
            entry,
            verdict,
        }
    }

    /// What the cache did.
    fn status(&self, served: Option<&Provenance>, now: Tick) -> CacheStatus {
        let memory = &self.inner.tiers.memory;
        match (&self.first_read, served) {
            _ if !memory.is_on() => CacheStatus::Bypass,
            _ if self.is_fresh => CacheStatus::Request,
            (Some(first), Some(served)) if first.sequence == served.sequence => CacheStatus::Hit,
            (None, _) => CacheStatus::Miss,
            (Some(first), _) => match first.freshness(now, &memory.policy) {
                Freshness::Fresh | Freshness::Stale if self.query.max_age.is_some() => {
                    CacheStatus::Request
                }
                Freshness::Fresh | Freshness::Stale => CacheStatus::Hit,
                Freshness::Expired | Freshness::Dead => CacheStatus::Stale,
            },
        }
    }
}
