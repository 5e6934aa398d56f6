//! The tap of the API key's calls: rate and burst, and what a 429 does to them. It closes for
//! everybody at once and reopens gently, because whatever made Engage say so is still near.

use std::time::Duration;

use crate::{clock::Tick, rate::Bucket};

/// The longest pause that a 429 may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The first pause after a 429 that does not say, and the longest: each such one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_UNSAID_PAUSE: Duration = Duration::from_secs(30);
/// How long after a pause calls come more slowly than the rate allows.
const REOPENING: Duration = Duration::from_secs(10);
/// How many times as far apart the first of them are.
const REOPENING_FACTOR: f64 = 10.0;

/// Lets calls through, one after the other.
#[derive(Debug)]
pub(super) struct Tap {
    bucket: Bucket,
    last: Tick,
    /// When it closed last, and when it opened or will open again.
    closed: Option<(Tick, Tick)>,
    unsaid_pause: Duration,
}

impl Tap {
    pub(super) fn new(rate: f64, burst: u32, now: Tick) -> Self {
        Self {
            bucket: Bucket::new(rate, burst, now),
            last: now,
            closed: None,
            unsaid_pause: FIRST_PAUSE,
        }
    }

    /// When the next call may leave: now, or later.
    pub(super) fn next(&self, now: Tick) -> Tick {
        let next = self.bucket.next(now);
        let Some((_, reopens)) = self.closed else {
            return next;
        };
        next.max(reopens).max(self.last + self.spacing(now))
    }

    /// Lets a call through where one may leave now.
    pub(super) fn take(&mut self, now: Tick) -> bool {
        if self.next(now) > now || self.bucket.take(now).is_err() {
            return false;
        }
        self.last = now;
        true
    }

    /// How long no call is let through any more.
    pub(super) fn pause(&self, now: Tick) -> Option<Duration> {
        let (_, reopens) = self.closed?;
        (reopens > now).then(|| reopens.since(now))
    }

    /// Closes the tap, because Engage answered a call that began at `begun` with a 429: for as long as
    /// it `said`, a minute at most, else for a while that doubles from one such 429 to the next.
    pub(super) fn close(&mut self, said: Option<Duration>, begun: Tick, now: Tick) -> Duration {
        let was_open = self.closed.is_none_or(|(closed, _)| begun > closed);
        let is_calm = self
            .closed
            .is_none_or(|(_, reopens)| now > reopens + REOPENING);
        let pause = said.filter(|said| !said.is_zero()).unwrap_or_else(|| {
            // Calls that were already under way say nothing new.
            if is_calm {
                self.unsaid_pause = FIRST_PAUSE;
            } else if was_open {
                self.unsaid_pause = (self.unsaid_pause * 2).min(LONGEST_UNSAID_PAUSE);
            }
            // A little longer, so that replicas do not come back together; never shorter.
            self.unsaid_pause.mul_f64(1.0 + fastrand::f64() / 10.0)
        });
        let reopens = now + pause.min(MAX_PAUSE);
        self.closed = Some(match self.closed {
            Some((closed, until)) if until > now => (closed, until.max(reopens)),
            _ => (now, reopens),
        });
        self.pause(now).unwrap_or_default()
    }

    /// Whether a call that nobody waits for may leave.
    pub(super) fn has_room_to_spare(&self, now: Tick) -> bool {
        self.next(now) <= now && self.spacing(now).is_zero() && self.bucket.is_half_full(now)
    }

    /// How far apart calls are kept after a pause, beyond what the bucket asks for.
    fn spacing(&self, now: Tick) -> Duration {
        let Some((_, reopens)) = self.closed else {
            return Duration::ZERO;
        };
        let open_for = now.since(reopens);
        if open_for >= REOPENING {
            return Duration::ZERO;
        }
        let left = 1.0 - open_for.as_secs_f64() / REOPENING.as_secs_f64();
        self.bucket
            .interval()
            .mul_f64(1.0 + (REOPENING_FACTOR - 1.0) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn tap() -> (Tap, Tick) {
        let now = Tick::default() + Duration::from_secs(100);
        (Tap::new(50.0, 10, now), now)
    }

    #[test]
    fn a_pause_lasts_as_long_as_engage_said_and_a_minute_at_most() {
        let (mut tap, now) = tap();
        assert_eq!(tap.close(Some(5 * SECOND), now, now), 5 * SECOND);
        assert!(!tap.take(now + Duration::from_millis(4999)));
        assert!(tap.take(now + 5 * SECOND));
        let later = now + 60 * SECOND;
        assert_eq!(tap.close(Some(900 * SECOND), later, later), 60 * SECOND);
    }

    #[test]
    fn pauses_that_engage_does_not_size_double_up_to_half_a_minute() {
        let (mut tap, mut now) = tap();
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let begun = now;
            let pause = tap.close(None, begun, now);
            let least = expected * SECOND;
            assert!(pause >= least && pause <= least.mul_f64(1.1), "{pause:?}");
            // Those that were under way already do not double it again.
            assert!(tap.close(None, begun, now) <= least.mul_f64(1.1));
            now = now + pause + SECOND;
        }
        now = now + REOPENING + 5 * SECOND;
        assert!(tap.close(None, now, now) <= SECOND.mul_f64(1.1));
    }

    #[test]
    fn a_tap_reopens_gently() {
        let (mut tap, now) = tap();
        tap.close(Some(SECOND), now, now);
        let taken_in = |tap: &mut Tap, from: Tick| {
            (0..1000u64)
                .filter(|millis| tap.take(from + Duration::from_millis(*millis)))
                .count()
        };
        let first = taken_in(&mut tap, now + SECOND);
        let fifth = taken_in(&mut tap, now + 6 * SECOND);
        let last = taken_in(&mut tap, now + 20 * SECOND);
        assert!((4..=8).contains(&first), "{first}");
        assert!(fifth > first && fifth < 20, "{fifth}");
        assert!((50..=60).contains(&last), "{last}");
    }
}
