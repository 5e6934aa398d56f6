//! The set-up of every race: an empty cache, a contact, and the exploration of thread orders.

use std::time::Duration;

use engage_bff::{
    clock::{Clock, ManualClock},
    domain::{ContactId, PartMap, PartSet},
};
use jiff::Timestamp;
use shuttle::{Config, Runner, rand::Rng, scheduler::RandomScheduler, thread};

use crate::cache::{Answer, Bounds, Cache, freshness::Policy};

/// Stands for rendered responses: nothing is rendered here.
#[derive(Debug)]
pub struct NothingRendered;

impl Answer for NothingRendered {
    fn made_ready(&self) {}

    fn bytes(&self) -> usize {
        0
    }
}

// The tests of the linked files have their own.
#[cfg(not(test))]
impl crate::cache::Reason for &'static str {
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// The cache of a race.
pub type TestCache = Cache<NothingRendered, &'static str>;

/// A clock that stands still.
pub fn clock() -> Clock {
    Clock::from(ManualClock::new(Timestamp::UNIX_EPOCH))
}

/// An empty cache, whose lifetimes and windows are a minute each, except `stale_if_slow`.
pub fn cache_at(clock: Clock) -> TestCache {
    let minute = Duration::from_secs(60);
    let policy = Policy {
        lifetimes: PartMap::splat(minute),
        history_lifetime: minute,
        stale_while_revalidate: minute,
        stale_if_error: minute,
        stale_if_slow: Duration::from_millis(300),
        negative_lifetime: minute,
        overview_lag: minute,
        overview_parts: PartSet::ALL,
        feed: None,
    };
    let bounds = Bounds {
        max_bytes: 1 << 20,
        longest_flight: minute,
    };
    Cache::new(policy, bounds, clock)
}

/// One of up to sixteen contacts, by the last digit of its id.
pub fn contact(last: char) -> ContactId {
    ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e0{last}")).expect("an id")
}

/// Runs the race under this many thread orders.
pub fn explore(schedules: usize, race: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // zstd needs more than the usual 32 KiB.
    config.stack_size = 256 << 10;
    Runner::new(RandomScheduler::new(schedules), config).run(race);
}

/// Lets the other threads run for a random time. Without this pause both sides begin together, and an order in which
/// one is far ahead of the other is hardly ever drawn.
pub fn pause(longest: usize) {
    let steps = shuttle::rand::thread_rng().gen_range(0..longest);
    (0..steps).for_each(|_| thread::yield_now());
}
