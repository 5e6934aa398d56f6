//! What is done beside the requests, from time to time: names and records that can't be told any more leave, and what
//! nobody asks for takes less room.

use std::time::Duration;

use super::{
    Answer, Cache,
    freshness::{Freshness, Provenance},
    held::Held,
    parts::Origins,
    record::Record,
    store::Op,
};
use crate::{clock::Tick, threads::Ordering};

/// When the records have grown by one in so many of the bytes that the cache may hold, it is time to look after them.
const GROWN_BY: u64 = 16;

/// For how long what is too old for anything is kept all the same, at least.
pub(super) const DEAD_FOR: Duration = Duration::from_secs(5 * 60);

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// Whether names of contacts that were purged wait to be swept out.
    pub fn has_leavers(&self) -> bool {
        self.leavers.are_there()
    }

    /// Sweeps out the names of contacts that were purged, if there are any. Looks at every name: not on a request's way.
    pub fn sweep_leavers(&self) {
        self.leavers.sweep(|gone| {
            self.names
                .retain(|_, held| !gone.contains(&held.name.id) || self.stands(&held.name));
        });
    }

    /// Whether so much has come since everything was looked after that it had better be done before long: what is new takes
    /// many times the room that it needs.
    pub fn is_filling(&self) -> bool {
        let grown = self
            .records
            .size()
            .1
            .saturating_sub(self.settled_bytes.load(Ordering::Relaxed));
        grown > self.max_bytes / GROWN_BY
    }

    /// Looks after everything that nobody asked for since it last did: frees what is too old for anything, and packs the
    /// rest. Not on a request's way.
    pub fn look_after(&self) {
        // For a while who asks is still told that there was something, but too old.
        let now = self.clock.tick() - DEAD_FOR;
        self.names.look_after(|held| {
            if held.name.freshness(now, &self.policy) == Freshness::Dead {
                Op::Remove
            } else {
                Op::Nop
            }
        });
        if self.records.size().0 == 0 {
            self.packer.forget();
            return;
        }
        let samples = |most| {
            let held = self.records.snapshots().flatten();
            let samples = held.filter_map(|(_, held)| held.samples());
            samples.take(most).flatten().collect()
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
        self.settled_bytes
            .store(self.records.size().1, Ordering::Relaxed);
        if let Err(error) = renewed.and(packed) {
            tracing::error!(alarm = true, %error, "records can't be packed");
        }
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
