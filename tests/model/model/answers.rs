//! Whether an answer may be given.

use std::time::Duration;

use engage_bff::{
    cache::freshness::FetchSource,
    clock::Tick,
    customer::{CacheStatus, Found, StaleReason},
    domain::{Part, PartSet},
    engage::Error,
};
use proptest::test_runner::TestCaseError;

use super::{
    Caller, Model, NEGATIVE_LIFETIME, STALE_IF_ERROR, STALE_IF_SLOW, STALE_WHILE_REVALIDATE,
    Verdict, demand, lifetime,
};
use crate::{
    exchange::{Call, Target, Telling, Wire},
    sight::{Seen, see},
    world::{Alias, World},
};

/// So many failures in a row may be an outage.
const OUTAGE: usize = 3;
/// Nothing is refreshed ahead of its time before that age.
const SHORTEST_DEMAND: Duration = Duration::from_secs(24);

impl Model {
    /// Whether the answer keeps every promise.
    pub(crate) fn check(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        found: &Found,
        now: Tick,
    ) -> Verdict {
        let query = &caller.query;
        let seen = see(found)?;
        let contact = seen[0].contact;
        let shown: PartSet = seen.iter().map(|seen| seen.part).collect();
        demand!(
            shown == found.shown,
            "P1",
            "{shown:?} is there of {:?}",
            found.shown
        );
        demand!(
            found.shown.union(found.degraded) == query.asked
                && found.shown.is_subset(query.asked)
                && found.shown.contains(Part::Profile),
            "P2",
            "asked for {:?}, shown {:?}, degraded {:?}",
            query.asked,
            found.shown,
            found.degraded
        );
        let is_bypass = found.verdict.status == CacheStatus::Bypass && !found.verdict.stored;
        demand!(
            is_bypass || !caller.finds_it_off || self.last_switch > caller.arrival,
            "P3",
            "the cache was off, and did {:?}",
            found.verdict
        );
        let is_slow = found.verdict.stands_in == Some(StaleReason::Slow);
        demand!(
            !is_slow
                || (query.fresh.is_empty()
                    && query.stale_if_error
                    && now >= query.now.tick + STALE_IF_SLOW),
            "P2",
            "stale data stands in for what is slow, and nobody waited for it"
        );
        let faults = self.frugal || wire.last_fault.is_some() || is_slow || now >= query.deadline;
        for seen in &seen {
            demand!(
                seen.contact == contact,
                "P1",
                "contact {contact} is shown {:?} of contact {}",
                seen.part,
                seen.contact
            );
            let told = self.check_finality(wire, seen)?;
            let is_new = |told: &Telling| told.at > caller.arrival;
            demand!(
                !caller.finds_it_off || told.iter().any(is_new),
                "P3",
                "{seen:?} was told before the caller came, and the cache was off"
            );
            check_age(caller, found, seen, faults, now)?;
            self.check_freshness(world, wire, caller, seen, &told)?;
            if seen.part == Part::Profile {
                demand!(
                    matches!(caller.who.name, Alias::Id(_))
                        || told.iter().any(|told| !told.is_unreadable),
                    "P1",
                    "{:?} is answered from a profile whose identifiers can't be read",
                    caller.who
                );
                let is_in_doubt = told.iter().any(|told| self.is_in_doubt(told));
                self.check_person(world, wire, caller, seen, is_in_doubt, now)?;
                self.check_window(world, caller, seen, faults, now)?;
            }
        }
        Ok(())
    }

    /// P5: what was asked for after everybody had come, after the last change and the last word of it, and
    /// was answered, is not asked for again while it is fresh.
    pub(crate) fn check_repeats(&self, wire: &Wire, new: &[Call]) -> Verdict {
        let settled = self.last_arrival.max(self.last_news).max(self.last_change);
        let is_true = |call: &&Call| {
            call.content
                .as_ref()
                .is_some_and(|content| !content.faulty && content.answer.is_ok())
        };
        let calm = wire.last_fault.is_none_or(|fault| fault < settled);
        if self.is_off()
            || !calm
            || !self.remembers
            || (self.lag > Duration::ZERO && self.last_change.place > 0)
        {
            return Ok(());
        }
        // Where nothing lags, an overview takes the place of an entity read that somebody waits for.
        let may_repeat =
            |call: &&Call| self.overview_lag.is_zero() && matches!(call.target, Target::Entity(..));
        // In time an overview may be trusted again, and is asked.
        let quiet = self.last_news.place == 0 && self.last_change.place == 0;
        for call in new
            .iter()
            .filter(|call| call.offset == 0 && !may_repeat(call))
        {
            let before = wire.calls.iter().filter(is_true).find(|before| {
                let passed = call.start.tick.since(before.start.tick);
                before.target == call.target
                    && before.flight > settled
                    && before
                        .answered
                        .is_some_and(|answered| answered < call.start)
                    && (passed.is_zero() || (passed < SHORTEST_DEMAND && quiet))
                    && !self.expires_between(before.start.tick, call.start.tick)
            });
            demand!(
                before.is_none(),
                "P5",
                "{:?} is asked for again, and was answered for {before:?}",
                call.target
            );
        }
        Ok(())
    }

