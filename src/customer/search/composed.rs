//! Searches that are steps of a larger request. They differ only in how they begin.

use super::Search;
use crate::{
    clock::Tick,
    customer::{Error, Found},
    domain::{ContactId, PartSet},
};

impl Search<'_> {
    /// Answers the request. The search begins at `now`, later than the request arrived.
    pub(in crate::customer) async fn run_at(mut self, now: Tick) -> Result<Found, Error> {
        let step = self.next_step(now)?;
        self.follow(step).await
    }

    /// Assumes that the query's contact id exists. Its type is checked in its profile.
    pub(in crate::customer) fn of_known_contact(mut self, id: ContactId) -> Self {
        self.found_alias = Some(self.inner.tiers.alias_of_id(id));
        self
    }

    /// Fetches these parts only from their entity endpoints.
    pub(in crate::customer) fn without_overview(mut self, parts: PartSet) -> Self {
        self.expect_none_in_overview(parts);
        self
    }
}
