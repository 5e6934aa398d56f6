//! The store: what is held by key, in shards with a lock of their own, within a weight that it never exceeds.
//!
//! Who leaves when it is full is decided by a clock: a hand goes round and takes one read off everybody's count; whoever
//! has none left leaves. Counts end at three, so that who is read again and again outlives many who are read once, and is
//! forgotten soon after. A read counts beside the value that it reads anyway, where a queue in the order of reads would
//! have to be moved about in memory: docs/PERFORMANCE.md has the figures.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::PoisonError,
};

use hashbrown::HashTable;

use crate::threads::{Mutex, MutexGuard};

/// More locks than this gain nothing: they are held for the time of a look.
const MAX_SHARDS: u64 = 64;
/// A shard of less weight would hold too few values for its hand to choose from.
const MIN_SHARD_WEIGHT: u64 = 4 << 20;

/// So many are looked after under one lock.
const AT_A_TIME: usize = 256;
/// More reads than this count no more.
const MAX_READS: u8 = 3;

/// What becomes of a value.
pub(super) enum Op<V> {
    /// It stays as it is.
    Nop,
    /// This one takes its place.
    Put(V),
    /// It leaves.
    Remove,
}

/// Values by key.
pub(super) struct Store<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: RandomState,
    weigh: fn(&K, &V) -> usize,
    /// What each shard may weigh.
    max_weight: u64,
}

struct Shard<K, V> {
    /// Where in `slots` a key is.
    places: HashTable<u32>,
    /// Side by side, so that the hand and sweeps go through memory in its order.
    slots: Vec<Slot<K, V>>,
    weight: u64,
    hand: usize,
}

struct Slot<K, V> {
    key: K,
    value: V,
    weight: u32,
    /// How often it was read of late.
    reads: u8,
    /// Whether it was read since it was last looked after.
    is_warm: bool,
}

impl<K, V> Store<K, V> {
    /// What a value takes in the store, with its key: a slot, and its place in a table that is three quarters full.
    pub(super) const SLOT_BYTES: usize = size_of::<Slot<K, V>>() + 8;
}

