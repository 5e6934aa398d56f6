//! Checks whether a response is right.

use engage_bff::{
    cache::freshness::FetchSource,
    clock::Tick,
    customer::{CacheStatus, Found, StaleReason},
    domain::{Part, PartSet},
    engage,
};
use proptest::test_runner::TestCaseError;

use super::{
    Caller, CheckResult, Model, NEGATIVE_LIFETIME, STALE_IF_ERROR, STALE_IF_SLOW,
    STALE_WHILE_REVALIDATE, demand, lifetime,
};
use crate::{
    exchange::{Call, Delivery, Target, Wire},
    served::{ServedPart, served_parts},
    world::{Alias, TestLookup, World, id},
};

impl Model {
    /// Whether the response keeps every promise.
    pub(crate) fn check(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        found: &Found,
        now: Tick,
    ) -> CheckResult {
        let query = &caller.query;
        let served = served_parts(found)?;
        let shown: PartSet = served.iter().map(|served| served.part).collect();
        demand!(
            shown == found.shown,
            "P1",
            "{shown:?} is cached of {:?}",
            found.shown
        );
        demand!(
            found.shown.union(found.degraded) == query.requested
                && found.shown.is_subset(query.requested)
                && found.shown.contains(Part::Profile),
            "P2",
            "requested {:?}, shown {:?}, degraded {:?}",
            query.requested,
            found.shown,
            found.degraded
        );
        self.check_verdict(caller, found, now)?;
        let is_slow = found.verdict.stands_in == Some(StaleReason::Slow);
        let faults =
            self.small_budget || wire.last_fault.is_some() || is_slow || now >= query.deadline;
        let contact = served[0].contact;
        for served in &served {
            demand!(
                served.contact == contact,
                "P1",
                "the answer about contact {contact} has {:?} of contact {}",
                served.part,
                served.contact
            );
            let deliveries = self.check_finality(wire, served)?;
            let is_new = |delivery: &Delivery| delivery.at > caller.arrival;
            demand!(
                !caller.finds_it_off || deliveries.iter().any(is_new),
                "P3",
                "{served:?} was delivered before the request arrived, and the cache was off"
            );
            check_age(caller, found, served, faults, now)?;
            self.check_freshness(world, wire, caller, served, &deliveries)?;
            if served.part == Part::Profile {
                demand!(
                    matches!(caller.lookup.alias, Alias::Id(_))
                        || deliveries.iter().any(|delivery| !delivery.is_unreadable),
                    "P1",
                    "{:?} is answered from a profile whose identifiers can't be read",
                    caller.lookup
                );
                let is_in_doubt = deliveries.iter().any(|delivery| self.is_in_doubt(delivery));
                self.check_contact(world, wire, caller, served, is_in_doubt, now)?;
                self.check_window(world, caller, served, faults, now)?;
                self.check_source(world, wire, caller, served, faults, now)?;
            }
        }
        Ok(())
    }

    /// P2 and P3: what the response says about the cache is right.
    fn check_verdict(&self, caller: &Caller, found: &Found, now: Tick) -> CheckResult {
        let (query, verdict) = (&caller.query, &found.verdict);
        let is_bypass = verdict.status == CacheStatus::Bypass && !verdict.stored;
        demand!(
            is_bypass || !caller.finds_it_off || self.last_switch > caller.arrival,
            "P3",
            "the cache was off, and its verdict is {verdict:?}"
        );
        let may_be_slow =
            query.fresh.is_empty() && query.stale_if_error && now >= query.now.tick + STALE_IF_SLOW;
        demand!(
            may_be_slow || verdict.stands_in != Some(StaleReason::Slow),
            "P2",
            "stale data is served because of a slow call, and the request did not wait"
        );
        Ok(())
    }

