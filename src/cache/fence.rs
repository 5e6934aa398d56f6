//! Fences: what was fetched before an invalidation is never stored or served after it.
//!
//! Every upstream request and every invalidation takes a [`Sequence`] number, so "began before" is a comparison of two
//! numbers, whatever the clocks do. Contacts that are not cached have fences too. A fence is kept for Engage's overview
//! lag and the longest flight after it: within the lag the part is filled from its entity endpoint only, and the
//! overview's copy of it is discarded.
//!
//! The tables are bounded. When a shard of one is full, a single fence around everything replaces those that it covers,
//! and for the overview's lag everything is filled from entity endpoints. The cost is a cold cache and a share of the
//! call budget; no promise is broken.

mod table;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::table::Table;
use crate::{
    clock::Tick,
    domain::{ContactId, LookupKey, Part, PartMap, PartSet},
    threads::{AtomicU64, Ordering},
};

/// A place in the order of events of this process: later events have greater numbers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Sequence(u64);

/// The effect of invalidations on a part of a contact, or on an alias.
#[derive(Clone, Copy, Debug, Default)]
struct Fence {
    /// Data must come from a request that began after this.
    not_before: Sequence,
    /// Until when the entity endpoint alone may fill it.
    entity_only_until: Tick,
}

/// The fence of a part, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceStatus {
    /// The part.
    pub part: Part,
    /// Whether it forbids data that was fetched before some moment.
    pub is_raised: bool,
    /// For how long its entity endpoint alone may fill it.
    pub entity_only_for: Option<Duration>,
}

/// All fences.
#[derive(Debug)]
pub struct Fences {
    sequence: AtomicU64,
    /// The fence around everything.
    everything: AtomicU64,
    /// Until when entity endpoints alone may fill anything, after a table was full or any contact may have changed.
    everything_entity_only_until: AtomicU64,
    /// The fence around all negative entries.
    negatives: AtomicU64,
    contacts: Table<ContactId, PartMap<Fence>>,
    aliases: Table<LookupKey, Fence>,
    lag: Duration,
    keep: Duration,
}

impl Fence {
    fn raise(&mut self, sequence: Sequence) {
        self.not_before = self.not_before.max(sequence);
    }

    fn entity_only(&mut self, until: Tick) {
        self.entity_only_until = self.entity_only_until.max(until);
    }

    /// Whether a fence around everything, with these values, forbids as much.
    fn is_covered(&self, everything: Sequence, until: Tick) -> bool {
        self.not_before <= everything && self.entity_only_until <= until
    }
}

impl Fences {
    /// Fences that are kept for `overview_lag`, and for as long as a call that began within it may last. Each table has
    /// at most `max_fences`, rounded up to the same number for each shard.
    pub fn new(overview_lag: Duration, longest_flight: Duration, max_fences: usize) -> Self {
        Self {
            // 0 is "never": the first event is 1.
            sequence: AtomicU64::new(1),
            everything: AtomicU64::new(0),
            everything_entity_only_until: AtomicU64::new(0),
            negatives: AtomicU64::new(0),
            contacts: Table::new(max_fences),
            aliases: Table::new(max_fences),
            lag: overview_lag,
            // A call that began in the last moment of the lag may last this much longer.
            keep: overview_lag + longest_flight,
        }
    }

    /// The next place in the order of events.
    pub fn sequence(&self) -> Sequence {
        Sequence(self.sequence.fetch_add(1, Ordering::SeqCst))
    }

