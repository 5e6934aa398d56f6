//! Aliases that are learned from profiles: which responses they explain, and which identifiers shared by two contacts
//! raise an alarm.

use engage_bff::{
    clock::Tick,
    domain::{IdentifierKind, Part},
    engage::Error,
};

use super::{Caller, CheckResult, Model, STALE_IF_ERROR, STALE_WHILE_REVALIDATE, demand, lifetime};
use crate::{
    exchange::{Call, Delivery, Target, Wire},
    served::ServedPart,
    world::{self, Alias, CONTACTS, ContactState, Kind, TestLookup, World},
};

/// An alarm about an identifier of two contacts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm {
    kind: IdentifierKind,
    at: Tick,
}

impl Model {
    /// Whether a profile that shows the identifier leads to the contact without a call.
    fn is_learned(&self, lookup: TestLookup) -> bool {
        let is_unique = match lookup.alias {
            Alias::Email(_) => true,
            Alias::Key(_) => self.knows_custom_key,
            Alias::Id(_) | Alias::AnyEmail(_) | Alias::AnyKey(_) => false,
        };
        self.learns && is_unique && lookup.kind.is_some()
    }

    /// The lookups that may be learned, for one kind of identifier.
    fn learned_lookups(&self, kind: IdentifierKind) -> Vec<TestLookup> {
        let values = 0..CONTACTS;
        let alias = |value: usize| match kind {
            IdentifierKind::Email => Alias::Email(value),
            _ => Alias::Key(value),
        };
        let types = [Some(Kind::Member), Some(Kind::Contact)];
        let lookups = values.flat_map(|value| {
            types.map(|kind| TestLookup {
                alias: alias(value),
                kind,
            })
        });
        lookups.filter(|lookup| self.is_learned(*lookup)).collect()
    }

    /// P1: the identifier recently led to the contact through a call, or through a profile that shows it. A protected
    /// contact is found only through a call.
    pub(super) fn check_source(
        &self,
        world: &World,
        wire: &Wire,
        caller: &Caller,
        profile: &ServedPart,
        faults: bool,
        now: Tick,
    ) -> CheckResult {
        let (lookup, contact) = (caller.lookup, profile.contact);
        if matches!(lookup.alias, Alias::Id(_)) {
            return Ok(());
        }
        let window = lifetime(Part::Profile)
            + if faults {
                STALE_IF_ERROR
            } else {
                STALE_WHILE_REVALIDATE
            };
        let is_recent = |began: Tick| now.since(began) <= window;
        let mut calls = calls_by(wire, lookup);
        let prefers = caller.query.prefer.is_some();
        let has_led = |call: &Call| leads_to(call, contact) || (prefers && lists(call, contact));
        if calls.any(|call| is_recent(call.start.tick) && has_led(call)) {
            return Ok(());
        }
        demand!(
            self.is_learned(lookup),
            "P1",
            "{lookup:?} is answered with contact {contact}, to which no call has led recently"
        );
        let shows = |delivery: &Delivery| {
            let state = state(world, delivery);
            is_recent(delivery.flight.tick) && state.matches(contact, lookup) && !state.is_protected
        };
        demand!(
            profiles(wire, contact).any(shows),
            "P1",
            "{lookup:?} is answered with contact {contact}, and neither a call nor a profile that is not protected has \
             shown it recently"
        );
        let served = profile.versions[0];
        demand!(
            !world.at(served).contacts[contact].is_protected,
            "P1",
            "{lookup:?} is answered with contact {contact}, which is protected, and no call has led there recently"
        );
        demand!(
            !self.is_in_conflict(world, wire, lookup, now),
            "P1",
            "{lookup:?} is answered with contact {contact} without a call, and two cached contacts have it"
        );
        Ok(())
    }

    /// Of several owners, keeps the one that was answered if no other has an alias. A protected contact adds no alias,
    /// so a contact that shares its identifier is not detected as sharing it.
    pub(crate) fn keep_what_may_be_learned(
        &self,
        world: &World,
        lookup: TestLookup,
        answered: usize,
        owners: &mut Vec<usize>,
    ) {
        let is_protected = |contact: usize| world.now().contacts[contact].is_protected;
        let is_only = |owner: &usize| (*owner == answered) != is_protected(*owner);
        if self.is_learned(lookup) && owners.iter().all(is_only) {
            owners.retain(|owner| *owner == answered);
        }
    }

    /// Records new alarms, from the total number of each kind.
    pub(crate) fn note_alarms(&mut self, totals: &[(IdentifierKind, u64)], now: Tick) {
        for (kind, total) in totals {
            let is_of_kind = |alarm: &&Alarm| alarm.kind == *kind;
            let known = self.alarms.iter().filter(is_of_kind).count() as u64;
            let alarm = Alarm {
                kind: *kind,
                at: now,
            };
            self.alarms.extend((known..*total).map(|_| alarm));
        }
    }

