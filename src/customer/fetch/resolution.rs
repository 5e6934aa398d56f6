//! A call that resolves an alias by its entity endpoint.

use super::{FetchOutcome, Fetched};
use crate::{
    cache::{CallKey, flight::FlightStart, freshness::FetchSource},
    customer::{
        Inner,
        tiers::{BeginOutcome, Fill, Target},
    },
    domain::Lookup,
    engage::Cause,
};

impl Inner {
    pub(super) async fn fetch_resolution(
        &self,
        requested: &Lookup,
        cause: Cause,
        flight: &FlightStart<FetchOutcome>,
    ) -> FetchOutcome {
        let target = Target::Resolution(requested);
        let (lease, permit) = match self.tiers.begin(target, &self.engage, flight).await {
            Ok(BeginOutcome::Call(lease, permit)) => (lease, permit),
            Ok(BeginOutcome::Shared(start, found)) => return FetchOutcome::shared(start, found),
            Err(error) => return FetchOutcome::not_admitted(error),
        };
        let start = lease.start();
        let key = requested.key();
        // The answer is only an id, so there is nothing to check. The search compares that contact's profile with the
        // identifier.
        let outcome = match self.engage.contact_id(permit, requested).await {
            Ok(id) => {
                let fill = Fill::Resolution { requested, id };
                let stored = self.tiers.store(lease, fill).await;
                stored.map(|stored| Fetched::new(id, stored))
            }
            Err(error) => {
                let source = FetchSource::Entity;
                Err(self.store_negative(lease, requested, source, error).await)
            }
        };
        self.finish(&CallKey::Resolution(key.clone()), start, cause, outcome)
    }
}
