//! The budget of upstream calls: a rate with a burst, a bound on calls at the same time, and the pause
//! that a 429 asks for. In any T seconds at most rate x T + burst calls leave.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::clock::{Clock, Tick};

/// The longest time that a call waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The longest pause that a 429 may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Lets calls through at a bounded rate.
pub struct Budget {
    clock: Clock,
    bucket: Mutex<Bucket>,
    slots: Arc<Semaphore>,
    max_concurrency: usize,
}

/// The right to make one upstream call; given back when dropped.
pub struct Permit {
    _slot: OwnedSemaphorePermit,
}

impl Budget {
    /// `rate` calls a second, `burst` beyond that at once, `max_concurrency` at the same time.
    pub fn new(clock: Clock, rate: f64, burst: u32, max_concurrency: usize) -> Self {
        let now = clock.now().tick;
        Self {
            clock,
            bucket: Mutex::new(Bucket::new(rate, burst, now)),
            slots: Arc::new(Semaphore::new(max_concurrency)),
            max_concurrency,
        }
    }

    /// Waits for a slot and a token.
    pub async fn admit(&self) -> Result<Permit, Error> {
        let deadline = self.clock.now().tick + MAX_WAIT;
        let slot = tokio::select! {
            biased;
            slot = Arc::clone(&self.slots).acquire_owned() => slot.map_err(|_| Error::Overloaded)?,
            () = self.clock.sleep_until(deadline) => return Err(Error::Overloaded),
        };
        self.take_token().await?;
        Ok(Permit { _slot: slot })
    }

    /// Whether at least half of the burst and half of the slots are free.
    pub fn has_room_to_spare(&self) -> bool {
        let now = self.clock.now().tick;
        let bucket = self.bucket();
        bucket.paused_until <= now
            && bucket.next.since(now) <= bucket.tolerance / 2
            && self.slots.available_permits() * 2 >= self.max_concurrency
    }

    /// Waits for a token alone: for the further pages of a call that holds its slot.
    pub async fn take_token(&self) -> Result<(), Error> {
        let now = self.clock.now().tick;
        let turn = {
            let mut bucket = self.bucket();
            bucket.check_pause(now)?;
            bucket.reserve(now, MAX_WAIT)
        };
        let turn = turn.map_err(|retry_after| Error::OverBudget { retry_after })?;
        self.clock.sleep_until(turn).await;
        // Engage may have asked for a pause meanwhile.
        let now = self.clock.now().tick;
        self.bucket().check_pause(now)
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no call through for `pause`, a minute at most.
    pub fn pause(&self, pause: Duration) -> Duration {
        let pause = pause.min(MAX_PAUSE);
        let until = self.clock.now().tick + pause;
        let mut bucket = self.bucket();
        bucket.paused_until = bucket.paused_until.max(until);
        pause
    }
}

/// A token bucket kept as the moment at which the next token is there (GCRA).
#[derive(Debug)]
pub struct Bucket {
    interval: Duration,
    tolerance: Duration,
    next: Tick,
    paused_until: Tick,
}

impl Bucket {
    /// A full bucket that lets `rate` through a second and `burst` at once.
    pub fn new(rate: f64, burst: u32, now: Tick) -> Self {
        let interval = Duration::from_secs_f64(1.0 / rate);
        Self {
            interval,
            tolerance: interval * burst.saturating_sub(1),
            next: now,
            paused_until: now,
        }
    }

    fn check_pause(&self, now: Tick) -> Result<(), Error> {
        if self.paused_until > now {
            let retry_after = self.paused_until.since(now);
            return Err(Error::RateLimited { retry_after });
        }
        Ok(())
    }

    /// The moment at which the reserved token is there, or how long to wait where that is beyond
    /// `max_wait`; then nothing is reserved.
    pub fn reserve(&mut self, now: Tick, max_wait: Duration) -> Result<Tick, Duration> {
        let next = self.next.max(now);
        let turn = (next - self.tolerance).max(now);
        let wait = turn.since(now);
        if wait > max_wait {
            return Err(wait);
        }
        self.next = next + self.interval;
        Ok(turn)
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
            while let Ok(turn) = bucket.reserve(now, Duration::ZERO) {
                turns.push(turn);
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
    fn a_spent_bucket_says_how_long_to_wait_and_reserves_nothing() {
        let now = Tick::default();
        let mut bucket = Bucket::new(1.0, 1, now);
        assert_eq!(bucket.reserve(now, Duration::ZERO), Ok(now));
        for _ in 0..3 {
            assert_eq!(
                bucket.reserve(now, Duration::ZERO),
                Err(Duration::from_secs(1))
            );
        }
    }
}
