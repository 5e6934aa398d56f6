//! What is done beside the requests, from time to time: names and records that can't be told any more leave, and what
//! nobody asks for takes less room.

use std::time::Duration;

use tokio::sync::Notify;

use super::{
    Answer, Cache,
    freshness::{Freshness, Provenance},
    held::Held,
    packed::Samples,
    parts::Origins,
    record::Record,
    store::Op,
};
use crate::{
    clock::Tick,
    threads::{AtomicU64, Ordering},
};

/// When as much has come as one in so many of the bytes that the cache may hold, it is time to pack: what is new takes many
/// times the room that it needs, and should not drive out what is packed.
const PACKED_AFTER: u64 = 64;
/// Less than this is not worth the making of a compressor.
pub(super) const LEAST_PACKED: u64 = 256 << 10;

/// For how long what is too old for anything is kept all the same, at least.
pub(super) const DEAD_FOR: Duration = Duration::from_secs(5 * 60);

/// What Engage has told since records were packed early.
pub(super) struct Intake {
    bytes: AtomicU64,
    /// So much is left as it is.
    enough: u64,
    filled: Notify,
}

impl Intake {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            enough: LEAST_PACKED.max(max_bytes / PACKED_AFTER),
            filled: Notify::new(),
        }
    }

    /// Takes note of what Engage told.
    pub(super) fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.enough {
            self.filled.notify_one();
        }
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// Whether names of contacts that were purged wait to be swept out.
    pub fn has_pending_purges(&self) -> bool {
        !self.pending_purges.is_empty()
    }

    /// Sweeps out the names of contacts that were purged, if there are any. Looks at every name: not on a request's way.
    pub fn sweep_pending_purges(&self) {
        self.pending_purges.sweep(|gone| {
            self.aliases
                .retain(|_, held| !gone.contains(&held.alias.id) || self.stands(&held.alias));
        });
    }

    /// Waits until so much has come that it had better be packed: not while half of the room is free.
    pub async fn filled(&self) {
        loop {
            self.intake.filled.notified().await;
            self.intake.bytes.store(0, Ordering::Relaxed);
            if self.records.size().1 > self.max_bytes / 2 {
                return;
            }
        }
    }

    /// Looks after everything that nobody asked for since it last did: frees what is too old for anything, and packs the
    /// rest. Not on a request's way.
    pub fn maintain(&self) {
        let now = self.dead_before();
        self.aliases.maintain(|held| {
            if held.alias.freshness(now, &self.policy) == Freshness::Dead {
                Op::Remove
            } else {
                Op::Nop
            }
        });
        self.pack();
    }

    /// The same of the records alone. Not on a request's way.
    pub fn pack(&self) {
        let now = self.dead_before();
        if self.records.size().0 == 0 {
            self.packer.forget();
            return;
        }
        let samples = |most| {
            let held = self.records.snapshots().flatten();
            let mut samples = Samples::default();
            samples.extend(held.filter_map(|(_, held)| held.samples()).take(most));
            samples
        };
        let renewed = self.packer.renew(self.clock.tick(), samples);
        let packed = self.packer.pack_with(|packing| {
            let is_due = |held: &Held<R>| match held {
                Held::Ready(_) => true,
                Held::Packed(packed) => packed.kept_until <= now,
            };
            self.records.settle(is_due, Held::is, |held| match held {
                Held::Ready(record) if !self.is_dead(record, now) => packing
                    .pack(record, self.kept_until(record))
                    .map_or(Op::Nop, |packed| Op::Put(Held::Packed(packed))),
                _ => Op::Remove,
            });
        });
        if let Err(error) = renewed.and(packed) {
            tracing::error!(alarm = true, %error, "records can't be packed");
        }
    }

    /// What was too old for anything by then is freed: for a while who asks is still told that there was something.
    fn dead_before(&self) -> Tick {
        self.clock.tick() - DEAD_FOR
    }

    /// Whether nothing of the record can be told any more.
    fn is_dead(&self, record: &Record<R>, now: Tick) -> bool {
        let is_dead =
            |provenance: &Provenance| provenance.freshness(now, &self.policy) == Freshness::Dead;
        record.provenances().all(is_dead)
    }

    /// When nothing of it can be told any more, at the latest.
    fn kept_until(&self, record: &Record<R>) -> Tick {
        let until = |provenance: &Provenance| provenance.kept_until(&self.policy);
        record.provenances().map(until).max().unwrap_or_default()
    }
}
