//! How often one key is called again for requests that no running call can serve: a few calls in a row, then one per
//! interval. Requests in between share the next call.

use std::{collections::HashMap, hash::Hash, time::Duration};

use crate::{cache::fence::Sequence, clock::Tick, rate::Bucket};

/// How often a key may be called again.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many calls for one key may begin in a row without a pause.
    pub in_a_row: u32,
    /// After those, the least time between two calls.
    pub spacing: Duration,
}

/// Fewer keys than these are not worth a sweep.
const FEW: usize = 64;

/// The paces of the keys that were called recently.
pub(super) struct Paces<K> {
    pace: Pace,
    by_key: HashMap<K, Called>,
    /// How many keys make a sweep worthwhile: it drops those whose allowance is full again.
    sweep_at: usize,
}

/// A key that was called.
struct Called {
    allowance: Bucket,
    /// When the latest call that has ended had begun.
    start: Sequence,
}

impl<K: Hash + Eq + Clone> Paces<K> {
    /// No key called yet.
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            by_key: HashMap::new(),
            sweep_at: FEW,
        }
    }

    /// When the next call for the key may begin: now, or later.
    pub(super) fn next(&self, key: &K, now: Tick) -> Tick {
        let called = self.by_key.get(key);
        called.map_or(now, |called| called.allowance.next(now))
    }

    /// Whether the key was called recently, but not after `not_before`.
    pub(super) fn was_called_before(&self, key: &K, not_before: Sequence) -> bool {
        let called = self.by_key.get(key);
        called.is_some_and(|called| not_before >= called.start)
    }

    /// Notes that a call for the key begins.
    pub(super) fn start(&mut self, key: &K, now: Tick) {
        if self.by_key.len() >= self.sweep_at {
            self.by_key
                .retain(|_, called| !called.allowance.is_full(now));
            self.sweep_at = FEW.max(self.by_key.len() * 2);
        }
        let Pace { in_a_row, spacing } = self.pace;
        let called = self.by_key.entry(key.clone()).or_insert_with(|| Called {
            allowance: Bucket::new(1.0 / spacing.as_secs_f64(), in_a_row, now),
            start: Sequence::default(),
        });
        // A call beyond the allowance is for requests that an older call could have served.
        let _ = called.allowance.take(now);
    }

    /// Notes that a call that began at `start` has ended.
    pub(super) fn end(&mut self, key: &K, start: Sequence) {
        if let Some(called) = self.by_key.get_mut(key) {
            called.start = called.start.max(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACING: Duration = Duration::from_millis(50);
    const PACE: Pace = Pace {
        in_a_row: 5,
        spacing: SPACING,
    };

    #[test]
    fn after_five_in_a_row_calls_are_fifty_milliseconds_apart() {
        let mut paces = Paces::new(PACE);
        let mut now = Tick::default() + Duration::from_secs(9);
        for _ in 0..5 {
            assert_eq!(paces.next(&"key", now), now);
            paces.start(&"key", now);
        }
        assert_eq!(paces.next(&"other", now), now);
        for _ in 0..5 {
            assert_eq!(paces.next(&"key", now), now + SPACING);
            now = now + SPACING;
            paces.start(&"key", now);
        }
        // For each interval without a call the allowance grows by one.
        now = now + 3 * SPACING;
        for _ in 0..3 {
            assert_eq!(paces.next(&"key", now), now);
            paces.start(&"key", now);
        }
        assert!(paces.next(&"key", now) > now);
    }

    #[test]
    fn keys_not_called_recently_are_swept() {
        let mut paces = Paces::new(PACE);
        let mut now = Tick::default();
        for key in 0..100_000_u32 {
            paces.start(&key, now);
            now = now + Duration::from_millis(5);
            assert!(paces.by_key.len() <= FEW);
        }
    }
}
