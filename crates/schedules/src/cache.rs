//! The pantry: records by contact, the index of names that lead to them, negative answers, and the
//! fences that keep what was fetched before an invalidation out. Knows contacts and parts, neither
//! HTTP nor Engage.
//!
//! Records and names are in a store of our own (`store.rs`), which every hit reads; negative answers, which come in
//! floods and are read seldom, in moka, which admits by how often somebody is asked for. moka is a store there and
//! nothing else: its `get_with` family puts old values back after an invalidation, joins late callers to old fetches and
//! starts over when the first caller leaves, so flights and fences are our own ([`flight`], [`fence`]). Freshness is our
//! own arithmetic over the injected clock.

pub mod explain;
mod failures;
pub mod feed;
pub mod fence;
pub mod flight;
pub mod freshness;
mod held;
mod index;
mod packed;
pub mod parts;
mod pending_purges;
mod purges;
pub mod record;
mod store;
mod upkeep;
mod weight;

use serde::{Serialize, de::DeserializeOwned};

use std::{borrow::Cow, sync::Arc, time::Duration};

pub use self::{failures::CallKey, index::Alias, purges::IsPurged};
use self::{
    failures::Failures,
    fence::{Fences, Sequence},
    freshness::{FetchSource, Policy, Provenance},
    held::{Held, weight},
    index::{AliasEntry, AliasHasher, AliasKey, NegativeEntry},
    packed::Packer,
    parts::{Entry, Origins, Parts},
    pending_purges::PendingPurges,
    purges::Purges,
    record::Record,
    store::{Op, Store},
    upkeep::Intake,
};
use crate::{
    clock::{Clock, Now},
    domain::{ContactId, Lookup, LookupKey, Overview, Part, PartSet, Partial},
    threads::{AtomicBool, Ordering},
};

/// Something that can say how many bytes it occupies.
pub trait Weigh {
    /// The bytes, estimated.
    fn bytes(&self) -> usize;
}

/// An answer that was rendered from a record and is kept with it; written and read where it is packed.
pub trait Answer: Weigh + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Takes note that it is kept as it is from now on, for later requests. Until then, what is made of it serves one.
    fn made_ready(&self);
}

/// The beginning of an upstream request.
#[derive(Clone, Copy, Debug)]
pub struct FetchStart {
    /// Its place in the order of events.
    pub sequence: Sequence,
    /// Its moment.
    pub now: Now,
}

/// How much the cache may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of records and names together.
    pub max_bytes: u64,
    /// The longest time that an upstream call may be in the air.
    pub longest_flight: Duration,
}

/// Of the bytes that the cache may hold, one in so many is for negative answers.
const NEGATIVE_SHARE: u64 = 32;
/// Of the bytes that the cache may hold, one in so many is for failures.
const FAILURE_SHARE: u64 = 64;
/// Of the bytes that the cache may hold, one in so many is for names.
const ALIAS_SHARE: u64 = 8;
/// Of the bytes that the cache may hold, one in so many is what packing works in, to begin with.
const PACKING_SHARE: u64 = 12;
/// It works in no more than this.
const PACKING_BYTES: u64 = 16 << 20;
/// What an entry of moka costs besides its key and value: measured with tiny values.
const ENTRY_OVERHEAD: usize = 300;
/// Fences that are kept before one around everything takes the place of all.
const MAX_FENCES: usize = 1_000_000;

