//! The cache: records by contact, the index of aliases that lead to them, negative entries, and the fences that keep
//! out data fetched before an invalidation. It knows contacts and parts, neither HTTP nor Engage.
//!
//! Records, histories, negative entries and failures are in moka, which admits a new entry to a full cache only where
//! it is requested more often than the entries that it would evict. moka is only the store: its `get_with` family puts
//! old values back after an invalidation, lets late callers join old fetches, and starts over when the first caller is
//! cancelled. So flights and fences are our own ([`flight`], [`fence`]). Freshness is our own arithmetic over the
//! injected clock.

mod aliases;
mod codec;
mod compact;
mod evictions;
pub mod explain;
mod failures;
pub mod feed;
pub mod fence;
mod fetched;
pub mod flight;
pub mod freshness;
mod history;
mod index;
mod learned;
mod maintenance;
pub mod parts;
mod pending_purges;
mod purges;
pub mod record;
mod records;
mod shared;
mod size;

use std::{
    hash::RandomState,
    sync::{Arc, PoisonError},
    time::Duration,
};

use moka::ops::compute::Op;

pub use self::{
    aliases::Alias,
    evictions::EvictionCounts,
    failures::CallKey,
    fetched::PartData,
    history::HistoryEntry,
    purges::IsPurged,
    size::{Bounds, Counts},
};
use self::{
    aliases::{AliasHasher, AliasIndex},
    codec::Codec,
    evictions::Evictions,
    failures::Failures,
    fence::{Fences, Sequence},
    fetched::provenance,
    freshness::{FetchSource, Policy},
    history::Histories,
    index::NegativeEntry,
    learned::Conflicts,
    maintenance::FillCounter,
    parts::{Origins, Parts},
    pending_purges::PendingPurges,
    purges::Purges,
    record::Record,
    records::weight,
    size::Shares,
};
use crate::{
    clock::{Clock, Now},
    domain::{ContactId, Lookup, LookupKey, Part, PartSet, UniqueKinds},
    threads::{AtomicBool, Ordering, RwLock},
};

/// A response that was rendered from a record and is kept with it.
pub trait Answer: Send + Sync + 'static {
    /// The bytes that it occupies, estimated.
    fn bytes(&self) -> usize;

    /// Called when it is kept for later requests. Before that it serves only the request that it was rendered for.
    fn made_ready(&self);
}

/// Why an identifier leads to no contact, or why a call failed.
pub trait Reason {
    /// The bytes that it occupies on the heap.
    fn heap_bytes(&self) -> usize;
}

/// The beginning of an upstream request.
#[derive(Clone, Copy, Debug)]
pub struct FetchStart {
    /// Its sequence number.
    pub sequence: Sequence,
    /// The time.
    pub now: Now,
}

/// The bytes of an entry of moka in addition to its key and value, measured with tiny values.
const ENTRY_OVERHEAD: usize = 300;
/// If there would be more fences than this, one fence around everything replaces them.
const MAX_FENCES: usize = 1_000_000;

