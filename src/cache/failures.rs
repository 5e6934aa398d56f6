//! Failures by call: a call that failed for one contact is not made again within a back-off, and its failure is
//! returned instead.
//!
//! The back-off starts at `cache.negative_lifetime` and doubles with each failure after its end, up to ten minutes. An
//! invalidation ends it, and so does the end of an outage: if calls for several contacts failed in a row and then a
//! call of the same kind succeeds, Engage had failed, not its data about these contacts.

use std::{
    collections::HashMap,
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
    domain::{ContactId, HistoryPart, LookupKey, Part, PartSet},
    threads::Mutex,
};

/// The longest back-off, unless `cache.negative_lifetime` is longer.
const MAX_BACK_OFF: Duration = Duration::from_secs(600);
/// This many different calls that fail with no success in between are an outage: that many calls of one kind rarely
/// concern a single contact.
const OUTAGE: usize = 6;

/// The subject of an upstream call. A failure is remembered for the subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallKey {
    /// The overview of a known contact.
    Overview(ContactId),
    /// The overview by an identifier whose contact is not known.
    OverviewBy(LookupKey),
    /// The resolution of an identifier.
    Resolution(LookupKey),
    /// A part, from its entity endpoint.
    Part(ContactId, Part),
    /// A part of the contact's history.
    History(ContactId, HistoryPart),
    /// A part, from the contact's overview.
    OverviewPart(ContactId, Part),
}

impl CallKey {
    /// The name for operators: the part, or what else the call is for.
    pub fn as_str(&self) -> &'static str {
        match self {
            CallKey::Overview(_) | CallKey::OverviewBy(_) | CallKey::OverviewPart(..) => "overview",
            CallKey::Resolution(_) => "resolution",
            CallKey::Part(_, part) => part.as_str(),
            CallKey::History(_, part) => part.as_str(),
        }
    }

    /// Which kind of endpoint is called.
    pub fn source(&self) -> FetchSource {
        match self {
            CallKey::Overview(_) | CallKey::OverviewBy(_) | CallKey::OverviewPart(..) => {
                FetchSource::Overview
            }
            CallKey::Resolution(_) | CallKey::Part(..) | CallKey::History(..) => {
                FetchSource::Entity
            }
        }
    }

    /// The name of the endpoints that fail together.
    fn endpoints(&self) -> &'static str {
        match self {
            // `/contacts/id` and `/contacts/{id}`.
            CallKey::Resolution(_) => Part::Profile.as_str(),
            _ => self.as_str(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            CallKey::OverviewBy(key) | CallKey::Resolution(key) => key.heap_bytes(),
            CallKey::Overview(_)
            | CallKey::Part(..)
            | CallKey::History(..)
            | CallKey::OverviewPart(..) => 0,
        }
    }
}

/// A remembered failure `E`.
#[derive(Clone, Debug)]
struct Failure<E> {
    why: E,
    /// When the call began.
    sequence: Sequence,
    back_off: Duration,
    /// When the back-off ends.
    until: Tick,
}

/// The remembered failures.
pub(super) struct Failures<E> {
    entries: moka::sync::Cache<CallKey, Failure<E>>,
    /// By the endpoints that fail together.
    outages: Mutex<HashMap<&'static str, Outage>>,
    hasher: RandomState,
}

/// Whether calls of one kind fail for any contact.
#[derive(Debug, Default)]
struct Outage {
    /// Digests of the calls that failed since one last succeeded.
    failing: SmallVec<[u64; OUTAGE]>,
    /// When the first of them began.
    since: Sequence,
    /// When the last outage began and ended: failures in it are not charged to their calls.
    last: Option<(Sequence, Sequence)>,
}

