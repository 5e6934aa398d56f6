//! The outcomes of queries in an interval, and the calls to Engage during it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use engage_bff::customer::{CacheStatus, Error, Found};

use crate::engage::{Calls, GROUPS};

/// A stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stretch {
    /// How long it was.
    pub(crate) time: Duration,
    /// Started sessions.
    pub(crate) sessions: u64,
    /// Queries that were answered or refused.
    pub(crate) queries: u64,
    /// Those answered from the cache, fresh or within the stale-while-revalidate window.
    pub(crate) hits: u64,
    /// Those that the shared tier answered.
    pub(crate) shared: u64,
    /// Those answered with older data, because Engage's answer failed or was late.
    pub(crate) stale: u64,
    /// Those answered without a part, or with an outdated one.
    pub(crate) degraded: u64,
    /// Those refused.
    pub(crate) refused: u64,
    /// The times of queries that were no hits, longest last.
    pub(crate) waits: Vec<Duration>,
    /// Calls to Engage.
    pub(crate) calls: Calls,
    /// The fewest calls that the same requests cost a cache with these lifetimes.
    pub(crate) floor: Calls,
}

impl Stretch {
    /// Calls per session.
    pub(crate) fn calls_per_session(&self) -> f64 {
        self.calls.iter().copied().map(per(self.sessions)).sum()
    }

    /// The floor of the calls per session.
    pub(crate) fn floor_per_session(&self) -> f64 {
        self.floor.iter().copied().map(per(self.sessions)).sum()
    }

    /// The calls as a multiple of the floor.
    pub(crate) fn over_floor(&self) -> f64 {
        per(self.floor.iter().sum())(self.calls.iter().sum())
    }

    /// Calls per session, by group.
    pub(crate) fn calls_by_group(&self) -> [f64; GROUPS.len()] {
        self.calls.map(per(self.sessions))
    }

    /// Calls per second.
    pub(crate) fn calls_per_second(&self) -> f64 {
        let calls: u64 = self.calls.iter().sum();
        per_time(calls, self.time)
    }

    /// A count as a share of the queries.
    pub(crate) fn share(&self, count: u64) -> f64 {
        per(self.queries)(count)
    }

    /// The 99th percentile of the times of queries that were no hits.
    pub(crate) fn slow(&self) -> Duration {
        let index = self.waits.len() * 99 / 100;
        self.waits.get(index).copied().unwrap_or_default()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
fn per(whole: u64) -> impl Fn(u64) -> f64 {
    move |count| count as f64 / whole.max(1) as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
fn per_time(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Collects the outcomes of queries.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    stretch: Arc<Mutex<Stretch>>,
}

impl Tally {
    /// Counts a started session.
    pub(crate) fn session(&self) {
        self.lock().sessions += 1;
    }

    /// Counts the outcome of a query.
    pub(crate) fn ended(&self, outcome: &Result<Found, Error>, took: Duration) {
        let mut stretch = self.lock();
        stretch.queries += 1;
        match outcome {
            Ok(found) => {
                let verdict = &found.verdict;
                if verdict.stands_in.is_some() {
                    stretch.stale += 1;
                } else if !found.degraded.is_empty() {
                    stretch.degraded += 1;
                } else if verdict.status == CacheStatus::Hit {
                    stretch.hits += 1;
                    return;
                } else if verdict.status == CacheStatus::Shared {
                    stretch.shared += 1;
                }
            }
            Err(_) => stretch.refused += 1,
        }
        stretch.waits.push(took);
    }

    /// The number of started sessions.
    pub(crate) fn sessions(&self) -> u64 {
        self.lock().sessions
    }

    /// The outcomes since the last call.
    pub(crate) fn take(&self) -> Stretch {
        let mut stretch = std::mem::take(&mut *self.lock());
        stretch.waits.sort_unstable();
        stretch
    }

    fn lock(&self) -> MutexGuard<'_, Stretch> {
        self.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
