//! The cached records: reads, and changes under a record's own lock.

use std::sync::Arc;

use moka::{Entry, ops::compute::Op};

use super::{
    Answer, Cache, ENTRY_OVERHEAD,
    parts::{Origins, Parts},
    record::Record,
    saturating,
};
use crate::{
    domain::{ContactId, Identity},
    threads::Ordering,
};

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// The record of a contact, unless a fence forbids it.
    pub fn record(&self, id: ContactId) -> Option<Arc<Record<R>>> {
        let record = self.glance(id)?;
        record.note_read();
        Some(record)
    }

    /// The same, but a sweep does not count it as a read; moka's eviction does.
    pub(super) fn glance(&self, id: ContactId) -> Option<Arc<Record<R>>> {
        if !self.is_on() {
            return None;
        }
        let record = self.records.get(&id)?;
        // A bug in any library must never serve another contact's data.
        if record.id != id {
            alarm();
            self.remove_record(id);
            return None;
        }
        // The record's own fences were checked when it was stored; only the fence around everything may have been
        // raised without changing it.
        let everything = self.fences.everything();
        let is_fenced = |part| record.sequence(part) <= everything;
        let is_allowed = !record.present().iter().any(is_fenced);
        is_allowed.then_some(record)
    }

    /// The parts of the record; `None` where they are damaged: then an alarm is logged and the record dropped.
    pub fn parts_of(&self, record: &Record<R>) -> Option<Parts> {
        let parts = record.parts();
        if parts.is_none() {
            alarm();
            self.update_record(record.id, |cached| match cached {
                Some(cached) if cached.same(record) => Op::Remove,
                _ => Op::Nop,
            });
        }
        parts
    }

    /// The parts of a cached record that is about to be replaced; `None` if they are damaged, which is logged as an
    /// alarm.
    pub(super) fn parts_to_replace(id: ContactId, cached: &Record<R>) -> Option<Parts> {
        let parts = cached.parts().filter(|_| cached.id == id);
        if parts.is_none() {
            alarm();
        }
        parts
    }

    /// Keeps a response that was rendered from `record`, if that is still the cached one. A cache that is more than
    /// half full keeps it only if the record was read twice since the last sweep: records that are read only once, as
    /// in a scan, do not grow, and moka, which counts a change as a read, does not treat them as records in use.
    pub fn keep_rendered(
        &self,
        record: &Record<R>,
        response: &Arc<R>,
        replaces: impl Fn(&R) -> bool,
    ) {
        if record.reads() < 2 && self.is_half_full() {
            return;
        }
        self.update_record(record.id, |cached| match cached {
            Some(cached) if self.is_on() && cached.same(record) => {
                let kept = cached.with_rendered(Arc::clone(response), replaces);
                if !self.fits(&kept) {
                    return Op::Nop;
                }
                response.made_ready();
                Op::Put(Arc::new(kept))
            }
            _ => Op::Nop,
        });
    }

    /// A record of these parts that is not cached.
    pub fn uncached_record(&self, id: ContactId, parts: &Parts) -> Record<R> {
        Record::new(id, parts, &self.codec)
    }

    /// Decides under the record's lock whether it is kept, replaced or removed. A concurrent change either is visible
    /// here, or comes later and sees the fences that were raised before. `decide` must not access the same record: the
    /// lock is moka's and not reentrant.
    pub(super) fn update_record(
        &self,
        id: ContactId,
        decide: impl FnOnce(Option<&Arc<Record<R>>>) -> Op<Arc<Record<R>>>,
    ) {
        let mut growth = 0;
        self.records.entry(id).and_compute_with(|cached| {
            let cached = cached.as_ref().map(Entry::value);
            let decided = decide(cached);
            match &decided {
                Op::Put(record) => {
                    let before = cached.map_or(0, |cached| weight(cached));
                    growth = weight(record).saturating_sub(before);
                }
                // moka 0.12.16 skips the queued change of a removed entry, but subtracts the weight after it: its sum
                // would stay wrong, so that it evicts too little, or everything.
                Op::Remove => self.records.run_pending_tasks(),
                Op::Nop => {}
            }
            decided
        });
        // moka evicts later, in batches: until then a burst may exceed the capacity by some hundred records of any
        // weight. So records may only grow by a small share of it between two evictions.
        if self.fills.note(growth) {
            self.records.run_pending_tasks();
        }
    }

    /// Removes the record under its lock. moka's own removal would not wait for a change under way, which then would
    /// bring the record back.
    pub(super) fn remove_record(&self, id: ContactId) {
        self.update_record(id, |_| Op::Remove);
    }

    /// Puts a record of these parts in the place of the contact's old one. If they are too heavy, the old record is
    /// dropped as well, because it is outdated.
    pub(super) fn put(&self, id: ContactId, parts: &Parts) -> Op<Arc<Record<R>>> {
        let record = Record::new(id, parts, &self.codec);
        if self.fits(&record) {
            return Op::Put(Arc::new(record));
        }
        if !self.too_heavy_was_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!("contact too large to be cached");
        }
        Op::Remove
    }

    /// Whether the record is light enough to be cached: one heavy record must not evict all others.
    fn fits(&self, record: &Record<R>) -> bool {
        u64::from(weight(record)) <= self.shares.record
    }

    /// The cached contacts for which `is_meant` holds, by their profile if any. Decompresses every record: for
    /// operators' commands. Does not count as a read.
    pub fn contacts_where(
        &self,
        mut is_meant: impl FnMut(ContactId, Option<&Identity>) -> bool,
    ) -> Vec<ContactId> {
        let mut ids = Vec::new();
        let records = self.records.iter();
        for (id, record) in records {
            let profile = self.parts_of(&record).and_then(|parts| parts.profile);
            if is_meant(*id, profile.as_ref().map(|profile| &profile.data.identity)) {
                ids.push(*id);
            }
        }
        ids
    }
}

/// The bytes that the record takes in the store.
pub(super) fn weight<R: Answer>(record: &Record<R>) -> u32 {
    saturating(ENTRY_OVERHEAD + size_of::<ContactId>() + record.weight())
}

fn alarm() {
    tracing::error!(alarm = true, "cached entry damaged or of another contact");
}
