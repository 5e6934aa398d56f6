//! A call of the overview.

use super::{FetchOutcome, Fetched};
use crate::{
    cache::{CallKey, FetchStart, flight::FlightStart, freshness::FetchSource},
    customer::{
        Inner,
        tiers::{BeginOutcome, Fill, Target},
    },
    domain::{ContactId, Identifier, Lookup, Match, Overview, Part, PartSet},
    engage::{Cause, Error},
};

impl Inner {
    pub(super) async fn fetch_overview(
        &self,
        requested: &Lookup,
        cause: Cause,
        flight: &FlightStart<FetchOutcome>,
    ) -> FetchOutcome {
        let target = Target::Overview(requested);
        let (lease, permit) = match self.tiers.begin(target, &self.engage, flight).await {
            Ok(BeginOutcome::Call(lease, permit)) => (lease, permit),
            Ok(BeginOutcome::Shared(start, found)) => return FetchOutcome::shared(start, found),
            Err(error) => return FetchOutcome::not_admitted(error),
        };
        let start = lease.start();
        let overview = self.engage.overview(permit, requested).await;
        let checked = overview.and_then(|overview| {
            let matches = self.check_overview(requested, start, &overview)?;
            Ok((overview, matches))
        });
        let (memory, key) = (&self.tiers.memory, requested.key());
        let (call, outcome) = match checked {
            Ok((overview, matches)) => {
                let (id, included) = (overview.id, overview.parts());
                let fill = Fill::Overview {
                    requested,
                    overview: Box::new(overview),
                    confirmed: matches == Match::Yes,
                };
                match self.tiers.store(lease, fill).await {
                    Ok(stored) => {
                        self.note_parts_of_overview(id, start, included);
                        memory.note_success(&CallKey::OverviewBy(key.clone()));
                        (CallKey::Overview(id), Ok(Fetched::new(id, stored)))
                    }
                    Err(error) => (memory.overview_call(key), Err(error)),
                }
            }
            Err(error) => {
                let call = match error {
                    // The identifier may lead to another contact now than the alias did.
                    Error::IdentityMismatch => CallKey::OverviewBy(key.clone()),
                    _ => memory.overview_call(key),
                };
                let source = FetchSource::Overview;
                let error = self.store_negative(lease, requested, source, error).await;
                (call, Err(error))
            }
        };
        self.finish(&call, start, cause, outcome)
    }

    /// Compares an overview with the lookup that it was requested by. Returns whether its profile shows the identifier.
    fn check_overview(
        &self,
        requested: &Lookup,
        start: FetchStart,
        overview: &Overview,
    ) -> Result<Match, Error> {
        let (id, identity) = (overview.id, &overview.profile.data.identity);
        let identifier = &requested.identifier;
        let memory = &self.tiers.memory;
        memory.note_identity(id, start.sequence, identity, identifier);
        if let Identifier::ContactId(requested_id) = identifier
            && *requested_id != id
        {
            return Err(Error::IdentityMismatch);
        }
        let entity_only = memory.fences.entity_only(id, start.now.tick);
        let may_be_old = entity_only.contains(Part::Profile);
        let matches = self.alias_reader.matches(&identity.aliases, identifier);
        if matches == Match::No {
            if !may_be_old {
                return Err(Error::IdentityMismatch);
            }
            // This is an old copy of the right contact, or another contact: only the entity endpoint shows which.
            memory.drop_alias(requested.key());
            return Err(Error::Overtaken);
        }
        // The type in an old copy proves nothing: the search checks the type in the entity endpoint's profile.
        if !may_be_old && !identity.is_of(requested.contact_type.as_ref()) {
            return Err(Error::NotFound);
        }
        Ok(matches)
    }

    /// Records the parts that the overview should contain and did not, or not readably. Until the back-off ends, their
    /// entity endpoints are used instead.
    fn note_parts_of_overview(&self, id: ContactId, start: FetchStart, included: PartSet) {
        let why = Error::Invalid {
            path: "overview".into(),
        };
        self.tiers
            .memory
            .note_overview_parts(id, start, included, &why);
    }
}
