//! What a request wants, and which parts it lacks: pure functions of the time.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{
        Alias,
        fence::Sequence,
        freshness::{FetchSource, Freshness, Policy, Provenance},
        parts::Origins,
    },
    clock::{Now, Tick},
    domain::{ContactType, Flow, Lookup, Part, PartSet, Priority, RequestId},
    traces::RequestTrace,
};

/// The purpose of a request, which sets the priority of its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// A shopper or a member of staff waits for the response.
    #[default]
    Person,
    /// One of many customers of a batch: its calls have a lower priority than those of interactive requests.
    Batch,
    /// Only caches the customer: stale parts are refreshed, with a lower priority than interactive requests.
    Prefetch,
}

/// A request for one customer.
#[derive(Clone, Debug)]
pub struct CustomerQuery {
    /// The id of the request, for the log.
    pub request_id: Option<RequestId>,
    /// The flow whose share of the upstream calls it uses.
    pub flow: Flow,
    /// The identifier, and the contact type that narrows it.
    pub lookup: Lookup,
    /// If several contacts share the identifier, the only one of this type is meant. Used only if the request leaves
    /// the type open.
    pub prefer: Option<ContactType>,
    /// The requested parts.
    pub requested: PartSet,
    /// Those of them that are requested fresh.
    pub fresh: PartSet,
    /// When it arrived.
    pub now: Now,
    /// The sequence of its arrival. Fresh data must have been fetched after it.
    pub arrival: Sequence,
    /// The greatest age of data that it accepts.
    pub max_age: Option<Duration>,
    /// Whether it accepts a cached answer only.
    pub only_if_cached: bool,
    /// Whether it accepts stale data if Engage fails or is slow.
    pub stale_if_error: bool,
    /// The end of its wait.
    pub deadline: Tick,
    /// Whether the caller's own limit ends the wait earlier than the service's would. If so, a time-out is not Engage's
    /// fault.
    pub is_hasty: bool,
    /// Its purpose.
    pub purpose: Purpose,
    /// Its trace; `None` if none is recorded.
    pub trace: Option<Arc<RequestTrace>>,
}

/// What must be fetched before a request can be answered, and what can be fetched in the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Parts that the response must wait for.
    pub missing: PartSet,
    /// Parts that are served stale while they are refreshed.
    pub refresh: PartSet,
    /// Parts that are still fresh but expire soon: they are refreshed early, because this request shows that they are
    /// in use.
    pub ahead: PartSet,
}

impl CustomerQuery {
    /// Which of the requested parts are missing at `now`.
    pub fn plan(&self, parts: &impl Origins, now: Tick, policy: &Policy) -> Plan {
        let mut plan = Plan::default();
        for part in self.requested.iter() {
            let Some(provenance) = parts.provenance(part) else {
                plan.missing.insert(part);
                continue;
            };
            let unfresh = self.fresh.contains(part) && !self.is_fresh_enough(provenance);
            if unfresh || self.is_too_old(provenance, now) {
                plan.missing.insert(part);
                continue;
            }
            let fresh_until = provenance.fresh_until(now, policy);
            match provenance.freshness_given(fresh_until, now, policy) {
                Freshness::Fresh
                    if self.purpose == Purpose::Person
                        && provenance.expires_soon_given(fresh_until, now) =>
                {
                    plan.ahead.insert(part);
                }
                Freshness::Fresh => {}
                Freshness::Stale if self.purpose == Purpose::Prefetch => plan.missing.insert(part),
                Freshness::Stale => plan.refresh.insert(part),
                Freshness::Expired | Freshness::Dead => plan.missing.insert(part),
            }
        }
        plan
    }

    /// The priority of the calls that the request waits for.
    pub(super) fn priority(&self) -> Priority {
        match self.purpose {
            Purpose::Batch | Purpose::Prefetch => Priority::Deferred,
            Purpose::Person if self.fresh.is_empty() => Priority::Miss,
            Purpose::Person => Priority::Fresh,
        }
    }

    /// The freshness from which on an alias must be resolved again before it is used.
    pub(super) fn outdated_alias(&self) -> Freshness {
        match self.purpose {
            Purpose::Person | Purpose::Batch => Freshness::Expired,
            Purpose::Prefetch => Freshness::Stale,
        }
    }

    /// Whether this replica fetched the data from its entity endpoint after the request arrived.
    fn is_fresh_enough(&self, provenance: &Provenance) -> bool {
        let is_later = provenance.sequence > self.arrival && !provenance.is_shared;
        is_later && provenance.source == FetchSource::Entity
    }

    /// Whether the alias must be resolved again: if a fresh profile is requested, it must be that of the contact to
    /// which the identifier leads now. A contact id leads to itself.
    pub fn wants_resolution(&self) -> bool {
        self.fresh.contains(Part::Profile) && !self.lookup.key().is_contact_id()
    }

    /// Whether the alias was resolved again for this request. A profile that shows the identifier does not resolve it:
    /// another contact may have it too.
    pub fn is_resolved_by(&self, alias: &Alias) -> bool {
        self.wants_resolution() && !alias.is_learned && self.is_fresh_enough(&alias.provenance)
    }

    /// Whether the data is older than the request accepts. Data that this replica fetched after the request arrived is
    /// never too old, however long the call took.
    pub(super) fn is_too_old(&self, provenance: &Provenance, now: Tick) -> bool {
        (provenance.sequence <= self.arrival || provenance.is_shared)
            && self
                .max_age
                .is_some_and(|max_age| provenance.age(now) > max_age)
    }
}
