//! One question followed through its rounds: who is meant, what is held of them, what is missing,
//! which calls bring it. Every round looks at the cache anew, so that an invalidation in between is
//! heeded however long the calls took.

use std::{sync::Arc, time::Duration};

use super::{
    Error, Inner, Rendered,
    fetch::{Arrivals, Gain},
    plan::{Plan, Question},
};
use crate::{
    cache::{
        Name,
        fence::Stamp,
        flight::{Boarding, Seat},
        freshness::{Freshness, Source},
        record::{Parts, Record},
    },
    clock::Tick,
    domain::{Bears, ContactId, Lookup, Part, PartSet},
    engage,
};

/// More rounds than any honest course of events needs: name, contact, parts, and each once more after
/// an invalidation.
const MAX_ROUNDS: usize = 8;

/// A customer, found.
#[derive(Debug)]
pub struct Found {
    /// What is known; not all of it may be shown.
    pub record: Arc<Record<Rendered>>,
    /// The parts that may be shown.
    pub shown: PartSet,
    /// The parts that are older than they should be or could not be had.
    pub degraded: PartSet,
    /// What the cache did.
    pub verdict: Verdict,
}

/// What the cache did for a request, in the words of RFC 9211.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The worst of the parts.
    pub status: Status,
    /// Seconds until the first part's lifetime ends; negative afterwards.
    pub ttl: i64,
    /// The age of the oldest part.
    pub age: Duration,
    /// Whether an answer of Engage was stored.
    pub stored: bool,
    /// Whether the request waited for another's call.
    pub collapsed: bool,
    /// Whether stale data stands in for an answer that Engage failed to give.
    pub stale_if_error: bool,
}

/// What became of a part, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Answered from memory.
    Hit,
    /// Held, but too old: Engage was asked.
    Stale,
    /// Not held: Engage was asked.
    Miss,
    /// Held, but the caller wanted it anew: Engage was asked.
    Request,
}

/// The course of one question.
pub(super) struct Search<'a> {
    inner: &'a Arc<Inner>,
    question: &'a Question,
    /// What this question's calls brought: it survives an eviction.
    gained: Option<(ContactId, Parts)>,
    /// Whom this question's calls found the name to lead to.
    named: Option<Name>,
    /// The parts whose calls failed, and the first failure.
    failed: PartSet,
    failure: Option<Error>,
    /// Whether the name could not be resolved anew.
    name_failed: bool,
    /// The parts that the overview did not tell or was not allowed to.
    untold: PartSet,
    /// What was held when the question came.
    first_seen: Option<Parts>,
    stored: bool,
    collapsed: bool,
}

/// What the next round is for.
enum Step {
    /// Everything that can be had is there.
    Done {
        parts: Box<Parts>,
        name: Option<Name>,
    },
    /// Calls to wait for.
    Wait(Calls),
    /// Look again: something was dropped.
    Again,
}

