//! What a caller wants and what is missing for it: pure functions of the moment.

use std::time::Duration;

use crate::{
    cache::{
        fence::Sequence,
        freshness::{FetchSource, Freshness, Policy, Provenance},
        parts::Origins,
    },
    clock::{Now, Tick},
    domain::{Flow, Lookup, Part, PartSet},
};

/// A question about one customer.
#[derive(Clone, Debug)]
pub struct CustomerQuery {
    /// Whose share of the upstream calls it is part of.
    pub flow: Flow,
    /// Who is asked for.
    pub lookup: Lookup,
    /// The parts that the caller needs.
    pub asked: PartSet,
    /// Those of them that it needs as they are now.
    pub fresh: PartSet,
    /// When it was asked.
    pub now: Now,
    /// Its arrival: what is fresh began later.
    pub arrival: Sequence,
    /// The greatest age that it accepts.
    pub max_age: Option<Duration>,
    /// Whether it wants what is held only.
    pub only_if_cached: bool,
    /// Whether it accepts stale data where Engage fails.
    pub stale_if_error: bool,
    /// When its patience ends.
    pub deadline: Tick,
}

/// What is to be done for a question before it can be answered, and beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Parts without which there is no answer yet.
    pub missing: PartSet,
    /// Parts that are served stale while they are fetched anew.
    pub refresh: PartSet,
    /// Parts that are fresh and about to expire while somebody still wants them.
    pub ahead: PartSet,
}

impl CustomerQuery {
    /// What is missing of `parts` at `now`.
    pub fn plan(&self, parts: &impl Origins, now: Tick, policy: &Policy) -> Plan {
        let mut plan = Plan::default();
        for part in self.asked.iter() {
            let Some(provenance) = parts.provenance(part) else {
                plan.missing.insert(part);
                continue;
            };
            let unfresh = self.fresh.contains(part) && !self.is_fresh_enough(provenance);
            if unfresh || self.is_too_old(provenance, now) {
                plan.missing.insert(part);
                continue;
            }
            match provenance.freshness(now, policy) {
                Freshness::Fresh if provenance.expires_soon(now, policy) => plan.ahead.insert(part),
                Freshness::Fresh => {}
                Freshness::Stale => plan.refresh.insert(part),
                Freshness::Expired | Freshness::Dead => plan.missing.insert(part),
            }
        }
        plan
    }

    /// Whether the data was asked for, at its entity endpoint, after the caller arrived.
    fn is_fresh_enough(&self, provenance: &Provenance) -> bool {
        provenance.sequence > self.arrival && provenance.source == FetchSource::Entity
    }

    /// Whether the alias has to be resolved anew: a fresh profile is that of the contact which it leads to now. Engage
    /// resolves no contact ids.
    pub fn wants_resolution(&self) -> bool {
        self.fresh.contains(Part::Profile) && !self.lookup.key().is_contact_id()
    }

    /// Whether what led to the contact was resolved anew for this question.
    pub fn is_resolved_by(&self, alias: &Provenance) -> bool {
        self.wants_resolution() && self.is_fresh_enough(alias)
    }

    /// What was asked for after the caller arrived is as new as can be had, however long it took.
    pub(super) fn is_too_old(&self, provenance: &Provenance, now: Tick) -> bool {
        provenance.sequence <= self.arrival
            && self
                .max_age
                .is_some_and(|max_age| provenance.age(now) > max_age)
    }
}
