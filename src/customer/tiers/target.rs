//! What a flight fetches, and from which endpoint.

use crate::{
    cache::{Cache, freshness::FetchSource},
    customer::Rendered,
    domain::{ContactId, Lookup, LookupKey, Part},
    engage::{Error, Group},
};

/// What a flight fetches.
#[derive(Clone, Copy, Debug)]
pub(in crate::customer) enum Target<'a> {
    /// The overview, by an identifier.
    Overview(&'a Lookup),
    /// The contact that an identifier leads to.
    Resolution(&'a Lookup),
    /// One part, from its entity endpoint.
    Part(ContactId, Part),
}

impl Target<'_> {
    /// The kind of endpoint that the flight calls.
    pub(super) fn source(self) -> FetchSource {
        match self {
            Target::Overview(_) => FetchSource::Overview,
            Target::Resolution(_) | Target::Part(..) => FetchSource::Entity,
        }
    }

    /// The group of endpoints that answers the call.
    pub(in crate::customer) fn group(self) -> Group {
        match self {
            Target::Overview(_) => Group::Overview,
            Target::Resolution(_) => Group::Contacts,
            Target::Part(_, part) => match part {
                Part::Profile => Group::Contacts,
                Part::Promotions => Group::Promotions,
                Part::Vouchers => Group::Vouchers,
                Part::Points => Group::Points,
                Part::Audiences => unreachable!("audiences have no entity endpoint"),
            },
        }
    }

    /// The subject of the call: the contact, or the identifier if the contact is not known.
    pub(super) fn owner(self, memory: &Cache<Rendered, Error>) -> u64 {
        match self {
            Target::Overview(lookup) | Target::Resolution(lookup) => {
                let alias = memory.alias(lookup.key());
                alias.map_or_else(
                    || lookup.key().subject(),
                    |alias| LookupKey::by_id(alias.id).subject(),
                )
            }
            Target::Part(id, _) => LookupKey::by_id(id).subject(),
        }
    }
}
