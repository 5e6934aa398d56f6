//! The shared upstream calls: each asks Engage once for everybody who waits for it, checks that the
//! answer is about whom it was asked for, and stores it. What it brought is handed to the waiters
//! directly, so that an eviction in between costs nobody an answer.

use std::sync::Arc;

use super::Inner;
use crate::{
    cache::{
        Begun, CallKey, Name, PartData,
        fence::Stamp,
        flight::{Departure, NoFlight, Seat},
        freshness::{Provenance, Source},
        parts::Parts,
    },
    domain::{Bears, Claim, ContactId, Flow, Lookup, LookupKey, Part, Profile, Urgency},
    engage::{Demand, Error, Group, Permit},
};

/// What a call brought.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    /// When its upstream request began; `None` where it never did.
    pub begun: Option<Begun>,
    /// What it brought.
    pub outcome: Result<Gain, Error>,
}

/// For whom a call is made, and how new what it brings must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// Whose share of the calls it is part of.
    pub flow: &'a Flow,
    /// How urgently.
    pub urgency: Urgency,
    /// Its upstream request must begin after this.
    pub not_before: Stamp,
}

/// What a call that succeeded brought.
#[derive(Clone, Debug)]
pub(super) struct Gain {
    /// About whom.
    pub id: ContactId,
    /// The name that was asked for, where it led there.
    pub name: Option<Name>,
    /// The parts that may be served.
    pub parts: Arc<Parts>,
}

impl Wish<'_> {
    fn claim(&self) -> Claim {
        Claim {
            flow: self.flow.clone(),
            urgency: self.urgency,
        }
    }
}

impl From<NoFlight> for Error {
    fn from(no_flight: NoFlight) -> Self {
        match no_flight {
            NoFlight::Full => Error::Overloaded,
            NoFlight::Lost => Error::Lost,
        }
    }
}

impl Inner {
    /// A seat in a call of the overview.
    pub(super) fn board_overview(
        self: &Arc<Self>,
        lookup: &Lookup,
        wish: Wish<'_>,
    ) -> Result<Seat<Arrivals>, NoFlight> {
        let (inner, asked) = (Arc::clone(self), lookup.clone());
        self.overviews.board(
            lookup.key().clone(),
            wish.not_before,
            wish.claim(),
            move |departure| async move { inner.fetch_overview(&asked, &departure).await },
        )
    }

    /// A seat in a call of a part's entity endpoint.
    pub(super) fn board_part(
        self: &Arc<Self>,
        id: ContactId,
        part: Part,
        wish: Wish<'_>,
    ) -> Result<Seat<Arrivals>, NoFlight> {
        let inner = Arc::clone(self);
        self.parts.board(
            (id, part),
            wish.not_before,
            wish.claim(),
            move |departure| async move { inner.fetch_part(id, part, &departure).await },
        )
    }

    /// A seat in a call that resolves a name without the overview.
    pub(super) fn board_resolution(
        self: &Arc<Self>,
        lookup: &Lookup,
        wish: Wish<'_>,
    ) -> Result<Seat<Arrivals>, NoFlight> {
        let (inner, asked) = (Arc::clone(self), lookup.clone());
        self.resolutions.board(
            lookup.key().clone(),
            wish.not_before,
            wish.claim(),
            move |departure| async move { inner.fetch_resolution(&asked, &departure).await },
        )
    }

