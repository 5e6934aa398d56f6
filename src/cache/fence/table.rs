//! Fences by key: bounded, and in shards so that a writer blocks few readers.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::PoisonError,
};

use crate::{
    clock::Tick,
    threads::{Mutex, MutexGuard},
};

/// Fences `F` by key.
#[derive(Debug)]
pub(super) struct Table<K, F> {
    shards: Vec<Mutex<Shard<K, F>>>,
    hasher: RandomState,
    max_per_shard: usize,
}

#[derive(Debug)]
struct Shard<K, F> {
    fences: HashMap<K, Kept<F>>,
    /// No fence that the last sweep left expires before this, so an earlier sweep would find few.
    next_sweep: Tick,
    /// How many fences make a sweep worthwhile: twice as many as the last one left.
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kept<F> {
    fence: F,
    /// When it expires and may be dropped: from then on no call that it concerns is in flight. Until it is dropped it
    /// still forbids data from before it was raised.
    until: Tick,
}

const SHARDS: usize = 16;
/// The fewest fences in a shard that are worth a sweep.
pub(super) const LEAST_SWEPT: usize = 1024;

impl<K: Hash + Eq, F: Copy + Default> Table<K, F> {
    pub(super) fn new(max: usize) -> Self {
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

    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, F>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[hash]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The fence of the key; if it has none, one that forbids nothing.
    pub(super) fn get(&self, key: &K) -> F {
        self.get_kept(key).0
    }

    /// The same, and when it expires.
    pub(super) fn get_kept(&self, key: &K) -> (F, Tick) {
        let kept = self.shard(key).fences.get(key).copied().unwrap_or_default();
        (kept.fence, kept.until)
    }

    pub(super) fn len(&self) -> usize {
        self.locked().map(|shard| shard.fences.len()).sum()
    }

    /// Changes the fence of the key and keeps it at least until `until`. `false` if the key's shard is full and has no
    /// fence of the key.
    pub(super) fn change(
        &self,
        key: K,
        now: Tick,
        until: Tick,
        change: impl FnOnce(&mut F),
    ) -> bool {
        let mut shard = self.shard(&key);
        if shard.fences.len() >= shard.sweep_at.min(self.max_per_shard)
            && !shard.fences.contains_key(&key)
        {
            shard.sweep(now);
            if shard.fences.len() >= self.max_per_shard {
                return false;
            }
        }
        let kept = shard.fences.entry(key).or_default();
        change(&mut kept.fence);
        kept.until = kept.until.max(until);
        true
    }

    /// Keeps only the fences for which `keep` holds.
    pub(super) fn retain(&self, keep: impl Fn(&F) -> bool) {
        for mut shard in self.locked() {
            shard.fences.retain(|_, kept| keep(&kept.fence));
        }
    }

    fn locked(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<K, F>>> {
        let shards = self.shards.iter();
        shards.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many fences make a sweep of each shard worthwhile.
    #[cfg(test)]
    pub(super) fn sweep_at(&self) -> Vec<usize> {
        self.locked().map(|shard| shard.sweep_at).collect()
    }
}

impl<K: Hash + Eq, F> Shard<K, F> {
    /// Drops the fences that have expired.
    fn sweep(&mut self, now: Tick) {
        if now < self.next_sweep {
            return;
        }
        self.fences.retain(|_, kept| kept.until > now);
        let ends = self.fences.values().map(|kept| kept.until);
        self.next_sweep = ends.min().unwrap_or(now);
        self.sweep_at = LEAST_SWEPT.max(2 * self.fences.len());
    }
}
