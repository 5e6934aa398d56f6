//! Counts the records that leave the cache by themselves: those that it had no room for, and those that were too old for
//! anything. What an invalidation, a purge or Engage's word removes is not among them.

use moka::notification::RemovalCause;

use crate::threads::{AtomicU64, Ordering};

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    size: AtomicU64,
    expired: AtomicU64,
}

/// How many records were evicted, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvictionCounts {
    /// There was no room for them.
    pub size: u64,
    /// They were too old for anything.
    pub expired: u64,
}

impl Evictions {
    /// moka has removed a record.
    pub(super) fn note(&self, cause: RemovalCause) {
        match cause {
            RemovalCause::Size => drop(self.size.fetch_add(1, Ordering::Relaxed)),
            RemovalCause::Expired => self.note_expired(),
            // By the cache's own code.
            RemovalCause::Explicit | RemovalCause::Replaced => {}
        }
    }

    /// Maintenance removes a record that is too old for anything, before moka does.
    pub(super) fn note_expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> EvictionCounts {
        EvictionCounts {
            size: self.size.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
        }
    }
}
