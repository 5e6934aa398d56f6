//! Which key ids the issuer's set does not hold.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use crate::clock::Tick;

/// How long a key id that a reading did not show counts as absent without another reading.
const LIFETIME: Duration = Duration::from_secs(60);
/// How many key ids are remembered. Further ones are looked for by the next reading like unknown ones.
const MAX: usize = 10_000;

/// Key ids, each by a keyed hash, that were looked for, and those that were not there.
#[derive(Default)]
pub(super) struct AbsentIds {
    /// Looked for since the last reading began.
    requested: HashSet<u64>,
    /// Looked for before the reading under way began.
    in_reading: HashSet<u64>,
    /// When a reading ended that did not show the id.
    absent: HashMap<u64, Tick>,
}

impl AbsentIds {
    /// Whether a reading of the last minute, started after the id was looked for, did not show it.
    pub(super) fn contains(&self, id: u64, now: Tick) -> bool {
        let is_recent = |at: &Tick| now.since(*at) < LIFETIME;
        self.absent.get(&id).is_some_and(is_recent)
    }

    /// Notes that the id is looked for.
    pub(super) fn request(&mut self, id: u64) {
        if self.requested.len() < MAX {
            self.requested.insert(id);
        }
    }

    /// A reading begins.
    pub(super) fn begin(&mut self) {
        self.in_reading = std::mem::take(&mut self.requested);
    }

    /// The reading succeeded: whatever was looked for before it began, or was a key's id until then, and is not among the
    /// keys is absent.
    pub(super) fn succeed(&mut self, until_then: impl Iterator<Item = u64>, now: Tick) {
        self.absent.retain(|_, at| now.since(*at) < LIFETIME);
        let requested = std::mem::take(&mut self.in_reading);
        for id in until_then.chain(requested) {
            if self.absent.len() < MAX {
                self.absent.insert(id, now);
            }
        }
    }

    /// The reading failed, which says nothing about any id.
    pub(super) fn fail(&mut self) {
        self.in_reading.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_absent_only_after_a_successful_reading_that_began_later() {
        let now = Tick::default();
        let mut ids = AbsentIds::default();
        ids.begin();
        ids.request(1);
        ids.succeed([].into_iter(), now);
        assert!(!ids.contains(1, now));
        ids.begin();
        ids.fail();
        assert!(!ids.contains(1, now));
        ids.request(1);
        ids.begin();
        ids.succeed([].into_iter(), now);
        assert!(ids.contains(1, now) && !ids.contains(2, now));
        assert!(!ids.contains(1, now + LIFETIME));
    }

    #[test]
    fn a_flood_of_ids_is_remembered_within_bounds() {
        let now = Tick::default();
        let mut ids = AbsentIds::default();
        for round in 0..3 {
            for id in 0..20_000 {
                ids.request(round * 20_000 + id);
            }
            ids.begin();
            ids.succeed([].into_iter(), now);
        }
        assert!(ids.requested.is_empty() && ids.in_reading.is_empty());
        assert_eq!(ids.absent.len(), MAX);
        ids.begin();
        ids.succeed([].into_iter(), now + LIFETIME);
        assert!(ids.absent.is_empty());
    }
}
