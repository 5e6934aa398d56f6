//! One request, followed through its rounds: which contact it is about, what is cached of that contact, what is
//! missing, and which calls fetch it. Every round reads the cache again, so an invalidation takes effect even if the
//! calls took long.

mod alias_check;
mod calls;
mod composed;
mod deadline;
mod outcomes;
mod reasons;
mod verdict;
mod wait;

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use self::{alias_check::AliasCheck, calls::Calls};
use super::{
    Error, Inner,
    found::{CachedRecord, Found},
    plan::{CustomerQuery, Plan},
};
use crate::{
    cache::{
        Alias,
        freshness::Freshness,
        parts::{Origins, Parts},
    },
    clock::Tick,
    domain::{ContactId, Identifier, Part, PartSet},
};

/// More rounds than any plausible course of events needs: alias, contact and parts, each once more after an
/// invalidation, and each once more for a failure in back-off.
const MAX_ROUNDS: usize = 12;

/// The state of one request.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a plain fact about the rounds so far"
)]
pub(super) struct Search<'a> {
    inner: &'a Arc<Inner>,
    query: &'a CustomerQuery,
    /// What this request's calls fetched. It is kept here in case the record is evicted.
    fetched: Option<(ContactId, Parts)>,
    /// The alias as this request's calls found it.
    found_alias: Option<Alias>,
    /// The parts whose calls failed.
    failed: PartSet,
    /// The first failure that left the response incomplete.
    failure: Option<Error>,
    /// The failures of calls: the parts concerned, and the text of the error.
    failures: Vec<(PartSet, Box<str>)>,
    /// Whether the alias could not be resolved again.
    alias_failed: bool,
    /// The parts that must not be served stale, because Engage's answer rules that out: it does not know the contact,
    /// or the answer is about another contact.
    no_stale: PartSet,
    /// The parts that the overview did not contain or was not allowed to fill.
    not_in_overview: PartSet,
    /// Whether the overview is too large to be read: entity endpoints take its place.
    too_large: bool,
    /// The end of this request's wait for calls.
    deadline: Tick,
    /// Whether stale data is served because a refresh is slow.
    is_slow: bool,
    /// Whether something that was found turned out to be wrong: another replica's data may be wrong as well.
    corrects: bool,
    first_read: FirstRead,
    stored: bool,
    collapsed: bool,
}

/// What was cached when the request arrived.
enum FirstRead {
    Pending,
    /// The identifier led to no contact.
    NoContact,
    Nothing,
    Record(Arc<CachedRecord>),
}

impl FirstRead {
    fn note(&mut self, cached: Option<&Arc<CachedRecord>>) {
        if matches!(self, FirstRead::Pending) {
            *self = cached.map_or(FirstRead::Nothing, |cached| {
                FirstRead::Record(Arc::clone(cached))
            });
        }
    }

    fn note_no_contact(&mut self) {
        if matches!(self, FirstRead::Pending) {
            *self = FirstRead::NoContact;
        }
    }

    fn record(&self) -> Option<&CachedRecord> {
        match self {
            FirstRead::Record(cached) => Some(cached),
            FirstRead::Pending | FirstRead::NoContact | FirstRead::Nothing => None,
        }
    }
}

/// What to do next.
enum Step {
    /// Answer: every part that is available has been found.
    Answer(Ready),
    /// Wait for these calls.
    Wait(Calls),
    /// Read the cache again: something was dropped.
    Again,
}

/// What a response is made from.
struct Ready {
    record: Arc<CachedRecord>,
    /// The freshness of the alias that led to it, if an alias did.
    alias: Option<Freshness>,
    /// What may be shown, and what is to be refreshed in the background.
    plan: Plan,
    /// When the cache was read.
    now: Tick,
}

