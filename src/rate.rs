//! A token bucket. A leaf: callers and upstream calls are counted by it alike.

use std::time::Duration;

use crate::clock::Tick;

/// A token bucket kept as the moment at which it is full again (GCRA): in any T seconds at most
/// rate x T + burst tokens are taken.
#[derive(Debug)]
pub struct Bucket {
    interval: Duration,
    tolerance: Duration,
    next: Tick,
}

impl Bucket {
    /// A full bucket that lets `rate` through a second and `burst` at once.
    pub fn new(rate: f64, burst: u32, now: Tick) -> Self {
        let interval = Duration::from_secs_f64(1.0 / rate);
        Self {
            interval,
            tolerance: interval * burst.saturating_sub(1),
            next: now,
        }
    }

    /// The time between two tokens.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// When the next token is there: now, or later.
    pub fn next(&self, now: Tick) -> Tick {
        (self.next.max(now) - self.tolerance).max(now)
    }

    /// Takes a token, or says how long to wait for one.
    pub fn take(&mut self, now: Tick) -> Result<(), Duration> {
        let at = self.next(now);
        if at > now {
            return Err(at.since(now));
        }
        self.next = self.next.max(now) + self.interval;
        Ok(())
    }

    /// Whether all of the burst is there.
    pub fn is_full(&self, now: Tick) -> bool {
        self.next <= now
    }

    /// Whether at least half of the burst is there.
    pub fn is_half_full(&self, now: Tick) -> bool {
        self.next.since(now) <= self.tolerance / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_never_lets_more_through_than_rate_and_burst_allow() {
        let start = Tick::default();
        let mut bucket = Bucket::new(50.0, 10, start);
        let mut turns = Vec::new();
        for step in 0..3000u32 {
            let now = start + Duration::from_millis(u64::from(step));
            while bucket.take(now).is_ok() {
                turns.push(now);
            }
        }
        for (index, from) in turns.iter().enumerate() {
            for window in [100u32, 1000, 2000] {
                let until = *from + Duration::from_millis(u64::from(window));
                let let_through = turns[index..]
                    .iter()
                    .take_while(|turn| **turn < until)
                    .count();
                let allowed = 50 * window as usize / 1000 + 10;
                assert!(let_through <= allowed, "{let_through} in {window} ms");
            }
        }
        assert!(turns.len() >= 150, "{} in 3 s", turns.len());
    }

    #[test]
    fn a_spent_bucket_says_how_long_to_wait_and_lends_nothing() {
        let now = Tick::default();
        let mut bucket = Bucket::new(1.0, 1, now);
        assert_eq!(bucket.take(now), Ok(()));
        for _ in 0..3 {
            assert_eq!(bucket.take(now), Err(Duration::from_secs(1)));
        }
        assert_eq!(bucket.take(now + Duration::from_secs(1)), Ok(()));
    }
}
