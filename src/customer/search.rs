//! One question followed through its rounds: who is meant, what is held of them, what is missing,
//! which calls bring it. Every round looks at the cache anew, so that an invalidation in between is
//! heeded however long the calls took.

mod calls;
mod intake;
mod patience;
mod proof;
mod verdict;

use std::{sync::Arc, time::Duration};

pub use self::verdict::{CacheStatus, Found, StaleReason, Verdict};
use self::{calls::Calls, proof::Proof};
use super::{
    Error, Inner, Rendered,
    fetch::{FetchOutcome, FetchRequest},
    plan::{CustomerQuery, Plan},
};
use crate::{
    cache::{
        Alias,
        fence::Sequence,
        flight::{FlightError, FlightHandle, Joined},
        freshness::Freshness,
        parts::{Origins, Parts},
        record::Record,
    },
    clock::Tick,
    domain::{ContactId, Identifier, Part, PartSet, Urgency},
    engage,
};

/// What is held of a contact.
type Held = Record<Rendered>;

/// More rounds than any honest course of events needs: name, contact, parts, each once more after an
/// invalidation, and each once more for a failure that is remembered.
const MAX_ROUNDS: usize = 12;

/// The course of one question.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a plain fact about the course so far"
)]
pub(super) struct Search<'a> {
    inner: &'a Arc<Inner>,
    query: &'a CustomerQuery,
    /// What this question's calls brought: it survives an eviction.
    gained: Option<(ContactId, Parts)>,
    /// Whom this question's calls found the name to lead to.
    named: Option<Alias>,
    /// The parts whose calls failed, and the first failure that left the whole answer wanting.
    failed: PartSet,
    failure: Option<Error>,
    /// Whether the name could not be resolved anew.
    name_failed: bool,
    /// The parts of which Engage said that there are none, or told somebody else's: nothing held may
    /// stand in for them.
    denied: PartSet,
    /// The parts that the overview did not tell or was not allowed to.
    untold: PartSet,
    /// Whether the overview is too large to be read: entity endpoints take its place.
    too_large: bool,
    /// Until when it is waited for calls.
    deadline: Tick,
    /// Whether what is cached stands in because a refresh is slow.
    is_slow: bool,
    first_seen: FirstSight,
    stored: bool,
    collapsed: bool,
}

/// What was held when the question came.
enum FirstSight {
    NotYet,
    Nothing,
    Record(Arc<Held>),
}

impl FirstSight {
    fn note(&mut self, held: Option<&Arc<Held>>) {
        if matches!(self, FirstSight::NotYet) {
            *self = held.map_or(FirstSight::Nothing, |held| {
                FirstSight::Record(Arc::clone(held))
            });
        }
    }

    fn record(&self) -> Option<&Held> {
        match self {
            FirstSight::Record(held) => Some(held),
            FirstSight::NotYet | FirstSight::Nothing => None,
        }
    }
}

/// What the next round is for.
enum Step {
    /// Everything that can be had is there.
    Done(There),
    /// Calls to wait for.
    Wait(Calls),
    /// Look again: something was dropped.
    Again,
}

/// What is there for an answer.
struct There {
    held: Arc<Held>,
    /// How old the name that led to it is, if one did.
    alias: Option<Freshness>,
    /// What of it may be told, and what should be renewed beside the answer.
    plan: Plan,
    /// When it was looked at.
    now: Tick,
}

