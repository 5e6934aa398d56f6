//! How often one key is asked anew for callers whom no call that has begun would do: so many calls in a row, then one
//! after the other at a distance. Who comes in between shares the next one.

use std::{collections::HashMap, hash::Hash, time::Duration};

use crate::{cache::fence::Sequence, clock::Tick, rate::Bucket};

/// How often a key may be asked anew.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// So many calls for one key may begin at once.
    pub in_a_row: u32,
    /// After those, the least time from one to the next.
    pub spacing: Duration,
}

/// With fewer keys than these, none is looked for that could be forgotten.
const FEW: usize = 64;

/// The paces of the keys that were asked lately.
pub(super) struct Paces<K> {
    pace: Pace,
    by_key: HashMap<K, Asked>,
    /// With so many keys, those whose allowance is full again are forgotten.
    sweep_at: usize,
}

/// What is remembered of a key that was asked.
struct Asked {
    allowance: Bucket,
    /// When the last call that ended had begun.
    start: Sequence,
}

impl<K: Hash + Eq + Clone> Paces<K> {
    /// None asked yet.
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            by_key: HashMap::new(),
            sweep_at: FEW,
        }
    }

    /// When the next call for the key may begin: now, or later.
    pub(super) fn next(&self, key: &K, now: Tick) -> Tick {
        let asked = self.by_key.get(key);
        asked.map_or(now, |asked| asked.allowance.next(now))
    }

    /// Whether the key was asked lately, but not lately enough for a caller who wants it not from before that.
    pub(super) fn was_asked_before(&self, key: &K, not_before: Sequence) -> bool {
        let asked = self.by_key.get(key);
        asked.is_some_and(|asked| not_before >= asked.start)
    }

    /// Notes that a call for the key begins.
    pub(super) fn start(&mut self, key: &K, now: Tick) {
        if self.by_key.len() >= self.sweep_at {
            self.by_key.retain(|_, asked| !asked.allowance.is_full(now));
            self.sweep_at = FEW.max(self.by_key.len() * 2);
        }
        let Pace { in_a_row, spacing } = self.pace;
        let asked = self.by_key.entry(key.clone()).or_insert_with(|| Asked {
            allowance: Bucket::new(1.0 / spacing.as_secs_f64(), in_a_row, now),
            start: Sequence::default(),
        });
        // What is beyond the allowance is a call for callers whom an older one would have done.
        let _ = asked.allowance.take(now);
    }

    /// Notes when a call that ended had begun.
    pub(super) fn end(&mut self, key: &K, start: Sequence) {
        if let Some(asked) = self.by_key.get_mut(key) {
            asked.start = asked.start.max(start);
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
        // The allowance grows again by one call for each time that none was made.
        now = now + 3 * SPACING;
        for _ in 0..3 {
            assert_eq!(paces.next(&"key", now), now);
            paces.start(&"key", now);
        }
        assert!(paces.next(&"key", now) > now);
    }

    #[test]
    fn keys_that_were_not_asked_lately_are_forgotten() {
        let mut paces = Paces::new(PACE);
        let mut now = Tick::default();
        for key in 0..100_000_u32 {
            paces.start(&key, now);
            now = now + Duration::from_millis(5);
            assert!(paces.by_key.len() <= FEW);
        }
    }
}
