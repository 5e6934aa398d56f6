//! The fence: what was fetched before an invalidation is never stored or served after it.
//!
//! Every upstream request and every invalidation takes a [`Sequence`] from one sequence, so "began
//! before" is a comparison of two numbers whatever the clocks do. A fence is kept for contacts that
//! are not held too, as long as a flight may be in the air and Engage's overview may lag: within that
//! time the part is filled from its entity endpoint only, and the overview's copy of it is discarded.
//!
//! The table is bounded: when it is full, one fence around everything takes the place of all, and for
//! the overview's lag everything is filled from entity endpoints. That costs a cold cache and a share
//! of the budget, never a promise.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::PoisonError,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Tick,
    domain::{ContactId, LookupKey, Part, PartSet},
    threads::{AtomicU64, Mutex, MutexGuard, Ordering},
};

/// A place in the order of events: later events have greater stamps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Sequence(u64);

/// What holds for one contact or one name.
#[derive(Clone, Copy, Debug, Default)]
struct Fence {
    /// For each part: data must come from a request that began after this.
    begun_after: [Sequence; 5],
    /// For each part: until when its entity endpoint alone may fill it.
    entity_only_until: [Tick; 5],
    /// When the whole fence is of no use any more.
    kept_until: Tick,
}

/// How a fence stands around a part of a contact, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceStatus {
    /// The part.
    pub part: Part,
    /// Whether what was fetched before some moment is kept out.
    pub is_raised: bool,
    /// For how long its entity endpoint alone may fill it.
    pub entity_only_for: Option<Duration>,
}

/// All fences.
#[derive(Debug)]
pub struct Fences {
    sequence: AtomicU64,
    everything: AtomicU64,
    /// Until when, for want of room, entity endpoints alone may fill anything.
    crowded_until: Mutex<Option<Tick>>,
    negatives: AtomicU64,
    contacts: Table<ContactId>,
    aliases: Table<LookupKey>,
    lag: Duration,
    keep: Duration,
}

impl Fences {
    /// Fences that stand for `overview_lag`, and as long as a call begun within it may be in the air.
    pub fn new(overview_lag: Duration, longest_flight: Duration, max_fences: usize) -> Self {
        Self {
            // Stamp 0 is "never": the first event is 1.
            sequence: AtomicU64::new(1),
            everything: AtomicU64::new(0),
            crowded_until: Mutex::new(None),
            negatives: AtomicU64::new(0),
            contacts: Table::new(max_fences),
            aliases: Table::new(max_fences),
            lag: overview_lag,
            // A call begun in the last moment of the lag may land so much later.
            keep: overview_lag + longest_flight,
        }
    }

    /// The next place in the order of events.
    pub fn sequence(&self) -> Sequence {
        Sequence(self.sequence.fetch_add(1, Ordering::SeqCst))
    }

