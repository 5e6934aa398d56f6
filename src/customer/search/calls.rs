//! Chooses the calls that fetch what is missing. Expired parts come from the overview, with one call for all of them;
//! parts that were invalidated or are requested fresh come from their entity endpoints.

use std::time::Duration;

use super::{Ready, Search};
use crate::{
    cache::{Alias, CallKey, fence::Sequence, freshness::Freshness, parts::Origins},
    clock::Tick,
    customer::{fetch::FetchRequest, found::CachedRecord},
    domain::{ContactId, Demand, Lookup, Part, PartSet, Priority},
};

/// The calls of one round.
#[derive(Default)]
pub(super) struct Calls {
    /// The call of the overview: the lookup, and the sequence after which the call must begin.
    pub(super) overview: Option<(Lookup, Sequence)>,
    /// The parts that the overview is expected to return.
    pub(super) from_overview: PartSet,
    /// The resolution of the alias: the sequence after which it must begin.
    pub(super) resolution: Option<Sequence>,
    /// The calls of entity endpoints, each with the sequence after which it must begin.
    pub(super) entities: Vec<(ContactId, Part, Sequence)>,
    /// Whether the calls correct something that was found to be wrong. Another replica's data can't do that.
    pub(super) corrects: bool,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.overview.is_none() && self.resolution.is_none() && self.entities.is_empty()
    }
}

