//! Purges by identifier, as predicates: a contact whose profile shows a purged identifier counts as purged too.

use engage_bff::{cache::fence::Sequence, domain::Part};

use super::{Model, TIMEOUT};
use crate::{
    exchange::{Delivery, Mark},
    world::{Alias, Kind, TestLookup, World},
};

/// An acknowledged purge by identifier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purge {
    /// Without a type, because a purge covers contacts of any type.
    lookup: TestLookup,
    sequence: Sequence,
    mark: Mark,
}

/// Every lookup by the same value.
pub(super) fn equivalent_lookups(alias: Alias) -> impl Iterator<Item = TestLookup> {
    let other = match alias {
        Alias::Id(_) => alias,
        Alias::Email(email) => Alias::AnyEmail(email),
        Alias::AnyEmail(email) => Alias::Email(email),
        Alias::Key(key) => Alias::AnyKey(key),
        Alias::AnyKey(key) => Alias::Key(key),
    };
    let kinds = [None, Some(Kind::Member), Some(Kind::Contact)];
    let aliases = [alias, other].into_iter();
    aliases.flat_map(move |alias| kinds.map(|kind| TestLookup { alias, kind }))
}

impl Model {
    /// Registers a purge: data fetched before it is not served for a contact whose profile shows the identifier.
    pub(super) fn register(&mut self, lookup: TestLookup, sequence: Sequence, mark: Mark) {
        let lookup = TestLookup {
            kind: None,
            ..lookup
        };
        self.purges.push(Purge {
            lookup,
            sequence,
            mark,
        });
    }

    /// Applies the purges to a contact whose profile was delivered, readable or not.
    pub(super) fn apply_purges(&mut self, world: &World, delivery: &Delivery) {
        let state = &world.at(delivery.version).contacts[delivery.contact];
        for purge in &self.purges {
            // A purge is in force for `TIMEOUT`: after that, every call that was in flight when it was acknowledged has
            // ended.
            let is_in_force =
                delivery.at > purge.mark && delivery.at.tick.since(purge.mark.tick) <= TIMEOUT;
            if !is_in_force || !state.matches(delivery.contact, purge.lookup) {
                continue;
            }
            for part in Part::ALL {
                let bound = &mut self.bounds[delivery.contact][part];
                bound.fetched_after = bound.fetched_after.max(purge.mark);
                bound.sequence_after = bound.sequence_after.max(purge.sequence);
            }
        }
    }
}
