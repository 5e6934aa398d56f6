//! How many deliveries were received in the last minutes, and how many of them were missed (unreadable). They are
//! counted in buckets of half a minute, so memory does not grow with their number.

use std::time::Duration;

use crate::clock::Tick;

/// The time that one bucket covers.
const BUCKET: Duration = Duration::from_secs(30);
/// Ten of them make five minutes.
const BUCKETS: usize = 10;

/// The feed fails if at least this many were missed, and one in `MISSED_SHARE`: a single unreadable delivery does not
/// show that it fails.
const MIN_MISSED: u32 = 3;
const MISSED_SHARE: u64 = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// The number of the half minute since the clock began.
    number: u64,
    received: u32,
    missed: u32,
}

/// The deliveries of the last five minutes.
#[derive(Debug, Default)]
pub(super) struct Window {
    buckets: [Bucket; BUCKETS],
    /// How many were missed since one was read.
    missed_in_a_row: u32,
}

impl Window {
    /// Counts a delivery that was read.
    pub(super) fn note_received(&mut self, now: Tick) {
        self.bucket(now, |bucket| {
            bucket.received = bucket.received.saturating_add(1);
        });
        self.missed_in_a_row = 0;
    }

    /// Counts a delivery that could not be read.
    pub(super) fn note_missed(&mut self, now: Tick) {
        self.bucket(now, |bucket| {
            bucket.received = bucket.received.saturating_add(1);
            bucket.missed = bucket.missed.saturating_add(1);
        });
        self.missed_in_a_row = self.missed_in_a_row.saturating_add(1);
    }

    /// Whether so many were missed that data can't be trusted: the last three in a row, however long that took, or at
    /// least three and a tenth of all in the last five minutes.
    pub(super) fn is_failing(&self, now: Tick) -> bool {
        if self.missed_in_a_row >= MIN_MISSED {
            return true;
        }
        let (received, missed) = self.counts(now);
        missed >= u64::from(MIN_MISSED) && missed * MISSED_SHARE >= received
    }

    /// Whether so few were missed that data can be trusted again: fewer than three, or less than half of the share that
    /// makes the feed fail.
    pub(super) fn has_recovered(&self, now: Tick) -> bool {
        let (received, missed) = self.counts(now);
        missed < u64::from(MIN_MISSED) || 2 * missed * MISSED_SHARE < received
    }

    /// How many were received in the last five minutes, and how many of them were missed.
    pub(super) fn counts(&self, now: Tick) -> (u64, u64) {
        let newest = number(now);
        let recent = self
            .buckets
            .iter()
            .filter(|bucket| newest.saturating_sub(bucket.number) < BUCKETS as u64);
        recent.fold((0, 0), |(received, missed), bucket| {
            (
                received + u64::from(bucket.received),
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

    /// A window with `read` received deliveries, then `missed` missed ones, then one received, all at `now`.
    fn window(read: u32, missed: u32, now: Tick) -> Window {
        let mut window = Window::default();
        (0..read).for_each(|_| window.note_received(now));
        (0..missed).for_each(|_| window.note_missed(now));
        window.note_received(now);
        window
    }

    #[test]
    fn three_missed_and_a_tenth_of_all_fail() {
        for (read, missed, failing) in [
            (0, 0, false),
            (0, 1, false),
            (0, 2, false),
            (0, 3, true),
            (26, 3, true),
            (27, 3, false),
            (800, 90, true),
            (900, 90, false),
        ] {
            let window = window(read, missed, at(1000));
            assert_eq!(window.is_failing(at(1000)), failing, "{read} {missed}");
        }
    }

    #[test]
    fn less_than_half_of_what_fails_has_recovered() {
        for (read, missed, recovered) in [
            (0, 2, true),
            (0, 3, false),
            (56, 3, false),
            (57, 3, true),
            (100, 5, true),
        ] {
            let window = window(read, missed, at(1000));
            assert_eq!(window.has_recovered(at(1000)), recovered, "{read} {missed}");
        }
    }

    #[test]
    fn deliveries_of_five_minutes_ago_do_not_count() {
        let mut window = window(0, 3, at(0));
        assert!(window.is_failing(at(299)));
        assert!(!window.is_failing(at(300)));
        assert_eq!(window.counts(at(300)), (0, 0));
        window.note_missed(at(300));
        assert_eq!(window.counts(at(300)), (1, 1));
        assert!(!window.is_failing(at(300)));
    }

    #[test]
    fn three_missed_in_a_row_fail_however_long_it_took() {
        let mut window = Window::default();
        window.note_received(at(0));
        for (second, failing) in [(1000, false), (2000, false), (3000, true)] {
            window.note_missed(at(second));
            assert_eq!(window.is_failing(at(second)), failing, "{second}");
        }
        assert!(window.is_failing(at(100_000)));
        window.note_received(at(100_000));
        assert!(!window.is_failing(at(100_000)));
    }

    #[test]
    fn bucket_is_never_counted_as_an_earlier_one() {
        let mut window = Window::default();
        for minute in 0..100 {
            window.note_received(at(60 * minute));
            window.note_missed(at(60 * minute + 1));
            let minutes = (minute + 1).min(5);
            assert_eq!(window.counts(at(60 * minute + 1)), (2 * minutes, minutes));
        }
    }
}
