//! The phases of a run: Engage's state changes while the load continues.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use engage_bff::clock::{Clock, Tick};
use engage_simulator::Simulator;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::{
    Failure,
    child::Child,
    load::{Load, Sample},
};

/// Every response has arrived after this many seconds: the service keeps no caller waiting for more than 2.5 s.
const SETTLED: u64 = 4;
/// The longest wait for recovery, and how long the load continues after it, in seconds.
pub(crate) const RECOVERY_LIMIT: u64 = 60;
pub(crate) const AFTERWARDS: u64 = 15;
/// Recovery: the share of new contacts answered is at least this fraction of the usual share.
const RECOVERED: f64 = 0.95;

/// One finished phase.
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// Its start and end, by the load's clock and by the simulated Engage's.
    pub(crate) ticks: [Tick; 2],
    pub(crate) times: [Timestamp; 2],
    /// Resident memory at its end, in bytes.
    pub(crate) resident: u64,
    /// How often a circuit breaker opened in it.
    pub(crate) openings: u64,
}

impl Phase {
    /// Whether a request was due in it.
    pub(crate) fn holds(&self, sample: &Sample) -> bool {
        self.ticks[0] <= sample.due && sample.due < self.ticks[1]
    }
}

/// The share of the requests for new contacts that were answered with 200; `None` without such requests.
pub(crate) fn share_of_new(samples: &[Sample], holds: impl Fn(&Sample) -> bool) -> Option<f64> {
    let (mut all, mut good) = (0_u32, 0_u32);
    let new = samples.iter().filter(|sample| sample.is_new);
    for sample in new.filter(|sample| holds(sample)) {
        all += 1;
        good += u32::from(sample.status == 200);
    }
    (all > 0).then(|| f64::from(good) / f64::from(all))
}

/// The end of the first second after `start` in which the share of the new contacts answered was at least [`RECOVERED`]
/// of `usual`.
pub(crate) fn recovered(samples: &[Sample], start: Tick, usual: f64, seconds: u64) -> Option<u64> {
    (1..=seconds).find(|second| {
        let until = start + Duration::from_secs(*second);
        let from = start + Duration::from_secs(second - 1);
        let share = share_of_new(samples, |sample| from <= sample.due && sample.due < until);
        share.is_some_and(|share| share >= RECOVERED * usual)
    })
}

/// What all phases share.
pub(crate) struct Stage<'a> {
    engage: &'a Simulator,
    child: &'a Child,
    pub(crate) load: Load,
    openings: u64,
    late: Arc<AtomicU64>,
    watch: JoinHandle<()>,
}

impl<'a> Stage<'a> {
    pub(crate) async fn new(
        engage: &'a Simulator,
        child: &'a Child,
        load: Load,
    ) -> Result<Self, Failure> {
        let late = Arc::new(AtomicU64::new(0));
        let watch = tokio::spawn(watch(load.clock().clone(), Arc::clone(&late)));
        Ok(Self {
            engage,
            child,
            openings: child.openings().await?,
            load,
            late,
            watch,
        })
    }

    /// The longest scheduling delay of this process.
    pub(crate) fn longest_delay(&self) -> Duration {
        Duration::from_nanos(self.late.load(Ordering::Relaxed))
    }

    /// Runs the load for this many seconds.
    pub(crate) async fn play(
        &mut self,
        name: &'static str,
        seconds: u64,
    ) -> Result<Phase, Failure> {
        let began = self.now();
        self.load.send(seconds).await?;
        self.end(name, began).await
    }

    /// Runs the load until the share of new contacts answered is as `usual` again, and for some time after it.
    pub(crate) async fn play_until_recovered(
        &mut self,
        name: &'static str,
        usual: f64,
    ) -> Result<Phase, Failure> {
        let began = self.now();
        let mut afterwards = 0;
        for second in 1..=RECOVERY_LIMIT + AFTERWARDS {
            self.load.send(1).await?;
            let settled = second.saturating_sub(SETTLED);
            let has_recovered = self
                .load
                .look(|samples| recovered(samples, began.0, usual, settled).is_some());
            afterwards += u64::from(has_recovered);
            if afterwards + SETTLED > AFTERWARDS {
                break;
            }
        }
        let phase = self.end(name, began).await?;
        let settled = self.now().0 + Duration::from_secs(SETTLED);
        self.load.clock().sleep_until(settled).await;
        Ok(phase)
    }

    fn now(&self) -> (Tick, Timestamp) {
        (self.load.clock().now().tick, self.engage.clock().now())
    }

    async fn end(
        &mut self,
        name: &'static str,
        began: (Tick, Timestamp),
    ) -> Result<Phase, Failure> {
        let ended = self.now();
        let before = self.openings;
        self.openings = self.child.openings().await?;
        Ok(Phase {
            name,
            ticks: [began.0, ended.0],
            times: [began.1, ended.1],
            resident: self.child.resident()?,
            openings: self.openings - before,
        })
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Wakes at short intervals and records by how much it was late: the measured latencies contain the same delay.
async fn watch(clock: Clock, late: Arc<AtomicU64>) {
    loop {
        let due = clock.now().tick + Duration::from_millis(5);
        clock.sleep_until(due).await;
        let by = clock.now().tick.since(due).as_nanos();
        late.fetch_max(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