/// Records with rendered responses of type `R`, aliases, and negative entries with a reason of type `E`.
pub struct Cache<R, E> {
    records: moka::sync::Cache<ContactId, Arc<Record<R>>>,
    evictions: Arc<Evictions>,
    /// Read-locked while a record or an entry of a contact's history is stored; a scan takes the write lock once, to
    /// wait for stores under way.
    stores: RwLock<()>,
    codec: Codec,
    fills: FillCounter,
    aliases: AliasIndex,
    alias_hasher: AliasHasher,
    /// The kinds of identifier whose aliases are learned from profiles.
    unique: UniqueKinds,
    conflicts: Conflicts,
    negatives: moka::sync::Cache<LookupKey, NegativeEntry<E>>,
    failures: Failures<E>,
    histories: Histories,
    pending_purges: PendingPurges,
    purges: Purges,
    /// Which data must not be stored or served any more.
    pub fences: Fences,
    /// Lifetimes and windows.
    pub policy: Policy,
    /// Whether nothing is read or stored.
    is_off: AtomicBool,
    /// Whether it was logged that a record is too heavy to cache: once is enough.
    too_heavy_was_logged: AtomicBool,
    shares: Shares,
    clock: Clock,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// An empty cache.
    pub fn new(policy: Policy, bounds: Bounds, clock: Clock) -> Self
    where
        E: Reason,
    {
        let shares = Shares::of(bounds.max_bytes);
        let evictions = Arc::new(Evictions::default());
        let evicted = Arc::clone(&evictions);
        Self {
            records: moka::sync::Cache::builder()
                .max_capacity(shares.records)
                .weigher(|_, record: &Arc<Record<R>>| weight(record))
                // moka's own clock can't be replaced, so this is only an outer bound in real time.
                .time_to_live(maintenance::outer_lifetime(&policy))
                .eviction_listener(move |_, _, cause| evicted.note(cause))
                // Contact ids are Engage's, but any id may be requested: with an unkeyed hash, a client could choose
                // which contact's frequency it raises.
                .build_with_hasher(RandomState::new()),
            evictions,
            stores: RwLock::new(()),
            codec: Codec::default(),
            fills: FillCounter::new(bounds.max_bytes / maintenance::GROWTH_SHARE),
            aliases: AliasIndex::new(shares.aliases),
            alias_hasher: AliasHasher::random(),
            unique: UniqueKinds::default(),
            conflicts: Conflicts::default(),
            negatives: moka::sync::Cache::builder()
                .max_capacity(shares.negatives)
                .weigher(|key: &LookupKey, entry: &NegativeEntry<E>| {
                    let heap = key.heap_bytes() + entry.heap_bytes();
                    saturating(ENTRY_OVERHEAD + size_of::<NegativeEntry<E>>() + heap)
                })
                // moka's own clock can't be replaced, so this is only an outer bound in real time.
                .time_to_live(policy.negative_lifetime)
                .build(),
            failures: Failures::new(shares.failures, policy.negative_lifetime),
            histories: Histories::new(shares.histories, &policy),
            pending_purges: PendingPurges::default(),
            purges: Purges::default(),
            fences: Fences::new(policy.overview_lag, bounds.longest_flight, MAX_FENCES),
            policy,
            is_off: AtomicBool::new(false),
            too_heavy_was_logged: AtomicBool::new(false),
            shares,
            clock,
        }
    }

    /// Whether anything is read and stored.
    pub fn is_on(&self) -> bool {
        !self.is_off.load(Ordering::SeqCst)
    }

    /// Switches the cache off, or on again. While it is off nothing is read or stored; fences are still raised and
    /// checked. The caller purges everything after switching it off: data cached or in flight before is then never
    /// served again.
    pub fn switch(&self, on: bool) {
        self.is_off.store(!on, Ordering::SeqCst);
    }

    /// Marks the start of an upstream request.
    pub fn begin(&self) -> FetchStart {
        FetchStart {
            sequence: self.fences.sequence(),
            now: self.clock.now(),
        }
    }

    /// Stores parts that were fetched by `requested` or from entity endpoints. Leaves out the overview's copies of parts
    /// that only their entity endpoints could fill when the request began, and does not replace newer cached data.
    /// Returns the parts that no fence forbids.
    pub fn store_parts(&self, id: ContactId, parts: Parts, requested: Option<&Lookup>) -> Parts {
        self.store_parts_except(id, parts, requested, PartSet::EMPTY)
    }

    /// The same, but parts in `overtaken` are returned and not stored: an invalidation that has not reached this
    /// replica yet covers them.
    pub fn store_parts_except(
        &self,
        id: ContactId,
        mut parts: Parts,
        requested: Option<&Lookup>,
        overtaken: PartSet,
    ) -> Parts {
        // Checked and stored under the record's lock, so that no invalidation comes in between.
        let _store = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        let mut learned_from = None;
        self.update_record(id, |cached| {
            let cached = cached.and_then(|cached| Self::parts_to_replace(id, cached));
            let identifier = requested.map(|requested| &requested.identifier);
            let profile = cached.as_ref().and_then(Parts::identity);
            let is_fenced = self.apply_purges(id, &mut parts, profile, identifier);
            self.drop_fenced(id, &mut parts, requested);
            if parts.present().is_empty() && !is_fenced {
                return Op::Nop;
            }
            let mut merged = cached.unwrap_or_default();
            merged.retain(|part, provenance| self.fences.allows(id, part, provenance.sequence));
            self.note_entity_reads(id, &mut parts, &merged);
            if !self.is_on() {
                return Op::Nop;
            }
            let mut kept = parts.clone();
            kept.retain(|part, _| !overtaken.contains(part));
            merged.merge(&kept, self.policy.overview_lag);
            if merged.present().is_empty() {
                return Op::Remove;
            }
            let change = self.put(id, &merged);
            if self.learns_aliases() && matches!(change, Op::Put(_)) {
                learned_from = learned::placed_profile(&merged, &parts);
            }
            change
        });
        if let Some(profile) = learned_from {
            self.learn(id, &profile);
        }
        parts
    }