    /// P1: the response is about the contact that has the identifier, according to what the service knows.
    fn check_contact(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        profile: &ServedPart,
        is_in_doubt: bool,
        now: Tick,
    ) -> CheckResult {
        let (lookup, contact) = (caller.lookup, profile.contact);
        if let Alias::Id(asked) = lookup.alias {
            demand!(
                asked == contact,
                "P1",
                "requested {asked}, answered about {contact}"
            );
            if lookup.kind.is_none() {
                return Ok(());
            }
        }
        let resolves = |call: &Call| leads_to(call, lookup, contact) && call.start > caller.arrival;
        demand!(
            !caller.query.fresh.contains(Part::Profile)
                || matches!(lookup.alias, Alias::Id(_))
                || wire.calls.iter().any(resolves),
            "P1",
            "{lookup:?} with a fresh profile is answered with contact {contact}, without a resolution since"
        );
        let was_alone = |call: &Call| {
            let response = call.response.as_ref();
            let named = response.and_then(|response| response.leads_to);
            call.target == Target::Resolution(lookup) && named == Some(contact)
        };
        demand!(
            caller.prefer.is_none_or(|kind| {
                let versions = profile.versions.iter();
                let mut kinds = versions.map(|at| world.at(*at).contacts[contact].kind);
                kinds.any(|shown| shown == kind)
            }) || wire.calls.iter().any(was_alone),
            "P1",
            "{lookup:?} is answered with {profile:?}, which is not of the type {:?} and was never alone",
            caller.prefer
        );
        let learnt = self.learnt[contact];
        demand!(
            is_in_doubt
                || world.had(contact, lookup, Tick::default(), learnt)
                || self.is_hidden(world, wire, caller, contact, now),
            "P1",
            "{lookup:?} is answered with {profile:?}, which lost it before change {learnt}, as the service knows"
        );
        let purged = self.purged.get(&lookup).copied().unwrap_or(0);
        demand!(
            world.had(contact, lookup, Tick::default(), purged),
            "P1",
            "{lookup:?} is answered with {profile:?}, which lost it before the purge (change {purged})"
        );
        Ok(())
    }

    /// P1 and P2: an alias that moved without the service knowing is used only within its windows.
    fn check_window(
        &self,
        world: &World,
        caller: &Caller,
        profile: &ServedPart,
        faults: bool,
        now: Tick,
    ) -> CheckResult {
        let (lookup, contact) = (caller.lookup, profile.contact);
        let window = lifetime(Part::Profile)
            + if faults {
                STALE_IF_ERROR
            } else {
                STALE_WHILE_REVALIDATE
            };
        let since = now - (window + self.lag);
        let is_bare = matches!(lookup.alias, Alias::Id(_)) && lookup.kind.is_none();
        demand!(
            is_bare || world.had(contact, lookup, since, 0),
            "P1",
            "{lookup:?} is answered with {profile:?}, which lost it too long ago"
        );
        Ok(())
    }

    /// Whether `/contacts/id` recently returned a contact whose profile does not contradict the alias. A tenant may
    /// hide attributes, so such an alias is used for as long as a negative entry.
    fn is_hidden(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        contact: usize,
        now: Tick,
    ) -> bool {
        let lookup = caller.lookup;
        let is_named = wire.calls.iter().any(|call| {
            leads_to(call, lookup, contact) && now.since(call.start.tick) < NEGATIVE_LIFETIME
        });
        is_named && world.hides(contact, lookup, self.learnt[contact], self.knows_custom_key)
    }

    /// Whether an overview was in flight at the same time as an invalidation or an entity read. If the overview is
    /// expected not to lag, either may be the newer.
    fn is_in_doubt(&self, delivery: &Delivery) -> bool {
        let bound = &self.bounds[delivery.contact][delivery.part];
        let until = bound.since + self.overview_lag;
        !delivery.by_entity && self.overview_lag.is_zero() && delivery.flight.tick <= until
    }

    /// P4: fresh parts were fetched after the request arrived, either from the entity endpoint, or from an overview
    /// that began late enough not to lag behind such a read.
    fn check_freshness(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        served: &ServedPart,
        deliveries: &[Delivery],
    ) -> CheckResult {
        let query = &caller.query;
        if !query.fresh.contains(served.part) {
            return Ok(());
        }
        let then = world.at(caller.change).contacts[served.contact].versions[served.part];
        demand!(
            served.versions.iter().all(|version| *version >= then),
            "P4",
            "{served:?} is older than version {then}, of before the request"
        );
        let by_entity =
            |delivery: &Delivery| delivery.by_entity && delivery.flight > caller.arrival;
        let catches_up = |delivery: &Delivery| {
            let earlier = wire.deliveries.iter().filter(|earlier| by_entity(earlier));
            let mut alike = earlier.filter(|earlier| {
                (earlier.contact, earlier.part) == (delivery.contact, delivery.part)
            });
            alike.any(|earlier| delivery.flight.tick >= earlier.flight.tick + self.overview_lag)
        };
        demand!(
            served.sequence > query.arrival
                && deliveries
                    .iter()
                    .any(|delivery| by_entity(delivery) || catches_up(delivery)),
            "P4",
            "{served:?} was not fetched after the request arrived"
        );
        Ok(())
    }

