//! The ids of the messages that were taken, for as long as one that was recorded passes for timely.
//!
//! Two generations: ids come into the young one; when that is old enough it takes the old one's place. So each is
//! remembered once to twice as long as is needed, and forgetting costs nothing but dropping a set. Whoever has no secret
//! brings nothing in. More messages than fit make the generations shorter: then a repetition may cost a refill.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    mem,
    time::Duration,
};

use crate::clock::Tick;

/// Remembers ids: 16 bytes each and the set's own.
pub(super) struct RecentIds {
    keep: Duration,
    max: usize,
    since: Tick,
    young: HashSet<u128>,
    old: HashSet<u128>,
    /// Under keys of this process: nobody can choose ids that collide.
    hashers: [RandomState; 2],
}

impl RecentIds {
    /// Remembers each id for that long at least, if no more than `max` come within that time.
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

    /// Whether the id was inserted lately.
    pub(super) fn contains(&mut self, id: &str, now: Tick) -> bool {
        self.turn(now);
        let digest = self.digest(id);
        self.young.contains(&digest) || self.old.contains(&digest)
    }

    /// Remembers the id. Returns whether it is new.
    pub(super) fn insert(&mut self, id: &str, now: Tick) -> bool {
        self.turn(now);
        let digest = self.digest(id);
        let is_new = !self.old.contains(&digest);
        self.young.insert(digest) && is_new
    }

    /// Lets generations pass.
    fn turn(&mut self, now: Tick) {
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
    fn an_id_is_remembered_as_long_as_is_needed_and_at_most_twice_as_long() {
        for inserted in 0..20 {
            let mut seen = RecentIds::new(Duration::from_secs(10), 1000);
            seen.insert("another", at(0));
            assert!(!seen.contains("msg_1", at(inserted)));
            seen.insert("msg_1", at(inserted));
            for later in 0..=10 {
                assert!(
                    seen.contains("msg_1", at(inserted + later)),
                    "{inserted} {later}"
                );
            }
            assert!(!seen.contains("msg_1", at(inserted + 20)), "{inserted}");
        }
    }

    #[test]
    fn however_many_come_no_more_than_two_generations_are_kept() {
        let mut seen = RecentIds::new(Duration::from_secs(10), 100);
        for index in 0..1000 {
            seen.insert(&format!("msg_{index}"), at(1));
            assert!(seen.young.len() <= 100 && seen.old.len() <= 100);
        }
        assert!(seen.contains("msg_999", at(1)));
        assert!(!seen.contains("msg_0", at(1)));
    }
}
