//! Which calls bring what is missing: what expired from the overview, one call for all of it; what was
//! invalidated, or is asked for fresh, from its entity endpoint.

use super::{Held, Search, There};
use crate::{
    cache::{Alias, CallKey, fence::Sequence, freshness::Freshness, parts::Origins},
    clock::Tick,
    customer::fetch::FetchRequest,
    domain::{ContactId, Lookup, Part, PartSet, Urgency},
};

/// The calls of one round.
#[derive(Default)]
pub(super) struct Calls {
    /// The overview, by what it is asked, and after which stamp it must begin.
    pub(super) overview: Option<(Lookup, Sequence)>,
    /// The parts that the overview is asked for.
    pub(super) from_overview: PartSet,
    /// The resolution of the name, and after which stamp it must begin.
    pub(super) resolution: Option<Sequence>,
    /// Entity endpoints, and after which stamps they must begin.
    pub(super) entities: Vec<(ContactId, Part, Sequence)>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.overview.is_none() && self.resolution.is_none() && self.entities.is_empty()
    }
}

impl Search<'_> {
    /// The calls that resolve the name: the overview, which brings the parts too, unless its lag could
    /// bring a wrong name back.
    pub(super) fn calls_for_alias(&self, id: Option<ContactId>, now: Tick) -> Calls {
        let fences = &self.inner.cache.fences;
        let lookup = &self.query.lookup;
        let not_before = fences.negatives_not_before(lookup.key());
        let resolution = self.resolution_wanted(self.alias().as_ref());
        if self.too_large || fences.alias_is_entity_only(lookup.key(), now) {
            return Calls {
                resolution: resolution.or(Some(not_before)),
                ..Calls::default()
            };
        }
        let tellable = self.inner.engage.overview_parts();
        let fence = id.map(|id| {
            let parts = tellable.without(fences.entity_only(id, now));
            fences.not_before(id, parts)
        });
        Calls {
            overview: Some((lookup.clone(), not_before.max(fence.unwrap_or_default()))),
            from_overview: self.query.asked.intersection(tellable),
            resolution,
            ..Calls::default()
        }
    }

    /// After which stamp the call must begin that resolves the name anew, if one has to.
    pub(super) fn resolution_wanted(&self, alias: Option<&Alias>) -> Option<Sequence> {
        let query = self.query;
        let is_resolved = alias.is_some_and(|alias| query.is_resolved_by(&alias.provenance));
        (query.wants_resolution() && !is_resolved).then(|| {
            let fences = &self.inner.cache.fences;
            query
                .arrival
                .max(fences.negatives_not_before(query.lookup.key()))
        })
    }

    /// The call that asks the contact named, at its entity endpoint, whether it bears the name.
    pub(super) fn calls_for_proof(&self, alias: &Alias) -> Calls {
        let not_before = self
            .part_not_before(alias.id, Part::Profile)
            .max(alias.provenance.sequence);
        Calls {
            entities: vec![(alias.id, Part::Profile, not_before)],
            ..Calls::default()
        }
    }

    /// The calls that bring the missing parts of a known contact.
    pub(super) fn calls_for_parts(&self, held: &Held, missing: PartSet, now: Tick) -> Calls {
        let id = held.id;
        let fences = &self.inner.cache.fences;
        let tellable = self.inner.engage.overview_parts();
        let from_entity = missing
            .intersection(
                fences
                    .entity_only(id, now)
                    .union(self.query.fresh)
                    .union(self.untold)
                    .union(PartSet::ALL.without(tellable)),
            )
            .without(Part::Audiences.into());
        let from_overview = missing.without(from_entity);
        let mut calls = Calls {
            from_overview,
            ..Calls::default()
        };
        if !from_overview.is_empty() {
            calls.overview = Some(self.overview_of(id, from_overview, now));
        }
        // Cold and fresh at once: the overview first, which says whether there is such a contact.
        let is_cold = held.held().is_empty() && !from_overview.is_empty();
        let at_once = if is_cold {
            from_entity.without(tellable).without(self.query.fresh)
        } else {
            from_entity
        };
        calls.entities = at_once
            .iter()
            .map(|part| (id, part, self.part_not_before(id, part)))
            .collect();
        calls
    }

    fn part_not_before(&self, id: ContactId, part: Part) -> Sequence {
        let fence = self.inner.cache.fences.not_before(id, part.into());
        if self.query.fresh.contains(part) {
            fence.max(self.query.arrival)
        } else {
            fence
        }
    }

    /// The overview is asked by the name that was asked for, which renews the name too, unless its lag
    /// could bring a wrong one back.
    fn overview_of(&self, id: ContactId, parts: PartSet, now: Tick) -> (Lookup, Sequence) {
        let fences = &self.inner.cache.fences;
        let lookup = &self.query.lookup;
        let lookup = if fences.alias_is_entity_only(lookup.key(), now) {
            Lookup::by_id(id)
        } else {
            lookup.clone()
        };
        let not_before = fences
            .not_before(id, parts)
            .max(fences.negatives_not_before(lookup.key()));
        (lookup, not_before)
    }

    /// Starts the calls that renew what is stale, or will be soon, and waits for none of them.
    pub(super) fn refresh(&self, there: &There) {
        let There {
            held, plan, now, ..
        } = there;
        let now = *now;
        if !self.inner.cache.is_on() {
            return;
        }
        let name_is_stale = there.alias == Some(Freshness::Stale);
        let mut parts = plan.refresh.without(self.failed);
        let mut urgency = Urgency::Refresh;
        if parts.is_empty() && !name_is_stale && !plan.ahead.is_empty() {
            // Nobody waits for it and nothing is stale yet: only where the budget has room to spare.
            if !self.inner.engage.has_room_to_spare() {
                return;
            }
            parts = plan.ahead;
            urgency = Urgency::Ahead;
        }
        if self.query.only_if_cached || (parts.is_empty() && !name_is_stale) {
            return;
        }
        let id = held.id;
        let fences = &self.inner.cache.fences;
        let wish = |not_before| FetchRequest {
            flow: &self.query.flow,
            urgency,
            not_before,
        };
        let cache = &self.inner.cache;
        let mut from_overview = parts
            .intersection(self.inner.engage.overview_parts())
            .without(fences.entity_only(id, now))
            .without(self.untold.union(cache.untold(id, now)));
        if !from_overview.is_empty() || name_is_stale {
            let (lookup, not_before) = self.overview_of(id, from_overview, now);
            let mut owners = cache.overview_calls(lookup.key());
            let is_too_large = match owners.find_map(|call| cache.failure(&call, now)) {
                None => {
                    drop(self.inner.join_overview(&lookup, wish(not_before)));
                    false
                }
                Some((error, _)) => error.is_too_large(),
            };
            if is_too_large {
                from_overview = PartSet::EMPTY;
            }
            let key = self.query.lookup.key();
            let call = || CallKey::Resolution(key.clone());
            if name_is_stale
                && !key.is_contact_id()
                && (is_too_large || lookup.key() != key)
                && cache.failure(&call(), now).is_none()
            {
                let seat = self
                    .inner
                    .join_resolution(&self.query.lookup, wish(not_before));
                drop(seat);
            }
        }
        let entities = parts.without(from_overview).without(Part::Audiences.into());
        for part in entities.iter() {
            if cache.failure(&CallKey::Part(id, part), now).is_none() {
                let not_before = fences.not_before(id, part.into());
                drop(self.inner.join_part(id, part, wish(not_before)));
            }
        }
    }
}