    /// P1: an alarm is about an identifier that two contacts of one type have shown, or that Engage found ambiguous.
    /// Within the overview's lag there is at most one alarm for each identifier.
    pub(crate) fn check_alarms(&self, world: &World, wire: &Wire, now: Tick) -> CheckResult {
        for kind in [IdentifierKind::Email, IdentifierKind::CustomKey] {
            let of_kind = self.alarms.iter().filter(|alarm| alarm.kind == kind);
            let recent = of_kind
                .clone()
                .filter(|alarm| now.since(alarm.at) < self.overview_lag);
            let (all, recent) = (of_kind.count(), recent.count());
            if all == 0 {
                continue;
            }
            let lookups = self.learned_lookups(kind);
            let shared = lookups
                .iter()
                .filter(|lookup| is_shared(world, wire, **lookup))
                .count();
            demand!(
                shared > 0,
                "P1",
                "no two contacts of a type have one {kind:?}"
            );
            demand!(
                recent <= shared,
                "P1",
                "{recent} alarms about {shared} identifiers within the overview's lag"
            );
        }
        Ok(())
    }

    /// P1: two cached contacts that certainly have one identifier raise an alarm.
    pub(crate) fn check_conflicts(&self, world: &World, wire: &Wire, now: Tick) -> CheckResult {
        for kind in [IdentifierKind::Email, IdentifierKind::CustomKey] {
            let has_alarm = self.alarms.iter().any(|alarm| alarm.kind == kind);
            for lookup in self.learned_lookups(kind) {
                demand!(
                    has_alarm || !self.is_in_conflict(world, wire, lookup, now),
                    "P1",
                    "two cached contacts have {lookup:?}, and there is no alarm"
                );
            }
        }
        Ok(())
    }

    /// Whether two cached contacts certainly have the identifier, so that nothing is learned for it now. This is
    /// certain only if nothing but profiles can have led to them: there was no call by the identifier, no failure and
    /// no purge.
    fn is_in_conflict(&self, world: &World, wire: &Wire, lookup: TestLookup, now: Tick) -> bool {
        if !self.remembers
            || self.is_disturbed
            || wire.last_fault.is_some()
            || calls_by(wire, lookup).next().is_some()
        {
            return false;
        }
        let holds = |contact: &usize| {
            let Some(version) = self.shown[*contact] else {
                return false;
            };
            let shows = |delivery: &Delivery| {
                let state = state(world, delivery);
                state.matches(*contact, lookup) && !state.is_protected
            };
            let is_recent = |delivery: &Delivery| {
                let age = now.since(delivery.flight.tick);
                delivery.version == version
                    && age < lifetime(Part::Profile)
                    && age < self.overview_lag
            };
            profiles(wire, *contact).all(shows) && profiles(wire, *contact).any(is_recent)
        };
        (0..CONTACTS).filter(holds).count() > 1
    }

    /// Whether a profile may have led the identifier to another contact than before, or to none.
    pub(super) fn may_be_learned_anew(
        &self,
        world: &World,
        wire: &Wire,
        lookup: TestLookup,
        known: usize,
    ) -> bool {
        let unsettles = |delivery: &&Delivery| {
            let state = state(world, delivery);
            let is_other = delivery.contact != known || state.is_protected;
            is_other && state.matches(delivery.contact, lookup)
        };
        self.is_learned(lookup) && all_profiles(wire).any(|delivery| unsettles(&delivery))
    }
}

/// Whether two contacts of the type have shown the identifier, or Engage found it ambiguous.
fn is_shared(world: &World, wire: &Wire, lookup: TestLookup) -> bool {
    let has_shown = |contact: &usize| {
        profiles(wire, *contact).any(|delivery| state(world, delivery).matches(*contact, lookup))
    };
    let is_ambiguous = |call: &Call| {
        let response = call.response.as_ref();
        response.is_some_and(|response| matches!(response.answer, Err(Error::MultipleMatches(_))))
    };
    (0..CONTACTS).filter(has_shown).count() > 1 || calls_by(wire, lookup).any(is_ambiguous)
}

/// The answered calls by an identifier.
fn calls_by(wire: &Wire, lookup: TestLookup) -> impl Iterator<Item = &Call> {
    wire.calls.iter().filter(move |call| {
        let asked = match call.target {
            Target::Overview(asked) | Target::Resolution(asked) => Some(asked),
            Target::Entity(..) => None,
        };
        asked == Some(lookup) && call.answered.is_some()
    })
}

/// Whether the response lists the contact as one of several that share the identifier, from which the type selects one.
fn lists(call: &Call, contact: usize) -> bool {
    let answer = call.response.as_ref().map(|response| &response.answer);
    match answer {
        Some(Err(Error::MultipleMatches(matches))) => matches.ids().contains(&world::id(contact)),
        _ => false,
    }
}

fn leads_to(call: &Call, contact: usize) -> bool {
    let Some(response) = &call.response else {
        return false;
    };
    let is_profile =
        |(of, part, _): &(usize, Part, usize)| (*of, *part) == (contact, Part::Profile);
    response.leads_to == Some(contact) || response.versions.iter().any(is_profile)
}

/// The delivered profiles of the contact whose identifiers are readable.
fn profiles(wire: &Wire, contact: usize) -> impl Iterator<Item = &Delivery> {
    all_profiles(wire).filter(move |delivery| delivery.contact == contact)
}

fn all_profiles(wire: &Wire) -> impl Iterator<Item = &Delivery> {
    let deliveries = wire.deliveries.iter();
    deliveries.filter(|delivery| delivery.part == Part::Profile && !delivery.is_unreadable)
}

/// The contact's state in that profile.
fn state<'a>(world: &'a World, delivery: &Delivery) -> &'a ContactState {
    &world.at(delivery.version).contacts[delivery.contact]
}
