//! Metrics of the shared tier. Labels are fixed names.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// Bounds of the duration buckets, in seconds: from a server in the same machine to far beyond the usual time-out.
const SECONDS: [f64; 9] = [
    0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1,
];

/// An operation of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Connect,
    Open,
    Rewrap,
    Fetch,
    Store,
    Release,
    Invalidate,
    Advance,
    Read,
    Beat,
    LeaseTokens,
    Pause,
    Peek,
    Sweep,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Operation::Connect => "connect",
            Operation::Open => "open",
            Operation::Rewrap => "rewrap",
            Operation::Fetch => "fetch",
            Operation::Store => "store",
            Operation::Release => "release",
            Operation::Invalidate => "invalidate",
            Operation::Advance => "advance",
            Operation::Read => "read",
            Operation::Beat => "beat",
            Operation::LeaseTokens => "lease_tokens",
            Operation::Pause => "pause",
            Operation::Peek => "peek",
            Operation::Sweep => "sweep",
        }
    }

    /// Whether its duration says how far away the server is: it neither waits nor takes several round trips.
    pub(super) const fn is_round_trip(self) -> bool {
        !matches!(
            self,
            Operation::Connect | Operation::Read | Operation::Sweep
        )
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOperation {
    operation: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOutcome {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfAnnouncement {
    outcome: &'static str,
}

/// Metrics of the shared tier.
#[derive(Debug)]
pub(super) struct Metrics {
    operations: Family<OfOutcome, Counter>,
    durations: Family<OfOperation, Histogram, fn() -> Histogram>,
    unreadable: Family<OfKind, Counter>,
    entries: Family<OfKind, Counter>,
    gaps: Family<OfReason, Counter>,
    announcements: Family<OfAnnouncement, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let durations: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            operations: Family::default(),
            durations: Family::new_with_constructor(durations),
            unreadable: Family::default(),
            entries: Family::default(),
            gaps: Family::default(),
            announcements: Family::default(),
        }
    }
}

impl Metrics {
    /// Registers the metrics.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "shared_tier_operations",
            "Finished operations of the shared tier, by outcome",
            self.operations.clone(),
        );
        registry.register(
            "shared_tier_operation_duration_seconds",
            "Duration of operations of the shared tier",
            self.durations.clone(),
        );
        registry.register(
            "shared_tier_values_unreadable",
            "Values of the shared tier that could not be read, by kind",
            self.unreadable.clone(),
        );
        registry.register(
            "shared_tier_stream_entries",
            "Entries of the stream of invalidations that were read, by kind",
            self.entries.clone(),
        );
        registry.register(
            "shared_tier_stream_gaps",
            "Number of times invalidations may have been missed and memory was dropped, by reason",
            self.gaps.clone(),
        );
        registry.register(
            "shared_tier_announcements",
            "Invalidations for all replicas, by outcome",
            self.announcements.clone(),
        );
    }

    pub(super) fn ended(&self, operation: Operation, outcome: &'static str) {
        let operation = operation.as_str();
        self.operations
            .get_or_create(&OfOutcome { operation, outcome })
            .inc();
    }

    pub(super) fn took(&self, operation: Operation, took: Duration) {
        let operation = operation.as_str();
        self.durations
            .get_or_create(&OfOperation { operation })
            .observe(took.as_secs_f64());
    }

    pub(super) fn unreadable(&self, kind: &'static str) {
        self.unreadable.get_or_create(&OfKind { kind }).inc();
    }

    pub(super) fn entry(&self, kind: &'static str) {
        self.entries.get_or_create(&OfKind { kind }).inc();
    }

    pub(super) fn gap(&self, reason: &'static str) {
        self.gaps.get_or_create(&OfReason { reason }).inc();
    }

    pub(super) fn announced(&self, outcome: &'static str) {
        self.announcements
            .get_or_create(&OfAnnouncement { outcome })
            .inc();
    }

    #[cfg(test)]
    pub(super) fn operations(&self, operation: Operation, outcome: &'static str) -> u64 {
        let operation = operation.as_str();
        self.operations
            .get_or_create(&OfOutcome { operation, outcome })
            .get()
    }
}
