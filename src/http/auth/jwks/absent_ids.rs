//! Key ids that the issuer's key set does not contain, and signatures of tokens without a key id that none of its keys
//! verifies.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::clock::Tick;

/// How long a key id counts as absent after a refresh without it.
const LIFETIME: Duration = Duration::from_secs(60);
/// How many key ids are remembered. A token with any other id requests a refresh each time.
const MAX: usize = 10_000;

/// Key ids, as keyed hashes: those to look up in the next refresh, and those that were absent.
#[derive(Default)]
pub(super) struct AbsentIds {
    /// Requested since the last refresh started.
    requested: HashSet<u64>,
    /// Requested before the running refresh started.
    in_refresh: HashSet<u64>,
    /// When a refresh without the id ended.
    absent: HashMap<u64, Tick>,
}

impl AbsentIds {
    /// Whether a refresh that started after the request, and ended less than a minute ago, did not contain the id.
    pub(super) fn contains(&self, id: u64, now: Tick) -> bool {
        let is_recent = |at: &Tick| now.since(*at) < LIFETIME;
        self.absent.get(&id).is_some_and(is_recent)
    }

    /// Asks the next refresh to look for the id.
    pub(super) fn request(&mut self, id: u64) {
        if self.requested.len() < MAX {
            self.requested.insert(id);
        }
    }

    /// Call when a refresh starts.
    pub(super) fn start_refresh(&mut self) {
        self.in_refresh = std::mem::take(&mut self.requested);
    }

    /// Call when a refresh succeeds: ids that were requested before it started count as absent, and so do `previous`,
    /// the ids of the keys that it replaced. Ids among the new keys do no harm: the keys are searched before
    /// [`contains`](Self::contains) is called.
    pub(super) fn succeed(&mut self, previous: impl Iterator<Item = u64>, now: Tick) {
        self.absent.retain(|_, at| now.since(*at) < LIFETIME);
        let requested = std::mem::take(&mut self.in_refresh);
        for id in previous.chain(requested) {
            if self.absent.len() < MAX {
                self.absent.insert(id, now);
            }
        }
    }

    /// Call when a refresh fails: a failure says nothing about any id.
    pub(super) fn fail(&mut self) {
        self.in_refresh.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_absent_only_after_a_later_refresh_succeeds() {
        let now = Tick::default();
        let mut ids = AbsentIds::default();
        ids.start_refresh();
        ids.request(1);
        ids.succeed([].into_iter(), now);
        assert!(!ids.contains(1, now));
        ids.start_refresh();
        ids.fail();
        assert!(!ids.contains(1, now));
        ids.request(1);
        ids.start_refresh();
        ids.succeed([].into_iter(), now);
        assert!(ids.contains(1, now) && !ids.contains(2, now));
        assert!(!ids.contains(1, now + LIFETIME));
    }

    #[test]
    fn flood_of_ids_stays_within_bounds() {
        let now = Tick::default();
        let mut ids = AbsentIds::default();
        for round in 0..3 {
            for id in 0..20_000 {
                ids.request(round * 20_000 + id);
            }
            ids.start_refresh();
            ids.succeed([].into_iter(), now);
        }
        assert!(ids.requested.is_empty() && ids.in_refresh.is_empty());
        assert_eq!(ids.absent.len(), MAX);
        ids.start_refresh();
        ids.succeed([].into_iter(), now + LIFETIME);
        assert!(ids.absent.is_empty());
    }
}
