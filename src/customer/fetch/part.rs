//! A call of the entity endpoint of one part.

use super::{FetchOutcome, Fetched};
use crate::{
    cache::{CallKey, PartData, flight::FlightStart, freshness::FetchSource},
    customer::{
        Inner,
        tiers::{BeginOutcome, Fill, Target},
    },
    domain::{ContactId, Lookup, Part},
    engage::{Cause, Error, Permit},
};

impl Inner {
    pub(super) async fn fetch_part(
        &self,
        id: ContactId,
        part: Part,
        cause: Cause,
        flight: &FlightStart<FetchOutcome>,
    ) -> FetchOutcome {
        let target = Target::Part(id, part);
        let (lease, permit) = match self.tiers.begin(target, &self.engage, flight).await {
            Ok(BeginOutcome::Call(lease, permit)) => (lease, permit),
            Ok(BeginOutcome::Shared(start, found)) => return FetchOutcome::shared(start, found),
            Err(error) => return FetchOutcome::not_admitted(error),
        };
        let start = lease.start();
        let outcome = match self.read_part(permit, id, part).await {
            Ok(data) => {
                let stored = self.tiers.store(lease, Fill::Part(id, data)).await;
                stored.map(|stored| Fetched::new(id, stored))
            }
            // Only the profile says something about the contact itself.
            Err(error) if part == Part::Profile => {
                let (lookup, source) = (Lookup::by_id(id), FetchSource::Entity);
                let fences = &self.tiers.memory.fences;
                // Whether no later change has overtaken this result.
                let holds = start.sequence > fences.negatives_not_before(lookup.key());
                if error == Error::NotFound && holds {
                    // While the overview lags, its copy could bring the contact back.
                    self.purge_missing_contact(id).await;
                }
                Err(self.store_negative(lease, &lookup, source, error).await)
            }
            Err(error) => {
                self.tiers.release(lease).await;
                Err(error)
            }
        };
        self.finish(&CallKey::Part(id, part), start, cause, outcome)
    }

    /// Calls the part's entity endpoint. Fails if the response names another contact.
    async fn read_part(
        &self,
        permit: Permit,
        id: ContactId,
        part: Part,
    ) -> Result<PartData, Error> {
        let engage = &self.engage;
        Ok(match part {
            Part::Profile => PartData::Profile(Box::new(engage.contact(permit, id).await?)),
            Part::Promotions => PartData::Promotions(engage.promotions(permit, id).await?),
            Part::Vouchers => PartData::Vouchers(engage.vouchers(permit, id).await?),
            Part::Points => PartData::Points(engage.points(permit, id).await?),
            Part::Audiences => unreachable!("audiences have no entity endpoint"),
        })
    }
}