    /// The latest place that was taken: what begins from now on takes a later one.
    pub fn latest(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::SeqCst).saturating_sub(1))
    }

    /// Forbids the parts' data of every request that began until now. The change is `age` old: for the rest of the
    /// overview's lag, the overview's copies of the parts are forbidden too, except of the audiences, which have no
    /// entity endpoint.
    pub fn raise_since(&self, id: ContactId, parts: PartSet, age: Duration, now: Tick) {
        // This is in the past if the lag is over: an overview that was requested since then may fill the parts.
        let until = now + self.lag - age;
        // Under the fence's lock: a request that takes a later number finds the fence raised.
        self.raise_as_of(|| self.sequence(), id, parts, until, now);
    }

    /// The same for every request that began until `sequence`, a place in the past.
    pub fn raise_at(&self, sequence: Sequence, id: ContactId, parts: PartSet, now: Tick) {
        self.raise_as_of(|| sequence, id, parts, now + self.lag, now);
    }

    fn raise_as_of(
        &self,
        sequence: impl FnOnce() -> Sequence,
        id: ContactId,
        parts: PartSet,
        until: Tick,
        now: Tick,
    ) {
        let raised = self.contacts.change(id, now, now + self.keep, |fence| {
            let sequence = sequence();
            for part in parts.iter() {
                fence[part].raise(sequence);
            }
            for part in parts.intersection(PartSet::INVALIDATABLE).iter() {
                fence[part].entity_only(until);
            }
        });
        self.or_everything(raised, now);
    }

    /// Notes that the entity endpoint returned a part: for the overview's lag, an overview's copy could be older.
    pub fn entity_read(&self, id: ContactId, part: Part, now: Tick) {
        let until = now + self.lag;
        let noted = self.contacts.change(id, now, now + self.keep, |fence| {
            fence[part].entity_only(until);
        });
        self.or_everything(noted, now);
    }

    /// Notes for how long the entity endpoint alone may fill a part, as another replica found.
    pub fn entity_only_for(&self, id: ContactId, parts: &PartMap<Duration>, now: Tick) {
        let longest = parts.iter().map(|(_, left)| *left).max();
        let Some(longest) = longest.filter(|longest| !longest.is_zero()) else {
            return;
        };
        // A call that begins in the last moment may last as long as any other.
        let kept_until = now + longest + self.keep.saturating_sub(self.lag);
        let noted = self.contacts.change(id, now, kept_until, |fence| {
            for (part, left) in parts.iter().filter(|(_, left)| !left.is_zero()) {
                fence[part].entity_only(now + *left);
            }
        });
        self.or_everything(noted, now);
    }

    /// Forbids the results of requests that resolve the alias and began until now, and for the overview's lag those of
    /// the overview; the latter not if the alias is a contact id.
    pub fn raise_alias(&self, key: &LookupKey, now: Tick) {
        let until = now + self.lag;
        let raised = self
            .aliases
            .change(key.clone(), now, now + self.keep, |fence| {
                fence.raise(self.sequence());
                // Engage resolves a contact id with a type by the overview alone.
                if !key.is_contact_id() {
                    fence.entity_only(until);
                }
            });
        self.or_everything(raised, now);
    }

    /// Notes that the entity endpoint resolved the alias, to another contact than was cached or to none: for the
    /// overview's lag, an overview could be older.
    pub fn alias_resolved(&self, key: &LookupKey, now: Tick) {
        let until = now + self.lag;
        let noted = self
            .aliases
            .change(key.clone(), now, now + self.keep, |fence| {
                fence.entity_only(until);
            });
        self.or_everything(noted, now);
    }

    /// Forbids every negative entry of a request that began until now.
    pub fn raise_negatives(&self) {
        self.negatives
            .fetch_max(self.sequence().0, Ordering::SeqCst);
    }

    /// Forbids the data of every request that began until now, about any contact.
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
            .map(|part| fence[part].not_before)
            .fold(self.everything(), Sequence::max)
    }

    /// The parts that a call that begins at `now` may fill only from their entity endpoints.
    pub fn entity_only(&self, id: ContactId, now: Tick) -> PartSet {
        if now < self.everything_until() {
            return PartSet::INVALIDATABLE;
        }
        let fence = self.contacts.get(&id);
        Part::ALL
            .into_iter()
            .filter(|part| now < fence[*part].entity_only_until)
            .collect()
    }

    /// A request that resolves the alias must have begun after this.
    pub fn alias_not_before(&self, key: &LookupKey) -> Sequence {
        self.aliases.get(key).not_before.max(self.everything())
    }

    /// Whether a call of the overview that begins at `now` may not resolve the alias.
    pub fn alias_is_entity_only(&self, key: &LookupKey, now: Tick) -> bool {
        if now < self.everything_until() {
            return !key.is_contact_id();
        }
        now < self.aliases.get(key).entity_only_until
    }

    /// A negative entry must come from a request that began after this. A contact that was changed exists, unless it
    /// was purged since.
    pub fn negatives_not_before(&self, key: &LookupKey) -> Sequence {
        let changed = key.bare_id().map(|id| {
            let changed = self.not_before(id, PartSet::INVALIDATABLE);
            // Only a purge fences the audiences.
            let purged = self.not_before(id, Part::Audiences.into());
            if changed > purged {
                changed
            } else {
                Sequence::default()
            }
        });
        Sequence(self.negatives.load(Ordering::SeqCst))
            .max(self.alias_not_before(key))
            .max(changed.unwrap_or_default())
    }

    /// Data of any contact must come from a request that began after this.
    pub fn everything(&self) -> Sequence {
        Sequence(self.everything.load(Ordering::SeqCst))
    }

    /// The fences of the contact that forbid something at `now`.
    pub fn status(&self, id: ContactId, now: Tick) -> Vec<FenceStatus> {
        let (fences, kept_until) = self.contacts.get_kept(&id);
        let status = |part: Part| {
            let fence = fences[part];
            let mut until = fence.entity_only_until;
            if PartSet::INVALIDATABLE.contains(part) {
                until = until.max(self.everything_until());
            }
            FenceStatus {
                part,
                is_raised: now < kept_until && fence.not_before > Sequence::default(),
                entity_only_for: (now < until).then(|| until.since(now)),
            }
        };
        let forbids = |fence: &FenceStatus| fence.is_raised || fence.entity_only_for.is_some();
        Part::ALL.into_iter().map(status).filter(forbids).collect()
    }

    /// How many contacts and aliases have a fence, including expired fences that no sweep has dropped yet.
    pub fn counts(&self) -> (usize, usize) {
        (self.contacts.len(), self.aliases.len())
    }

    /// For how long a fence is kept.
    pub fn kept(&self) -> Duration {
        self.keep
    }

    /// Raises the fence around everything if a table was full.
    fn or_everything(&self, has_room: bool, now: Tick) {
        if !has_room {
            self.raise_around_everything(now);
        }
    }

    /// Raises a fence around every contact and alias, as if each had been invalidated now. The fences that it covers
    /// are dropped.
    pub fn raise_around_everything(&self, now: Tick) {
        let until = now + self.lag;
        self.everything_entity_only_until
            .fetch_max(until.nanos(), Ordering::SeqCst);
        self.raise_everything();
        self.drop_covered(self.everything(), until);
    }

    fn drop_covered(&self, everything: Sequence, until: Tick) {
        self.contacts.retain(|fences| {
            let mut fences = fences.iter();
            !fences.all(|(_, fence)| fence.is_covered(everything, until))
        });
        self.aliases
            .retain(|fence| !fence.is_covered(everything, until));
    }

    fn everything_until(&self) -> Tick {
        Tick::from_nanos(self.everything_entity_only_until.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests;