    /// The latest place that was taken: whatever begins from now on takes a later one.
    pub fn latest(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::SeqCst).saturating_sub(1))
    }

    /// Forbids the parts' data of every request begun until now, and for the overview's lag the
    /// overview's copy of them.
    pub fn raise(&self, id: ContactId, parts: PartSet, now: Tick) {
        // Under the fence's lock: whoever takes a later stamp finds the fence standing.
        self.raise_as_of(|| self.sequence(), id, parts, now);
    }

    /// The same of every request begun until `sequence`, a place in the order of events that is past.
    pub fn raise_at(&self, sequence: Sequence, id: ContactId, parts: PartSet, now: Tick) {
        self.raise_as_of(|| sequence, id, parts, now);
    }

    fn raise_as_of(
        &self,
        sequence: impl FnOnce() -> Sequence,
        id: ContactId,
        parts: PartSet,
        now: Tick,
    ) {
        let until = now + self.lag;
        let raised = self.contacts.change(id, now, now + self.keep, |fence| {
            let sequence = sequence();
            for part in parts.iter() {
                let slot = part as usize;
                fence.begun_after[slot] = fence.begun_after[slot].max(sequence);
                if part != Part::Audiences {
                    fence.entity_only_until[slot] = fence.entity_only_until[slot].max(until);
                }
            }
        });
        self.or_everything(raised, now);
    }

    /// Remembers that the entity endpoint told a part: for the overview's lag the overview's copy
    /// could take it back in time.
    pub fn entity_read(&self, id: ContactId, part: Part, now: Tick) {
        let until = now + self.lag;
        let noted = self.contacts.change(id, now, now + self.keep, |fence| {
            let slot = part as usize;
            fence.entity_only_until[slot] = fence.entity_only_until[slot].max(until);
        });
        self.or_everything(noted, now);
    }

    /// Forbids what a name led to until now, and for the overview's lag its resolution by the overview.
    pub fn raise_alias(&self, key: &LookupKey, now: Tick) {
        let until = now + self.lag;
        let raised = self
            .aliases
            .change(key.clone(), now, now + self.keep, |fence| {
                let sequence = self.sequence();
                fence.begun_after[0] = fence.begun_after[0].max(sequence);
                // Engage resolves a contact id with a type in the overview alone.
                if !key.is_contact_id() {
                    fence.entity_only_until[0] = fence.entity_only_until[0].max(until);
                }
            });
        self.or_everything(raised, now);
    }

    /// Remembers that the alias was resolved by its entity endpoint, to something else than was cached or to no contact: for
    /// the overview's lag the overview could take it back in time.
    pub fn name_resolved(&self, key: &LookupKey, now: Tick) {
        let until = now + self.lag;
        let noted = self
            .aliases
            .change(key.clone(), now, now + self.keep, |fence| {
                fence.entity_only_until[0] = fence.entity_only_until[0].max(until);
            });
        self.or_everything(noted, now);
    }

    /// Ends every negative answer of a request begun until now.
    pub fn raise_negatives(&self) {
        self.negatives
            .fetch_max(self.sequence().0, Ordering::SeqCst);
    }

    /// Forbids the data of every request begun until now, whoever it is about.
    pub fn raise_everything(&self) {
        self.everything
            .fetch_max(self.sequence().0, Ordering::SeqCst);
    }

    /// Whether the part's data may be stored or served, if its request began at `start`.
    pub fn allows(&self, id: ContactId, part: Part, start: Sequence) -> bool {
        start > self.not_before(id, PartSet::from(part))
    }

    /// Requests for the parts must have begun after this.
    pub fn not_before(&self, id: ContactId, parts: PartSet) -> Sequence {
        let fence = self.contacts.get(&id);
        parts
            .iter()
            .map(|part| fence.begun_after[part as usize])
            .fold(self.everything(), Sequence::max)
    }

    /// The parts that only their entity endpoints may fill by a call that begins at `now`.
    pub fn entity_only(&self, id: ContactId, now: Tick) -> PartSet {
        if self.is_crowded(now) {
            return PartSet::INVALIDATABLE;
        }
        let fence = self.contacts.get(&id);
        Part::ALL
            .into_iter()
            .filter(|part| now < fence.entity_only_until[*part as usize])
            .collect()
    }

    /// A request that resolves the name must have begun after this.
    pub fn alias_not_before(&self, key: &LookupKey) -> Sequence {
        self.aliases.get(key).begun_after[0].max(self.everything())
    }

    /// Whether the name may not be resolved by a call of the overview that begins at `now`.
    pub fn alias_is_entity_only(&self, key: &LookupKey, now: Tick) -> bool {
        if self.is_crowded(now) {
            return !key.is_contact_id();
        }
        now < self.aliases.get(key).entity_only_until[0]
    }

    /// A negative answer must come from a request that began after this.
    pub fn negatives_not_before(&self, key: &LookupKey) -> Sequence {
        Sequence(self.negatives.load(Ordering::SeqCst)).max(self.alias_not_before(key))
    }

    /// Data of whomever must come from a request that began after this.
    pub fn everything(&self) -> Sequence {
        Sequence(self.everything.load(Ordering::SeqCst))
    }

    /// The fences around the contact that still serve at `now`.
    pub fn standing(&self, id: ContactId, now: Tick) -> Vec<FenceStatus> {
        let fence = self.contacts.get(&id);
        let crowded_until = *self.crowded();
        let standing = |part: Part| {
            let slot = part as usize;
            let everybodys = crowded_until.filter(|_| PartSet::INVALIDATABLE.contains(part));
            let until = Some(fence.entity_only_until[slot]).max(everybodys);
            FenceStatus {
                part,
                is_raised: now < fence.kept_until && fence.begun_after[slot] > Sequence::default(),
                entity_only_for: until
                    .filter(|until| now < *until)
                    .map(|until| until.since(now)),
            }
        };
        let serves = |fence: &FenceStatus| fence.is_raised || fence.entity_only_for.is_some();
        Part::ALL.into_iter().map(standing).filter(serves).collect()
    }

    /// How many contacts and names have a fence.
    pub fn counts(&self) -> (usize, usize) {
        (self.contacts.len(), self.aliases.len())
    }

    /// For how long a fence stands.
    pub fn kept(&self) -> Duration {
        self.keep
    }

    fn or_everything(&self, kept: bool, now: Tick) {
        if !kept {
            self.raise_around_everything(now);
        }
    }

    /// Raises the fence of an invalidation around every contact and alias: anything may have changed until now. All other
    /// fences are then of no more use.
    pub fn raise_around_everything(&self, now: Tick) {
        let until = now + self.lag;
        let mut crowded_until = self.crowded();
        *crowded_until = (*crowded_until).max(Some(until));
        drop(crowded_until);
        self.raise_everything();
        let everything = self.everything();
        self.contacts.drop_covered(everything, until);
        self.aliases.drop_covered(everything, until);
    }

    fn crowded(&self) -> MutexGuard<'_, Option<Tick>> {
        self.crowded_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_crowded(&self, now: Tick) -> bool {
        self.crowded().is_some_and(|until| now < until)
    }
}

