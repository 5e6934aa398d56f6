//! The only source of time. Modules read the injected [`Clock`]; tests move a manual clock, so no test sleeps to make
//! time pass.
//!
//! Ages and deadlines use [`Tick`]s of a monotonic clock, which no operator and no NTP daemon sets back. Wall time is
//! for dates.

mod difference;

use std::{
    ops::{Add, Sub},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::difference::ClockDifference;

/// The time of the monotonic clock when it is created. It is not zero, so that an event before the clock's creation,
/// such as another replica's request, has a moment too.
const FIRST: Duration = Duration::from_secs(48 * 60 * 60);

/// A moment of the monotonic clock: nanoseconds since two days before the clock was created.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Tick(u64);

impl Tick {
    /// The last moment, about 584 years after the first.
    pub const END: Tick = Tick(u64::MAX);

    /// The time from `earlier` until this moment, zero if `earlier` is later.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment this many nanoseconds after the first.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The nanoseconds since the first moment.
    pub fn nanos(self) -> u64 {
        self.0
    }
}

impl From<Duration> for Tick {
    fn from(since_first: Duration) -> Self {
        let nanos = since_first.as_secs().saturating_mul(1_000_000_000);
        Self(nanos.saturating_add(since_first.subsec_nanos().into()))
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;

    fn add(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_add(Tick::from(wait).0))
    }
}

impl Sub<Duration> for Tick {
    type Output = Tick;

    fn sub(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_sub(Tick::from(wait).0))
    }
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic moment: for ages and deadlines.
    pub tick: Tick,
    /// The wall clock: for dates.
    pub wall: Timestamp,
}

/// The source of time: returns the current time, and waits until a time is reached.
#[derive(Clone, Debug)]
pub struct Clock(Backend);

#[derive(Clone, Debug)]
enum Backend {
    System { origin: std::time::Instant },
    Manual(ManualClock),
}

impl Clock {
    /// The machine's own clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    pub fn system() -> Self {
        Self(Backend::System {
            origin: std::time::Instant::now(),
        })
    }

    /// The current moment on both clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    pub fn now(&self) -> Now {
        match &self.0 {
            Backend::System { origin } => Now {
                tick: shown_after(origin.elapsed()),
                wall: Timestamp::now(),
            },
            Backend::Manual(clock) => clock.now(),
        }
    }

    /// The current moment on the monotonic clock only: cheaper than [`now`](Self::now).
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    pub fn tick(&self) -> Tick {
        match &self.0 {
            Backend::System { origin } => shown_after(origin.elapsed()),
            Backend::Manual(clock) => clock.now().tick,
        }
    }

    /// Returns once the monotonic clock has reached `deadline`.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that waits for the machine's clock"
    )]
    pub async fn sleep_until(&self, deadline: Tick) {
        match &self.0 {
            Backend::System { .. } => {
                tokio::time::sleep(deadline.since(self.tick())).await;
            }
            Backend::Manual(clock) => clock.reached(deadline).await,
        }
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self(Backend::Manual(clock))
    }
}

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    origin: Arc<Mutex<Timestamp>>,
    elapsed: watch::Sender<Duration>,
}

impl ManualClock {
    /// A clock that shows `start` until it is moved.
    pub fn new(start: Timestamp) -> Self {
        Self {
            origin: Arc::new(Mutex::new(start)),
            elapsed: watch::Sender::new(Duration::ZERO),
        }
    }

    /// Moves both clocks forward and wakes the tasks whose deadlines are reached.
    pub fn advance(&self, step: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += step);
    }

    /// Sets the wall clock alone, as an operator or NTP would.
    pub fn jump_wall(&self, to: Timestamp) {
        let elapsed = *self.elapsed.borrow();
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = to - elapsed_span(elapsed);
    }

    fn now(&self) -> Now {
        let elapsed = *self.elapsed.borrow();
        let origin = *self.origin.lock().unwrap_or_else(PoisonError::into_inner);
        Now {
            tick: shown_after(elapsed),
            wall: origin + elapsed_span(elapsed),
        }
    }

    async fn reached(&self, deadline: Tick) {
        let mut elapsed = self.elapsed.subscribe();
        // The sender lives in `self`, so the channel can't close while this waits.
        let _ = elapsed
            .wait_for(|elapsed| shown_after(*elapsed) >= deadline)
            .await;
    }
}

/// The time that a clock shows this long after it was created.
fn shown_after(elapsed: Duration) -> Tick {
    Tick::from(FIRST) + elapsed
}

fn elapsed_span(elapsed: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(elapsed).unwrap_or(jiff::SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn task_wakes_when_the_manual_clock_reaches_its_deadline() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::from(manual.clone());
        let deadline = clock.now().tick + Duration::from_secs(5);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(deadline).await }
        });
        manual.advance(Duration::from_secs(4));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        manual.advance(Duration::from_secs(1));
        sleeper.await.expect("the sleeper ends");
    }

    #[test]
    fn jump_of_the_wall_clock_does_not_move_the_monotonic_clock() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::from(manual.clone());
        manual.advance(Duration::from_secs(3));
        let before = clock.now();
        let to = Timestamp::from_second(1_000_000).expect("in range");
        manual.jump_wall(to);
        assert_eq!(clock.now().tick, before.tick);
        assert_eq!(clock.now().wall, to);
    }
}
