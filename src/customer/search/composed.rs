//! Searches that are steps of one request: how they begin differs.

use super::Search;
use crate::{
    clock::Tick,
    customer::{Error, Found},
    domain::{ContactId, PartSet},
};

impl Search<'_> {
    /// Answers the request; the search begins later than it arrived.
    pub(in crate::customer) async fn run_at(mut self, now: Tick) -> Result<Found, Error> {
        let step = self.next_step(now)?;
        self.follow(step).await
    }

    /// Takes for granted that the query's contact id exists; its type is checked in its profile.
    pub(in crate::customer) fn of_known_contact(mut self, id: ContactId) -> Self {
        self.found_alias = Some(self.inner.tiers.alias_of_id(id));
        self
    }

    /// Leaves these parts to their entity endpoints.
    pub(in crate::customer) fn without_overview(mut self, parts: PartSet) -> Self {
        self.expect_none_in_overview(parts);
        self
    }
}
