//! What the store holds of a contact, and how it is read: a record, or one that is packed.

use std::{borrow::Cow, sync::Arc};

use super::{
    Answer, Cache, Weigh,
    freshness::{Freshness, Provenance},
    packed::{self, Packed},
    parts::{Origins, Parts},
    record::Record,
    store::{Op, Store},
};
use crate::{
    domain::{ContactId, Identity},
    threads::Ordering,
};

/// What is held of a contact.
pub(super) enum Held<R> {
    /// As it is told.
    Ready(Arc<Record<R>>),
    /// In less room.
    Packed(Packed),
}

impl<R> Clone for Held<R> {
    fn clone(&self) -> Self {
        match self {
            Held::Ready(record) => Held::Ready(Arc::clone(record)),
            Held::Packed(packed) => Held::Packed(packed.clone()),
        }
    }
}

impl<R> Held<R> {
    /// The contact's record as far as a look needs it; `None`, and an alarm, where it is damaged or about somebody else.
    pub(super) fn record(&self, id: ContactId) -> Option<Arc<Record<R>>>
    where
        R: Answer,
    {
        let record = match self {
            Held::Ready(record) => Some(Arc::clone(record)),
            Held::Packed(packed) => packed.record(id).map(Arc::new),
        };
        // The last check stands between us and any library: nobody is shown somebody else.
        whole(record.filter(|record| record.id == id))
    }

