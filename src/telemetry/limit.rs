//! A limit on events that anybody can cause, who need not be a client for it: a flood of them must fill no disk.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::counts::{Dropped, OF_THE_PROCESS};
use crate::{clock::Clock, rate::Bucket};

/// Events a second.
const RATE: f64 = 1.0;
/// Events beyond that at once.
const BURST: u32 = 60;
/// How long after the first event that was left out it is told how many were.
const PAUSE: Duration = Duration::from_secs(60);

/// Lets sixty events through at once and one a second, counts the rest, and tells once a minute how many that were.
/// Clones share the limit.
#[derive(Clone)]
pub struct Limit(Arc<Counted>);

struct Counted {
    what: &'static str,
    bucket: Mutex<Bucket>,
    /// Those that were not told yet.
    left_out: AtomicU64,
    clock: Clock,
}

impl Limit {
    /// A limit for events about `what`, in a word or two.
    pub fn new(what: &'static str, clock: Clock) -> Self {
        Self(Arc::new(Counted {
            what,
            bucket: Mutex::new(Bucket::new(RATE, BURST, clock.tick())),
            left_out: AtomicU64::new(0),
            clock,
        }))
    }

    /// Whether one more event may be logged. One that may not is counted. To be asked for events alone that would be
    /// logged otherwise.
    pub fn allows(&self) -> bool {
        let now = self.0.clock.tick();
        let mut bucket = self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let is_taken = bucket.take(now).is_ok();
        drop(bucket);
        if !is_taken {
            OF_THE_PROCESS.add(Dropped::Strangers);
            if self.0.left_out.fetch_add(1, Ordering::Relaxed) == 0 {
                self.tell_later();
            }
        }
        is_taken
    }

    /// Logs now how many events were left out, if any were.
    pub fn tell(&self) {
        self.0.tell();
    }

    /// Where nothing runs any more that could wait, it is told at the end.
    fn tell_later(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let clock = self.0.clock.clone();
        let until = clock.tick() + PAUSE;
        let counted = Arc::downgrade(&self.0);
        runtime.spawn(async move {
            clock.sleep_until(until).await;
            if let Some(counted) = counted.upgrade() {
                counted.tell();
            }
        });
    }
}

impl Counted {
    fn tell(&self) {
        let count = self.left_out.swap(0, Ordering::Relaxed);
        if count > 0 {
            let about = self.what;
            tracing::warn!(about, count, "events left out that anybody can cause");
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tell();
    }
}
