//! A token bucket, for requests of callers, upstream calls and log events. Imports only `clock`.

use std::time::Duration;

use crate::clock::Tick;

/// A token bucket, stored as the time at which it is full again (GCRA): at most rate x T + burst tokens in any T
/// seconds.
#[derive(Debug)]
pub struct Bucket {
    interval: Duration,
    tolerance: Duration,
    next: Tick,
}

impl Bucket {
    /// A full bucket of `burst` tokens, refilled by `rate` tokens a second.
    pub fn new(rate: f64, burst: u32, now: Tick) -> Self {
        let interval = Duration::from_secs_f64(1.0 / rate);
        Self {
            interval,
            tolerance: interval * burst.saturating_sub(1),
            next: now,
        }
    }

    /// A bucket that is empty until `from`. The burst need not be whole; less than a token counts as one.
    pub fn empty(rate: f64, burst: f64, from: Tick) -> Self {
        let interval = Duration::from_secs_f64(1.0 / rate);
        let burst = burst.max(1.0);
        Self {
            interval,
            tolerance: interval.mul_f64(burst - 1.0),
            next: from + interval.mul_f64(burst),
        }
    }

    /// Changes rate and burst. Taken tokens stay taken: as many tokens of the new burst are missing as of the old one,
    /// or all if it is smaller.
    pub fn change(&mut self, rate: f64, burst: u32, now: Tick) {
        let taken = self.next.since(now).as_secs_f64() / self.interval.as_secs_f64();
        let changed = Self::new(rate, burst, now);
        *self = Self {
            next: now + changed.interval.mul_f64(taken.min(f64::from(burst))),
            ..changed
        };
    }

    /// The time between two tokens.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Tokens a second, and tokens at once.
    pub fn limits(&self) -> (f64, f64) {
        let interval = self.interval.as_secs_f64();
        (
            interval.recip(),
            self.tolerance.as_secs_f64() / interval + 1.0,
        )
    }

    /// When the next token is available; `now` if one is available.
    pub fn next(&self, now: Tick) -> Tick {
        (self.next.max(now) - self.tolerance).max(now)
    }

    /// Takes a token, or returns how long to wait for one.
    pub fn take(&mut self, now: Tick) -> Result<(), Duration> {
        let at = self.next(now);
        if at > now {
            return Err(at.since(now));
        }
        self.next = self.next.max(now) + self.interval;
        Ok(())
    }

    /// Whether the whole burst is available.
    pub fn is_full(&self, now: Tick) -> bool {
        self.next <= now
    }

    /// Whether at least half of the burst is available.
    pub fn is_half_full(&self, now: Tick) -> bool {
        self.half_full_at(now) <= now
    }

    /// When half of the burst is available; `now` if it is.
    pub fn half_full_at(&self, now: Tick) -> Tick {
        (self.next.max(now) - self.tolerance / 2).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_never_exceeds_rate_and_burst() {
        let start = Tick::default();
        let mut bucket = Bucket::new(50.0, 10, start);
        let mut taken = Vec::new();
        for step in 0..3000u32 {
            let now = start + Duration::from_millis(u64::from(step));
            while bucket.take(now).is_ok() {
                taken.push(now);
            }
        }
        for (index, from) in taken.iter().enumerate() {
            for window in [100u32, 1000, 2000] {
                let until = *from + Duration::from_millis(u64::from(window));
                let in_window = taken[index..].iter().take_while(|at| **at < until).count();
                let allowed = 50 * window as usize / 1000 + 10;
                assert!(in_window <= allowed, "{in_window} in {window} ms");
            }
        }
        assert!(taken.len() >= 150, "{} in 3 s", taken.len());
    }

    #[test]
    fn bucket_that_starts_empty_admits_the_burst_after_its_time() {
        let from = Tick::default() + Duration::from_secs(1);
        let mut bucket = Bucket::empty(10.0, 2.5, from);
        assert_eq!(
            bucket.next(Tick::default()),
            from + Duration::from_millis(100)
        );
        let later = from + Duration::from_secs(10);
        assert_eq!((bucket.take(later), bucket.take(later)), (Ok(()), Ok(())));
        assert_eq!(bucket.take(later), Err(Duration::from_millis(50)));
    }

    #[test]
    fn taken_tokens_stay_taken_after_a_change() {
        let now = Tick::default();
        let mut bucket = Bucket::new(10.0, 10, now);
        for _ in 0..4 {
            assert_eq!(bucket.take(now), Ok(()));
        }
        // Four of the twelve tokens are taken.
        bucket.change(1.0, 12, now);
        assert_eq!(bucket.limits(), (1.0, 12.0));
        for _ in 0..8 {
            assert_eq!(bucket.take(now), Ok(()));
        }
        assert_eq!(bucket.take(now), Err(Duration::from_secs(1)));
        // Twelve taken tokens empty a burst of two, and the other ten are forgotten.
        bucket.change(2.0, 2, now);
        assert_eq!(bucket.take(now), Err(Duration::from_millis(500)));
        let later = now + Duration::from_secs(1);
        assert_eq!((bucket.take(later), bucket.take(later)), (Ok(()), Ok(())));
        assert!(bucket.take(later).is_err());
    }

    #[test]
    fn empty_bucket_returns_the_wait_and_grants_no_token() {
        let now = Tick::default();
        let mut bucket = Bucket::new(1.0, 1, now);
        assert_eq!(bucket.take(now), Ok(()));
        for _ in 0..3 {
            assert_eq!(bucket.take(now), Err(Duration::from_secs(1)));
        }
        assert_eq!(bucket.take(now + Duration::from_secs(1)), Ok(()));
    }
}
