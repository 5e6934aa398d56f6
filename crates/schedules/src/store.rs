//! The properties of moka that the cache relies on: a map in which changes of one key happen one after another, in
//! which reads see the latest change and never wait, and whose iteration reads each key that was present when it began.
//! Nothing expires and nothing is evicted.

use std::{
    collections::HashMap,
    hash::{Hash, RandomState},
    sync::{Arc, PoisonError},
    time::Duration,
};

use shuttle::sync::{Mutex, MutexGuard};

use self::ops::compute::Op;

pub(crate) mod ops {
    pub(crate) mod compute {
        pub(crate) enum Op<V> {
            Nop,
            Put(V),
            Remove,
        }
    }
}

/// The reason why an entry was removed. Here only the cache removes entries.
pub mod notification {
    /// The cause.
    #[derive(Clone, Copy, Debug)]
    pub enum RemovalCause {
        /// It expired.
        Expired,
        /// It was removed.
        Explicit,
        /// It was replaced.
        Replaced,
        /// It was evicted to make room.
        Size,
    }
}

pub(crate) mod sync {
    pub(crate) use super::Cache;
}

/// A key's value.
pub(crate) struct Entry<V>(V);

impl<V> Entry<V> {
    pub(crate) fn value(&self) -> &V {
        &self.0
    }
}

/// A lock for each key, and a lock around the map, as in moka.
pub(crate) struct Cache<K, V> {
    entries: Mutex<HashMap<K, V>>,
    changes: Mutex<HashMap<K, Arc<Mutex<()>>>>,
}

pub(crate) struct Builder<K, V>(std::marker::PhantomData<(K, V)>);

impl<K, V> Builder<K, V> {
    pub(crate) fn max_capacity(self, _: u64) -> Self {
        self
    }

    pub(crate) fn weigher(self, _: impl Fn(&K, &V) -> u32) -> Self {
        self
    }

    pub(crate) fn time_to_live(self, _: Duration) -> Self {
        self
    }

    pub(crate) fn eviction_listener(
        self,
        _: impl Fn(Arc<K>, V, self::notification::RemovalCause),
    ) -> Self {
        self
    }

    #[expect(clippy::unused_self, reason = "moka's signature")]
    pub(crate) fn build(self) -> Cache<K, V> {
        Cache {
            entries: Mutex::new(HashMap::new()),
            changes: Mutex::new(HashMap::new()),
        }
    }

    pub(crate) fn build_with_hasher(self, _: RandomState) -> Cache<K, V> {
        self.build()
    }
}

pub(crate) struct Selected<'a, K, V> {
    cache: &'a Cache<K, V>,
    key: K,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(crate) fn builder() -> Builder<K, V> {
        Builder(std::marker::PhantomData)
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        lock(&self.entries).get(key).cloned()
    }

    /// Does not wait for a change of the key that is running, as in moka.
    pub(crate) fn invalidate(&self, key: &K) {
        lock(&self.entries).remove(key);
    }

    pub(crate) fn invalidate_all(&self) {
        lock(&self.entries).clear();
    }

    pub(crate) fn entry(&self, key: K) -> Selected<'_, K, V> {
        Selected { cache: self, key }
    }

    /// Reads all keys first, then their values one by one, so that changes may happen in between.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Arc<K>, V)> {
        let keys: Vec<K> = lock(&self.entries).keys().cloned().collect();
        keys.into_iter()
            .filter_map(|key| Some((Arc::new(key.clone()), self.get(&key)?)))
    }

    #[expect(clippy::unused_self, reason = "moka's signature")]
    pub(crate) fn run_pending_tasks(&self) {}

    pub(crate) fn entry_count(&self) -> u64 {
        lock(&self.entries).len() as u64
    }

    pub(crate) fn weighted_size(&self) -> u64 {
        self.entry_count()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Selected<'_, K, V> {
    /// Changes of a key happen one after another. Readers do not wait for them.
    pub(crate) fn and_compute_with(self, change: impl FnOnce(Option<Entry<V>>) -> Op<V>) {
        let turn = Arc::clone(
            lock(&self.cache.changes)
                .entry(self.key.clone())
                .or_default(),
        );
        let turn = lock(&turn);
        let value = self.cache.get(&self.key);
        match change(value.map(Entry)) {
            Op::Nop => {}
            Op::Put(value) => {
                lock(&self.cache.entries).insert(self.key, value);
            }
            Op::Remove => self.cache.invalidate(&self.key),
        }
        drop(turn);
    }
}