/// Fences by key, in shards so that a writer holds up few readers.
#[derive(Debug)]
struct Table<K> {
    shards: Vec<Mutex<Shard<K>>>,
    hasher: RandomState,
    max_per_shard: usize,
}

#[derive(Debug)]
struct Shard<K> {
    fences: HashMap<K, Fence>,
    /// No fence is of no use before this, so looking for one is in vain.
    next_sweep: Tick,
    /// So many fences are worth a look: twice as many as were of use at the last one.
    sweep_at: usize,
}

const SHARDS: usize = 16;
/// Fewer fences in a shard are not worth a sweep.
const LEAST_SWEPT: usize = 1024;

impl<K: Hash + Eq> Table<K> {
    fn new(max: usize) -> Self {
        let shard = || Shard {
            fences: HashMap::new(),
            next_sweep: Tick::default(),
            sweep_at: LEAST_SWEPT,
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            hasher: RandomState::new(),
            max_per_shard: max.div_ceil(SHARDS),
        }
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[hash]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &K) -> Fence {
        self.shard(key).fences.get(key).copied().unwrap_or_default()
    }

    fn len(&self) -> usize {
        let fences = |shard: &Mutex<Shard<K>>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.fences.len()
        };
        self.shards.iter().map(fences).sum()
    }

    /// Changes a fence; `false` where the table holds as many as it may.
    fn change(&self, key: K, now: Tick, kept_until: Tick, change: impl FnOnce(&mut Fence)) -> bool {
        let mut shard = self.shard(&key);
        if shard.fences.len() >= shard.sweep_at.min(self.max_per_shard)
            && !shard.fences.contains_key(&key)
        {
            shard.sweep(now);
            if shard.fences.len() >= self.max_per_shard {
                return false;
            }
        }
        let fence = shard.fences.entry(key).or_default();
        change(fence);
        fence.kept_until = fence.kept_until.max(kept_until);
        true
    }
}

impl<K> Table<K> {
    /// Drops the fences that forbid nothing that one around everything, raised at `everything` and standing until `until`,
    /// does not.
    fn drop_covered(&self, everything: Sequence, until: Tick) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.fences.retain(|_, fence| {
                let is_later = fence
                    .begun_after
                    .iter()
                    .any(|sequence| *sequence > everything);
                is_later || fence.entity_only_until.iter().any(|end| *end > until)
            });
        }
    }
}

impl<K: Hash + Eq> Shard<K> {
    /// Drops the fences that are of no use any more.
    fn sweep(&mut self, now: Tick) {
        if now < self.next_sweep {
            return;
        }
        self.fences.retain(|_, fence| fence.kept_until > now);
        let ends = self.fences.values().map(|fence| fence.kept_until);
        self.next_sweep = ends.min().unwrap_or(now);
        self.sweep_at = LEAST_SWEPT.max(2 * self.fences.len());
    }
}

#[cfg(test)]
mod tests;
