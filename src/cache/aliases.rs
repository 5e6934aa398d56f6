//! The aliases of the index, by keyed digest.
//!
//! They are in `quick_cache`: an entry of moka takes twice the memory, and every contact has several aliases
//! (docs/PERFORMANCE.md has the figures). They need only a bounded map as a store. Changes take a lock of our own.

use std::{
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::PoisonError,
    time::Duration,
};

use moka::ops::compute::Op;
use quick_cache::{OptionsBuilder, UnitWeighter, sync::DefaultLifecycle};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::{
    compact::CompactProvenance,
    fence::Sequence,
    freshness::{Freshness, Policy, Provenance},
};
use crate::{
    clock::Tick,
    domain::{ContactId, ContactType, IdentifierKind, LookupKey},
    threads::Mutex,
};

/// The contact that an alias led to when it was last resolved.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The contact.
    pub id: ContactId,
    /// Which endpoint said so, and when.
    pub provenance: Provenance,
    /// Whether the contact's profile is known to have the identifier.
    pub confirmed: bool,
    /// The last profile that does not contradict it: while that one is cached, it need not be checked again.
    pub seen_in: Sequence,
    /// Whether the contact's profile showed it, and no look-up by it has been answered by Engage since.
    pub is_learned: bool,
}

impl Alias {
    /// An alias that a request of that provenance found.
    pub(super) fn found(id: ContactId, provenance: Provenance, confirmed: bool) -> Self {
        Self {
            id,
            provenance,
            confirmed,
            seen_in: Sequence::default(),
            is_learned: false,
        }
    }

    /// In which window of its life the alias is. One that could not be confirmed has no stale windows: it lives no
    /// longer than a negative entry.
    pub fn freshness(&self, now: Tick, policy: &Policy) -> Freshness {
        let freshness = self.provenance.freshness(now, policy);
        if self.confirmed || freshness == Freshness::Fresh {
            freshness
        } else {
            Freshness::Dead
        }
    }

    /// Whether it stays although `other` was found for the same lookup key.
    pub(super) fn outlasts(&self, other: &Alias, overview_lag: Duration) -> bool {
        let (cached, new) = (&self.provenance, &other.provenance);
        if self.id == other.id {
            cached.is_later_than(new)
        } else {
            cached.sequence != new.sequence && !new.supersedes(cached, overview_lag)
        }
    }
}

/// An alias as it is stored, with the fields that operators see. It contains a digest of the identifier, not its text.
#[derive(Clone, Debug)]
pub(super) struct AliasEntry {
    pub(super) id: ContactId,
    pub(super) provenance: CompactProvenance,
    pub(super) seen_in: Sequence,
    pub(super) contact_type: Option<ContactType>,
    pub(super) kind: IdentifierKind,
    pub(super) confirmed: bool,
    pub(super) is_learned: bool,
}

impl AliasEntry {
    pub(super) fn new(alias: Alias, key: &LookupKey) -> Self {
        Self {
            id: alias.id,
            provenance: alias.provenance.into(),
            seen_in: alias.seen_in,
            contact_type: key.contact_type().cloned(),
            kind: key.kind(),
            confirmed: alias.confirmed,
            is_learned: alias.is_learned,
        }
    }

    pub(super) fn alias(&self) -> Alias {
        Alias {
            id: self.id,
            provenance: self.provenance.into(),
            confirmed: self.confirmed,
            seen_in: self.seen_in,
            is_learned: self.is_learned,
        }
    }
}

/// The digest of an alias, by which it is found: 128 bits under a key of this process, so that no two aliases share
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AliasKey([u64; 2]);

impl Hash for AliasKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// The hash of a digest is half of the digest, which is keyed already.
#[derive(Clone, Copy, Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        unreachable!("a digest writes one number, not {bytes:?}")
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Makes the digests.
pub(super) struct AliasHasher(SipHasher13);

impl AliasHasher {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self(SipHasher13::new_with_keys(
            random.hash_one(0),
            random.hash_one(1),
        ))
    }

    pub(super) fn of(&self, key: &LookupKey) -> AliasKey {
        let mut hasher = self.0;
        key.hash(&mut hasher);
        let digest = hasher.finish128();
        AliasKey([digest.h1, digest.h2])
    }
}

/// How many shards the index is divided into, each with a lock: sweeps lock one at a time.
const SHARDS: usize = 64;

/// The aliases by digest.
pub(super) struct AliasIndex {
    entries: quick_cache::sync::Cache<
        AliasKey,
        AliasEntry,
        UnitWeighter,
        BuildHasherDefault<DigestHasher>,
    >,
    changes: Box<[Mutex<()>]>,
}

impl AliasIndex {
    /// The bytes of an alias, measured: one and a half times those of its key and entry.
    pub(super) const ENTRY_BYTES: usize = (size_of::<AliasKey>() + size_of::<AliasEntry>()) * 3 / 2;

    /// An empty index that takes `max_bytes` at most.
    pub(super) fn new(max_bytes: u64) -> Self {
        let max = max_bytes / Self::ENTRY_BYTES as u64;
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(usize::try_from(max).unwrap_or(usize::MAX))
            .weight_capacity(max)
            // Evicted keys are not remembered: they would take as much memory as entries.
            .ghost_allocation(0.0)
            .build()
            .expect("all options are set");
        Self {
            entries: quick_cache::sync::Cache::with_options(
                options,
                UnitWeighter,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            ),
            changes: (0..SHARDS).map(|_| Mutex::new(())).collect(),
        }
    }

    pub(super) fn get(&self, key: &AliasKey) -> Option<AliasEntry> {
        self.entries.get(key)
    }

    /// The same without counting as a read.
    pub(super) fn peek(&self, key: &AliasKey) -> Option<AliasEntry> {
        self.entries.peek(key)
    }

    /// Decides under a lock whether the alias is kept, stored or removed. A concurrent change either is visible here,
    /// or comes later and sees the fences that were raised before.
    pub(super) fn update(
        &self,
        key: AliasKey,
        decide: impl FnOnce(Option<AliasEntry>) -> Op<AliasEntry>,
    ) {
        let place = usize::from(key.0[1].to_ne_bytes()[0]) % SHARDS;
        let lock = &self.changes[place];
        let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
        match decide(self.peek(&key)) {
            Op::Nop => {}
            Op::Put(entry) => self.entries.insert(key, entry),
            Op::Remove => drop(self.entries.remove(&key)),
        }
    }

    /// Waits for the changes that are under way: those that begin later see the fences that were raised before.
    pub(super) fn wait_for_changes(&self) {
        for lock in &self.changes {
            drop(lock.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The keys of the entries for which `is_meant` holds. `is_meant` is called without a lock.
    pub(super) fn keys_where(&self, is_meant: impl Fn(&AliasEntry) -> bool) -> Vec<AliasKey> {
        let entries = self.entries.iter();
        let meant = entries.filter(|(_, entry)| is_meant(entry));
        meant.map(|(key, _)| key).collect()
    }

    /// Keeps the entries for which `keep` holds. It does not wait for concurrent changes, so one may put back an entry
    /// that this removes. Only for entries that are not served in any case.
    pub(super) fn retain(&self, keep: impl Fn(&AliasEntry) -> bool) {
        self.entries.retain(|_, entry| keep(entry));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = AliasEntry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    pub(super) fn clear(&self) {
        self.entries.clear();
    }

    pub(super) fn count(&self) -> u64 {
        self.entries.len() as u64
    }
}