    /// A call that failed for what it asked for is not made again within its back-off, unless something was invalidated
    /// or a caller wants what is so now. Several in a row may be an outage, which ends for all of them at once.
    pub(crate) fn check_back_off(&self, wire: &Wire, new: &[Call]) -> Verdict {
        let failed = |call: &Call| {
            let content = call.content.as_ref().filter(|_| call.offset == 0);
            content.is_some_and(|content| {
                matches!(
                    content.answer,
                    Err(Error::Failed { .. } | Error::Invalid { .. })
                )
            })
        };
        let faults = wire.calls.iter().filter(|call| {
            let content = call.content.as_ref();
            content.is_some_and(|content| content.faulty)
        });
        if self.is_off() || !self.remembers || faults.count() >= OUTAGE {
            return Ok(());
        }
        let is_of_a_contact = |target: Target| match target {
            Target::Overview(who) => matches!(who.name, Alias::Id(_)) && who.kind.is_none(),
            Target::Resolution(_) => false,
            Target::Entity(..) => true,
        };
        for call in new.iter().filter(|call| is_of_a_contact(call.target)) {
            let before = wire
                .calls
                .iter()
                .filter(|call| failed(call))
                .find(|before| {
                    let calm = self.last_news.max(self.last_fresh).max(self.last_switch);
                    before.target == call.target
                        && before.flight > calm
                        && before.answered.is_some_and(|answered| {
                            answered < call.start
                                && call.start.tick.since(answered.tick) < NEGATIVE_LIFETIME
                        })
                });
            demand!(
                before.is_none(),
                "P10",
                "{:?} is asked for again within its back-off, and failed for {before:?}",
                call.target
            );
        }
        Ok(())
    }

    /// Whether a part may be told by the overview again from some moment between.
    fn expires_between(&self, from: Tick, to: Tick) -> bool {
        let bounds = self.bounds.iter().flatten();
        let mut ends = bounds.map(|bound| bound.since + self.overview_lag);
        ends.any(|end| from < end && end <= to)
    }

    /// P1: the answer is about whom the caller asked for, by what the service has learnt.
    fn check_person(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        profile: &Seen,
        is_in_doubt: bool,
        now: Tick,
    ) -> Verdict {
        let (who, contact) = (caller.who, profile.contact);
        if let Alias::Id(asked) = who.name {
            demand!(
                asked == contact,
                "P1",
                "asked for {asked}, answered about {contact}"
            );
            if who.kind.is_none() {
                return Ok(());
            }
        }
        let resolves = |call: &Call| {
            let named = call.content.as_ref().and_then(|content| content.names);
            call.target == Target::Resolution(who)
                && named == Some(contact)
                && call.start > caller.arrival
        };
        demand!(
            !caller.query.fresh.contains(Part::Profile)
                || matches!(who.name, Alias::Id(_))
                || wire.calls.iter().any(resolves),
            "P1",
            "who asked fresh is shown contact {contact}, and {who:?} was not resolved since"
        );
        let learnt = self.learnt[contact];
        demand!(
            is_in_doubt
                || world.bore(contact, who, Tick::default(), learnt)
                || self.is_silent(world, wire, caller, contact, now),
            "P1",
            "who did not bear {who:?} by change {learnt}, which was learnt, is shown: {profile:?}"
        );
        let purged = self.purged.get(&who).copied().unwrap_or(0);
        demand!(
            world.bore(contact, who, Tick::default(), purged),
            "P1",
            "who did not bear {who:?} when that was purged (change {purged}) is shown: {profile:?}"
        );
        Ok(())
    }

    /// P1 and P2: what the service has not learnt it follows for so long, and no longer.
    fn check_window(
        &self,
        world: &World,
        caller: &Caller,
        profile: &Seen,
        faults: bool,
        now: Tick,
    ) -> Verdict {
        let (who, contact) = (caller.who, profile.contact);
        let window = lifetime(Part::Profile)
            + if faults {
                STALE_IF_ERROR
            } else {
                STALE_WHILE_REVALIDATE
            };
        let since = now - (window + self.lag);
        let is_bare = matches!(who.name, Alias::Id(_)) && who.kind.is_none();
        demand!(
            is_bare || world.bore(contact, who, since, 0),
            "P1",
            "who has not borne {who:?} for so long is shown: {profile:?}"
        );
        Ok(())
    }

    /// Whether `/contacts/id` lately named a contact who shows nothing against the name: a tenant may hide
    /// attributes, so such a name is followed as long as a negative answer.
    fn is_silent(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        contact: usize,
        now: Tick,
    ) -> bool {
        let who = caller.who;
        let is_named = wire.calls.iter().any(|call| {
            let told = call.content.as_ref();
            call.target == Target::Resolution(who)
                && now.since(call.start.tick) < NEGATIVE_LIFETIME
                && told.is_some_and(|told| told.names == Some(contact))
        });
        is_named && world.hides(contact, who, self.learnt[contact], self.knows_custom_key)
    }

