//! A rate limit for events that unauthenticated callers can cause, and for panics, so that a flood of them does not
//! fill the disk.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::dropped::{Dropped, OF_THE_PROCESS};
use crate::{clock::Clock, rate::Bucket};

/// Events per second.
const RATE: f64 = 1.0;
/// Events that may be logged at once beyond that rate.
const BURST: u32 = 60;
/// How long after the first suppressed event their number is logged.
const REPORT_DELAY: Duration = Duration::from_secs(60);

/// Lets through 60 events at once and one per second, counts the rest, and logs once a minute how many were suppressed.
/// Clones share the limit.
#[derive(Clone)]
pub struct Limit(Arc<Counted>);

struct Counted {
    what: &'static str,
    bucket: Mutex<Bucket>,
    /// Events suppressed since the last report.
    suppressed: AtomicU64,
    clock: Clock,
}

impl Limit {
    /// A limit for events about `what`, a word or two that is logged with their number.
    pub fn new(what: &'static str, clock: Clock) -> Self {
        Self(Arc::new(Counted {
            what,
            bucket: Mutex::new(Bucket::new(RATE, BURST, clock.tick())),
            suppressed: AtomicU64::new(0),
            clock,
        }))
    }

    /// Whether one more event may be logged; counts it if not. Call it only for events that the log's filter lets
    /// through.
    pub fn allows(&self) -> bool {
        let now = self.0.clock.tick();
        let mut bucket = self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let is_taken = bucket.take(now).is_ok();
        drop(bucket);
        if !is_taken {
            OF_THE_PROCESS.add(Dropped::Strangers);
            if self.0.suppressed.fetch_add(1, Ordering::Relaxed) == 0 {
                self.report_later();
            }
        }
        is_taken
    }

    /// Logs now how many events were suppressed, if any.
    pub fn report(&self) {
        self.0.report();
    }

    /// Without a runtime, dropping the limit reports instead.
    fn report_later(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let clock = self.0.clock.clone();
        let until = clock.tick() + REPORT_DELAY;
        let counted = Arc::downgrade(&self.0);
        runtime.spawn(async move {
            clock.sleep_until(until).await;
            if let Some(counted) = counted.upgrade() {
                counted.report();
            }
        });
    }
}

impl Counted {
    fn report(&self) {
        let count = self.suppressed.swap(0, Ordering::Relaxed);
        if count > 0 {
            let about = self.what;
            tracing::warn!(about, count, "log events suppressed");
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.report();
    }
}
