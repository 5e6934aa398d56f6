//! Counts of dropped log events, one set per process.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which events were dropped, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Dropped {
    /// Ordinary events, because the output was not read in time.
    Events = 0,
    /// Audit events, because the output was not read in time.
    Audit = 1,
    /// Events beyond a [`Limit`](super::Limit), because there were too many: those that callers without a valid
    /// credential can cause, and all panics.
    Strangers = 2,
}

impl Dropped {
    /// All kinds.
    pub const ALL: [Dropped; 3] = [Dropped::Events, Dropped::Audit, Dropped::Strangers];

    /// The label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dropped::Events => "events",
            Dropped::Audit => "audit",
            Dropped::Strangers => "strangers",
        }
    }

    /// The number of dropped events since the process started.
    pub fn total(self) -> u64 {
        OF_THE_PROCESS.total(self)
    }
}

/// The number of dropped events of each kind.
#[derive(Debug, Default)]
pub(super) struct DroppedCounts([AtomicU64; Dropped::ALL.len()]);

/// The counts of this process.
pub(super) static OF_THE_PROCESS: DroppedCounts =
    DroppedCounts([const { AtomicU64::new(0) }; Dropped::ALL.len()]);

impl DroppedCounts {
    pub(super) fn add(&self, what: Dropped) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn total(&self, what: Dropped) -> u64 {
        self.0[what as usize].load(Ordering::Relaxed)
    }
}