impl<K, V> Store<K, V>
where
    K: Hash + Eq,
    V: Clone,
{
    /// An empty store that holds so much at most, as `weigh` says of each value.
    pub(super) fn new(max_weight: u64, weigh: fn(&K, &V) -> usize) -> Self {
        let shards = (max_weight / MIN_SHARD_WEIGHT).clamp(1, MAX_SHARDS);
        // Rounded down to a power of two, so that some bits of the hash choose one.
        let shards = 1 << shards.ilog2();
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new())).collect(),
            hasher: RandomState::new(),
            weigh,
            max_weight: max_weight / shards,
        }
    }

    /// Whether a value is not too heavy to be held.
    pub(super) fn holds(&self, key: &K, value: &V) -> bool {
        (self.weigh)(key, value) as u64 <= self.max_weight
    }

    /// The value of the key.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.get_noting(key).map(|(value, _)| value)
    }

    /// The same, and whether it was read before since it was last looked after.
    pub(super) fn get_noting(&self, key: &K) -> Option<(V, bool)> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash);
        let place = shard.place(hash, key)?;
        let slot = &mut shard.slots[place];
        slot.reads = MAX_READS.min(slot.reads + 1);
        let was_warm = std::mem::replace(&mut slot.is_warm, true);
        Some((slot.value.clone(), was_warm))
    }

    /// The value of the key, for who does not count as a reader.
    pub(super) fn peek(&self, key: &K) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard(hash);
        let place = shard.place(hash, key)?;
        Some(shard.slots[place].value.clone())
    }

    /// Decides under the key's lock what becomes of its value.
    pub(super) fn update(&self, key: K, decide: impl FnOnce(Option<&V>) -> Op<V>) {
        let hash_of = |key: &K| self.hasher.hash_one(key);
        let hash = hash_of(&key);
        let mut shard = self.shard(hash);
        let place = shard.place(hash, &key);
        let decided = decide(place.map(|place| &shard.slots[place].value));
        if matches!(decided, Op::Nop) {
            return;
        }
        let before = place.map(|place| shard.remove(place, hash_of));
        if let Op::Put(value) = decided {
            let weight = u32::try_from((self.weigh)(&key, &value)).unwrap_or(u32::MAX);
            // What is too heavy for a shard would only drive out everybody else.
            if let Some(rest) = self.max_weight.checked_sub(weight.into()) {
                // Before it comes in, so that it is not the one to go.
                shard.make_room(rest, hash_of);
                let reads = before.as_ref().map_or(0, |before| before.reads);
                let is_warm = true;
                let slot = Slot {
                    key,
                    value,
                    weight,
                    reads,
                    is_warm,
                };
                shard.put(hash, slot, hash_of);
            }
        }
        // Freed after the lock.
        drop(shard);
        drop(before);
    }

    /// Removes under the key's lock: a change that is under way is either seen and undone, or comes later and sees what
    /// was raised before.
    pub(super) fn remove(&self, key: K) {
        self.update(key, |_| Op::Remove);
    }

    /// Removes everything.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let emptied = std::mem::replace(&mut *locked(shard), Shard::new());
            // Freed after the lock.
            drop(emptied);
        }
    }

    /// Keeps what `keep` holds of. Looks at everything, shard after shard.
    pub(super) fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        for shard in &self.shards {
            let mut shard = locked(shard);
            let mut place = 0;
            while let Some(slot) = shard.slots.get(place) {
                if keep(&slot.key, &slot.value) {
                    place += 1;
                } else {
                    drop(shard.remove(place, |key| self.hasher.hash_one(key)));
                }
            }
        }
    }

    /// Looks after everything that was not read since it last did: `decide` says what becomes of it. Some at a time, so
    /// that nobody waits long; who moves meanwhile may be left out for once.
    pub(super) fn maintain(&self, decide: impl Fn(&V) -> Op<V>) {
        for shard in &self.shards {
            let mut place = 0;
            loop {
                let mut shard = locked(shard);
                let end = place + AT_A_TIME;
                while place < end.min(shard.slots.len()) {
                    place += usize::from(self.look_after_one(&mut shard, place, &decide));
                }
                if place < end {
                    break;
                }
            }
        }
    }

    /// The same for what is not decided at a glance: of everything that was not read and of which `is_due` holds, `change`
    /// says beside the lock what becomes of it. Who was read or replaced meanwhile, as `is_same` tells, is left alone.
    pub(super) fn settle(
        &self,
        is_due: impl Fn(&V) -> bool,
        is_same: impl Fn(&V, &V) -> bool,
        mut change: impl FnMut(&V) -> Op<V>,
    ) where
        K: Clone,
    {
        for shard in &self.shards {
            let mut place = 0;
            loop {
                let (due, end) = locked(shard).take_due(place, &is_due);
                for (key, seen) in due {
                    let changed = change(&seen);
                    let hash = self.hasher.hash_one(&key);
                    let mut shard = locked(shard);
                    let still = shard.place(hash, &key).filter(|place| {
                        let slot = &shard.slots[*place];
                        !slot.is_warm && is_same(&slot.value, &seen)
                    });
                    if let Some(place) = still {
                        self.apply(&mut shard, place, changed);
                    }
                }
                if end < place + AT_A_TIME {
                    break;
                }
                place = end;
            }
        }
    }

    /// Whether it is still in its place.
    fn look_after_one(
        &self,
        shard: &mut Shard<K, V>,
        place: usize,
        decide: impl Fn(&V) -> Op<V>,
    ) -> bool {
        let slot = &mut shard.slots[place];
        if std::mem::take(&mut slot.is_warm) {
            return true;
        }
        let decided = decide(&slot.value);
        self.apply(shard, place, decided)
    }

    /// Whether it is still in its place.
    fn apply(&self, shard: &mut Shard<K, V>, place: usize, decided: Op<V>) -> bool {
        match decided {
            Op::Nop => true,
            Op::Put(value) => {
                let slot = &mut shard.slots[place];
                let weight = u32::try_from((self.weigh)(&slot.key, &value)).unwrap_or(u32::MAX);
                let before = std::mem::replace(&mut slot.weight, weight);
                slot.value = value;
                shard.weight = shard.weight - u64::from(before) + u64::from(weight);
                true
            }
            Op::Remove => {
                drop(shard.remove(place, |key| self.hasher.hash_one(key)));
                false
            }
        }
    }

    /// What each shard holds, one after the other: who looks closely need not hold the lock.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = Vec<(K, V)>>
    where
        K: Clone,
    {
        let both = |slot: &Slot<K, V>| (slot.key.clone(), slot.value.clone());
        self.shards
            .iter()
            .map(move |shard| locked(shard).slots.iter().map(both).collect())
    }

    /// Shows everything, shard after shard.
    pub(super) fn for_each(&self, mut see: impl FnMut(&K, &V)) {
        for shard in &self.shards {
            for slot in &locked(shard).slots {
                see(&slot.key, &slot.value);
            }
        }
    }

    /// How many values are held, and their weight.
    pub(super) fn size(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(count, weight), shard| {
            let shard = locked(shard);
            (count + shard.slots.len() as u64, weight + shard.weight)
        })
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<K, V>> {
        // The table within the shard goes by the lowest and the highest bits.
        let index = (hash >> 32) as usize & (self.shards.len() - 1);
        locked(&self.shards[index])
    }
}

