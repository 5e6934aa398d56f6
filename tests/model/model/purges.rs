//! Purges by identifier, as predicates: what the service is shown to have borne a purged identifier is held to that purge.

use engage_bff::cache::fence::Sequence;

use super::{Model, TIMEOUT};
use crate::{
    exchange::{Mark, Telling},
    world::{Alias, Kind, Who, World},
};

/// An acknowledged purge by identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purge {
    /// Whatever its type.
    who: Who,
    sequence: Sequence,
    mark: Mark,
}

/// Every way of asking for the same value.
pub(super) fn ways(name: Alias) -> impl Iterator<Item = Who> {
    let other = match name {
        Alias::Id(_) => name,
        Alias::Email(email) => Alias::AnyEmail(email),
        Alias::AnyEmail(email) => Alias::Email(email),
        Alias::Key(key) => Alias::AnyKey(key),
        Alias::AnyKey(key) => Alias::Key(key),
    };
    let kinds = [None, Some(Kind::Member), Some(Kind::Contact)];
    let names = [name, other].into_iter();
    names.flat_map(move |name| kinds.map(|kind| Who { name, kind }))
}

impl Model {
    /// From now on nothing that began before is answered about a contact that is shown to have borne the identifier.
    pub(super) fn register(&mut self, who: Who, sequence: Sequence, mark: Mark) {
        let who = Who { kind: None, ..who };
        self.purges.push(Purge {
            who,
            sequence,
            mark,
        });
    }

    /// A profile was told that shows whom it is of.
    pub(super) fn heed_purges(&mut self, world: &World, telling: &Telling) {
        let person = &world.at(telling.version).people[telling.contact];
        for purge in &self.purges {
            // All that was in the air when it was acknowledged has come by then.
            let stands =
                telling.at > purge.mark && telling.at.tick.since(purge.mark.tick) <= TIMEOUT;
            if !stands || !person.matches(telling.contact, purge.who) {
                continue;
            }
            for bound in &mut self.bounds[telling.contact] {
                bound.asked_after = bound.asked_after.max(purge.mark);
                bound.stamped_after = bound.stamped_after.max(purge.sequence);
            }
        }
    }
}