impl<E: Clone + Send + Sync + 'static> Failures<E> {
    pub(super) fn new(max_bytes: u64, negative_lifetime: Duration) -> Self {
        Self {
            entries: moka::sync::Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|key: &CallKey, _| {
                    saturating(ENTRY_OVERHEAD + size_of::<Failure<E>>() + key.heap_bytes())
                })
                // An outer bound in real time: moka's own clock can't be replaced.
                .time_to_live(2 * MAX_BACK_OFF.max(negative_lifetime))
                .build(),
            outages: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Reads or changes what is known of the outage of the call's endpoints.
    fn with_outage<T>(&self, call: &CallKey, with: impl FnOnce(&mut Outage) -> T) -> T {
        let mut outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        with(outages.entry(call.endpoints()).or_default())
    }

    /// How many failures are remembered.
    pub(super) fn count(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }

    pub(super) fn clear(&self) {
        self.entries.invalidate_all();
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// The call of an overview that is requested by the key. If the contact is known, this is the call for the contact,
    /// else the one for the identifier.
    pub fn overview_call(&self, key: &LookupKey) -> CallKey {
        let id = key
            .bare_id()
            .or_else(|| self.alias(key).map(|alias| alias.id));
        id.map_or_else(|| CallKey::OverviewBy(key.clone()), CallKey::Overview)
    }

    /// The calls whose failure concerns an overview that is requested by the key: the contact's, and the identifier's.
    pub fn overview_calls(&self, key: &LookupKey) -> impl Iterator<Item = CallKey> {
        [self.overview_call(key), CallKey::OverviewBy(key.clone())].into_iter()
    }

    /// Why the call is not made now, if it is in back-off, and for how long.
    pub fn failure(&self, call: &CallKey, now: Tick) -> Option<(E, Duration)> {
        let failure = self.failures.entries.get(call).filter(|_| self.is_on())?;
        let is_valid = now < failure.until && self.is_still_valid(call, failure.sequence);
        is_valid.then(|| (failure.why, failure.until.since(now)))
    }

    /// Remembers that the call failed: for its back-off, or for `retry_after` where that is longer or this is the first
    /// failure. Returns whether it is the first since the call last succeeded, an invalidation, the end of an outage,
    /// or ten minutes after the last back-off ended.
    pub fn note_failure(
        &self,
        call: &CallKey,
        start: FetchStart,
        retry_after: Option<Duration>,
        why: E,
    ) -> bool {
        let digest = self.failures.hasher.hash_one(call);
        self.failures.with_outage(call, |outage| {
            if outage.failing.is_empty() {
                outage.since = start.sequence;
            }
            if outage.failing.len() < OUTAGE && !outage.failing.contains(&digest) {
                outage.failing.push(digest);
            }
        });
        self.remember(call, start, retry_after, why)
    }

    fn remember(
        &self,
        call: &CallKey,
        start: FetchStart,
        retry_after: Option<Duration>,
        why: E,
    ) -> bool {
        let now = self.clock.tick();
        let first = self.policy.negative_lifetime;
        let before = self.failures.entries.get(call).filter(|before| {
            self.is_still_valid(call, before.sequence) && now < before.until + MAX_BACK_OFF
        });
        let back_off = match &before {
            None => first,
            // Tried within its back-off, for a request that wants fresh data.
            Some(before) if now < before.until => before.back_off,
            Some(before) => (before.back_off * 2).min(MAX_BACK_OFF).max(first),
        };
        let failure = Failure {
            why,
            sequence: start.sequence,
            back_off,
            until: now
                + match (retry_after, &before) {
                    (Some(retry_after), None) => retry_after,
                    (retry_after, _) => back_off.max(retry_after.unwrap_or_default()),
                },
        };
        // An invalidation is seen here or, if it comes later, by the next read.
        self.failures
            .entries
            .entry(call.clone())
            .and_compute_with(|_| {
                if self.is_still_valid(call, start.sequence) && self.is_on() {
                    Op::Put(failure)
                } else {
                    Op::Nop
                }
            });
        before.is_none()
    }

    /// Forgets the call's failure: it succeeded.
    pub fn note_success(&self, call: &CallKey) {
        self.failures.entries.invalidate(call);
        self.failures.with_outage(call, |outage| {
            if outage.failing.len() == OUTAGE {
                outage.last = Some((outage.since, self.fences.latest()));
            }
            outage.failing.clear();
        });
    }

    /// Remembers which parts that an overview can contain were missing or unreadable in this one.
    pub fn note_overview_parts(
        &self,
        id: ContactId,
        start: FetchStart,
        included: PartSet,
        why: &E,
    ) {
        for part in self.policy.overview_parts.iter() {
            let call = CallKey::OverviewPart(id, part);
            if included.contains(part) {
                self.failures.entries.invalidate(&call);
            } else {
                self.remember(&call, start, None, why.clone());
            }
        }
    }

    /// The parts that the contact's last overview did not contain, within their back-off.
    pub fn missing_from_overview(&self, id: ContactId, now: Tick) -> PartSet {
        let parts = self.policy.overview_parts.iter();
        let is_missing = |part: &Part| {
            let call = CallKey::OverviewPart(id, *part);
            self.failure(&call, now).is_some()
        };
        parts.filter(is_missing).collect()
    }

    /// Whether a failure of a call that began at `start` still counts: nothing was invalidated since, and it was not
    /// part of an outage that has ended.
    fn is_still_valid(&self, call: &CallKey, start: Sequence) -> bool {
        let fences = &self.fences;
        let not_before = match call {
            CallKey::Overview(id) => fences.not_before(*id, PartSet::ALL),
            CallKey::Part(id, part) | CallKey::OverviewPart(id, part) => {
                fences.not_before(*id, (*part).into())
            }
            CallKey::History(id, part) => fences.not_before(*id, part.changes_with().into()),
            CallKey::OverviewBy(key) | CallKey::Resolution(key) => fences.negatives_not_before(key),
        };
        let outage = self.failures.with_outage(call, |outage| outage.last);
        start > not_before && outage.is_none_or(|(from, to)| start < from || start > to)
    }
}
