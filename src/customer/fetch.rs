//! The shared upstream calls: each asks Engage once for everybody who waits for it, checks that the
//! answer is about whom it was asked for, and stores it. What it brought is handed to the waiters
//! directly, so that an eviction in between costs nobody an answer.

use std::sync::Arc;

use super::Inner;
use crate::{
    cache::{
        Alias, CallKey, FetchStart, PartData,
        fence::Sequence,
        flight::{FlightError, FlightHandle, FlightStart},
        freshness::{FetchSource, Provenance},
        parts::Parts,
    },
    domain::{Claim, ContactId, Flow, Lookup, LookupKey, Match, Part, Profile, Urgency},
    engage::{Demand, Error, Group, Permit},
};

/// What a call brought.
#[derive(Clone, Debug)]
pub(super) struct FetchOutcome {
    /// When its upstream request began; `None` where it never did.
    pub start: Option<FetchStart>,
    /// What it brought.
    pub outcome: Result<Fetched, Error>,
}

/// For whom a call is made, and how new what it brings must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchRequest<'a> {
    /// Whose share of the calls it is part of.
    pub flow: &'a Flow,
    /// How urgently.
    pub urgency: Urgency,
    /// Its upstream request must begin after this.
    pub not_before: Sequence,
}

/// What a call that succeeded brought.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    /// About whom.
    pub id: ContactId,
    /// The name that was asked for, where it led there.
    pub alias: Option<Alias>,
    /// The parts that may be served.
    pub parts: Arc<Parts>,
}

impl FetchRequest<'_> {
    fn claim(&self) -> Claim {
        Claim {
            flow: self.flow.clone(),
            urgency: self.urgency,
        }
    }
}

impl From<FlightError> for Error {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Full => Error::Overloaded,
            FlightError::Lost => Error::Lost,
        }
    }
}

impl Inner {
    /// A seat in a call of the overview.
    pub(super) fn join_overview(
        self: &Arc<Self>,
        lookup: &Lookup,
        wish: FetchRequest<'_>,
    ) -> Result<FlightHandle<FetchOutcome>, FlightError> {
        let (inner, asked) = (Arc::clone(self), lookup.clone());
        self.overviews.join(
            lookup.key().clone(),
            wish.not_before,
            wish.claim(),
            move |flight| async move { inner.fetch_overview(&asked, &flight).await },
        )
    }

    /// A seat in a call of a part's entity endpoint.
    pub(super) fn join_part(
        self: &Arc<Self>,
        id: ContactId,
        part: Part,
        wish: FetchRequest<'_>,
    ) -> Result<FlightHandle<FetchOutcome>, FlightError> {
        let inner = Arc::clone(self);
        self.parts.join(
            (id, part),
            wish.not_before,
            wish.claim(),
            move |flight| async move { inner.fetch_part(id, part, &flight).await },
        )
    }

    /// A seat in a call that resolves a name without the overview.
    pub(super) fn join_resolution(
        self: &Arc<Self>,
        lookup: &Lookup,
        wish: FetchRequest<'_>,
    ) -> Result<FlightHandle<FetchOutcome>, FlightError> {
        let (inner, asked) = (Arc::clone(self), lookup.clone());
        self.resolutions.join(
            lookup.key().clone(),
            wish.not_before,
            wish.claim(),
            move |flight| async move { inner.fetch_resolution(&asked, &flight).await },
        )
    }

    async fn fetch_overview(
        &self,
        asked: &Lookup,
        flight: &FlightStart<FetchOutcome>,
    ) -> FetchOutcome {
        let permit = match self.admit(Group::Overview, self.owner(asked), flight).await {
            Ok(permit) => permit,
            Err(error) => return FetchOutcome::refused(error),
        };
        let start = self.start_fetch(flight);
        let overview = self.engage.overview(permit, asked).await;
        let outcome = overview.and_then(|overview| {
            let shown = &overview.profile.data.identity;
            self.cache
                .note_identity(overview.id, start.sequence, shown, &asked.identifier);
            self.check_identity(asked, start, overview.id, &overview.profile.data)?;
            let id = overview.id;
            let matches = self
                .alias_reader
                .matches(&overview.profile.data.identity.aliases, &asked.identifier);
            // The name first: a purge by that name finds it and fences the contact, or comes first and
            // fences the name, and then nothing is stored.
            let alias = self.learn_alias(
                asked,
                id,
                start,
                FetchSource::Overview,
                matches == Match::Yes,
            )?;
            let told = overview.told();
            let parts = self.cache.store_overview(asked, start, overview);
            let why = Error::Invalid {
                path: "overview".into(),
            };
            self.cache.note_told(id, start, told, &why);
            Ok(Fetched {
                id,
                alias,
                parts: Arc::new(parts),
            })
        });
        let by_key = CallKey::OverviewBy(asked.key().clone());
        let call = match &outcome {
            Ok(gain) => {
                self.cache.note_success(&by_key);
                CallKey::Overview(gain.id)
            }
            // What the alias leads to may be another contact's by now.
            Err(Error::IdentityMismatch) => by_key,
            Err(_) => self.cache.overview_call(asked.key()),
        };
        self.landed(&call, asked.key(), start, outcome)
    }

