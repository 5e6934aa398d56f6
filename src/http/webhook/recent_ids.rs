//! The ids of recent messages, remembered for as long as a replayed one has a valid timestamp.
//!
//! There are two generations: ids are inserted into the young one, which replaces the old one when it is `keep` old or
//! full. So an id is remembered for `keep` to twice `keep`, and expiry is dropping a set. Only genuine messages insert
//! ids. If too many come, generations get shorter, and a repeated message may cost a refill.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    mem,
    time::Duration,
};

use crate::clock::Tick;

/// A set of recent ids, as 16-byte hashes.
pub(super) struct RecentIds {
    keep: Duration,
    max: usize,
    since: Tick,
    young: HashSet<u128>,
    old: HashSet<u128>,
    /// With random keys, so that colliding ids can't be chosen.
    hashers: [RandomState; 2],
}

impl RecentIds {
    /// Remembers each id for at least `keep`, if no more than `max` are inserted within that time.
    pub(super) fn new(keep: Duration, max: usize) -> Self {
        Self {
            keep,
            max,
            since: Tick::default(),
            young: HashSet::new(),
            old: HashSet::new(),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// Whether the id is remembered.
    pub(super) fn contains(&mut self, id: &str, now: Tick) -> bool {
        self.rotate(now);
        let digest = self.digest(id);
        self.young.contains(&digest) || self.old.contains(&digest)
    }

    /// Inserts the id. Returns whether it is new.
    pub(super) fn insert(&mut self, id: &str, now: Tick) -> bool {
        self.rotate(now);
        let digest = self.digest(id);
        let is_new = !self.old.contains(&digest);
        self.young.insert(digest) && is_new
    }

    /// Replaces the old generation when the young one is old or full.
    fn rotate(&mut self, now: Tick) {
        let age = now.since(self.since);
        if age >= self.keep || self.young.len() >= self.max {
            self.old = mem::take(&mut self.young);
            self.since = now;
            if age >= 2 * self.keep {
                self.old.clear();
            }
        }
    }

    fn digest(&self, id: &str) -> u128 {
        let [high, low] = [0, 1].map(|half| u128::from(self.hashers[half].hash_one(id)));
        (high << 64) | low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Tick {
        Tick::default() + Duration::from_secs(second)
    }

    #[test]
    fn id_is_remembered_for_once_to_twice_the_time() {
        for inserted in 0..20 {
            let mut ids = RecentIds::new(Duration::from_secs(10), 1000);
            ids.insert("another", at(0));
            assert!(!ids.contains("msg_1", at(inserted)));
            ids.insert("msg_1", at(inserted));
            for later in 0..=10 {
                assert!(
                    ids.contains("msg_1", at(inserted + later)),
                    "{inserted} {later}"
                );
            }
            assert!(!ids.contains("msg_1", at(inserted + 20)), "{inserted}");
        }
    }

    #[test]
    fn flood_of_ids_stays_within_two_generations() {
        let mut ids = RecentIds::new(Duration::from_secs(10), 100);
        for index in 0..1000 {
            ids.insert(&format!("msg_{index}"), at(1));
            assert!(ids.young.len() <= 100 && ids.old.len() <= 100);
        }
        assert!(ids.contains("msg_999", at(1)));
        assert!(!ids.contains("msg_0", at(1)));
    }
}