    /// Removes the parts that fences forbid. The parts were fetched by `requested` or from entity endpoints.
    pub(super) fn drop_fenced(&self, id: ContactId, parts: &mut Parts, requested: Option<&Lookup>) {
        let alias_not_before =
            requested.map(|requested| self.fences.alias_not_before(requested.key()));
        parts.retain(|part, provenance| {
            // The start of the request counts, not its end.
            let lags = provenance.source == FetchSource::Overview
                && self
                    .fences
                    .entity_only(id, provenance.requested_at)
                    .contains(part);
            let allowed =
                alias_not_before.is_none_or(|not_before| provenance.sequence > not_before);
            allowed && !lags && self.fences.allows(id, part, provenance.sequence)
        });
    }

    /// Raises a fence for each part of which the entity endpoint returned something new: for the overview's lag, the
    /// overview's copy may be older and must not replace it. A read that returned the same data again changes nothing.
    /// For parts that another replica fetched, the shared tier says for how long.
    fn note_entity_reads(&self, id: ContactId, parts: &mut Parts, cached: &Parts) {
        for part in self.new_parts(parts, cached).iter() {
            if !parts.provenance(part).is_some_and(|new| new.is_shared) {
                self.fences.entity_read(id, part, self.clock.tick());
            }
        }
    }

    /// The parts that the overview can contain and of which the entity endpoint returned something new.
    fn new_parts(&self, parts: &mut Parts, cached: &Parts) -> PartSet {
        // The overview can't replace a part that it never contains.
        parts
            .note_differences(cached)
            .intersection(self.policy.overview_parts)
    }

    /// Makes sure that data of these parts that was fetched until now is never served again.
    pub fn invalidate(&self, id: ContactId, parts: PartSet) {
        self.invalidate_since(id, parts, Duration::ZERO);
    }

    /// The same for a change that happened `age` ago: the overview's lag counts from then.
    pub fn invalidate_since(&self, id: ContactId, parts: PartSet, age: Duration) {
        self.fences.raise_since(id, parts, age, self.clock.tick());
        self.drop_forbidden(id);
        self.drop_forbidden_history(id, parts);
    }

    /// Drops the contact's cached parts that a fence forbids. Called after the fence was raised.
    fn drop_forbidden(&self, id: ContactId) {
        self.update_record(id, |cached| {
            let Some(cached) = cached else {
                return Op::Nop;
            };
            let Some(mut kept) = Self::parts_to_replace(id, cached) else {
                return Op::Remove;
            };
            kept.retain(|part, provenance| self.fences.allows(id, part, provenance.sequence));
            self.put(id, &kept)
        });
    }

    /// Drops the record of a contact that Engage no longer knows, as a request that began at `start` found, unless a
    /// later request fetched its profile. Also drops the contact's history that was requested before.
    pub fn drop_record(&self, id: ContactId, start: FetchStart) {
        let found = provenance(start, Duration::ZERO, FetchSource::Entity);
        self.update_record(id, |cached| {
            let profile = cached.and_then(|cached| cached.provenance(Part::Profile));
            let newer = profile.is_some_and(|profile| profile.is_later_than(&found));
            if newer { Op::Nop } else { Op::Remove }
        });
        self.drop_history(id, start.sequence);
    }
}

fn saturating(bytes: impl TryInto<u32>) -> u32 {
    bytes.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