    async fn fetch_part(
        &self,
        id: ContactId,
        part: Part,
        flight: &FlightStart<FetchOutcome>,
    ) -> FetchOutcome {
        let group = match part {
            Part::Profile => Group::Contacts,
            Part::Promotions => Group::Promotions,
            Part::Vouchers => Group::Vouchers,
            Part::Points => Group::Points,
            Part::Audiences => unreachable!("Engage tells audiences in the overview alone"),
        };
        let owner = LookupKey::by_id(id).owner();
        let permit = match self.admit(group, owner, flight).await {
            Ok(permit) => permit,
            Err(error) => return FetchOutcome::refused(error),
        };
        let start = self.start_fetch(flight);
        let data = match part {
            Part::Profile => self
                .engage
                .contact(permit, id)
                .await
                .map(|profile| PartData::Profile(Box::new(profile))),
            Part::Promotions => self
                .engage
                .promotions(permit, id)
                .await
                .map(PartData::Promotions),
            Part::Vouchers => self
                .engage
                .vouchers(permit, id)
                .await
                .map(PartData::Vouchers),
            Part::Points => self.engage.points(permit, id).await.map(PartData::Points),
            Part::Audiences => unreachable!("Engage tells audiences in the overview alone"),
        };
        let outcome = data.map(|data| Fetched {
            id,
            alias: None,
            parts: Arc::new(self.cache.store_part(id, start, data)),
        });
        let call = CallKey::Part(id, part);
        if part == Part::Profile {
            if outcome
                .as_ref()
                .is_err_and(|error| *error == Error::NotFound)
            {
                // For the overview's lag its copy could bring the person back.
                self.cache.purge(id);
            }
            return self.landed(&call, &LookupKey::by_id(id), start, outcome);
        }
        self.note(&call, start, outcome.as_ref().err());
        FetchOutcome {
            start: Some(start),
            outcome,
        }
    }

    async fn fetch_resolution(
        &self,
        asked: &Lookup,
        flight: &FlightStart<FetchOutcome>,
    ) -> FetchOutcome {
        let permit = match self.admit(Group::Contacts, self.owner(asked), flight).await {
            Ok(permit) => permit,
            Err(error) => return FetchOutcome::refused(error),
        };
        let start = self.start_fetch(flight);
        let outcome = self.engage.contact_id(permit, asked).await;
        let outcome = outcome.and_then(|id| {
            Ok(Fetched {
                id,
                alias: self.learn_alias(asked, id, start, FetchSource::Entity, false)?,
                parts: Arc::default(),
            })
        });
        let call = CallKey::Resolution(asked.key().clone());
        self.landed(&call, asked.key(), start, outcome)
    }

    async fn admit(
        &self,
        group: Group,
        owner: u64,
        flight: &FlightStart<FetchOutcome>,
    ) -> Result<Permit, Error> {
        let claims = flight.claims();
        self.engage.admit(group, Demand { claims, owner }).await
    }

    /// To whom a failure is charged: the contact where it is known whom the name leads to, else the name.
    fn owner(&self, asked: &Lookup) -> u64 {
        match self.cache.alias(asked.key()) {
            Some(alias) => LookupKey::by_id(alias.id).owner(),
            None => asked.key().owner(),
        }
    }

    fn start_fetch(&self, flight: &FlightStart<FetchOutcome>) -> FetchStart {
        let start = self.cache.begin();
        flight.begin(start.sequence, start.now.tick);
        start
    }

