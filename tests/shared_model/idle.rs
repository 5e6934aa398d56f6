//! Detects when all replicas, the simulator and the stand-in have nothing left to do until time passes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Runtime, sync::Notify, task::yield_now};

/// More than the number of socket hops that one event can cause. The runtime runs out of work once for each hop.
const ROUNDS: usize = 24;

/// Counts how often the runtime ran out of work.
#[derive(Clone, Default)]
pub(crate) struct Idle {
    /// The number of threads while there is no blocking work.
    threads: usize,
    parks: Arc<AtomicU64>,
    parked: Arc<Notify>,
}

/// A runtime of one thread, and the detector of its idleness.
pub(crate) fn runtime() -> (Runtime, Idle) {
    let idle = Idle {
        threads: threads(),
        ..Idle::default()
    };
    let seen = idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(1)
        // Threads for blocking work end when their work does.
        .thread_keep_alive(Duration::ZERO)
        .on_thread_park(move || {
            seen.parks.fetch_add(1, Ordering::SeqCst);
            seen.parked.notify_one();
        })
        .build()
        .expect("a runtime");
    (runtime, idle)
}

impl Idle {
    /// Returns once neither the runtime nor the threads for blocking work have anything left to do. Those threads may
    /// wait for the clock, so it waits for them for at most `patience` of real time. Bytes that were written to a
    /// socket of this machine can be read at once.
    #[expect(
        clippy::disallowed_methods,
        reason = "the work is done in real time, whatever the clock shows"
    )]
    pub(crate) async fn settle(&self, patience: Duration) {
        let mut left = patience;
        loop {
            self.run_out().await;
            if threads() <= self.threads || left.is_zero() {
                return;
            }
            while threads() > self.threads && !left.is_zero() {
                let moment = left.min(Duration::from_millis(1));
                tokio::time::sleep(moment).await;
                left -= moment;
            }
        }
    }

    async fn run_out(&self) {
        for _ in 0..ROUNDS {
            let before = self.parks.load(Ordering::SeqCst);
            while self.parks.load(Ordering::SeqCst) == before {
                self.parked.notified().await;
            }
            // Polls the sockets.
            yield_now().await;
        }
    }
}

/// The number of threads of this process; each test runs in a process of its own.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