    async fn fetch_overview(&self, asked: &Lookup, departure: &Departure<Arrivals>) -> Arrivals {
        let permit = match self
            .admit(Group::Overview, self.owner(asked), departure)
            .await
        {
            Ok(permit) => permit,
            Err(error) => return Arrivals::refused(error),
        };
        let begun = self.depart(departure);
        let overview = self.engage.overview(permit, asked).await;
        let outcome = overview.and_then(|overview| {
            let shown = &overview.profile.data.identity;
            self.cache
                .note_identity(overview.id, begun.stamp, shown, &asked.identifier);
            self.check_identity(asked, begun, overview.id, &overview.profile.data)?;
            let id = overview.id;
            let bears = self
                .names
                .bears(&overview.profile.data.identity.names, &asked.identifier);
            // The name first: a purge by that name finds it and fences the contact, or comes first and
            // fences the name, and then nothing is stored.
            let name = self.learn_name(asked, id, begun, Source::Overview, bears == Bears::Yes)?;
            let told = overview.told();
            let parts = self.cache.store_overview(asked, begun, overview);
            let why = Error::Invalid {
                path: "overview".into(),
            };
            self.cache.note_told(id, begun, told, &why);
            Ok(Gain {
                id,
                name,
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
        self.landed(&call, asked.key(), begun, outcome)
    }

    async fn fetch_part(
        &self,
        id: ContactId,
        part: Part,
        departure: &Departure<Arrivals>,
    ) -> Arrivals {
        let group = match part {
            Part::Profile => Group::Contacts,
            Part::Promotions => Group::Promotions,
            Part::Vouchers => Group::Vouchers,
            Part::Points => Group::Points,
            Part::Audiences => unreachable!("Engage tells audiences in the overview alone"),
        };
        let owner = LookupKey::by_id(id).owner();
        let permit = match self.admit(group, owner, departure).await {
            Ok(permit) => permit,
            Err(error) => return Arrivals::refused(error),
        };
        let begun = self.depart(departure);
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
        let outcome = data.map(|data| Gain {
            id,
            name: None,
            parts: Arc::new(self.cache.store_part(id, begun, data)),
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
            return self.landed(&call, &LookupKey::by_id(id), begun, outcome);
        }
        self.note(&call, begun, outcome.as_ref().err());
        Arrivals {
            begun: Some(begun),
            outcome,
        }
    }

    async fn fetch_resolution(&self, asked: &Lookup, departure: &Departure<Arrivals>) -> Arrivals {
        let permit = match self
            .admit(Group::Contacts, self.owner(asked), departure)
            .await
        {
            Ok(permit) => permit,
            Err(error) => return Arrivals::refused(error),
        };
        let begun = self.depart(departure);
        let outcome = self.engage.contact_id(permit, asked).await;
        let outcome = outcome.and_then(|id| {
            Ok(Gain {
                id,
                name: self.learn_name(asked, id, begun, Source::Entity, false)?,
                parts: Arc::default(),
            })
        });
        let call = CallKey::Resolution(asked.key().clone());
        self.landed(&call, asked.key(), begun, outcome)
    }

    async fn admit(
        &self,
        group: Group,
        owner: u64,
        departure: &Departure<Arrivals>,
    ) -> Result<Permit, Error> {
        let claims = departure.claims();
        self.engage.admit(group, Demand { claims, owner }).await
    }

    /// To whom a failure is charged: the contact where it is known whom the name leads to, else the name.
    fn owner(&self, asked: &Lookup) -> u64 {
        match self.cache.name(asked.key()) {
            Some(name) => LookupKey::by_id(name.id).owner(),
            None => asked.key().owner(),
        }
    }

    fn depart(&self, departure: &Departure<Arrivals>) -> Begun {
        let begun = self.cache.begin();
        departure.begin(begun.stamp, begun.now.tick);
        begun
    }

    /// What Engage's overview says of itself against what was asked.
    fn check_identity(
        &self,
        asked: &Lookup,
        begun: Begun,
        id: ContactId,
        profile: &Profile,
    ) -> Result<(), Error> {
        if let crate::domain::Identifier::ContactId(asked_id) = asked.identifier
            && asked_id != id
        {
            return Err(Error::IdentityMismatch);
        }
        let entity_only = self.cache.fences.entity_only(id, begun.now.tick);
        let may_be_old = entity_only.contains(Part::Profile);
        if self.names.bears(&profile.identity.names, &asked.identifier) == Bears::No {
            if !may_be_old {
                return Err(Error::IdentityMismatch);
            }
            // An old copy of the contact, or another's: who bears the name is asked elsewhere.
            self.cache.drop_name(asked.key());
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

    fn learn_name(
        &self,
        asked: &Lookup,
        id: ContactId,
        begun: Begun,
        source: Source,
        assured: bool,
    ) -> Result<Option<Name>, Error> {
        if asked.key().bare_id().is_some() {
            return Ok(None);
        }
        let assured = assured || asked.key().is_contact_id();
        if !self
            .cache
            .store_name(asked.key(), id, begun, source, assured)
        {
            return Err(Error::Overtaken);
        }
        // Afterwards: a purge either is seen here or finds the name.
        if self.cache.is_purged(&asked.identifier, begun.stamp) {
            self.cache.forget_name(asked.key());
            return Err(Error::Overtaken);
        }
        Ok(Some(self.alias(id, begun, source, assured)))
    }

    /// A contact id leads to itself, whatever the contact's type.
    pub(super) fn own_alias(&self, id: ContactId) -> Name {
        self.alias(id, self.cache.begin(), Source::Entity, true)
    }

    fn alias(&self, id: ContactId, begun: Begun, source: Source, assured: bool) -> Name {
        Name {
            id,
            provenance: Provenance {
                stamp: begun.stamp,
                requested_at: begun.now.tick,
                as_of: begun.now.wall,
                lifetime: self.cache.policy.lifetime(Part::Profile),
                source,
                differed_at: (source == Source::Entity).then_some(begun.now.tick),
            },
            assured,
            seen_in: Stamp::default(),
        }
    }

    /// Remembers what Engage said about the identifier itself, and how the call went.
    fn landed(
        &self,
        call: &CallKey,
        key: &LookupKey,
        begun: Begun,
        outcome: Result<Gain, Error>,
    ) -> Arrivals {
        if let Err(error) = &outcome
            && error.is_about_the_identifier()
        {
            self.cache
                .store_negative(key, begun, call.source(), error.clone());
            if let Some(id) = key.bare_id() {
                self.cache.drop_record(id, begun.stamp);
            }
        }
        self.note(call, begun, outcome.as_ref().err());
        Arrivals {
            begun: Some(begun),
            outcome,
        }
    }

    /// Remembers how a call went, and raises the alarms; for a failure that is the call's own, once until it succeeds.
    pub(super) fn note(&self, call: &CallKey, begun: Begun, error: Option<&Error>) {
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
            self.cache.note_failure(call, begun, said, error.clone())
        };
        if is_news {
            alarm(error);
        }
    }
}

impl Arrivals {
    fn refused(error: Error) -> Self {
        Self {
            begun: None,
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
