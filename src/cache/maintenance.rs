//! Maintenance in the background: entries that are too old to be served are removed, and cold records lose their
//! rendered responses.

use std::{sync::Arc, time::Duration};

use moka::ops::compute::Op;
use tokio::sync::Notify;

use super::{
    Answer, Cache, codec,
    freshness::{Freshness, Policy},
    parts::Origins,
    record::Record,
};
use crate::{
    clock::Tick,
    threads::{AtomicU64, Ordering},
};

/// When records have grown by one in this many of the cache's bytes, an eviction runs, and while the cache is more than
/// half full also a sweep. New records come with rendered responses, several times as large as their parts.
pub(super) const GROWTH_SHARE: u64 = 64;

/// How long an entry that is too old to be served is kept at least: until then a request for it is reported as stale,
/// not as a miss.
pub(super) const DEAD_FOR: Duration = Duration::from_secs(5 * 60);

/// How long moka keeps a record after it was written: until it can't be served any more, and then for [`DEAD_FOR`].
pub(super) fn outer_lifetime(policy: &Policy) -> Duration {
    let lifetimes = policy.lifetimes.iter().map(|(_, lifetime)| *lifetime);
    let window = policy.stale_if_error.max(policy.stale_while_revalidate);
    lifetimes.max().unwrap_or_default() + window + DEAD_FOR
}

/// Counts the bytes by which a store grew since its last eviction.
pub(super) struct FillCounter {
    bytes: AtomicU64,
    limit: u64,
    reached: Notify,
}

impl FillCounter {
    /// A counter with that limit.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            limit,
            reached: Notify::new(),
        }
    }

    /// Adds the bytes. Returns whether the limit was exceeded; then the count starts again.
    pub(super) fn note(&self, bytes: u32) -> bool {
        let bytes = u64::from(bytes);
        let is_reached = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit;
        if is_reached {
            self.bytes.store(0, Ordering::Relaxed);
            self.reached.notify_one();
        }
        is_reached
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// Whether aliases of purged contacts wait to be removed.
    pub fn has_pending_purges(&self) -> bool {
        !self.pending_purges.is_empty()
    }

    /// Removes the aliases of purged contacts. Visits every alias: never within a request.
    pub fn sweep_pending_purges(&self) {
        self.pending_purges.sweep(|purged| {
            // A change that did not see the fence has stored its alias by now.
            self.aliases.wait_for_changes();
            for key in self.aliases.keys_where(|entry| purged.contains(&entry.id)) {
                self.aliases.update(key, |cached| match cached {
                    Some(cached) if !self.is_alias_allowed(&cached.alias()) => Op::Remove,
                    _ => Op::Nop,
                });
            }
        });
    }

    /// Waits until records have grown so much that a sweep is due. While records take no more than half of the cache's
    /// bytes no sweep is due, except one that makes a dictionary.
    pub async fn filled(&self) {
        loop {
            self.fills.reached.notified().await;
            let has_samples = self.records.entry_count() >= codec::MIN_SAMPLES as u64;
            let is_dictionary_due = has_samples && self.codec.is_dictionary_due(self.clock.tick());
            if self.is_half_full() || is_dictionary_due {
                return;
            }
        }
    }

    /// Whether records take more than half of the cache's bytes.
    pub(super) fn is_half_full(&self) -> bool {
        self.record_bytes() > self.max_bytes() / 2
    }

    /// Removes aliases and histories that have been too old to be served for a while, and sweeps the records. Visits
    /// all of these: never within a request.
    pub fn maintain(&self) {
        let now = self.dead_before();
        self.aliases
            .retain(|entry| entry.alias().freshness(now, &self.policy) != Freshness::Dead);
        self.drop_dead_history(now);
        self.sweep();
    }

    /// Removes records that have been too old to be served for a while and were not read since the last sweep, and the
    /// rendered responses of other records that were not read since then. Makes a dictionary if one is due. Visits
    /// every record: never within a request.
    pub fn sweep(&self) {
        let now = self.dead_before();
        let records = self.records.iter();
        for (id, seen) in records {
            let is_cold = seen.take_reads() == 0;
            let is_dead = is_cold && self.is_dead(&seen, now);
            if !is_dead && (!is_cold || seen.rendered().len() == 0) {
                continue;
            }
            // A record that was read or replaced in the meantime stays as it is.
            self.update_record(*id, |cached| match cached {
                Some(cached) if Arc::ptr_eq(cached, &seen) && cached.reads() == 0 => {
                    if is_dead {
                        // An invalidation leaves a record without parts.
                        if !cached.present().is_empty() {
                            self.evictions.note_expired();
                        }
                        Op::Remove
                    } else {
                        Op::Put(Arc::new(cached.without_rendered()))
                    }
                }
                _ => Op::Nop,
            });
        }
        self.records.run_pending_tasks();
        let records: Vec<_> = if self.codec.is_dictionary_due(self.clock.tick()) {
            self.records.iter().take(codec::MAX_SAMPLES).collect()
        } else {
            Vec::new()
        };
        let samples = records
            .iter()
            .map(|(id, record)| (**id, record.compressed()));
        if let Err(error) = self.codec.renew(self.clock.tick(), samples) {
            tracing::error!(alarm = true, %error, "dictionary training failed");
        }
    }

    /// Entries that were too old to be served at that moment are removed.
    fn dead_before(&self) -> Tick {
        self.clock.tick() - DEAD_FOR
    }

    /// Whether no part of the record may be served any more.
    fn is_dead(&self, record: &Record<R>, now: Tick) -> bool {
        record
            .provenances()
            .all(|provenance| provenance.freshness(now, &self.policy) == Freshness::Dead)
    }
}