/// Records with rendered answers of type `R`, names, and negative answers of type `E`.
pub struct Cache<R, E> {
    records: Store<ContactId, Held<R>>,
    packer: Packer,
    intake: Intake,
    aliases: Store<AliasKey, AliasEntry>,
    alias_hasher: AliasHasher,
    negatives: moka::sync::Cache<LookupKey, NegativeEntry<E>>,
    failures: Failures<E>,
    pending_purges: PendingPurges,
    purges: Purges,
    /// What must not be stored or served any more.
    pub fences: Fences,
    /// Lifetimes and windows.
    pub policy: Policy,
    /// Whether nothing is read or stored.
    is_off: AtomicBool,
    /// Whether it was logged that a record is too heavy to be held: once is enough.
    too_heavy_was_logged: AtomicBool,
    max_bytes: u64,
    clock: Clock,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// An empty cache.
    pub fn new(policy: Policy, bounds: Bounds, clock: Clock) -> Self {
        let aliases_bytes = bounds.max_bytes / ALIAS_SHARE;
        let negatives_bytes = bounds.max_bytes / NEGATIVE_SHARE;
        let failures_bytes = bounds.max_bytes / FAILURE_SHARE;
        let packing_bytes = PACKING_BYTES.min(bounds.max_bytes / PACKING_SHARE);
        Self {
            records: Store::new(
                bounds.max_bytes - aliases_bytes - negatives_bytes - failures_bytes - packing_bytes,
                |_, held| weight(held),
            ),
            packer: Packer::new(),
            intake: Intake::new(bounds.max_bytes),
            aliases: Store::new(aliases_bytes, |_, _| {
                Store::<AliasKey, AliasEntry>::SLOT_BYTES
            }),
            alias_hasher: AliasHasher::random(),
            negatives: moka::sync::Cache::builder()
                .max_capacity(negatives_bytes)
                .weigher(|key: &LookupKey, _| {
                    saturating(ENTRY_OVERHEAD + size_of::<NegativeEntry<E>>() + key.heap_bytes())
                })
                // moka's own clock can't be replaced, so this is only an outer bound in real time.
                .time_to_live(policy.negative_lifetime)
                .build(),
            failures: Failures::new(failures_bytes, policy.negative_lifetime),
            pending_purges: PendingPurges::default(),
            purges: Purges::default(),
            fences: Fences::new(policy.overview_lag, bounds.longest_flight, MAX_FENCES),
            policy,
            is_off: AtomicBool::new(false),
            too_heavy_was_logged: AtomicBool::new(false),
            max_bytes: bounds.max_bytes,
            clock,
        }
    }

    /// Whether anything is read and stored.
    pub fn is_on(&self) -> bool {
        !self.is_off.load(Ordering::SeqCst)
    }

    /// Switches the cache off, or on again. Off, nothing is read from it and nothing stored in it; fences go on being
    /// raised and heeded. The caller purges everything after it was switched off: what was cached or in flight before is
    /// then never served again.
    pub fn switch(&self, on: bool) {
        self.is_off.store(!on, Ordering::SeqCst);
    }

    /// Marks the beginning of an upstream request.
    pub fn begin(&self) -> FetchStart {
        FetchStart {
            sequence: self.fences.sequence(),
            now: self.clock.now(),
        }
    }

    /// Takes over what an overview tells, except the parts that only their entity endpoints may fill
    /// now and those whose held data is newer. Returns what was taken.
    pub fn store_overview(&self, asked: &Lookup, start: FetchStart, overview: Overview) -> Parts {
        let provenance =
            |part| provenance(start, self.policy.lifetime(part), FetchSource::Overview);
        let parts = Parts {
            profile: Some(entry(overview.profile, provenance(Part::Profile))),
            audiences: overview
                .audiences
                .map(|data| entry(data, provenance(Part::Audiences))),
            promotions: overview
                .promotions
                .map(|data| entry(data, provenance(Part::Promotions))),
            vouchers: overview
                .vouchers
                .map(|data| entry(data, provenance(Part::Vouchers))),
            points: overview
                .points
                .map(|data| entry(data, provenance(Part::Points))),
        };
        self.store(overview.id, parts, Some(asked))
    }

    /// Takes over what an entity endpoint tells, unless the held data is newer. Returns what was taken.
    pub fn store_part(&self, id: ContactId, start: FetchStart, data: PartData) -> Parts {
        let part = data.part();
        let provenance = provenance(start, self.policy.lifetime(part), FetchSource::Entity);
        let mut parts = Parts::default();
        match data {
            PartData::Profile(data) => parts.profile = Some(entry(*data, provenance)),
            PartData::Promotions(data) => parts.promotions = Some(entry(data, provenance)),
            PartData::Vouchers(data) => parts.vouchers = Some(entry(data, provenance)),
            PartData::Points(data) => parts.points = Some(entry(data, provenance)),
        }
        self.store(id, parts, None)
    }