    /// Whether an overview was under way together with what it must not undo. Where it is believed not to
    /// lag, neither of the two need be the newer.
    fn is_in_doubt(&self, told: &Telling) -> bool {
        let bound = &self.bounds[told.contact][told.part as usize];
        let until = bound.since + self.overview_lag;
        !told.by_entity && self.overview_lag.is_zero() && told.flight.tick <= until
    }

    /// P4: what is wanted fresh was asked for after the caller came, at the entity endpoint; or of an
    /// overview that was asked for so much later that it can't lag behind that.
    fn check_freshness(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        seen: &Seen,
        told: &[Telling],
    ) -> Verdict {
        let query = &caller.query;
        if !query.fresh.contains(seen.part) {
            return Ok(());
        }
        let then = world.at(caller.change).people[seen.contact].versions[seen.part as usize];
        demand!(
            seen.versions.iter().all(|version| *version >= then),
            "P4",
            "{seen:?} is older than version {then}, which the caller found"
        );
        let by_entity = |told: &Telling| told.by_entity && told.flight > caller.arrival;
        let catches_up = |told: &Telling| {
            let earlier = wire.told.iter().filter(|earlier| by_entity(earlier));
            let mut alike = earlier
                .filter(|earlier| (earlier.contact, earlier.part) == (told.contact, told.part));
            alike.any(|earlier| told.flight.tick >= earlier.flight.tick + self.overview_lag)
        };
        demand!(
            seen.sequence > query.arrival
                && told.iter().any(|told| by_entity(told) || catches_up(told)),
            "P4",
            "{seen:?} was not asked for after the caller came"
        );
        Ok(())
    }

    /// P3: nothing that was asked for before an invalidation, and no older version. Returns what told
    /// the part.
    fn check_finality(&self, wire: &Wire, seen: &Seen) -> Result<Vec<Telling>, TestCaseError> {
        let bound = &self.bounds[seen.contact][seen.part as usize];
        let mut all = Vec::new();
        for version in &seen.versions {
            let told: Vec<Telling> = wire
                .told
                .iter()
                .filter(|told| {
                    (told.contact, told.part, told.version) == (seen.contact, seen.part, *version)
                        && told.flight.tick == seen.requested_at
                        && told.by_entity == (seen.source == FetchSource::Entity)
                })
                .copied()
                .collect();
            demand!(
                !told.is_empty(),
                "P2",
                "no call that began at {:?} told {seen:?}",
                seen.requested_at
            );
            demand!(
                seen.sequence > bound.stamped_after
                    && told.iter().any(|told| told.flight > bound.asked_after),
                "P3",
                "{seen:?} was asked for before it was invalidated"
            );
            let is_in_doubt = told.iter().any(|told| self.is_in_doubt(told));
            demand!(
                is_in_doubt || *version >= bound.floor,
                "P3",
                "{seen:?} is older than version {}, which was invalidated",
                bound.floor
            );
            let at_once = |told: &Telling| told.by_entity && told.flight < bound.read_at;
            demand!(
                is_in_doubt || *version >= bound.read || told.iter().any(at_once),
                "P3",
                "{seen:?} is older than version {}, which an entity endpoint told",
                bound.read
            );
            all.extend(told);
        }
        Ok(all)
    }
}

/// P2: nothing is older than it may be, and what is nearly so is named.
fn check_age(caller: &Caller, found: &Found, seen: &Seen, faults: bool, now: Tick) -> Verdict {
    let age = now.since(seen.requested_at);
    let lifetime = lifetime(seen.part);
    let calm = lifetime + STALE_WHILE_REVALIDATE;
    let most = if faults {
        lifetime + STALE_IF_ERROR
    } else {
        calm
    };
    demand!(age <= most, "P2", "{:?} is {age:?} old", seen.part);
    let degraded = found.degraded.contains(seen.part);
    demand!(
        degraded || age < calm,
        "P2",
        "{:?} is {age:?} old and not degraded",
        seen.part
    );
    demand!(
        !degraded || age >= lifetime.mul_f64(0.9) + STALE_WHILE_REVALIDATE,
        "P2",
        "{:?} is {age:?} old and yet degraded",
        seen.part
    );
    let query = &caller.query;
    let stands_in = faults && query.stale_if_error && found.verdict.stands_in.is_some();
    demand!(
        stands_in || age < calm,
        "P2",
        "{:?} is {age:?} old, and nothing says that it stands in",
        seen.part
    );
    if let Some(max_age) = query.max_age {
        demand!(
            age <= max_age || stands_in || seen.sequence > query.arrival,
            "P2",
            "{:?} is {age:?} old, and the caller wants {max_age:?}",
            seen.part
        );
    }
    Ok(())
}
