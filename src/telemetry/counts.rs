//! How many events were dropped. There is one log in a process, and one set of counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was dropped, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Dropped {
    /// Ordinary events, because the output was not read in time.
    Events = 0,
    /// Events of the audit, because the output was not read in time.
    Audit = 1,
    /// Events that callers without a valid credential cause, because there were too many.
    Strangers = 2,
}

impl Dropped {
    /// Every kind.
    pub const ALL: [Dropped; 3] = [Dropped::Events, Dropped::Audit, Dropped::Strangers];

    /// The label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dropped::Events => "events",
            Dropped::Audit => "audit",
            Dropped::Strangers => "strangers",
        }
    }

    /// How many since the process began.
    pub fn total(self) -> u64 {
        OF_THE_PROCESS.total(self)
    }
}

/// Counts what was dropped.
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; Dropped::ALL.len()]);

/// What this process dropped.
pub(super) static OF_THE_PROCESS: Counts =
    Counts([const { AtomicU64::new(0) }; Dropped::ALL.len()]);

impl Counts {
    pub(super) fn add(&self, what: Dropped) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn total(&self, what: Dropped) -> u64 {
        self.0[what as usize].load(Ordering::Relaxed)
    }
}
