//! What became of the callers in a stretch of time, and what Engage was asked meanwhile.

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
    /// Sessions that began.
    pub(crate) sessions: u64,
    /// Questions that were answered or refused.
    pub(crate) questions: u64,
    /// Those answered from memory, within the lifetimes and their stale-while-revalidate window.
    pub(crate) hits: u64,
    /// Those answered with what is older, because Engage could not be asked.
    pub(crate) stand_ins: u64,
    /// Those answered without a part, or with one that is older than it should be.
    pub(crate) degraded: u64,
    /// Those not answered.
    pub(crate) refused: u64,
    /// How long each question took that was no hit, longest last.
    pub(crate) waits: Vec<Duration>,
    /// Calls to Engage that began.
    pub(crate) calls: Calls,
}

impl Stretch {
    /// Calls a session.
    pub(crate) fn calls_per_session(&self) -> f64 {
        self.calls.iter().copied().map(per(self.sessions)).sum()
    }

    /// Of the calls a session those of each group.
    pub(crate) fn calls_by_group(&self) -> [f64; GROUPS.len()] {
        self.calls.map(per(self.sessions))
    }

    /// Calls a second.
    pub(crate) fn calls_per_second(&self) -> f64 {
        let calls: u64 = self.calls.iter().sum();
        per_time(calls, self.time)
    }

    /// A count as a share of the questions.
    pub(crate) fn share(&self, count: u64) -> f64 {
        per(self.questions)(count)
    }

    /// What 99 of a hundred questions that were no hits took at most.
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

/// Where callers' outcomes are noted.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    stretch: Arc<Mutex<Stretch>>,
}

impl Tally {
    /// A session began.
    pub(crate) fn session(&self) {
        self.lock().sessions += 1;
    }

    /// A question ended.
    pub(crate) fn ended(&self, outcome: &Result<Found, Error>, took: Duration) {
        let mut stretch = self.lock();
        stretch.questions += 1;
        match outcome {
            Ok(found) => {
                let verdict = &found.verdict;
                if verdict.stands_in.is_some() {
                    stretch.stand_ins += 1;
                } else if !found.degraded.is_empty() {
                    stretch.degraded += 1;
                } else if verdict.status == CacheStatus::Hit {
                    stretch.hits += 1;
                    return;
                }
            }
            Err(_) => stretch.refused += 1,
        }
        stretch.waits.push(took);
    }

    /// How many sessions began.
    pub(crate) fn sessions(&self) -> u64 {
        self.lock().sessions
    }

    /// What was noted since the last time.
    pub(crate) fn take(&self) -> Stretch {
        let mut stretch = std::mem::take(&mut *self.lock());
        stretch.waits.sort_unstable();
        stretch
    }

    fn lock(&self) -> MutexGuard<'_, Stretch> {
        self.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