    /// The parts of the contact's record; `None`, and an alarm, where they are damaged or about somebody else.
    pub(super) fn parts(&self, id: ContactId) -> Option<Cow<'_, Parts>> {
        whole(match self {
            Held::Ready(record) if record.id == id => record.parts(),
            Held::Ready(_) => None,
            Held::Packed(packed) => packed.parts(id).map(Cow::Owned),
        })
    }

    /// What the contact's profile shows of itself; `None` where no profile is held.
    pub(super) fn identity(&self, id: ContactId) -> Option<Cow<'_, Identity>> {
        match self {
            Held::Ready(record) => record.identity().map(Cow::Borrowed),
            Held::Packed(packed) => whole(packed.brief(id))
                .and_then(|brief| brief.identity)
                .map(Cow::Owned),
        }
    }

    /// What its parts are packed in, if they are.
    fn packed(&self) -> Option<&Packed> {
        match self {
            Held::Ready(record) => record.packed(),
            Held::Packed(packed) => Some(packed),
        }
    }

    /// What of the record is told, and its parts, as they are before they are compressed.
    pub(super) fn samples(&self) -> Option<[Vec<u8>; 2]>
    where
        R: Answer,
    {
        match self {
            Held::Ready(record) => packed::samples(record),
            Held::Packed(packed) => packed.samples(),
        }
    }

    /// Whether both are the very same, not only alike.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Held::Ready(one), Held::Ready(other)) => Arc::ptr_eq(one, other),
            (Held::Packed(one), Held::Packed(other)) => one.is(other),
            _ => false,
        }
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// The record of a contact, without the parts that a fence forbids. Who is packed and asked for twice between two
    /// rounds of the caretaker is ready from then on; for one look it would cost as much again to make room for what is
    /// unpacked. What is not fresh is looked at more than once by whoever asks.
    pub fn record(&self, id: ContactId) -> Option<Arc<Record<R>>> {
        let (held, was_warm) = self.records.get_noting(&id)?;
        let record = self.told(id, &held)?;
        if matches!(held, Held::Packed(_)) && (was_warm || !self.is_fresh(&record)) {
            let unpacked = Held::Ready(Arc::clone(&record));
            let fits = self.records.holds(&id, &unpacked);
            self.records.update(id, |now| match now {
                Some(now) if fits && now.is(&held) => Op::Put(ready(Arc::clone(&record))),
                _ => Op::Nop,
            });
        }
        Some(record)
    }

    /// The same for who does not ask for the contact: what is packed stays so.
    pub(super) fn glance(&self, id: ContactId) -> Option<Arc<Record<R>>> {
        self.told(id, &self.records.peek(&id)?)
    }

    /// The record as far as it may be told; one that is damaged is held no longer.
    fn told(&self, id: ContactId, held: &Held<R>) -> Option<Arc<Record<R>>> {
        if !self.is_on() {
            return None;
        }
        let Some(record) = held.record(id) else {
            self.records.remove(id);
            return None;
        };
        // The record's own fences were heeded when it was stored; only the one around everything may
        // have been raised without touching it.
        let everything = self.fences.everything();
        let fenced = |part| record.sequence(part) <= everything;
        (!record.held().iter().any(fenced)).then_some(record)
    }

    fn is_fresh(&self, record: &Record<R>) -> bool {
        let now = self.clock.tick();
        let is_fresh =
            |provenance: &Provenance| provenance.freshness(now, &self.policy) == Freshness::Fresh;
        record.provenances().all(is_fresh)
    }

    /// The parts of the record, which are ready from now on where they had to be unpacked; `None`, and an alarm, where they
    /// are damaged: then the record is no longer held.
    pub fn parts_of<'a>(&self, record: &'a Arc<Record<R>>) -> Option<Cow<'a, Parts>> {
        let parts = whole(record.parts());
        if !matches!(parts, Some(Cow::Borrowed(_))) {
            let is_still = |held: &Held<R>| {
                let packed = held.packed().zip(record.packed());
                packed.is_some_and(|(held, read)| held.is(read))
            };
            self.records.update(record.id, |held| {
                match (held.filter(|held| is_still(held)), &parts) {
                    (None, _) => Op::Nop,
                    (Some(_), None) => Op::Remove,
                    (Some(Held::Ready(held)), Some(parts)) => self
                        .fitting(held.with_parts(parts))
                        .map_or(Op::Nop, Op::Put),
                    (Some(Held::Packed(_)), Some(parts)) => {
                        let unpacked = self.fitting(record.with_parts(parts));
                        if let Some(Held::Ready(unpacked)) = &unpacked {
                            unpacked.rendered().for_each(|answer| answer.made_ready());
                        }
                        unpacked.map_or(Op::Nop, Op::Put)
                    }
                }
            });
        }
        parts
    }

    /// Keeps an answer that was rendered from these parts of `record`, if that is still the record held.
    pub fn keep_rendered(
        &self,
        record: &Arc<Record<R>>,
        parts: &Parts,
        answer: &Arc<R>,
        replaces: impl Fn(&R) -> bool,
    ) {
        self.records.update(record.id, |held| match held {
            Some(Held::Ready(held)) if self.is_on() && held.same(&**record) => {
                let kept = held.with_rendered(parts, Arc::clone(answer), replaces);
                let kept = Held::Ready(Arc::new(kept));
                if !self.records.holds(&record.id, &kept) {
                    return Op::Nop;
                }
                answer.made_ready();
                Op::Put(kept)
            }
            _ => Op::Nop,
        });
    }

    /// Puts the record in the place of the contact's old one. Where even its parts are too heavy, none is held: the old
    /// one is outdated.
    pub(super) fn put(&self, record: Record<R>) -> Op<Held<R>> {
        if let Some(held) = self.fitting(record) {
            return Op::Put(held);
        }
        if !self.too_heavy_was_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!("a contact's data is too large to be cached");
        }
        Op::Remove
    }

    /// The record as it can be held: without its rendered answers where it would be too heavy with them; `None` where its
    /// parts alone are.
    fn fitting(&self, record: Record<R>) -> Option<Held<R>> {
        let id = record.id;
        let held = Held::Ready(Arc::new(record));
        if self.records.holds(&id, &held) {
            return Some(held);
        }
        let parts = held.parts(id)?.into_owned();
        let bare = Held::Ready(Arc::new(Record::new(id, parts)));
        self.records.holds(&id, &bare).then_some(bare)
    }

    /// The contacts held that are meant, by what their profile shows, if one is held. Looks at every record: for what
    /// operators do by hand.
    pub fn contacts_where(
        &self,
        mut is_meant: impl FnMut(ContactId, Option<&Identity>) -> bool,
    ) -> Vec<ContactId> {
        let mut ids = Vec::new();
        for (id, held) in self.records.snapshots().flatten() {
            if is_meant(id, held.identity(id).as_deref()) {
                ids.push(id);
            }
        }
        ids
    }
}

/// The record with its answers, for later requests.
fn ready<R: Answer>(record: Arc<Record<R>>) -> Held<R> {
    record.rendered().for_each(|answer| answer.made_ready());
    Held::Ready(record)
}

pub(super) fn weight<R: Weigh>(held: &Held<R>) -> usize {
    let slot = Store::<ContactId, Held<R>>::SLOT_BYTES;
    match held {
        Held::Ready(record) => slot + record.bytes(),
        Held::Packed(packed) => slot + packed.bytes(),
    }
}

/// What was read of a record; an alarm where it is damaged or about somebody else.
fn whole<T>(read: Option<T>) -> Option<T> {
    if read.is_none() {
        tracing::error!(
            alarm = true,
            "the store answered with a record that is damaged or another contact's"
        );
    }
    read
}
