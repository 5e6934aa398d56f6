//! Counts the records that the cache removes on its own: for lack of room, or because they are too old to be served.
//! Records that are removed by an invalidation, a purge or a response of Engage are not counted.

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
    /// They were too old to be served.
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

    /// Maintenance removes a record that is too old to be served, before moka does.
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
