//! Makes the calls of a round concurrently, waits for them, and applies their results.

use super::{Search, calls::Calls};
use crate::{
    cache::{
        fence::Sequence,
        flight::{FlightError, FlightHandle, Joined},
    },
    customer::{
        Error,
        fetch::{FetchOutcome, FetchRequest},
    },
    domain::{Demand, PartSet},
    engage,
};

impl<'a> Search<'a> {
    /// Makes the calls concurrently and applies their results, until the deadline.
    pub(super) async fn wait_for(&mut self, calls: &Calls) -> Result<(), Error> {
        let overview = calls.overview.as_ref().map(|(lookup, not_before)| {
            let demand = self.demand(calls.from_overview, calls.corrects);
            self.inner
                .join_overview(lookup, self.fetch_request(*not_before, demand))
        });
        let resolution = calls.resolution.map(|not_before| {
            let must_be_fresh = calls.corrects || self.query.wants_resolution();
            let demand = self.demand(PartSet::EMPTY, must_be_fresh);
            self.inner
                .join_resolution(&self.query.lookup, self.fetch_request(not_before, demand))
        });
        let entities: Vec<_> = calls
            .entities
            .iter()
            .map(|(id, part, not_before)| {
                let must_be_fresh = calls.corrects || self.query.fresh.contains(*part);
                let demand = self.demand((*part).into(), must_be_fresh);
                let request = self.fetch_request(*not_before, demand);
                (*id, *part, self.inner.join_part(*id, *part, request))
            })
            .collect();
        if let Some(handle) = resolution {
            let outcome = self.wait_for_flight(handle).await;
            self.apply_resolution(outcome)?;
        }
        if let Some(handle) = overview {
            let outcome = self.wait_for_flight(handle).await;
            self.apply_overview(outcome, calls)?;
        }
        for (id, part, handle) in entities {
            // The alias leads to another contact by now, so this call is about the wrong one.
            if self.alias().is_some_and(|alias| alias.id != id) {
                continue;
            }
            let outcome = self.wait_for_flight(handle).await;
            self.apply_part(part, outcome)?;
        }
        Ok(())
    }

    /// A call that this request waits for.
    fn fetch_request(&self, not_before: Sequence, demand: Demand) -> FetchRequest<'a> {
        FetchRequest {
            cause: self.query.cause(),
            flow: &self.query.flow,
            priority: self.query.priority(),
            not_before,
            demand,
            trace: self.query.trace.as_deref(),
        }
    }

    /// Waits for a call until it ends or the deadline passes.
    async fn wait_for_flight(
        &mut self,
        handle: Result<FlightHandle<FetchOutcome>, FlightError>,
    ) -> Result<FetchOutcome, Error> {
        let handle = handle.map_err(engage::Error::from)?;
        self.collapsed |= handle.joined == Joined::Collapsed;
        self.query.note_joined(&handle);
        tokio::select! {
            biased;
            outcome = handle.outcome() => Ok(outcome.map_err(engage::Error::from)?),
            () = self.inner.clock.sleep_until(self.deadline) => {
                self.is_slow |= self.query.is_hasty || self.deadline < self.query.deadline;
                Err(Error::TooLate)
            }
        }
    }
}