impl Search<'_> {
    /// The calls that resolve the alias. This is the overview, which returns the parts too, unless it is too large, its
    /// lagging copy could bring a wrong alias back, or it needs the contact type that the request leaves open.
    pub(super) fn calls_for_alias(&self, id: Option<ContactId>, now: Tick) -> Calls {
        let fences = &self.inner.tiers.memory.fences;
        let lookup = &self.query.lookup;
        let not_before = fences.negatives_not_before(lookup.key());
        let resolution = self.resolution_wanted(self.alias().as_ref());
        let is_entity_only = fences.alias_is_entity_only(lookup.key(), now);
        if self.too_large || is_entity_only || lookup.key().is_untyped() {
            return Calls {
                resolution: resolution.or(Some(not_before)),
                corrects: is_entity_only,
                ..Calls::default()
            };
        }
        let overview_parts = self.inner.engage.overview_parts();
        let fence = id.map(|id| {
            let parts = overview_parts.without(fences.entity_only(id, now));
            fences.not_before(id, parts)
        });
        Calls {
            overview: Some((lookup.clone(), not_before.max(fence.unwrap_or_default()))),
            from_overview: self.query.requested.intersection(overview_parts),
            resolution,
            ..Calls::default()
        }
    }

    /// The sequence after which a call that resolves the alias again must begin, if one is needed.
    pub(super) fn resolution_wanted(&self, alias: Option<&Alias>) -> Option<Sequence> {
        let query = self.query;
        let is_resolved = alias.is_some_and(|alias| query.is_resolved_by(alias));
        (query.wants_resolution() && !is_resolved).then(|| {
            let fences = &self.inner.tiers.memory.fences;
            query
                .arrival
                .max(fences.negatives_not_before(query.lookup.key()))
        })
    }

    /// The call that fetches the profile from its entity endpoint, to compare the alias with it.
    pub(super) fn calls_for_alias_check(&self, alias: &Alias) -> Calls {
        let not_before = self
            .part_not_before(alias.id, Part::Profile)
            .max(alias.provenance.sequence);
        Calls {
            entities: vec![(alias.id, Part::Profile, not_before)],
            corrects: true,
            ..Calls::default()
        }
    }

    /// The calls that fetch the missing parts of a known contact.
    pub(super) fn calls_for_parts(
        &self,
        record: &CachedRecord,
        missing: PartSet,
        now: Tick,
    ) -> Calls {
        let id = record.id;
        let fences = &self.inner.tiers.memory.fences;
        let overview_parts = self.inner.engage.overview_parts();
        let from_entity = missing
            .intersection(
                fences
                    .entity_only(id, now)
                    .union(self.query.fresh)
                    .union(self.not_in_overview)
                    .union(PartSet::ALL.without(overview_parts)),
            )
            .intersection(PartSet::INVALIDATABLE);
        let from_overview = missing.without(from_entity);
        let mut calls = Calls {
            from_overview,
            ..Calls::default()
        };
        if !from_overview.is_empty() {
            calls.overview = Some(self.overview_of(id, from_overview, now));
        }
        // If nothing is cached, the overview comes first, because it shows whether the contact exists; only parts that
        // it never contains and that are not requested fresh are fetched at the same time.
        let is_cold = record.present().is_empty() && !from_overview.is_empty();
        let immediate = if is_cold {
            from_entity
                .without(overview_parts)
                .without(self.query.fresh)
        } else {
            from_entity
        };
        calls.entities = immediate
            .iter()
            .map(|part| (id, part, self.part_not_before(id, part)))
            .collect();
        calls
    }

    fn part_not_before(&self, id: ContactId, part: Part) -> Sequence {
        let fence = self.inner.tiers.memory.fences.not_before(id, part.into());
        if self.query.fresh.contains(part) {
            fence.max(self.query.arrival)
        } else {
            fence
        }
    }

    /// The overview is requested by this request's identifier, which refreshes the alias too, unless its lagging copy
    /// could bring a wrong alias back, or it needs the contact type that the request leaves open.
    fn overview_of(&self, id: ContactId, parts: PartSet, now: Tick) -> (Lookup, Sequence) {
        let fences = &self.inner.tiers.memory.fences;
        let lookup = &self.query.lookup;
        let is_entity_only = fences.alias_is_entity_only(lookup.key(), now);
        let lookup = if is_entity_only || lookup.key().is_untyped() {
            Lookup::by_id(id)
        } else {
            lookup.clone()
        };
        let not_before = fences
            .not_before(id, parts)
            .max(fences.negatives_not_before(lookup.key()));
        (lookup, not_before)
    }

    /// Starts the calls that refresh the alias if it is stale, and parts that are stale or will be soon. Waits for none
    /// of them.
    pub(super) fn refresh(&self, ready: &Ready) {
        let Ready {
            record, plan, now, ..
        } = ready;
        let (id, now) = (record.id, *now);
        let memory = &self.inner.tiers.memory;
        if !memory.is_on() || self.query.only_if_cached {
            return;
        }
        let alias_is_stale = ready.alias == Some(Freshness::Stale);
        let mut parts = plan.refresh.without(self.failed);
        let mut priority = Priority::Refresh;
        if parts.is_empty() && !alias_is_stale && !plan.ahead.is_empty() {
            // No request waits for this and nothing is stale yet, so it runs only if the budget has room to spare.
            if !self.inner.engage.has_spare_capacity() {
                return;
            }
            parts = plan.ahead;
            priority = Priority::RefreshAhead;
        }
        if parts.is_empty() && !alias_is_stale {
            return;
        }
        let mut from_overview = parts
            .intersection(self.inner.engage.overview_parts())
            .without(memory.fences.entity_only(id, now))
            .without(
                self.not_in_overview
                    .union(memory.missing_from_overview(id, now)),
            );
        let is_by_overview = !self.query.lookup.key().is_untyped();
        if !from_overview.is_empty() || (alias_is_stale && is_by_overview) {
            let (lookup, not_before) = self.overview_of(id, from_overview, now);
            let request = self.background_request(priority, not_before, from_overview);
            if self.refresh_overview(&lookup, request, alias_is_stale, now) {
                from_overview = PartSet::EMPTY;
            }
        } else if alias_is_stale {
            let not_before = memory.fences.negatives_not_before(self.query.lookup.key());
            self.refresh_alias(
                self.background_request(priority, not_before, PartSet::EMPTY),
                now,
            );
        }
        let entities = parts
            .without(from_overview)
            .intersection(PartSet::INVALIDATABLE);
        for part in entities.iter() {
            if memory.failure(&CallKey::Part(id, part), now).is_none() {
                let not_before = memory.fences.not_before(id, part.into());
                let request = self.background_request(priority, not_before, part.into());
                drop(self.inner.join_part(id, part, request));
            }
        }
    }

    /// Starts a call of the overview unless it is in back-off, and one that resolves the alias if the overview can't.
    /// Returns whether the overview was recently too large to be read.
    fn refresh_overview(
        &self,
        lookup: &Lookup,
        request: FetchRequest<'_>,
        alias_is_stale: bool,
        now: Tick,
    ) -> bool {
        let memory = &self.inner.tiers.memory;
        let mut calls = memory.overview_calls(lookup.key());
        let is_too_large = match calls.find_map(|call| memory.failure(&call, now)) {
            None => {
                drop(self.inner.join_overview(lookup, request));
                false
            }
            Some((error, _)) => error.is_too_large(),
        };
        let key = self.query.lookup.key();
        if alias_is_stale && !key.is_contact_id() && (is_too_large || lookup.key() != key) {
            let request = FetchRequest {
                demand: any_of(PartSet::EMPTY),
                ..request
            };
            self.refresh_alias(request, now);
        }
        is_too_large
    }

    /// Starts a call that resolves the alias by its entity endpoint, unless it is in back-off.
    fn refresh_alias(&self, request: FetchRequest<'_>, now: Tick) {
        let lookup = &self.query.lookup;
        let call = CallKey::Resolution(lookup.key().clone());
        if self.inner.tiers.memory.failure(&call, now).is_none() {
            drop(self.inner.join_resolution(lookup, request));
        }
    }

    /// The request for a call that no request of a caller waits for. It accepts another replica's data if that is newer
    /// than what is cached.
    fn background_request(
        &self,
        priority: Priority,
        not_before: Sequence,
        needed: PartSet,
    ) -> FetchRequest<'_> {
        FetchRequest {
            cause: self.query.cause(),
            flow: &self.query.flow,
            priority,
            not_before,
            demand: any_of(needed),
            trace: self.query.trace.as_deref(),
        }
    }

    /// What this request needs of a call for these parts. Of another replica's data it accepts only what the request
    /// itself accepts.
    pub(super) fn demand(&self, needed: PartSet, must_be_fresh: bool) -> Demand {
        let max_age = if must_be_fresh || self.corrects {
            Duration::ZERO
        } else {
            let max_age = self.query.max_age.unwrap_or(Demand::ANY_AGE);
            max_age.min(Demand::ANY_AGE)
        };
        Demand { needed, max_age }
    }
}

/// These parts, of any age.
fn any_of(needed: PartSet) -> Demand {
    Demand {
        needed,
        max_age: Demand::ANY_AGE,
    }
}