impl<'a> Search<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>, query: &'a CustomerQuery) -> Self {
        Self {
            inner,
            query,
            fetched: None,
            found_alias: None,
            failed: PartSet::EMPTY,
            failure: None,
            failures: Vec::new(),
            alias_failed: false,
            no_stale: PartSet::EMPTY,
            not_in_overview: PartSet::EMPTY,
            too_large: false,
            deadline: query.deadline,
            is_slow: false,
            corrects: false,
            first_read: FirstRead::Pending,
            stored: false,
            collapsed: false,
        }
    }

    /// A hit needs the first step only. The rest, which waits for calls, is boxed to keep this future small.
    pub(super) async fn run(mut self) -> Result<Found, Error> {
        let now = self.query.now.tick;
        match self.next_step(now)? {
            Step::Answer(ready) => self.answer(&ready),
            step => Box::pin(self.follow(step)).await,
        }
    }

    /// Answers from memory alone, if that is possible and `respond` takes the answer.
    pub(super) fn run_in_memory<T>(
        mut self,
        respond: impl FnOnce(&Found) -> Option<T>,
    ) -> Option<T> {
        let now = self.query.now.tick;
        let Ok(Step::Answer(ready)) = self.next_step(now) else {
            return None;
        };
        let found = self.conclude(&ready).ok()?;
        let response = respond(&found)?;
        self.refresh(&ready);
        Some(response)
    }

    fn answer(&self, ready: &Ready) -> Result<Found, Error> {
        self.refresh(ready);
        self.conclude(ready)
    }

    async fn follow(mut self, mut step: Step) -> Result<Found, Error> {
        for _ in 0..MAX_ROUNDS {
            match step {
                Step::Answer(ready) => return self.answer(&ready),
                Step::Wait(_) if self.query.only_if_cached => return Err(Error::NotCached),
                Step::Wait(calls) => self.wait_for(&calls).await?,
                Step::Again => {}
            }
            step = self.next_step(self.inner.clock.tick())?;
        }
        Err(self.failure.unwrap_or(Error::TooLate))
    }

    /// Reads the cache and decides what to do next.
    fn next_step(&mut self, now: Tick) -> Result<Step, Error> {
        let key = self.query.lookup.key();
        let memory = &self.inner.tiers.memory;
        let alias = self.alias();
        let id = key.bare_id().or(alias.map(|alias| alias.id));
        let record = id.map(|id| self.read(id));
        // A cached profile outweighs a negative entry, because storing a negative entry drops what the key led to.
        let is_cached = record
            .as_ref()
            .is_some_and(|record| record.provenance(Part::Profile).is_some());
        if !is_cached
            && self.query.fresh.is_empty()
            && let Some(refusal) = memory.negative(key, now)
        {
            return Err(refusal.into());
        }
        let (Some(id), Some(record)) = (id, record) else {
            self.first_read.note_no_contact();
            return self.resolve(None, now);
        };
        let resolution = self.resolution_wanted(alias.as_ref());
        if resolution.is_some() && self.alias_failed {
            return Err(self.give_up());
        }
        let alias_freshness = match alias {
            None => None,
            Some(alias) => match self.judge_alias(&alias, &record, now)? {
                ControlFlow::Continue(freshness) => Some(freshness),
                ControlFlow::Break(step) => return Ok(step),
            },
        };
        let plan = self.query.plan(&*record, now, &memory.policy);
        if !plan.missing.is_empty() {
            self.note_missing_from_overview(id, now);
        }
        let missing = plan.missing.without(self.failed);
        if !missing.is_empty() || resolution.is_some() {
            let mut calls = self.calls_for_parts(&record, missing, now);
            calls.resolution = resolution;
            if !calls.is_empty() {
                self.deadline = self.deadline_for(&record, alias_freshness, now);
                return self.wait_unless_in_back_off(calls, now);
            }
        }
        Ok(Step::Answer(Ready {
            record,
            alias: alias_freshness,
            plan,
            now,
        }))
    }

    /// The freshness of the alias that led to the record, or the step that must come first if the alias can't be used.
    fn judge_alias(
        &mut self,
        alias: &Alias,
        record: &CachedRecord,
        now: Tick,
    ) -> Result<ControlFlow<Step, Freshness>, Error> {
        match self.check_alias(alias, record)? {
            AliasCheck::Holds => {}
            AliasCheck::Dropped => return Ok(ControlFlow::Break(Step::Again)),
            AliasCheck::NeedsProfile if self.failed.contains(Part::Profile) => {
                return Err(self.give_up());
            }
            AliasCheck::NeedsProfile => {
                let calls = self.calls_for_alias_check(alias);
                let step = self.wait_unless_in_back_off(calls, now)?;
                return Ok(ControlFlow::Break(step));
            }
        }
        // An alias that this request's own calls found is used, however short its lifetime is.
        let is_new = alias.provenance.sequence > self.query.arrival;
        let freshness = if is_new {
            Freshness::Fresh
        } else {
            alias.freshness(now, &self.inner.tiers.memory.policy)
        };
        if freshness >= self.query.outdated_alias() && !self.alias_failed {
            self.deadline = self.deadline_for(record, Some(freshness), now);
            let step = self.resolve(Some(record.id), now)?;
            return Ok(ControlFlow::Break(step));
        }
        Ok(ControlFlow::Continue(freshness))
    }

    fn resolve(&mut self, id: Option<ContactId>, now: Tick) -> Result<Step, Error> {
        if self.alias_failed {
            return Err(self.give_up());
        }
        if self.too_large
            && let Identifier::ContactId(id) = self.query.lookup.identifier
        {
            // The contact type, which the overview would have confirmed, is checked in the profile.
            self.found_alias = Some(self.inner.tiers.alias_of_id(id));
            return Ok(Step::Again);
        }
        let calls = self.calls_for_alias(id, now);
        self.wait_unless_in_back_off(calls, now)
    }

    fn give_up(&self) -> Error {
        self.failure.clone().unwrap_or(Error::TooLate)
    }

    /// The alias. One that was resolved for this request takes precedence; otherwise the newer of the cached one and
    /// the one that this request's calls found.
    fn alias(&self) -> Option<Alias> {
        let key = self.query.lookup.key();
        let memory = &self.inner.tiers.memory;
        let cached = memory.alias(key);
        let Some(found) = self.found_alias else {
            return cached;
        };
        let (fences, sequence) = (&memory.fences, found.provenance.sequence);
        // Only a purge fences the audiences, and a purge drops the contact's aliases too.
        let is_purged = !fences.allows(found.id, Part::Audiences, sequence);
        if is_purged || sequence <= fences.alias_not_before(key) {
            return cached;
        }
        if self.query.is_resolved_by(&found) {
            return Some(found);
        }
        cached
            .filter(|cached| !found.provenance.is_later_than(&cached.provenance))
            .or(Some(found))
    }

    /// What is cached and what was fetched of the contact, without what a fence forbids.
    fn read(&mut self, id: ContactId) -> Arc<CachedRecord> {
        let memory = &self.inner.tiers.memory;
        let cached = memory.record(id);
        self.first_read.note(cached.as_ref());
        let fetched = self.fetched.as_ref().filter(|(fetched, _)| *fetched == id);
        let Some((_, fetched)) = fetched else {
            return cached.unwrap_or_else(|| Arc::new(CachedRecord::empty(id)));
        };
        let mut parts = memory.still_allowed(fetched, id, cached.as_deref());
        if let Some(cached) = cached.as_ref().and_then(|cached| memory.parts_of(cached)) {
            // What an entity endpoint returned for this request takes precedence over an overview that was stored
            // since.
            parts.merge(&cached, Duration::MAX);
        }
        match cached {
            Some(cached) if cached.same(&parts) => cached,
            _ => Arc::new(memory.uncached_record(id, &parts)),
        }
    }
}
