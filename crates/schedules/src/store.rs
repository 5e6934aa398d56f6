//! What the cache room relies on of moka for its negative answers: a map whose changes of one key follow one another, and
//! whose reads see the last of them. Nothing expires and nothing is evicted.

use std::{collections::HashMap, hash::Hash, sync::PoisonError};

use shuttle::sync::{Mutex, MutexGuard};

pub(crate) mod ops {
    pub(crate) mod compute {
        pub(crate) enum Op<V> {
            Nop,
            Put(V),
        }
    }
}

pub(crate) mod sync {
    use std::{sync::Arc, time::Duration};

    use super::{Hash, HashMap, Mutex, MutexGuard, PoisonError, ops::compute::Op};

    /// A lock for each key around a lock around the map, as moka has them.
    pub(crate) struct Cache<K, V> {
        held: Mutex<HashMap<K, V>>,
        keys: Mutex<HashMap<K, Arc<Mutex<()>>>>,
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

        #[expect(clippy::unused_self, reason = "moka's signature")]
        pub(crate) fn build(self) -> Cache<K, V> {
            Cache {
                held: Mutex::new(HashMap::new()),
                keys: Mutex::new(HashMap::new()),
            }
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
            lock(&self.held).get(key).cloned()
        }

        pub(crate) fn invalidate(&self, key: &K) {
            lock(&self.held).remove(key);
        }

        pub(crate) fn invalidate_all(&self) {
            lock(&self.held).clear();
        }

        pub(crate) fn entry(&self, key: K) -> Selected<'_, K, V> {
            Selected { cache: self, key }
        }

        #[expect(clippy::unused_self, reason = "moka's signature")]
        pub(crate) fn run_pending_tasks(&self) {}

        pub(crate) fn entry_count(&self) -> u64 {
            lock(&self.held).len() as u64
        }
    }

    impl<K: Hash + Eq + Clone, V: Clone> Selected<'_, K, V> {
        /// The key's changes follow one another; readers are not held up.
        pub(crate) fn and_compute_with(self, change: impl FnOnce(Option<V>) -> Op<V>) {
            let turn = Arc::clone(lock(&self.cache.keys).entry(self.key.clone()).or_default());
            let turn = lock(&turn);
            let held = self.cache.get(&self.key);
            match change(held) {
                Op::Nop => {}
                Op::Put(value) => {
                    lock(&self.cache.held).insert(self.key, value);
                }
            }
            drop(turn);
        }
    }
}