impl<'a> Search<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>, query: &'a CustomerQuery) -> Self {
        Self {
            inner,
            query,
            gained: None,
            named: None,
            failed: PartSet::EMPTY,
            failure: None,
            name_failed: false,
            denied: PartSet::EMPTY,
            untold: PartSet::EMPTY,
            too_large: false,
            deadline: query.deadline,
            is_slow: false,
            first_seen: FirstSight::NotYet,
            stored: false,
            collapsed: false,
        }
    }

    /// The first look is all that a hit needs; the rest, which waits for calls, is kept apart from it.
    pub(super) async fn run(mut self) -> Result<Found, Error> {
        let now = self.query.now.tick;
        match self.look(now)? {
            Step::Done(there) => self.answer(&there),
            step => Box::pin(self.follow(step)).await,
        }
    }

    /// Answers with what is held alone, if that is an answer and `tell` takes it. If not, nothing has been done yet.
    pub(super) fn run_in_memory<T>(mut self, tell: impl FnOnce(&Found) -> Option<T>) -> Option<T> {
        let now = self.query.now.tick;
        let Ok(Step::Done(there)) = self.look(now) else {
            return None;
        };
        let found = self.conclude(&there).ok()?;
        let told = tell(&found)?;
        self.refresh(&there);
        Some(told)
    }

    fn answer(&self, there: &There) -> Result<Found, Error> {
        self.refresh(there);
        self.conclude(there)
    }

    async fn follow(mut self, mut step: Step) -> Result<Found, Error> {
        for _ in 0..MAX_ROUNDS {
            match step {
                Step::Done(there) => return self.answer(&there),
                Step::Wait(_) if self.query.only_if_cached => return Err(Error::NotCached),
                Step::Wait(calls) => self.wait_for(&calls).await?,
                Step::Again => {}
            }
            step = self.look(self.inner.clock.tick())?;
        }
        Err(self.failure.unwrap_or(Error::TooLate))
    }

    /// Looks at what is held now.
    fn look(&mut self, now: Tick) -> Result<Step, Error> {
        let key = self.query.lookup.key();
        let cache = &self.inner.cache;
        let alias = self.alias();
        let id = key.bare_id().or(alias.map(|alias| alias.id));
        let held = id.map(|id| self.held(id));
        // Whoever is held is not nobody: storing a negative answer drops what the key led to.
        let is_held = held.as_ref().is_some_and(|held| held.identity().is_some());
        if !is_held
            && self.query.fresh.is_empty()
            && let Some(refusal) = cache.negative(key, now)
        {
            return Err(refusal.into());
        }
        let (Some(id), Some(held)) = (id, held) else {
            self.first_seen.note(None);
            return self.resolve(None, now);
        };
        let resolution = self.resolution_wanted(alias.as_ref());
        if resolution.is_some() && self.name_failed {
            return Err(self.give_up());
        }
        let mut name_freshness = None;
        if let Some(alias) = alias {
            match self.check_alias(&alias, &held)? {
                Proof::Holds => {}
                Proof::Dropped => return Ok(Step::Again),
                Proof::Wanted if self.failed.contains(Part::Profile) => return Err(self.give_up()),
                Proof::Wanted => {
                    return self.wait_unless_remembered(self.calls_for_proof(&alias), now);
                }
            }
            // What this question's own calls found is its answer, however short a lifetime it has.
            let is_new = alias.provenance.sequence > self.query.arrival;
            let freshness = if is_new {
                Freshness::Fresh
            } else {
                alias.freshness(now, &cache.policy)
            };
            name_freshness = Some(freshness);
            if freshness >= Freshness::Expired && !self.name_failed {
                self.deadline = self.patience(&held, name_freshness, now);
                return self.resolve(Some(id), now);
            }
        }
        let plan = self.query.plan(&*held, now, &cache.policy);
        if !plan.missing.is_empty() {
            self.heed_untold(id, now);
        }
        let missing = plan.missing.without(self.failed);
        if !missing.is_empty() || resolution.is_some() {
            let mut calls = self.calls_for_parts(&held, missing, now);
            calls.resolution = resolution;
            if !calls.is_empty() {
                self.deadline = self.patience(&held, name_freshness, now);
                return self.wait_unless_remembered(calls, now);
            }
        }
        Ok(Step::Done(There {
            held,
            alias: name_freshness,
            plan,
            now,
        }))
    }

    fn resolve(&mut self, id: Option<ContactId>, now: Tick) -> Result<Step, Error> {
        if self.name_failed {
            return Err(self.give_up());
        }
        if self.too_large
            && let Identifier::ContactId(id) = self.query.lookup.identifier
        {
            // Its type, which the overview would have confirmed, is read in its profile.
            self.named = Some(self.inner.own_alias(id));
            return Ok(Step::Again);
        }
        let calls = self.calls_for_alias(id, now);
        self.wait_unless_remembered(calls, now)
    }

    fn give_up(&self) -> Error {
        self.failure.clone().unwrap_or(Error::TooLate)
    }

    /// What the name leads to, as far as it is known: the newer of what is held and what was found. A name that was resolved
    /// for this question counts before either.
    fn alias(&self) -> Option<Alias> {
        let key = self.query.lookup.key();
        let held = self.inner.cache.alias(key);
        let Some(found) = self.named else { return held };
        let (fences, sequence) = (&self.inner.cache.fences, found.provenance.sequence);
        // Only a purge fences the audiences, and it takes along what led to the contact.
        let is_purged = !fences.allows(found.id, Part::Audiences, sequence);
        if is_purged || sequence <= fences.alias_not_before(key) {
            return held;
        }
        if self.query.is_resolved_by(&found.provenance) {
            return Some(found);
        }
        held.filter(|held| held.provenance.sequence >= found.provenance.sequence)
            .or(Some(found))
    }

    /// What is held and was gained of the contact, without what a fence forbids.
    fn held(&mut self, id: ContactId) -> Arc<Held> {
        let cache = &self.inner.cache;
        let held = cache.record(id);
        self.first_seen.note(held.as_ref());
        let gained = self.gained.as_ref().filter(|(gained, _)| *gained == id);
        let Some((_, gained)) = gained else {
            return held.unwrap_or_else(|| Arc::new(Held::new(id, Parts::default())));
        };
        let mut parts = cache.still_allowed(gained, id, held.as_deref());
        if let Some(held) = held.as_ref().and_then(|held| cache.parts_of(held)) {
            // What an entity endpoint told this question stays its answer, whatever an overview has told
            // the store since.
            parts.merge(&held, Duration::MAX);
        }
        match held {
            Some(held) if held.same(&parts) => held,
            _ => Arc::new(Held::new(id, parts)),
        }
    }

    /// Makes the calls side by side and takes in what they bring, as long as the caller waits.
    async fn wait_for(&mut self, calls: &Calls) -> Result<(), Error> {
        let overview = calls
            .overview
            .as_ref()
            .map(|(lookup, not_before)| self.inner.join_overview(lookup, self.wish(*not_before)));
        let resolution = calls.resolution.map(|not_before| {
            self.inner
                .join_resolution(&self.query.lookup, self.wish(not_before))
        });
        let entities: Vec<_> = calls
            .entities
            .iter()
            .map(|(id, part, not_before)| {
                let seat = self.inner.join_part(*id, *part, self.wish(*not_before));
                (*id, *part, seat)
            })
            .collect();
        if let Some(seat) = resolution {
            let fetched = self.wait_for_flight(seat).await;
            self.take_in_resolution(fetched)?;
        }
        if let Some(seat) = overview {
            let fetched = self.wait_for_flight(seat).await;
            self.take_in_overview(fetched, calls)?;
        }
        for (id, part, seat) in entities {
            // Meanwhile the name was resolved anew: this call speaks of another contact.
            if self.alias().is_some_and(|alias| alias.id != id) {
                continue;
            }
            let fetched = self.wait_for_flight(seat).await;
            self.take_in_part(part, fetched)?;
        }
        Ok(())
    }

    /// What the caller waits for.
    fn wish(&self, not_before: Sequence) -> FetchRequest<'a> {
        let urgency = if self.query.fresh.is_empty() {
            Urgency::Miss
        } else {
            Urgency::Fresh
        };
        FetchRequest {
            flow: &self.query.flow,
            urgency,
            not_before,
        }
    }

    /// Waits for a call until it ends or the caller's patience does.
    async fn wait_for_flight(
        &mut self,
        seat: Result<FlightHandle<FetchOutcome>, FlightError>,
    ) -> Result<FetchOutcome, Error> {
        let seat = seat.map_err(engage::Error::from)?;
        self.collapsed |= seat.joined == Joined::Collapsed;
        tokio::select! {
            biased;
            fetched = seat.outcome() => Ok(fetched.map_err(engage::Error::from)?),
            () = self.inner.clock.sleep_until(self.deadline) => {
                self.is_slow |= self.deadline < self.query.deadline;
                Err(Error::TooLate)
            }
        }
    }
}
