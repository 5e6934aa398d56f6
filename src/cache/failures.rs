//! Failures, remembered for what they are about: a call that failed for one contact is not made again within a back-off,
//! and its failure is returned instead.
//!
//! The back-off starts at `cache.negative_lifetime` and doubles from one failure to the next, up to ten minutes. An
//! invalidation ends it, and so does the end of an outage: where several contacts in a row failed and then a call of the
//! same kind succeeds, it was Engage that failed and not its contacts.

use std::{
    hash::{BuildHasher, RandomState},
    sync::PoisonError,
    time::Duration,
};

use moka::ops::compute::Op;
use smallvec::SmallVec;

use super::{
    Answer, Cache, ENTRY_OVERHEAD, FetchStart, fence::Sequence, freshness::FetchSource, saturating,
};
use crate::{
    clock::Tick,
    domain::{ContactId, LookupKey, Part, PartSet},
    threads::{Mutex, MutexGuard},
};

/// The longest back-off, unless `cache.negative_lifetime` is longer.
const MAX_BACK_OFF: Duration = Duration::from_secs(600);
/// So many in a row that fail are Engage's failure, not their own: more than one contact has kinds of identifiers.
const OUTAGE: usize = 6;

/// What an upstream call is for: what its failure is charged to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallKey {
    /// The overview of a contact that is known.
    Overview(ContactId),
    /// The overview by an identifier of which no contact is known.
    OverviewBy(LookupKey),
    /// The resolution of an identifier.
    Resolution(LookupKey),
    /// A part, from its entity endpoint.
    Part(ContactId, Part),
    /// A part, as the contact's overview tells it.
    OverviewPart(ContactId, Part),
}

impl CallKey {
    /// The name for operators: the part, or what else the call is for.
    pub fn as_str(&self) -> &'static str {
        match self {
            CallKey::Overview(_) | CallKey::OverviewBy(_) | CallKey::OverviewPart(..) => "overview",
            CallKey::Resolution(_) => "resolution",
            CallKey::Part(_, part) => part.as_str(),
        }
    }

    /// Which kind of endpoint is called.
    pub fn source(&self) -> FetchSource {
        match self {
            CallKey::Overview(_) | CallKey::OverviewBy(_) | CallKey::OverviewPart(..) => {
                FetchSource::Overview
            }
            CallKey::Resolution(_) | CallKey::Part(..) => FetchSource::Entity,
        }
    }

    /// The overview, or the part that is read from an endpoint next to its own: endpoints that fail together.
    fn kind(&self) -> Option<Part> {
        match self {
            CallKey::Overview(_) | CallKey::OverviewBy(_) | CallKey::OverviewPart(..) => None,
            CallKey::Resolution(_) => Some(Part::Profile),
            CallKey::Part(_, part) => Some(*part),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            CallKey::OverviewBy(key) | CallKey::Resolution(key) => key.heap_bytes(),
            CallKey::Overview(_) | CallKey::Part(..) | CallKey::OverviewPart(..) => 0,
        }
    }
}

/// A failure that is remembered; `E` says which.
#[derive(Clone, Debug)]
struct Failure<E> {
    why: E,
    sequence: Sequence,
    back_off: Duration,
    until: Tick,
}

/// The failures that are remembered.
pub(super) struct Failures<E> {
    held: moka::sync::Cache<CallKey, Failure<E>>,
    /// One for the overview, and one for each part.
    outages: [Mutex<Outage>; 1 + Part::ALL.len()],
    hasher: RandomState,
}

/// Whether calls of one kind fail whatever they ask for.
#[derive(Debug, Default)]
struct Outage {
    /// Digests of what failed since a call last succeeded, and when the first of it began.
    failing: SmallVec<[u64; OUTAGE]>,
    since: Sequence,
    /// When the last outage began and ended: what failed in it says nothing.
    last: Option<(Sequence, Sequence)>,
}

