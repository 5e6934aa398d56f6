//! The cached history of contacts: a store of its own, apart from the records.
//!
//! An entry is stored and served only if its upstream request began after the fences of its contact: that of the part
//! with which it changes, and that around everything. Fences are kept for a while only, so an invalidation drops the
//! entry too, under the lock of its key, under which a store checks the fences: whichever comes first, old data is not
//! left behind. A purge by identifier drops an entry in the same way, unless it can rule out that the entry is about
//! the purged contact.

use std::{
    hash::RandomState,
    sync::{Arc, PoisonError},
};

use moka::{Entry, ops::compute::Op};

use super::{
    Answer, Cache, ENTRY_OVERHEAD, FetchStart,
    fence::Sequence,
    fetched::provenance,
    freshness::{FetchSource, Freshness, Policy, Provenance},
    maintenance::{DEAD_FOR, FillCounter},
    parts::Parts,
    saturating,
};
use crate::{
    clock::Tick,
    domain::{ContactId, History, HistoryPart, PartSet, Partial},
};

/// One entry takes at most one in this many of the bytes for history.
const ENTRY_SHARE: u64 = 8;

/// A part of a contact's history, and where it came from.
#[derive(Debug)]
pub struct HistoryEntry {
    id: ContactId,
    part: HistoryPart,
    /// The data.
    pub data: History,
    /// When it was requested.
    pub provenance: Provenance,
    /// Whether some of it was left out because it could not be read.
    pub incomplete: bool,
}

type Key = (ContactId, HistoryPart);

/// The cached entries.
pub(super) struct Histories {
    entries: moka::sync::Cache<Key, Arc<HistoryEntry>>,
    fills: FillCounter,
    max_entry_bytes: u32,
}

impl HistoryEntry {
    fn weight(&self) -> u32 {
        saturating(ENTRY_OVERHEAD + size_of::<Key>() + size_of::<Self>() + self.data.heap_bytes())
    }

    /// Whether it is about that part of that contact.
    fn is_of(&self, (id, part): Key) -> bool {
        self.id == id && self.part == part
    }
}

impl Histories {
    pub(super) fn new(max_bytes: u64, policy: &Policy) -> Self {
        let window = policy.stale_if_error.max(policy.stale_while_revalidate);
        Self {
            entries: moka::sync::Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|_, entry: &Arc<HistoryEntry>| entry.weight())
                // moka's own clock can't be replaced, so this is only an outer bound in real time.
                .time_to_live(policy.history_lifetime + window + DEAD_FOR)
                // A hash without a key would let a client choose whose frequency it raises.
                .build_with_hasher(RandomState::new()),
            fills: FillCounter::new(max_bytes / ENTRY_SHARE),
            max_entry_bytes: saturating(max_bytes / ENTRY_SHARE),
        }
    }

    /// Decides under the entry's lock whether it is kept, stored or removed.
    fn update(
        &self,
        key: Key,
        decide: impl FnOnce(Option<&Arc<HistoryEntry>>) -> Op<Arc<HistoryEntry>>,
    ) {
        let mut growth = 0;
        self.entries.entry(key).and_compute_with(|cached| {
            let decided = decide(cached.as_ref().map(Entry::value));
            match &decided {
                Op::Put(entry) => growth = entry.weight(),
                // As for records: otherwise moka's sum of weights would stay wrong.
                Op::Remove => self.entries.run_pending_tasks(),
                Op::Nop => {}
            }
            decided
        });
        // moka evicts later, in batches: until then a burst may exceed the capacity.
        if self.fills.note(growth) {
            self.entries.run_pending_tasks();
        }
    }

    pub(super) fn clear(&self) {
        self.entries.invalidate_all();
        self.entries.run_pending_tasks();
    }

    /// How many entries there are, and their estimated bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }
}

#[cfg(test)]
impl Histories {
    /// Places an entry under another's key.
    pub(super) fn forge(&self, key: Key, entry: &Arc<HistoryEntry>) {
        self.update(key, |_| Op::Put(Arc::clone(entry)));
    }

