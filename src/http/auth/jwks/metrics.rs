//! Metrics of the reads of the token issuer's keys.

use jiff::Timestamp;

use crate::metrics::{
    Counter, Counters, Gauge, Registry, Source,
    catalogue::customers::{TOKEN_KEYS_READ, TOKEN_KEYS_READS},
};

/// Counts the reads, and records the time of the last successful one. Clones share the counts.
#[derive(Clone, Debug)]
pub(in crate::http::auth) struct KeyMetrics {
    all: Counters,
    succeeded: Counter,
    failed: Counter,
    /// In seconds since 1970.
    read_at: Gauge,
}

impl Default for KeyMetrics {
    fn default() -> Self {
        let all = Counters::new(&TOKEN_KEYS_READS);
        let [succeeded, failed] = all.each(&[], ["ok", "failed"]);
        Self {
            all,
            succeeded,
            failed,
            read_at: Gauge::default(),
        }
    }
}

impl Source for KeyMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.all.clone());
        registry.add_single(&TOKEN_KEYS_READ, &self.read_at);
    }
}

impl KeyMetrics {
    pub(super) fn succeeded(&self, now: Timestamp) {
        self.succeeded.inc();
        self.read_at.set(now.as_second());
    }

    pub(super) fn failed(&self) {
        self.failed.inc();
    }
}