impl<E: Clone + Send + Sync + 'static> Failures<E> {
    pub(super) fn new(max_bytes: u64, negative_lifetime: Duration) -> Self {
        Self {
            held: moka::sync::Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|key: &CallKey, _| {
                    saturating(ENTRY_OVERHEAD + size_of::<Failure<E>>() + key.heap_bytes())
                })
                // An outer bound in real time: moka's own clock can't be replaced.
                .time_to_live(2 * MAX_BACK_OFF.max(negative_lifetime))
                .build(),
            outages: std::array::from_fn(|_| Mutex::new(Outage::default())),
            hasher: RandomState::new(),
        }
    }

    fn outage(&self, call: &CallKey) -> MutexGuard<'_, Outage> {
        let index = call.kind().map_or(0, |part| 1 + part as usize);
        self.outages[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are remembered.
    pub(super) fn count(&self) -> u64 {
        self.held.run_pending_tasks();
        self.held.entry_count()
    }

    pub(super) fn clear(&self) {
        self.held.invalidate_all();
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// What an overview that is asked by the key is charged to: the contact where it is known, however it is asked for.
    pub fn overview_call(&self, key: &LookupKey) -> CallKey {
        let id = key
            .bare_id()
            .or_else(|| self.alias(key).map(|alias| alias.id));
        id.map_or_else(|| CallKey::OverviewBy(key.clone()), CallKey::Overview)
    }

    /// What may have failed for an overview that is asked by the key: the contact's, or the one by that identifier.
    pub fn overview_calls(&self, key: &LookupKey) -> impl Iterator<Item = CallKey> {
        [self.overview_call(key), CallKey::OverviewBy(key.clone())].into_iter()
    }

    /// Why the call is not made now, if it failed within its back-off, and for how long it is not.
    pub fn failure(&self, call: &CallKey, now: Tick) -> Option<(E, Duration)> {
        let failure = self.failures.held.get(call).filter(|_| self.is_on())?;
        let holds = now < failure.until && self.counts_still(call, failure.sequence);
        holds.then(|| (failure.why, failure.until.since(now)))
    }

    /// Remembers that the call failed: for as long as Engage said itself where it is the first failure, else for its
    /// back-off, if that is longer. Returns whether it is the first: the call had not failed since it last succeeded, or
    /// since an invalidation.
    pub fn note_failure(
        &self,
        call: &CallKey,
        start: FetchStart,
        said: Option<Duration>,
        why: E,
    ) -> bool {
        let digest = self.failures.hasher.hash_one(call);
        {
            let mut outage = self.failures.outage(call);
            if outage.failing.is_empty() {
                outage.since = start.sequence;
            }
            if outage.failing.len() < OUTAGE && !outage.failing.contains(&digest) {
                outage.failing.push(digest);
            }
        }
        self.remember(call, start, said, why)
    }

    fn remember(&self, call: &CallKey, start: FetchStart, said: Option<Duration>, why: E) -> bool {
        let now = self.clock.tick();
        let first = self.policy.negative_lifetime;
        let before = self.failures.held.get(call).filter(|before| {
            self.counts_still(call, before.sequence) && now < before.until + MAX_BACK_OFF
        });
        let back_off = match &before {
            None => first,
            // Tried before its time, by a caller that wants what is so now.
            Some(before) if now < before.until => before.back_off,
            Some(before) => (before.back_off * 2).min(MAX_BACK_OFF).max(first),
        };
        let failure = Failure {
            why,
            sequence: start.sequence,
            back_off,
            until: now
                + match (said, &before) {
                    (Some(said), None) => said,
                    (said, _) => back_off.max(said.unwrap_or_default()),
                },
        };
        // An invalidation is seen here, or comes later and is seen at the next read.
        self.failures
            .held
            .entry(call.clone())
            .and_compute_with(|_| {
                if self.counts_still(call, start.sequence) && self.is_on() {
                    Op::Put(failure)
                } else {
                    Op::Nop
                }
            });
        before.is_none()
    }

    /// The call succeeded.
    pub fn note_success(&self, call: &CallKey) {
        self.failures.held.invalidate(call);
        let mut outage = self.failures.outage(call);
        if outage.failing.len() == OUTAGE {
            outage.last = Some((outage.since, self.fences.latest()));
        }
        outage.failing.clear();
    }

    /// Remembers which of the parts that an overview can tell were not in this one, or could not be read there.
    pub fn note_told(&self, id: ContactId, start: FetchStart, told: PartSet, why: &E) {
        for part in self.policy.overview_parts.iter() {
            let call = CallKey::OverviewPart(id, part);
            if told.contains(part) {
                self.failures.held.invalidate(&call);
            } else {
                self.remember(&call, start, None, why.clone());
            }
        }
    }

    /// The parts that the contact's overview did not tell, within their back-off.
    pub fn untold(&self, id: ContactId, now: Tick) -> PartSet {
        let parts = self.policy.overview_parts.iter();
        let is_untold = |part: &Part| {
            let call = CallKey::OverviewPart(id, *part);
            self.failure(&call, now).is_some()
        };
        parts.filter(is_untold).collect()
    }

    /// Whether a failure of a call that began at `start` says anything: nothing was invalidated since, and no outage ended.
    fn counts_still(&self, call: &CallKey, start: Sequence) -> bool {
        let fences = &self.fences;
        let not_before = match call {
            CallKey::Overview(id) => fences.not_before(*id, PartSet::ALL),
            CallKey::Part(id, part) | CallKey::OverviewPart(id, part) => {
                fences.not_before(*id, (*part).into())
            }
            CallKey::OverviewBy(key) | CallKey::Resolution(key) => fences.negatives_not_before(key),
        };
        let outage = self.failures.outage(call).last;
        start > not_before && outage.is_none_or(|(from, to)| start < from || start > to)
    }
}
