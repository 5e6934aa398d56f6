//! How much the cache may hold, how that is divided, and how much it holds.

use std::time::Duration;

use super::{Answer, Cache, EvictionCounts};

/// How much the cache may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of everything that is cached.
    pub max_bytes: u64,
    /// The longest time that an upstream call may be in flight.
    pub longest_flight: Duration,
}

/// One in this many of the cache's bytes is for negative entries.
pub(super) const NEGATIVE_SHARE: u64 = 32;
/// One in this many of the cache's bytes is for failures.
pub(super) const FAILURE_SHARE: u64 = 64;
/// One in this many of the cache's bytes is for the history of contacts.
pub(super) const HISTORY_SHARE: u64 = 32;
/// One in this many of the cache's bytes is for aliases: room for three aliases of each contact, if the cache has two
/// kibibytes for each.
pub(super) const ALIAS_SHARE: u64 = 4;
/// One in this many of the cache's bytes is for making a dictionary.
const TRAINING_SHARE: u64 = 24;
/// The most bytes for making a dictionary.
const TRAINING_BYTES: u64 = 8 << 20;
/// One record takes at most one in this many of the bytes for records.
pub(super) const RECORD_SHARE: u64 = 64;
/// A record of up to this size is cached even if that share is smaller.
const LARGE_RECORD: u64 = 4 << 20;

/// The bytes for each kind of entry.
pub(super) struct Shares {
    /// Of all kinds together.
    pub(super) all: u64,
    pub(super) records: u64,
    /// The most that one record may take.
    pub(super) record: u64,
    pub(super) aliases: u64,
    pub(super) negatives: u64,
    pub(super) failures: u64,
    pub(super) histories: u64,
}

impl Shares {
    /// Divides the bytes; records get what the other kinds leave.
    pub(super) fn of(max_bytes: u64) -> Self {
        let aliases = max_bytes / ALIAS_SHARE;
        let negatives = max_bytes / NEGATIVE_SHARE;
        let failures = max_bytes / FAILURE_SHARE;
        let histories = max_bytes / HISTORY_SHARE;
        let training = TRAINING_BYTES.min(max_bytes / TRAINING_SHARE);
        let records = max_bytes - aliases - negatives - failures - histories - training;
        Self {
            all: max_bytes,
            records,
            record: records.min(LARGE_RECORD.max(records / RECORD_SHARE)),
            aliases,
            negatives,
            failures,
            histories,
        }
    }
}

/// The number of cached entries of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Contacts.
    pub records: u64,
    /// Their estimated bytes.
    pub record_bytes: u64,
    /// Aliases.
    pub aliases: u64,
    /// Negative entries.
    pub negatives: u64,
    /// Remembered failures.
    pub failures: u64,
    /// Parts of contacts' histories.
    pub histories: u64,
    /// Their estimated bytes.
    pub history_bytes: u64,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// How many bytes the cache may hold.
    pub fn max_bytes(&self) -> u64 {
        self.shares.all
    }

    /// The bytes that records take, without the changes of the last moments.
    pub fn record_bytes(&self) -> u64 {
        self.records.weighted_size()
    }

    /// How many of these bytes the records may take.
    pub fn records_max_bytes(&self) -> u64 {
        self.shares.records
    }

    /// The bytes of parts before and after compression.
    pub fn compressed_bytes(&self) -> (u64, u64) {
        self.codec.totals()
    }

    /// How many records the cache removed on its own, by cause.
    pub fn evictions(&self) -> EvictionCounts {
        self.evictions.counts()
    }

    /// How many entries of each kind are cached.
    pub fn counts(&self) -> Counts {
        self.negatives.run_pending_tasks();
        self.records.run_pending_tasks();
        let (histories, history_bytes) = self.histories.size();
        Counts {
            records: self.records.entry_count(),
            record_bytes: self.records.weighted_size(),
            aliases: self.aliases.count(),
            negatives: self.negatives.entry_count(),
            failures: self.failures.count(),
            histories,
            history_bytes,
        }
    }
}