/// The calls of one round.
#[derive(Default)]
struct Calls {
    overview: Option<(Lookup, Stamp)>,
    resolution: Option<Stamp>,
    /// What the overview is asked for.
    from_overview: PartSet,
    entities: Vec<(ContactId, Part, Stamp)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>, question: &'a Question) -> Self {
        Self {
            inner,
            question,
            gained: None,
            named: None,
            failed: PartSet::EMPTY,
            failure: None,
            name_failed: false,
            untold: PartSet::EMPTY,
            first_seen: None,
            stored: false,
            collapsed: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<Found, Error> {
        for _ in 0..MAX_ROUNDS {
            match self.look()? {
                Step::Done { parts, name } => return self.conclude(*parts, name),
                Step::Wait(_) if self.question.only_if_cached => return Err(Error::NotCached),
                Step::Wait(calls) => self.wait_for(&calls).await?,
                Step::Again => {}
            }
        }
        Err(self.failure.unwrap_or(Error::TooLate))
    }

    /// Looks at what is held now.
    fn look(&mut self) -> Result<Step, Error> {
        let now = self.inner.clock.now().tick;
        let key = self.question.lookup.key();
        let cache = &self.inner.cache;
        if self.question.fresh.is_empty()
            && let Some(refusal) = cache.negative(key, now)
        {
            return Err(refusal.into());
        }
        let name = self.name();
        let Some(id) = key.bare_id().or(name.map(|name| name.id)) else {
            self.first_seen.get_or_insert_default();
            return self.resolve(None, now);
        };
        let parts = self.parts(id);
        self.first_seen.get_or_insert_with(|| parts.clone());
        if let Some(name) = name {
            match self.check_name(&name, &parts)? {
                Proof::Holds => {}
                Proof::Dropped => return Ok(Step::Again),
                Proof::Wanted => return self.prove(&name),
            }
            if self.inner.is_too_old(&name, now) && !self.name_failed {
                return self.resolve(Some(id), now);
            }
        }
        let plan = self.question.plan(&parts, now, &cache.policy);
        let calls = self.calls(id, &parts, plan.missing.without(self.failed), now);
        if calls.is_empty() {
            self.refresh(id, name.as_ref(), plan, now);
            return Ok(Step::Done {
                parts: Box::new(parts),
                name,
            });
        }
        Ok(Step::Wait(calls))
    }

    /// What the name leads to, as far as it is known: the newer of what is held and what was found.
    fn name(&self) -> Option<Name> {
        let key = self.question.lookup.key();
        let not_before = self.inner.cache.fences.name_not_before(key);
        let found = self.named.filter(|name| name.provenance.stamp > not_before);
        match (self.inner.cache.name(key), found) {
            (Some(held), Some(found)) => {
                let held_is_newer = held.provenance.stamp >= found.provenance.stamp;
                Some(if held_is_newer { held } else { found })
            }
            (held, found) => held.or(found),
        }
    }

    /// What is held and was gained of the contact, without what a fence forbids.
    fn parts(&self, id: ContactId) -> Parts {
        let held = self.inner.cache.record(id);
        let mut parts = held.map_or_else(Parts::default, |record| record.parts.clone());
        if let Some((gained_id, gained)) = &self.gained
            && *gained_id == id
        {
            let mut gained = gained.clone();
            let fences = &self.inner.cache.fences;
            gained.retain(|part, provenance| fences.allows(id, part, provenance.stamp));
            parts.merge(&gained);
        }
        parts
    }

    /// The calls that resolve the name: the overview, which brings the parts too, unless its lag could
    /// bring a wrong name back.
    fn resolve(&mut self, id: Option<ContactId>, now: Tick) -> Result<Step, Error> {
        if self.name_failed {
            return Err(self.failure.clone().unwrap_or(Error::TooLate));
        }
        let fences = &self.inner.cache.fences;
        let lookup = &self.question.lookup;
        let not_before = fences.negatives_not_before(lookup.key());
        let mut calls = Calls::default();
        if fences.name_is_entity_only(lookup.key(), now) {
            calls.resolution = Some(not_before);
        } else {
            let tellable = self.inner.engage.overview_parts();
            let not_before = id.map_or(not_before, |id| {
                not_before.max(fences.not_before(id, tellable.without(fences.entity_only(id, now))))
            });
            calls.overview = Some((lookup.clone(), not_before));
            calls.from_overview = self.question.asked.intersection(tellable);
        }
        Ok(Step::Wait(calls))
    }

    /// The calls that bring the missing parts of a known contact: what expired from the overview, one
    /// call for all of it; what was invalidated, or is asked for fresh, from its entity endpoint.
    fn calls(&self, id: ContactId, parts: &Parts, missing: PartSet, now: Tick) -> Calls {
        let fences = &self.inner.cache.fences;
        let tellable = self.inner.engage.overview_parts();
        let from_entity = missing
            .intersection(
                fences
                    .entity_only(id, now)
                    .union(self.question.fresh)
                    .union(self.untold)
                    .union(PartSet::ALL.without(tellable)),
            )
            .without(Part::Audiences.into());
        let from_overview = missing.without(from_entity);
        let mut calls = Calls {
            from_overview,
            ..Calls::default()
        };
        if !from_overview.is_empty() {
            let lookup = self.overview_lookup(id, now);
            let not_before = fences
                .not_before(id, from_overview)
                .max(fences.negatives_not_before(lookup.key()));
            calls.overview = Some((lookup, not_before));
        }
        // Cold and fresh at once: the overview first, which says whether there is such a contact.
        let is_cold = parts.profile.is_none() && from_overview.contains(Part::Profile);
        let at_once = if is_cold {
            from_entity.without(tellable)
        } else {
            from_entity
        };
        calls.entities = at_once
            .iter()
            .map(|part| (id, part, self.part_not_before(id, part)))
            .collect();
        calls
    }

    fn part_not_before(&self, id: ContactId, part: Part) -> Stamp {
        let fence = self.inner.cache.fences.not_before(id, part.into());
        if self.question.fresh.contains(part) {
            fence.max(self.question.arrival)
        } else {
            fence
        }
    }

    /// The overview is asked by the name that was asked for, which renews the name too, unless its lag
    /// could bring a wrong one back.
    fn overview_lookup(&self, id: ContactId, now: Tick) -> Lookup {
        let lookup = &self.question.lookup;
        if self
            .inner
            .cache
            .fences
            .name_is_entity_only(lookup.key(), now)
        {
            Lookup::by_id(id)
        } else {
            lookup.clone()
        }
    }

    /// Starts the calls that renew what is stale, and waits for none of them.
    fn refresh(&self, id: ContactId, name: Option<&Name>, plan: Plan, now: Tick) {
        let policy = &self.inner.cache.policy;
        let stale_name =
            name.is_some_and(|name| name.provenance.freshness(now, policy) == Freshness::Stale);
        let wanted = plan.refresh.without(self.failed);
        if self.question.only_if_cached || (wanted.is_empty() && !stale_name) {
            return;
        }
        let fences = &self.inner.cache.fences;
        let from_overview = wanted
            .intersection(self.inner.engage.overview_parts())
            .without(fences.entity_only(id, now));
        if !from_overview.is_empty() || stale_name {
            let lookup = self.overview_lookup(id, now);
            let not_before = fences
                .not_before(id, from_overview)
                .max(fences.negatives_not_before(lookup.key()));
            drop(self.inner.board_overview(&lookup, not_before));
            if stale_name && lookup.key() != self.question.lookup.key() {
                drop(
                    self.inner
                        .board_resolution(&self.question.lookup, not_before),
                );
            }
        }
        let entities = wanted
            .without(from_overview)
            .without(Part::Audiences.into());
        for part in entities.iter() {
            let not_before = fences.not_before(id, part.into());
            drop(self.inner.board_part(id, part, not_before));
        }
    }

    /// Makes the calls side by side and takes in what they bring, as long as the caller waits.
    async fn wait_for(&mut self, calls: &Calls) -> Result<(), Error> {
        let overview = calls
            .overview
            .as_ref()
            .map(|(lookup, not_before)| self.inner.board_overview(lookup, *not_before));
        let resolution = calls.resolution.map(|not_before| {
            self.inner
                .board_resolution(&self.question.lookup, not_before)
        });
        let entities: Vec<_> = calls
            .entities
            .iter()
            .map(|(id, part, not_before)| (*part, self.inner.board_part(*id, *part, *not_before)))
            .collect();
        if let Some(seat) = resolution {
            let arrivals = self.ride(seat).await;
            self.take_in_resolution(arrivals)?;
        }
        if let Some(seat) = overview {
            let arrivals = self.ride(seat).await;
            self.take_in_overview(arrivals, calls)?;
        }
        for (part, seat) in entities {
            let arrivals = self.ride(seat).await;
            self.take_in_part(part, arrivals)?;
        }
        Ok(())
    }

    /// Waits for a call until it ends or the caller's patience does.
    async fn ride(
        &mut self,
        seat: Result<Seat<Arrivals>, crate::cache::flight::NoFlight>,
    ) -> Result<Arrivals, Error> {
        let seat = seat.map_err(engage::Error::from)?;
        self.collapsed |= seat.boarding == Boarding::Collapsed;
        tokio::select! {
            biased;
            arrivals = seat.outcome() => Ok(arrivals.map_err(engage::Error::from)?),
            () = self.inner.clock.sleep_until(self.question.deadline) => Err(Error::TooLate),
        }
    }

    fn take_in_resolution(&mut self, arrivals: Result<Arrivals, Error>) -> Result<(), Error> {
        match arrivals.and_then(|arrivals| self.weigh(arrivals)) {
            Ok(Some(gain)) => self.named = gain.name,
            Ok(None) => {}
            Err(error) => {
                self.settle(PartSet::EMPTY, error)?;
                self.name_failed = true;
            }
        }
        Ok(())
    }

    fn take_in_overview(
        &mut self,
        arrivals: Result<Arrivals, Error>,
        calls: &Calls,
    ) -> Result<(), Error> {
        match arrivals.and_then(|arrivals| self.weigh(arrivals)) {
            Ok(Some(gain)) => {
                let told = gain.parts.held();
                let untold = calls.from_overview.without(told);
                self.untold = self.untold.union(untold);
                if untold.contains(Part::Audiences) {
                    self.failed.insert(Part::Audiences);
                }
                self.take_in(&gain);
            }
            Ok(None) => {}
            Err(error) => {
                self.settle(calls.from_overview, error)?;
                self.name_failed = true;
            }
        }
        Ok(())
    }

    fn take_in_part(&mut self, part: Part, arrivals: Result<Arrivals, Error>) -> Result<(), Error> {
        match arrivals.and_then(|arrivals| self.weigh(arrivals)) {
            Ok(Some(gain)) => self.take_in(&gain),
            Ok(None) => {}
            // The contact itself is gone or another's: that concerns the whole answer.
            Err(error) if part == Part::Profile => {
                let gone = error == Error::Upstream(engage::Error::NotFound);
                let name = self.name();
                let old_name =
                    name.is_some_and(|name| name.provenance.stamp < self.question.arrival);
                if gone && old_name {
                    // The name may have found a new owner.
                    self.disown();
                    return Ok(());
                }
                self.settle(part.into(), error)?;
            }
            Err(error) => {
                self.failed.insert(part);
                self.failure.get_or_insert(error);
            }
        }
        Ok(())
    }

    fn take_in(&mut self, gain: &Gain) {
        self.stored |= !gain.parts.held().is_empty();
        if gain.name.is_some() {
            self.named = gain.name;
        }
        match &mut self.gained {
            Some((id, parts)) if *id == gain.id => parts.merge(&gain.parts),
            gained => *gained = Some((gain.id, gain.parts.as_ref().clone())),
        }
    }

    /// A "nobody" or "several" that is older than the last word about contacts counts as not said.
    fn weigh(&self, arrivals: Arrivals) -> Result<Option<Gain>, Error> {
        match arrivals.outcome {
            Ok(gain) => Ok(Some(gain)),
            Err(error) => {
                let key = self.question.lookup.key();
                let not_before = self.inner.cache.fences.negatives_not_before(key);
                let outdated = arrivals
                    .begun
                    .is_some_and(|begun| begun.stamp <= not_before);
                if error.is_about_the_identifier() && outdated {
                    return Ok(None);
                }
                Err(error.into())
            }
        }
    }

    /// Ends the search where nothing that is held may stand in; else notes which parts failed.
    fn settle(&mut self, parts: PartSet, error: Error) -> Result<(), Error> {
        if let Error::Upstream(upstream) = &error
            && !upstream.allows_stale()
        {
            return Err(error);
        }
        self.failed = self.failed.union(parts);
        self.failure.get_or_insert(error);
        Ok(())
    }

    /// Asks the contact named, at its entity endpoint, whether it bears the name.
    fn prove(&self, name: &Name) -> Result<Step, Error> {
        if self.failed.contains(Part::Profile) {
            return Err(self.failure.clone().unwrap_or(Error::TooLate));
        }
        let not_before = self
            .part_not_before(name.id, Part::Profile)
            .max(name.provenance.stamp);
        Ok(Step::Wait(Calls {
            entities: vec![(name.id, Part::Profile, not_before)],
            ..Calls::default()
        }))
    }

    /// Asks what is held whether the contact bears the name that led to it.
    fn check_name(&self, name: &Name, parts: &Parts) -> Result<Proof, Error> {
        let Some(profile) = &parts.profile else {
            return Ok(Proof::Holds);
        };
        let lookup = &self.question.lookup;
        let key = lookup.key();
        let bears = self
            .inner
            .names
            .bears(&profile.data.names, &lookup.identifier);
        let of_type = profile.data.is_of(lookup.contact_type.as_ref());
        if bears != Bears::No && of_type {
            self.inner.cache.assure_name(key, name, bears == Bears::Yes);
            return Ok(Proof::Holds);
        }
        if profile.provenance.stamp < name.provenance.stamp {
            // The profile is older than the name: it may have changed in between.
            return Ok(Proof::Wanted);
        }
        let learnt_now = name.provenance.stamp > self.question.arrival;
        let by_entity = name.provenance.source == Source::Entity || key.is_contact_id();
        if learnt_now && by_entity {
            let error = if bears == Bears::No {
                engage::Error::IdentityMismatch
            } else {
                engage::Error::NotFound
            };
            return Err(error.into());
        }
        self.disown();
        Ok(Proof::Dropped)
    }

    /// Drops the name that led to the wrong contact. Engage resolves a contact id with a type in the
    /// overview alone, so such a name is only forgotten.
    fn disown(&self) {
        let key = self.question.lookup.key();
        if key.is_contact_id() {
            self.inner.cache.forget_name(key);
        } else {
            self.inner.cache.drop_name(key);
        }
    }

    /// Decides what may be shown of the parts that are there.
    fn conclude(self, parts: Parts, name: Option<Name>) -> Result<Found, Error> {
        let now = self.inner.clock.now().tick;
        let policy = &self.inner.cache.policy;
        let missing = self.question.plan(&parts, now, policy).missing;
        let mut shown = PartSet::EMPTY;
        let mut degraded = PartSet::EMPTY;
        let mut stale_if_error = self.name_failed;
        for part in self.question.asked.iter() {
            let may_stand_in = self.question.stale_if_error && !self.question.fresh.contains(part);
            let usable = parts.provenance(part).filter(|provenance| {
                !missing.contains(part)
                    || (may_stand_in && provenance.freshness(now, policy) != Freshness::Dead)
            });
            let Some(provenance) = usable else {
                degraded.insert(part);
                continue;
            };
            shown.insert(part);
            stale_if_error |= missing.contains(part);
            if provenance.degrades_at(policy) <= now {
                degraded.insert(part);
            }
        }
        let name_is_dead = name.is_some_and(|name| {
            let too_old = self.inner.is_too_old(&name, now);
            let dead = name.provenance.freshness(now, policy) == Freshness::Dead;
            too_old && (dead || !self.question.stale_if_error)
        });
        if !shown.contains(Part::Profile) || name_is_dead {
            return Err(self.failure.unwrap_or(Error::TooLate));
        }
        let verdict = self.verdict(&parts, shown, stale_if_error, now);
        let id = self
            .question
            .lookup
            .key()
            .bare_id()
            .or(name.map(|name| name.id));
        let record = id
            .and_then(|id| self.inner.cache.record(id))
            .filter(|record| record.parts.same(&parts, shown))
            .or_else(|| id.map(|id| Arc::new(Record::new(id, parts))));
        Ok(Found {
            record: record.ok_or(Error::TooLate)?,
            shown,
            degraded,
            verdict,
        })
    }

    fn verdict(&self, parts: &Parts, shown: PartSet, stale_if_error: bool, now: Tick) -> Verdict {
        let first_seen = self.first_seen.clone().unwrap_or_default();
        let policy = &self.inner.cache.policy;
        let status = |part: Part| match first_seen.provenance(part) {
            _ if self.question.fresh.contains(part) => Status::Request,
            None => Status::Miss,
            Some(seen) if seen.stamp == parts.stamp(part) => Status::Hit,
            Some(seen) => match seen.freshness(now, policy) {
                Freshness::Fresh | Freshness::Stale if self.question.max_age.is_some() => {
                    Status::Request
                }
                Freshness::Fresh | Freshness::Stale => Status::Hit,
                Freshness::Expired | Freshness::Dead => Status::Stale,
            },
        };
        let shown_provenance = || shown.iter().filter_map(|part| parts.provenance(part));
        Verdict {
            status: self
                .question
                .asked
                .iter()
                .map(status)
                .max()
                .unwrap_or(Status::Hit),
            ttl: shown_provenance()
                .map(|provenance| provenance.ttl_seconds(now))
                .min()
                .unwrap_or(0),
            age: shown_provenance()
                .map(|provenance| provenance.age(now))
                .max()
                .unwrap_or_default(),
            stored: self.stored,
            collapsed: self.collapsed,
            stale_if_error,
        }
    }
}

/// What the held profile says of the name.
enum Proof {
    /// It does not contradict.
    Holds,
    /// It contradicts, but it is older than the name: the contact must be asked.
    Wanted,
    /// It contradicts: the name was dropped.
    Dropped,
}

impl Calls {
    fn is_empty(&self) -> bool {
        self.overview.is_none() && self.resolution.is_none() && self.entities.is_empty()
    }
}

impl Inner {
    /// Whether the name must be resolved anew before it may be followed.
    fn is_too_old(&self, name: &Name, now: Tick) -> bool {
        name.provenance.freshness(now, &self.cache.policy) >= Freshness::Expired
    }
}