    /// What Engage's overview says of itself against what was asked.
    fn check_identity(
        &self,
        asked: &Lookup,
        start: FetchStart,
        id: ContactId,
        profile: &Profile,
    ) -> Result<(), Error> {
        if let crate::domain::Identifier::ContactId(asked_id) = asked.identifier
            && asked_id != id
        {
            return Err(Error::IdentityMismatch);
        }
        let entity_only = self.cache.fences.entity_only(id, start.now.tick);
        let may_be_old = entity_only.contains(Part::Profile);
        if self
            .alias_reader
            .matches(&profile.identity.aliases, &asked.identifier)
            == Match::No
        {
            if !may_be_old {
                return Err(Error::IdentityMismatch);
            }
            // An old copy of the contact, or another's: who bears the name is asked elsewhere.
            self.cache.drop_alias(asked.key());
            return Err(Error::Overtaken);
        }
        // Of an old copy the search asks the entity endpoint for proof.
        if may_be_old {
            return Ok(());
        }
        if !profile.identity.is_of(asked.contact_type.as_ref()) {
            return Err(Error::NotFound);
        }
        Ok(())
    }

    fn learn_alias(
        &self,
        asked: &Lookup,
        id: ContactId,
        start: FetchStart,
        source: FetchSource,
        confirmed: bool,
    ) -> Result<Option<Alias>, Error> {
        if asked.key().bare_id().is_some() {
            return Ok(None);
        }
        let confirmed = confirmed || asked.key().is_contact_id();
        if !self
            .cache
            .store_alias(asked.key(), id, start, source, confirmed)
        {
            return Err(Error::Overtaken);
        }
        // Afterwards: a purge either is seen here or finds the name.
        if self.cache.is_purged(&asked.identifier, start.sequence) {
            self.cache.forget_alias(asked.key());
            return Err(Error::Overtaken);
        }
        Ok(Some(self.new_alias(id, start, source, confirmed)))
    }

    /// A contact id leads to itself, whatever the contact's type.
    pub(super) fn own_alias(&self, id: ContactId) -> Alias {
        self.new_alias(id, self.cache.begin(), FetchSource::Entity, true)
    }

    fn new_alias(
        &self,
        id: ContactId,
        start: FetchStart,
        source: FetchSource,
        confirmed: bool,
    ) -> Alias {
        Alias {
            id,
            provenance: Provenance {
                sequence: start.sequence,
                requested_at: start.now.tick,
                as_of: start.now.wall,
                lifetime: self.cache.policy.lifetime(Part::Profile),
                source,
                differed_at: (source == FetchSource::Entity).then_some(start.now.tick),
            },
            confirmed,
            seen_in: Sequence::default(),
        }
    }

    /// Remembers what Engage said about the identifier itself, and how the call went.
    fn landed(
        &self,
        call: &CallKey,
        key: &LookupKey,
        start: FetchStart,
        outcome: Result<Fetched, Error>,
    ) -> FetchOutcome {
        if let Err(error) = &outcome
            && error.is_about_the_identifier()
        {
            self.cache
                .store_negative(key, start, call.source(), error.clone());
            if let Some(id) = key.bare_id() {
                self.cache.drop_record(id, start.sequence);
            }
        }
        self.note(call, start, outcome.as_ref().err());
        FetchOutcome {
            start: Some(start),
            outcome,
        }
    }

    /// Remembers how a call went, and raises the alarms; for a failure that is the call's own, once until it succeeds.
    pub(super) fn note(&self, call: &CallKey, start: FetchStart, error: Option<&Error>) {
        let Some(error) = error else {
            return self.cache.note_success(call);
        };
        // Of a contact that is there its part alone can't be unknown.
        let is_odd = error.is_about_the_identifier()
            && matches!(call, CallKey::Part(_, part) if *part != Part::Profile);
        if !is_odd && (error.is_about_the_identifier() || *error == Error::Overtaken) {
            return self.cache.note_success(call);
        }
        let is_news = !(is_odd || error.is_about_the_call()) || {
            let said = error.retry_after();
            self.cache.note_failure(call, start, said, error.clone())
        };
        if is_news {
            alarm(error);
        }
    }
}

impl FetchOutcome {
    fn refused(error: Error) -> Self {
        Self {
            start: None,
            outcome: Err(error),
        }
    }
}

/// What an operator must know of, once per upstream call, and what they may want to.
pub(super) fn alarm(error: &Error) {
    match error {
        error if error.needs_an_operator() => {
            tracing::error!(alarm = true, %error, "engage needs an operator");
        }
        Error::Failed { .. }
        | Error::Unreachable { .. }
        | Error::RateLimited { .. }
        | Error::Timeout => tracing::warn!(%error, "an upstream call failed"),
        _ => {}
    }
}
