//! Metrics of the shared tier. Labels are fixed names.

use std::time::Duration;

use crate::{
    domain::listed_enum::listed_enum,
    metrics::{
        Counters, Histogram, Histograms, Registry, Source,
        catalogue::shared_tier::{
            SHARED_TIER_ANNOUNCEMENTS, SHARED_TIER_OPERATION_DURATION, SHARED_TIER_OPERATIONS,
            SHARED_TIER_STREAM_ENTRIES, SHARED_TIER_STREAM_GAPS, SHARED_TIER_VALUES_UNREADABLE,
        },
    },
};

listed_enum! {
    /// An operation of the backend.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Operation {
        /// Connects to the server.
        Connect => "connect",
        /// Enters the current epoch.
        Open => "open",
        /// Wraps an epoch's secret with another key.
        Rewrap => "rewrap",
        /// Reads, or leases the right to fetch.
        Fetch => "fetch",
        /// Stores what was fetched.
        Store => "store",
        /// Gives up a lease.
        Release => "release",
        /// Announces an invalidation.
        Invalidate => "invalidate",
        /// Begins another epoch.
        Advance => "advance",
        /// Reads the stream.
        Read => "read",
        /// Writes a heartbeat.
        Beat => "beat",
        /// Leases tokens of the call budget.
        LeaseTokens => "lease_tokens",
        /// Announces a pause of all calls.
        Pause => "pause",
        /// Reads what is stored, for an explanation or to find the contact of an alias.
        Peek => "peek",
        /// Removes what ended epochs left.
        Sweep => "sweep",
    }
}

impl Operation {
    /// Whether its duration says how far away the server is: it neither waits nor takes several round trips.
    pub(super) const fn is_round_trip(self) -> bool {
        !matches!(
            self,
            Operation::Connect | Operation::Read | Operation::Sweep
        )
    }
}

/// Metrics of the shared tier.
#[derive(Debug)]
pub(super) struct Metrics {
    operations: Counters,
    durations: Histograms,
    duration_of: [Histogram; Operation::COUNT],
    unreadable: Counters,
    entries: Counters,
    gaps: Counters,
    announcements: Counters,
}

impl Default for Metrics {
    fn default() -> Self {
        let durations = Histograms::new(&SHARED_TIER_OPERATION_DURATION);
        Self {
            operations: Counters::new(&SHARED_TIER_OPERATIONS),
            duration_of: durations.each(&[], Operation::ALL.map(Operation::as_str)),
            durations,
            unreadable: Counters::new(&SHARED_TIER_VALUES_UNREADABLE),
            entries: Counters::new(&SHARED_TIER_STREAM_ENTRIES),
            gaps: Counters::new(&SHARED_TIER_STREAM_GAPS),
            announcements: Counters::new(&SHARED_TIER_ANNOUNCEMENTS),
        }
    }
}

impl Source for Metrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.operations.clone());
        registry.add(self.durations.clone());
        registry.add(self.unreadable.clone());
        registry.add(self.entries.clone());
        registry.add(self.gaps.clone());
        registry.add(self.announcements.clone());
    }
}

impl Metrics {
    pub(super) fn ended(&self, operation: Operation, outcome: &'static str) {
        self.operations.of(&[operation.as_str(), outcome]).inc();
    }

    pub(super) fn took(&self, operation: Operation, took: Duration) {
        self.duration_of[operation as usize].observe(took);
    }

    pub(super) fn unreadable(&self, kind: &'static str) {
        self.unreadable.of(&[kind]).inc();
    }

    pub(super) fn entry(&self, kind: &'static str) {
        self.entries.of(&[kind]).inc();
    }

    pub(super) fn gap(&self, reason: &'static str) {
        self.gaps.of(&[reason]).inc();
    }

    pub(super) fn announced(&self, outcome: &'static str) {
        self.announcements.of(&[outcome]).inc();
    }

    #[cfg(test)]
    pub(super) fn operations(&self, operation: Operation, outcome: &'static str) -> u64 {
        self.operations.of(&[operation.as_str(), outcome]).get()
    }
}
