//! Rate limit of all calls with the API key: rate, burst, and the pause after a 429. After a pause the rate rises
//! gradually, because the load that caused the 429 is likely to be still there.

use std::time::Duration;

use crate::{clock::Tick, rate::Bucket};

/// Upper bound of the pause after a 429 with `Retry-After`.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// First and longest pause after a 429 without `Retry-After`; each such 429 doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_DEFAULT_PAUSE: Duration = Duration::from_secs(30);
/// How long after a pause the rate stays below the configured one.
const SLOW_START: Duration = Duration::from_secs(10);
/// How many times the configured interval lies between the first calls after a pause.
const SLOW_START_FACTOR: f64 = 10.0;

/// Rate limiter with pauses.
#[derive(Debug)]
pub(super) struct Throttle {
    bucket: Bucket,
    last: Tick,
    /// Start and end of the last pause.
    paused: Option<(Tick, Tick)>,
    default_pause: Duration,
}

impl Throttle {
    pub(super) fn new(rate: f64, burst: u32, now: Tick) -> Self {
        Self {
            bucket: Bucket::new(rate, burst, now),
            last: now,
            paused: None,
            default_pause: FIRST_PAUSE,
        }
    }

    /// Earliest time of the next call; `now` if it may start at once.
    pub(super) fn next(&self, now: Tick) -> Tick {
        let next = self.bucket.next(now);
        let Some((_, ends_at)) = self.paused else {
            return next;
        };
        next.max(ends_at).max(self.last + self.spacing(now))
    }

    /// Takes a token; `false` if no call may start now.
    pub(super) fn take(&mut self, now: Tick) -> bool {
        if self.next(now) > now || self.bucket.take(now).is_err() {
            return false;
        }
        self.last = now;
        true
    }

    /// Remaining pause.
    pub(super) fn pause(&self, now: Tick) -> Option<Duration> {
        let (_, ends_at) = self.paused?;
        (ends_at > now).then(|| ends_at.since(now))
    }

    /// Pauses all calls after a 429 to a call that started at `started_at`: for `retry_after`, at most a minute;
    /// without it for a default pause that doubles from one such 429 to the next. Returns the remaining pause.
    pub(super) fn pause_calls(
        &mut self,
        retry_after: Option<Duration>,
        started_at: Tick,
        now: Tick,
    ) -> Duration {
        let is_new = self.paused.is_none_or(|(began, _)| started_at > began);
        let is_calm = self
            .paused
            .is_none_or(|(_, ends_at)| now > ends_at + SLOW_START);
        let pause = retry_after
            .filter(|wait| !wait.is_zero())
            .unwrap_or_else(|| {
                // A 429 to a call that started before the pause is no new information.
                if is_calm {
                    self.default_pause = FIRST_PAUSE;
                } else if is_new {
                    self.default_pause = (self.default_pause * 2).min(MAX_DEFAULT_PAUSE);
                }
                // Jitter, so that replicas do not resume at the same moment; never shorter.
                self.default_pause.mul_f64(1.0 + fastrand::f64() / 10.0)
            });
        let ends_at = now + pause.min(MAX_PAUSE);
        self.paused = Some(match self.paused {
            Some((began, until)) if until > now => (began, until.max(ends_at)),
            _ => (now, ends_at),
        });
        self.pause(now).unwrap_or_default()
    }

    /// Whether a background call may start: half of the burst is available and no slow start is under way.
    pub(super) fn has_spare_capacity(&self, now: Tick) -> bool {
        self.next(now) <= now && self.spacing(now).is_zero() && self.bucket.is_half_full(now)
    }

    /// Minimum interval between calls during the slow start; zero outside of it.
    fn spacing(&self, now: Tick) -> Duration {
        let Some((_, ends_at)) = self.paused else {
            return Duration::ZERO;
        };
        let resumed_for = now.since(ends_at);
        if resumed_for >= SLOW_START {
            return Duration::ZERO;
        }
        let left = 1.0 - resumed_for.as_secs_f64() / SLOW_START.as_secs_f64();
        self.bucket
            .interval()
            .mul_f64(1.0 + (SLOW_START_FACTOR - 1.0) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle() -> (Throttle, Tick) {
        let now = Tick::default() + Duration::from_secs(100);
        (Throttle::new(50.0, 10, now), now)
    }

    #[test]
    fn pause_follows_retry_after_up_to_a_minute() {
        let (mut throttle, now) = throttle();
        assert_eq!(throttle.pause_calls(Some(5 * SECOND), now, now), 5 * SECOND);
        assert!(!throttle.take(now + Duration::from_millis(4999)));
        assert!(throttle.take(now + 5 * SECOND));
        let later = now + 60 * SECOND;
        assert_eq!(
            throttle.pause_calls(Some(900 * SECOND), later, later),
            60 * SECOND
        );
    }

    #[test]
    fn default_pause_doubles_up_to_half_a_minute() {
        let (mut throttle, mut now) = throttle();
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let started_at = now;
            let pause = throttle.pause_calls(None, started_at, now);
            let least = expected * SECOND;
            assert!(pause >= least && pause <= least.mul_f64(1.1), "{pause:?}");
            // A 429 to a call from before the pause does not double it again.
            assert!(throttle.pause_calls(None, started_at, now) <= least.mul_f64(1.1));
            now = now + pause + SECOND;
        }
        now = now + SLOW_START + 5 * SECOND;
        assert!(throttle.pause_calls(None, now, now) <= SECOND.mul_f64(1.1));
    }

    #[test]
    fn rate_rises_gradually_after_a_pause() {
        let (mut throttle, now) = throttle();
        throttle.pause_calls(Some(SECOND), now, now);
        let taken_in = |throttle: &mut Throttle, from: Tick| {
            (0..1000u64)
                .filter(|millis| throttle.take(from + Duration::from_millis(*millis)))
                .count()
        };
        let first = taken_in(&mut throttle, now + SECOND);
        let fifth = taken_in(&mut throttle, now + 6 * SECOND);
        let last = taken_in(&mut throttle, now + 20 * SECOND);
        assert!((4..=8).contains(&first), "{first}");
        assert!(fifth > first && fifth < 20, "{fifth}");
        assert!((50..=60).contains(&last), "{last}");
    }
}
