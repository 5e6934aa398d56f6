//! Applies the results of calls to the search: which results count, and what a failure leaves missing.

use std::time::Duration;

use super::{Search, calls::Calls};
use crate::{
    cache::{Alias, parts::Origins},
    customer::{
        Error,
        fetch::{FetchOutcome, Fetched},
    },
    domain::{Part, PartSet},
    engage,
};

impl Search<'_> {
    pub(super) fn apply_resolution(
        &mut self,
        outcome: Result<FetchOutcome, Error>,
    ) -> Result<(), Error> {
        match outcome.and_then(|outcome| self.unless_overtaken(outcome)) {
            Ok(Some(fetched)) => self.found_alias = fetched.alias,
            Ok(None) => {}
            Err(error) => {
                self.note_failure(PartSet::EMPTY, error)?;
                self.alias_failed = true;
            }
        }
        Ok(())
    }

    pub(super) fn apply_overview(
        &mut self,
        outcome: Result<FetchOutcome, Error>,
        calls: &Calls,
    ) -> Result<(), Error> {
        let start = outcome.as_ref().ok().and_then(|outcome| outcome.start);
        match outcome.and_then(|outcome| self.unless_overtaken(outcome)) {
            Ok(Some(fetched)) => {
                let fences = &self.inner.tiers.memory.fences;
                // A part that a fence has overtaken is requested once more.
                let is_overtaken = |part: &Part| {
                    start.is_some_and(|start| !fences.allows(fetched.id, *part, start.sequence))
                };
                let overtaken = calls.from_overview.iter().filter(is_overtaken).collect();
                let missing = calls
                    .from_overview
                    .without(fetched.parts.present().union(overtaken));
                if !fetched.is_shared {
                    self.expect_none_in_overview(missing);
                }
                self.apply(&fetched);
            }
            Ok(None) => {}
            Err(Error::Upstream(error)) if error.is_too_large() => {
                // The entity endpoints fill what they can instead.
                self.too_large = true;
                self.expect_none_in_overview(self.inner.engage.overview_parts());
            }
            // The alias was resolved for this request; the overview may not know of it yet.
            Err(Error::Upstream(error))
                if error.is_about_the_identifier() && self.is_resolved() =>
            {
                self.expect_none_in_overview(calls.from_overview);
            }
            // The overview was requested by the id to which the alias leads. Either the alias is outdated, or the
            // overview does not know the contact yet.
            Err(Error::Upstream(engage::Error::NotFound))
                if self.query.lookup.key().is_untyped() && self.alias_is_old() =>
            {
                self.drop_alias();
            }
            Err(Error::Upstream(error)) if self.lags_behind_alias(&error, calls) => {
                if let (Some(alias), Some(start)) = (self.alias(), start) {
                    let memory = &self.inner.tiers.memory;
                    memory.note_overview_parts(alias.id, start, PartSet::EMPTY, &error);
                }
                self.expect_none_in_overview(calls.from_overview);
            }
            Err(error) => {
                self.note_failure(calls.from_overview, error)?;
                self.alias_failed |= !self.is_resolved();
            }
        }
        Ok(())
    }

    /// Whether an overview that was requested by the contact id, not by this request's identifier, does not know the
    /// contact. That answer may be old.
    fn lags_behind_alias(&self, error: &engage::Error, calls: &Calls) -> bool {
        let key = self.query.lookup.key();
        let mut lookups = calls.overview.iter().map(|(lookup, _)| lookup);
        *error == engage::Error::NotFound && lookups.any(|lookup| lookup.key() != key)
    }

    /// Leaves the parts to their entity endpoints. A part that has none counts as failed.
    pub(super) fn expect_none_in_overview(&mut self, parts: PartSet) {
        self.not_in_overview = self.not_in_overview.union(parts);
        let lost = parts.without(PartSet::INVALIDATABLE);
        self.failed = self.failed.union(lost);
    }

    /// Whether the alias was resolved for this request.
    fn is_resolved(&self) -> bool {
        self.found_alias
            .is_some_and(|alias| self.query.is_resolved_by(&alias))
    }

    /// Whether the alias was not resolved by a call of this replica since the request arrived: this request's calls
    /// found none, an earlier one, or another replica's.
    fn alias_is_old(&self) -> bool {
        let is_old = |alias: Alias| {
            alias.provenance.is_shared || alias.provenance.sequence < self.query.arrival
        };
        self.found_alias.is_none_or(is_old)
    }

    pub(super) fn apply_part(
        &mut self,
        part: Part,
        outcome: Result<FetchOutcome, Error>,
    ) -> Result<(), Error> {
        if part == Part::Profile {
            return self.apply_profile(outcome);
        }
        let fetched = outcome.and_then(|outcome| Ok(outcome.outcome?));
        match fetched {
            Ok(fetched) => self.apply(&fetched),
            // Not stored in `self.failure`: that error is returned if the profile is missing, and this call is not the
            // reason.
            Err(error) => {
                if let Error::Upstream(upstream) = &error
                    && !upstream.allows_stale()
                {
                    self.no_stale.insert(part);
                }
                self.keep_failure(part.into(), &error);
                self.failed.insert(part);
            }
        }
        Ok(())
    }

    fn apply_profile(&mut self, outcome: Result<FetchOutcome, Error>) -> Result<(), Error> {
        match outcome.and_then(|outcome| self.unless_overtaken(outcome)) {
            Ok(Some(fetched)) => self.apply(&fetched),
            Ok(None) => {}
            // If the contact is gone, or the response is about another one, this concerns all parts: `note_failure`
            // ends the search.
            Err(error) => {
                let is_gone = error == Error::Upstream(engage::Error::NotFound);
                let may_move = !self.query.lookup.key().is_contact_id();
                // The old aliases of a deleted contact may belong to another contact by now.
                if is_gone && may_move && self.alias_is_old() {
                    self.drop_alias();
                    return Ok(());
                }
                self.note_failure(Part::Profile.into(), error)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, fetched: &Fetched) {
        self.stored |= !fetched.is_shared && !fetched.parts.present().is_empty();
        if fetched.alias.is_some() && !self.is_resolved() {
            self.found_alias = fetched.alias;
        }
        match &mut self.fetched {
            Some((id, parts)) if *id == fetched.id => {
                parts.merge(&fetched.parts, Duration::MAX);
            }
            other => *other = Some((fetched.id, fetched.parts.as_ref().clone())),
        }
    }

    /// `None` if an invalidation has overtaken the outcome: the alias was dropped since, or the outcome is a negative
    /// result older than the last change of any contact.
    fn unless_overtaken(&self, outcome: FetchOutcome) -> Result<Option<Fetched>, Error> {
        match outcome.outcome {
            Ok(fetched) => Ok(Some(fetched)),
            Err(engage::Error::Overtaken) => Ok(None),
            Err(error) => {
                let key = self.query.lookup.key();
                let not_before = self.inner.tiers.memory.fences.negatives_not_before(key);
                let is_outdated = outcome
                    .start
                    .is_some_and(|start| start.sequence <= not_before);
                if error.is_about_the_identifier() && is_outdated {
                    return Ok(None);
                }
                Err(error.into())
            }
        }
    }

    /// Records that the parts failed. Ends the search with the error if the error rules out stale data.
    fn note_failure(&mut self, parts: PartSet, error: Error) -> Result<(), Error> {
        if let Error::Upstream(upstream) = &error
            && !upstream.allows_stale()
        {
            return Err(error);
        }
        self.failed = self.failed.union(parts);
        self.keep_failure(parts, &error);
        self.failure.get_or_insert(error);
        Ok(())
    }
}
