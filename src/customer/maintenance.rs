//! The service's background work: sweeping the cache, finding changes while webhooks fail ([`super::repair`]), applying
//! what other replicas announce ([`super::follow`]), and reading the names of points ([`super::point_names`]).

use std::time::Duration;

use super::CustomerService;
use crate::cache::EvictionCounts;

/// How often the aliases of purged contacts are swept.
const SWEEP_PERIOD: Duration = Duration::from_secs(2);
/// How often everything is swept.
const MAINTENANCE_PERIOD: Duration = Duration::from_secs(60);

impl CustomerService {
    /// The number of contacts that were evicted, not purged.
    pub fn evictions(&self) -> EvictionCounts {
        self.inner.tiers.memory.evictions()
    }

    /// The size of the parts compressed so far, in bytes, before and after compression.
    pub fn compressed_bytes(&self) -> (u64, u64) {
        self.inner.tiers.memory.compressed_bytes()
    }

    /// The bytes that cached contacts take, without the changes of the last moments, and the most that everything
    /// cached may take.
    pub fn cached_bytes(&self) -> (u64, u64) {
        let memory = &self.inner.tiers.memory;
        (memory.record_bytes(), memory.max_bytes())
    }

    /// Frees what can't be served any more, and the rendered responses of records that were not read since the last
    /// sweep. Visits every entry: not for a thread that serves requests.
    pub fn maintain(&self) {
        let memory = &self.inner.tiers.memory;
        memory.sweep_pending_purges();
        memory.maintain();
    }

    /// Runs the background work: maintains the cache; watches the webhook feed and polls Engage every `changes_poll`
    /// for changes that may have been missed; with a shared tier, connects it and applies what other replicas announce;
    /// reads the names of points. Never returns.
    pub async fn run_background_work(&self, changes_poll: Option<Duration>) {
        tokio::join!(
            self.run_maintenance(),
            self.watch_feed(changes_poll),
            self.follow_replicas(),
            self.keep_point_names()
        );
    }

    async fn run_maintenance(&self) {
        let clock = &self.inner.clock;
        let memory = &self.inner.tiers.memory;
        let (mut next_sweep, mut next_maintenance) = (
            clock.tick() + SWEEP_PERIOD,
            clock.tick() + MAINTENANCE_PERIOD,
        );
        loop {
            let is_filled = tokio::select! {
                biased;
                () = clock.sleep_until(next_sweep) => false,
                () = memory.filled() => true,
            };
            let now = clock.tick();
            let (is_sweep, is_maintenance) = (now >= next_sweep, now >= next_maintenance);
            if is_sweep {
                next_sweep = now + SWEEP_PERIOD;
            }
            if is_maintenance {
                next_maintenance = now + MAINTENANCE_PERIOD;
            }
            let sweeps = is_sweep && memory.has_pending_purges();
            if !(is_filled || is_maintenance || sweeps) {
                continue;
            }
            let customers = self.clone();
            // Maintenance reads every entry: not on a thread that serves requests.
            let done = tokio::task::spawn_blocking(move || {
                if is_maintenance {
                    return customers.maintain();
                }
                let memory = &customers.inner.tiers.memory;
                if sweeps {
                    memory.sweep_pending_purges();
                }
                if is_filled {
                    memory.sweep();
                }
            });
            if done.await.is_err() {
                tracing::error!(alarm = true, "cache maintenance failed");
            }
        }
    }
}
