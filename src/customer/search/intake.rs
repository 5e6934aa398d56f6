//! What the calls brought, taken in: what counts of it, and what a failure leaves wanting.

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
    pub(super) fn take_in_resolution(
        &mut self,
        fetched: Result<FetchOutcome, Error>,
    ) -> Result<(), Error> {
        match fetched.and_then(|fetched| self.weigh(fetched)) {
            Ok(Some(gain)) => self.named = gain.alias,
            Ok(None) => {}
            Err(error) => {
                self.settle(PartSet::EMPTY, error)?;
                self.name_failed = true;
            }
        }
        Ok(())
    }

    pub(super) fn take_in_overview(
        &mut self,
        fetched: Result<FetchOutcome, Error>,
        calls: &Calls,
    ) -> Result<(), Error> {
        let start = fetched.as_ref().ok().and_then(|fetched| fetched.start);
        match fetched.and_then(|fetched| self.weigh(fetched)) {
            Ok(Some(gain)) => {
                let fences = &self.inner.cache.fences;
                // What a fence has overtaken was not said: it is asked for once more.
                let is_overtaken = |part: &Part| {
                    start.is_some_and(|start| !fences.allows(gain.id, *part, start.sequence))
                };
                let overtaken = calls.from_overview.iter().filter(is_overtaken).collect();
                let untold = calls
                    .from_overview
                    .without(gain.parts.held().union(overtaken));
                self.untold = self.untold.union(untold);
                if untold.contains(Part::Audiences) {
                    self.failed.insert(Part::Audiences);
                }
                self.take_in(&gain);
            }
            Ok(None) => {}
            Err(Error::Upstream(error)) if error.is_too_large() => {
                // The entity endpoints fill what they can.
                self.too_large = true;
                self.untold = self.untold.union(self.inner.engage.overview_parts());
                self.failed.insert(Part::Audiences);
            }
            // Which contact the name leads to is known; the overview may not have seen it yet.
            Err(Error::Upstream(error))
                if error.is_about_the_identifier() && self.is_resolved() =>
            {
                self.untold = self.untold.union(calls.from_overview);
                if calls.from_overview.contains(Part::Audiences) {
                    self.failed.insert(Part::Audiences);
                }
            }
            Err(error) => {
                self.settle(calls.from_overview, error)?;
                self.name_failed |= !self.is_resolved();
            }
        }
        Ok(())
    }

    /// Whether the name was resolved for this question.
    fn is_resolved(&self) -> bool {
        self.named
            .is_some_and(|alias| self.query.is_resolved_by(&alias.provenance))
    }

    pub(super) fn take_in_part(
        &mut self,
        part: Part,
        fetched: Result<FetchOutcome, Error>,
    ) -> Result<(), Error> {
        if part == Part::Profile {
            return self.take_in_profile(fetched);
        }
        let outcome = fetched.and_then(|fetched| Ok(fetched.outcome?));
        match outcome {
            Ok(gain) => self.take_in(&gain),
            // It speaks for this part alone: of a missing profile another call is the cause.
            Err(error) => {
                if let Error::Upstream(upstream) = &error
                    && !upstream.allows_stale()
                {
                    self.denied.insert(part);
                }
                self.failed.insert(part);
            }
        }
        Ok(())
    }

    fn take_in_profile(&mut self, fetched: Result<FetchOutcome, Error>) -> Result<(), Error> {
        match fetched.and_then(|fetched| self.weigh(fetched)) {
            Ok(Some(gain)) => self.take_in(&gain),
            Ok(None) => {}
            // The contact itself is gone or another's: that concerns the whole answer.
            Err(error) => {
                let gone = error == Error::Upstream(engage::Error::NotFound);
                let is_old = |alias: Alias| alias.provenance.sequence < self.query.arrival;
                let may_move = !self.query.lookup.key().is_contact_id();
                // The contact's end took its old names along, and they may have found a new owner.
                if gone && may_move && self.named.is_none_or(is_old) {
                    self.disown();
                    return Ok(());
                }
                self.settle(Part::Profile.into(), error)?;
            }
        }
        Ok(())
    }

    fn take_in(&mut self, gain: &Fetched) {
        self.stored |= !gain.parts.held().is_empty();
        if gain.alias.is_some() && !self.is_resolved() {
            self.named = gain.alias;
        }
        match &mut self.gained {
            Some((id, parts)) if *id == gain.id => {
                parts.merge(&gain.parts, Duration::MAX);
            }
            gained => *gained = Some((gain.id, gain.parts.as_ref().clone())),
        }
    }

    /// What a fence has overtaken counts as not said: a "nobody" or "several" that is older than the
    /// last word about contacts, and what a name led to before it was dropped.
    fn weigh(&self, fetched: FetchOutcome) -> Result<Option<Fetched>, Error> {
        match fetched.outcome {
            Ok(gain) => Ok(Some(gain)),
            Err(engage::Error::Overtaken) => Ok(None),
            Err(error) => {
                let key = self.query.lookup.key();
                let not_before = self.inner.cache.fences.negatives_not_before(key);
                let outdated = fetched
                    .start
                    .is_some_and(|start| start.sequence <= not_before);
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
}