    /// P3: the part was not fetched before an invalidation, and none of its versions is older than one that was
    /// invalidated or that an entity endpoint returned. Returns the deliveries that may have filled the part.
    fn check_finality(
        &self,
        wire: &Wire,
        served: &ServedPart,
    ) -> Result<Vec<Delivery>, TestCaseError> {
        let bound = &self.bounds[served.contact][served.part];
        let mut all = Vec::new();
        for version in &served.versions {
            let deliveries: Vec<Delivery> = wire
                .deliveries
                .iter()
                .filter(|delivery| {
                    (delivery.contact, delivery.part, delivery.version)
                        == (served.contact, served.part, *version)
                        && delivery.flight.tick == served.requested_at
                        && delivery.by_entity == (served.source == FetchSource::Entity)
                })
                .copied()
                .collect();
            demand!(
                !deliveries.is_empty(),
                "P2",
                "no call that began at {:?} delivered {served:?}",
                served.requested_at
            );
            demand!(
                served.sequence > bound.sequence_after
                    && deliveries
                        .iter()
                        .any(|delivery| delivery.flight > bound.fetched_after),
                "P3",
                "{served:?} was fetched before it was invalidated"
            );
            let is_in_doubt = deliveries.iter().any(|delivery| self.is_in_doubt(delivery));
            demand!(
                is_in_doubt || *version >= bound.floor,
                "P3",
                "{served:?} is older than version {}, which was invalidated",
                bound.floor
            );
            let at_once =
                |delivery: &Delivery| delivery.by_entity && delivery.flight < bound.read_at;
            demand!(
                is_in_doubt || *version >= bound.read || deliveries.iter().any(at_once),
                "P3",
                "{served:?} is older than version {}, which an entity endpoint returned",
                bound.read
            );
            all.extend(deliveries);
        }
        Ok(all)
    }
}

/// Whether the call resolved the lookup to the contact, or listed it as one of several.
fn leads_to(call: &Call, lookup: TestLookup, contact: usize) -> bool {
    let Some(response) = call.response.as_ref() else {
        return false;
    };
    let is_listed = match &response.answer {
        Err(engage::Error::MultipleMatches(matches)) => matches.ids().contains(&id(contact)),
        _ => false,
    };
    call.target == Target::Resolution(lookup) && (response.leads_to == Some(contact) || is_listed)
}

/// P2: nothing is older than allowed, and old data is listed in `degraded`.
fn check_age(
    caller: &Caller,
    found: &Found,
    served: &ServedPart,
    faults: bool,
    now: Tick,
) -> CheckResult {
    let age = now.since(served.requested_at);
    let lifetime = lifetime(served.part);
    let calm = lifetime + STALE_WHILE_REVALIDATE;
    let most = if faults {
        lifetime + STALE_IF_ERROR
    } else {
        calm
    };
    demand!(age <= most, "P2", "{:?} is {age:?} old", served.part);
    let degraded = found.degraded.contains(served.part);
    demand!(
        degraded || age < calm,
        "P2",
        "{:?} is {age:?} old and not degraded",
        served.part
    );
    demand!(
        !degraded || age >= lifetime.mul_f64(0.9) + STALE_WHILE_REVALIDATE,
        "P2",
        "{:?} is {age:?} old and yet degraded",
        served.part
    );
    let query = &caller.query;
    let stands_in = faults && query.stale_if_error && found.verdict.stands_in.is_some();
    demand!(
        stands_in || age < calm,
        "P2",
        "{:?} is {age:?} old, and the verdict names no reason",
        served.part
    );
    if let Some(max_age) = query.max_age {
        demand!(
            age <= max_age || stands_in || served.sequence > query.arrival,
            "P2",
            "{:?} is {age:?} old, and the request accepts {max_age:?}",
            served.part
        );
    }
    Ok(())
}
