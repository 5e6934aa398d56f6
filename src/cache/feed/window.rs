//! How many deliveries came lately, and how many of them could not be understood: counted in buckets of half a minute, so
//! that the room it takes does not depend on how many come.

use std::time::Duration;

use crate::clock::Tick;

/// What one bucket counts.
const BUCKET: Duration = Duration::from_secs(30);
/// Ten of them make five minutes.
const BUCKETS: usize = 10;

/// So many must have been missed, or one in so many of all that came: one odd delivery says nothing of the feed.
const MIN_MISSED: u32 = 3;
const MISSED_SHARE: u64 = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which half minute since the clock was made.
    number: u64,
    came: u32,
    missed: u32,
}

/// The deliveries of the last five minutes.
#[derive(Debug, Default)]
pub(super) struct Window {
    buckets: [Bucket; BUCKETS],
    /// How many were missed since one was understood.
    missed_in_a_row: u32,
}

impl Window {
    /// One came and was understood.
    pub(super) fn heard(&mut self, now: Tick) {
        self.bucket(now, |bucket| bucket.came = bucket.came.saturating_add(1));
        self.missed_in_a_row = 0;
    }

    /// One came and was not understood.
    pub(super) fn missed(&mut self, now: Tick) {
        self.bucket(now, |bucket| {
            bucket.came = bucket.came.saturating_add(1);
            bucket.missed = bucket.missed.saturating_add(1);
        });
        self.missed_in_a_row = self.missed_in_a_row.saturating_add(1);
    }

    /// Whether so much is missed that data can't be trusted: the last three, however long that took, or lately three and a
    /// tenth of all.
    pub(super) fn is_failing(&self, now: Tick) -> bool {
        if self.missed_in_a_row >= MIN_MISSED {
            return true;
        }
        let (came, missed) = self.counts(now);
        missed >= u64::from(MIN_MISSED) && missed * MISSED_SHARE >= came
    }

    /// Whether so little is missed that data can be trusted again: half of what makes it fail.
    pub(super) fn has_recovered(&self, now: Tick) -> bool {
        let (came, missed) = self.counts(now);
        missed < u64::from(MIN_MISSED) || 2 * missed * MISSED_SHARE < came
    }

    /// How many came in the last five minutes, and how many of them were missed.
    pub(super) fn counts(&self, now: Tick) -> (u64, u64) {
        let newest = number(now);
        let recent = self
            .buckets
            .iter()
            .filter(|bucket| newest.saturating_sub(bucket.number) < BUCKETS as u64);
        recent.fold((0, 0), |(came, missed), bucket| {
            (
                came + u64::from(bucket.came),
                missed + u64::from(bucket.missed),
            )
        })
    }

    fn bucket(&mut self, now: Tick, count: impl FnOnce(&mut Bucket)) {
        let number = number(now);
        let slot = usize::try_from(number % BUCKETS as u64).unwrap_or(0);
        let bucket = &mut self.buckets[slot];
        if bucket.number < number {
            *bucket = Bucket {
                number,
                ..Bucket::default()
            };
        }
        count(bucket);
    }
}

fn number(now: Tick) -> u64 {
    now.since(Tick::default()).as_secs() / BUCKET.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Tick {
        Tick::default() + Duration::from_secs(second)
    }

    /// So many understood, then so many missed, then one understood, all at one moment.
    fn window(heard: u32, missed: u32, now: Tick) -> Window {
        let mut window = Window::default();
        (0..heard).for_each(|_| window.heard(now));
        (0..missed).for_each(|_| window.missed(now));
        window.heard(now);
        window
    }

    #[test]
    fn three_missed_and_a_tenth_of_all_is_failing() {
        for (heard, missed, failing) in [
            (0, 0, false),
            (0, 1, false),
            (0, 2, false),
            (0, 3, true),
            (26, 3, true),
            (27, 3, false),
            (800, 90, true),
            (900, 90, false),
        ] {
            let window = window(heard, missed, at(1000));
            assert_eq!(window.is_failing(at(1000)), failing, "{heard} {missed}");
        }
    }

    #[test]
    fn what_came_five_minutes_ago_does_not_count() {
        let mut window = window(0, 3, at(0));
        assert!(window.is_failing(at(299)));
        assert!(!window.is_failing(at(300)));
        assert_eq!(window.counts(at(300)), (0, 0));
        window.missed(at(300));
        assert_eq!(window.counts(at(300)), (1, 1));
        assert!(!window.is_failing(at(300)));
    }

    #[test]
    fn the_last_three_missed_are_failing_however_long_that_took() {
        let mut window = Window::default();
        window.heard(at(0));
        for (second, failing) in [(1000, false), (2000, false), (3000, true)] {
            window.missed(at(second));
            assert_eq!(window.is_failing(at(second)), failing, "{second}");
        }
        assert!(window.is_failing(at(100_000)));
        window.heard(at(100_000));
        assert!(!window.is_failing(at(100_000)));
    }

    #[test]
    fn a_bucket_is_never_taken_for_an_earlier_one() {
        let mut window = Window::default();
        for minute in 0..100 {
            window.heard(at(60 * minute));
            window.missed(at(60 * minute + 1));
            let minutes = (minute + 1).min(5);
            assert_eq!(window.counts(at(60 * minute + 1)), (2 * minutes, minutes));
        }
    }
}