    /// Within the record's own lock, so that no invalidation can come between question and answer.
    fn store(&self, id: ContactId, mut parts: Parts, asked: Option<&Lookup>) -> Parts {
        self.records.update(id, |held| {
            let held = held.and_then(|held| held.parts(id));
            let identifier = asked.map(|asked| &asked.identifier);
            let cached = held.as_ref().and_then(|held| held.seen());
            let is_fenced = self.heed_purges(id, &mut parts, cached, identifier);
            let alias_not_before = asked.map(|asked| self.fences.alias_not_before(asked.key()));
            parts.retain(|part, provenance| {
                // What counts is when Engage was asked, not when it answered.
                let lags = provenance.source == FetchSource::Overview
                    && self
                        .fences
                        .entity_only(id, provenance.requested_at)
                        .contains(part);
                let allowed =
                    alias_not_before.is_none_or(|not_before| provenance.sequence > not_before);
                allowed && !lags && self.fences.allows(id, part, provenance.sequence)
            });
            if parts.held().is_empty() && !is_fenced {
                return Op::Nop;
            }
            let mut merged = held.map_or_else(Parts::default, Cow::into_owned);
            merged.retain(|part, provenance| self.fences.allows(id, part, provenance.sequence));
            self.note_entity_reads(id, &mut parts, &merged);
            if !self.is_on() {
                return Op::Nop;
            }
            merged.merge(&parts, self.policy.overview_lag);
            if merged.held().is_empty() {
                return Op::Remove;
            }
            let record = Record::new(id, merged);
            self.intake.add(record.bytes());
            self.put(record)
        });
        parts
    }

    /// What an entity endpoint tells that it did not tell before an overview's older copy could take back: for the
    /// overview's lag that may not fill the part. A read that tells the same once more leaves it as it stands.
    fn note_entity_reads(&self, id: ContactId, parts: &mut Parts, cached: &Parts) {
        for part in parts.note_differences(cached).iter() {
            // What the overview never tells it can't take back either.
            if self.policy.overview_parts.contains(part) {
                self.fences.entity_read(id, part, self.clock.tick());
            }
        }
    }

    /// What was fetched of the parts until now is never served again.
    pub fn invalidate(&self, id: ContactId, parts: PartSet) {
        self.fences.raise(id, parts, self.clock.tick());
        self.drop_forbidden(id);
    }

    /// Drops what is cached of the contact and a fence forbids, once that was raised.
    fn drop_forbidden(&self, id: ContactId) {
        self.records.update(id, |held| {
            let Some(held) = held else {
                return Op::Nop;
            };
            let Some(parts) = held.parts(id) else {
                return Op::Remove;
            };
            let mut kept = parts.into_owned();
            kept.retain(|part, provenance| self.fences.allows(id, part, provenance.sequence));
            self.put(Record::new(id, kept))
        });
    }

    /// Drops the record of a contact that Engage no longer knows, as told by a request of that stamp.
    pub fn drop_record(&self, id: ContactId, start: Sequence) {
        self.records.update(id, |held| {
            let held = held.and_then(|held| held.record(id));
            let newer = held.is_some_and(|held| held.sequence(Part::Profile) > start);
            if newer { Op::Nop } else { Op::Remove }
        });
    }

    /// How many bytes it may hold.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// How many records and names are held.
    pub fn counts(&self) -> Counts {
        self.negatives.run_pending_tasks();
        let (records, record_bytes) = self.records.size();
        let (aliases, _) = self.aliases.size();
        Counts {
            records,
            record_bytes,
            aliases,
            negatives: self.negatives.entry_count(),
            failures: self.failures.count(),
        }
    }
}

fn provenance(start: FetchStart, lifetime: Duration, source: FetchSource) -> Provenance {
    Provenance {
        sequence: start.sequence,
        requested_at: start.now.tick,
        as_of: start.now.wall,
        lifetime: Policy::jittered(lifetime),
        source,
        differed_at: (source == FetchSource::Entity).then_some(start.now.tick),
    }
}

/// What the cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Contacts.
    pub records: u64,
    /// Their estimated bytes.
    pub record_bytes: u64,
    /// Names.
    pub aliases: u64,
    /// Negative answers.
    pub negatives: u64,
    /// Failures that are remembered.
    pub failures: u64,
}

/// What an entity endpoint told.
#[derive(Debug)]
pub enum PartData {
    /// From `/contacts/{id}`.
    Profile(Box<Partial<crate::domain::Profile>>),
    /// The contact's promotions.
    Promotions(Partial<crate::domain::Promotions>),
    /// The contact's vouchers.
    Vouchers(Partial<crate::domain::Vouchers>),
    /// The contact's point accounts.
    Points(Partial<crate::domain::Points>),
}

impl PartData {
    fn part(&self) -> Part {
        match self {
            PartData::Profile(_) => Part::Profile,
            PartData::Promotions(_) => Part::Promotions,
            PartData::Vouchers(_) => Part::Vouchers,
            PartData::Points(_) => Part::Points,
        }
    }
}

fn entry<T: Weigh>(read: Partial<T>, provenance: Provenance) -> Entry<T> {
    Entry {
        bytes: saturating(read.data.bytes()),
        data: Arc::new(read.data),
        provenance,
        incomplete: !read.left_out.is_empty(),
    }
}

fn saturating(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
