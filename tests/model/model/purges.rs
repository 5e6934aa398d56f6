//! Purges by identifier, as predicates: what the service is shown to have borne a purged identifier is held to that purge.

use engage_bff::cache::fence::Stamp;

use super::{Model, TIMEOUT};
use crate::{
    exchange::{Mark, Telling},
    world::{Kind, Name, Who, World},
};

/// An acknowledged purge by identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purge {
    /// Whatever its type.
    who: Who,
    stamp: Stamp,
    mark: Mark,
}

/// Every way of asking for the same value.
pub(super) fn ways(name: Name) -> impl Iterator<Item = Who> {
    let other = match name {
        Name::Id(_) => name,
        Name::Email(email) => Name::AnyEmail(email),
        Name::AnyEmail(email) => Name::Email(email),
        Name::Key(key) => Name::AnyKey(key),
        Name::AnyKey(key) => Name::Key(key),
    };
    let kinds = [None, Some(Kind::Member), Some(Kind::Contact)];
    let names = [name, other].into_iter();
    names.flat_map(move |name| kinds.map(|kind| Who { name, kind }))
}

impl Model {
    /// From now on nothing that began before is answered about a contact that is shown to have borne the identifier.
    pub(super) fn register(&mut self, who: Who, stamp: Stamp, mark: Mark) {
        let who = Who { kind: None, ..who };
        self.purges.push(Purge { who, stamp, mark });
    }

    /// A profile was told that shows whom it is of.
    pub(super) fn heed_purges(&mut self, world: &World, telling: &Telling) {
        let person = &world.at(telling.version).people[telling.contact];
        for purge in &self.purges {
            // All that was in the air when it was acknowledged has come by then.
            let stands =
                telling.at > purge.mark && telling.at.tick.since(purge.mark.tick) <= TIMEOUT;
            if !stands || !person.bears(telling.contact, purge.who) {
                continue;
            }
            for bound in &mut self.bounds[telling.contact] {
                bound.asked_after = bound.asked_after.max(purge.mark);
                bound.stamped_after = bound.stamped_after.max(purge.stamp);
            }
        }
    }
}