/// A poisoned lock is as good as any: nothing but a value's own code panics, and that before anything is changed.
fn locked<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq, V> Shard<K, V> {
    fn new() -> Self {
        Self {
            places: HashTable::new(),
            slots: Vec::new(),
            weight: 0,
            hand: 0,
        }
    }

    fn place(&self, hash: u64, key: &K) -> Option<usize> {
        let is_its = |place: &u32| self.slots[*place as usize].key == *key;
        self.places.find(hash, is_its).map(|place| *place as usize)
    }

    /// From `place` on, some of what was not read since it was last asked and of which `is_due` holds, and the place where
    /// that ends.
    fn take_due(&mut self, place: usize, is_due: impl Fn(&V) -> bool) -> (Vec<(K, V)>, usize)
    where
        K: Clone,
        V: Clone,
    {
        let end = self.slots.len().min(place + AT_A_TIME);
        let slots = self.slots.get_mut(place..end).unwrap_or_default();
        let due = slots
            .iter_mut()
            .filter_map(|slot| {
                let is_left = std::mem::take(&mut slot.is_warm) || !is_due(&slot.value);
                (!is_left).then(|| (slot.key.clone(), slot.value.clone()))
            })
            .collect();
        (due, end)
    }

    fn put(&mut self, hash: u64, slot: Slot<K, V>, hash_of: impl Fn(&K) -> u64) {
        let place = u32::try_from(self.slots.len()).expect("fewer values than four billion");
        self.weight += u64::from(slot.weight);
        self.slots.push(slot);
        let slots = &self.slots;
        let hash_at = |place: &u32| hash_of(&slots[*place as usize].key);
        self.places.insert_unique(hash, place, hash_at);
    }

    /// The last one takes the place of the one that leaves.
    fn remove(&mut self, place: usize, hash_of: impl Fn(&K) -> u64) -> Slot<K, V> {
        let at = |wanted: usize| move |place: &u32| *place as usize == wanted;
        let last = self.slots.len() - 1;
        let hash = hash_of(&self.slots[place].key);
        if let Ok(entry) = self.places.find_entry(hash, at(place)) {
            entry.remove();
        }
        if place != last {
            let hash = hash_of(&self.slots[last].key);
            if let Some(moved) = self.places.find_mut(hash, at(last)) {
                *moved = u32::try_from(place).expect("it was one before");
            }
        }
        let removed = self.slots.swap_remove(place);
        self.weight -= u64::from(removed.weight);
        removed
    }

    /// Lets the hand go round until the shard weighs no more than it may.
    fn make_room(&mut self, max_weight: u64, hash_of: impl Fn(&K) -> u64) {
        while self.weight > max_weight {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = &mut self.slots[self.hand];
            match slot.reads.checked_sub(1) {
                Some(fewer) => slot.reads = fewer,
                None => drop(self.remove(self.hand, &hash_of)),
            }
            // Past whoever came from the end, who is among the newest.
            self.hand += 1;
        }
    }
}

#[cfg(test)]
mod tests;