    /// The estimated bytes, without running an eviction first.
    pub(super) fn weighed_now(&self) -> u64 {
        let entries = self.entries.iter();
        entries.map(|(_, entry)| u64::from(entry.weight())).sum()
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// The part of the contact's history, unless a fence or a purge forbids it.
    pub fn history(&self, id: ContactId, part: HistoryPart) -> Option<Arc<HistoryEntry>> {
        if !self.is_on() {
            return None;
        }
        let key = (id, part);
        let entry = self.histories.entries.get(&key)?;
        // A bug in any library must never serve another contact's data.
        if !entry.is_of(key) {
            tracing::error!(alarm = true, "cached entry damaged or of another contact");
            self.histories.update(key, |_| Op::Remove);
            return None;
        }
        self.allows_history(&entry).then_some(entry)
    }

    /// Makes an entry of what a request that began at `start` returned.
    pub fn history_entry(
        &self,
        (id, part): (ContactId, HistoryPart),
        start: FetchStart,
        fetched: Partial<History>,
    ) -> HistoryEntry {
        let lifetime = self.policy.history_lifetime;
        HistoryEntry {
            id,
            part,
            data: fetched.data,
            provenance: provenance(start, lifetime, FetchSource::Entity),
            incomplete: !fetched.left_out.is_empty(),
        }
    }

    /// Stores an entry, unless a fence or a purge forbids it, a newer one is cached, or it is too heavy.
    pub fn store_history(&self, entry: &Arc<HistoryEntry>) {
        // A purge by identifier either waits for this store or is seen here.
        let _store = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        if !self.purges_allow(entry) {
            return;
        }
        let sequence = entry.provenance.sequence;
        self.histories.update((entry.id, entry.part), |cached| {
            let is_newer = |cached: &Arc<HistoryEntry>| cached.provenance.sequence > sequence;
            if !self.is_on() || !self.fences_allow(entry) || cached.is_some_and(is_newer) {
                return Op::Nop;
            }
            if entry.weight() > self.histories.max_entry_bytes {
                // The cached entry is outdated.
                return cached.map_or(Op::Nop, |_| Op::Remove);
            }
            Op::Put(Arc::clone(entry))
        });
    }

    /// Whether neither a fence nor a purge by identifier forbids the entry now.
    pub fn allows_history(&self, entry: &HistoryEntry) -> bool {
        self.fences_allow(entry) && self.purges_allow(entry)
    }

    /// A request for the part must begin after this.
    pub fn history_not_before(&self, id: ContactId, part: HistoryPart) -> Sequence {
        self.fences.not_before(id, part.changes_with().into())
    }

    fn fences_allow(&self, entry: &HistoryEntry) -> bool {
        let part = entry.part.changes_with();
        self.fences
            .allows(entry.id, part, entry.provenance.sequence)
    }

    fn purges_allow(&self, entry: &HistoryEntry) -> bool {
        if self.purges.is_empty() {
            return true;
        }
        let record = self.glance(entry.id);
        let cached = record.and_then(|record| self.parts_of(&record));
        let profile = cached.as_ref().and_then(Parts::identity);
        self.is_allowed_by_purges(profile, entry.provenance.sequence)
    }

    /// Drops the entries of the contact's history that a fence of these parts forbids. Called after the fence was
    /// raised.
    pub(super) fn drop_forbidden_history(&self, id: ContactId, parts: PartSet) {
        for part in HistoryPart::ALL {
            if parts.contains(part.changes_with()) {
                self.drop_history_where((id, part), |entry| !self.fences_allow(entry));
            }
        }
    }

    /// Drops the history of a contact that Engage no longer knows, as a request that began at `start` found.
    pub(super) fn drop_history(&self, id: ContactId, start: Sequence) {
        for part in HistoryPart::ALL {
            self.drop_history_where((id, part), |entry| entry.provenance.sequence <= start);
        }
    }

    /// Drops the history of every contact that a purge by identifier may concern, after it was registered. Visits every
    /// entry.
    pub(super) fn drop_purged_history(&self) {
        let entries = self.histories.entries.iter();
        for (key, entry) in entries {
            if !self.allows_history(&entry) {
                let is_it =
                    |cached: &HistoryEntry| cached.provenance.sequence == entry.provenance.sequence;
                self.drop_history_where(*key, is_it);
            }
        }
    }

    /// Drops the entries that were too old to be served at that moment. Visits every entry.
    pub(super) fn drop_dead_history(&self, now: Tick) {
        let is_dead =
            |entry: &HistoryEntry| entry.provenance.freshness(now, &self.policy) == Freshness::Dead;
        let entries = self.histories.entries.iter();
        for (key, _) in entries.filter(|(_, entry)| is_dead(entry)) {
            self.drop_history_where(*key, is_dead);
        }
    }

    fn drop_history_where(&self, key: Key, is_dropped: impl FnOnce(&HistoryEntry) -> bool) {
        self.histories.update(key, |cached| match cached {
            Some(cached) if is_dropped(cached) => Op::Remove,
            _ => Op::Nop,
        });
    }
}
