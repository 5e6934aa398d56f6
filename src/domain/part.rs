//! The five parts of a customer, and sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of a customer: the grain in which data is fetched, aged and invalidated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Part {
    /// Attributes, meta, preferences and consents.
    Profile = 0,
    /// The audiences that the contact belongs to, and Engage's warnings about it.
    Audiences = 1,
    /// The promotions assigned to the contact.
    Promotions = 2,
    /// The contact's reward vouchers.
    Vouchers = 3,
    /// The contact's point accounts.
    Points = 4,
}

impl Part {
    /// Every part, in the order of the answer.
    pub const ALL: [Part; 5] = [
        Part::Profile,
        Part::Audiences,
        Part::Promotions,
        Part::Vouchers,
        Part::Points,
    ];

    /// The name in parameters and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Part::Profile => "profile",
            Part::Audiences => "audiences",
            Part::Promotions => "promotions",
            Part::Vouchers => "vouchers",
            Part::Points => "points",
        }
    }

    /// The part of that name.
    pub fn from_name(name: &str) -> Option<Part> {
        Part::ALL.into_iter().find(|part| part.as_str() == name)
    }
}

/// A set of parts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartSet(u8);

impl PartSet {
    /// No part.
    pub const EMPTY: PartSet = PartSet(0);
    /// Every part.
    pub const ALL: PartSet = PartSet(0b1_1111);
    /// What every answer needs: without these there is no customer to speak of.
    pub const ALWAYS: PartSet = PartSet::of(&[Part::Profile, Part::Audiences]);
    /// What an invalidation reaches: audiences come from the overview alone, so only a purge drops
    /// them.
    pub const INVALIDATABLE: PartSet = PartSet::of(&[
        Part::Profile,
        Part::Promotions,
        Part::Vouchers,
        Part::Points,
    ]);

    /// The set of the listed parts.
    pub const fn of(parts: &[Part]) -> PartSet {
        let mut bits = 0;
        let mut index = 0;
        while index < parts.len() {
            bits |= 1 << parts[index] as u8;
            index += 1;
        }
        PartSet(bits)
    }

    /// Whether the part is in the set.
    pub const fn contains(self, part: Part) -> bool {
        self.0 & (1 << part as u8) != 0
    }

    /// Adds a part.
    pub const fn insert(&mut self, part: Part) {
        self.0 |= 1 << part as u8;
    }

    /// Whether no part is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The parts of either set.
    #[must_use]
    pub const fn union(self, other: PartSet) -> PartSet {
        PartSet(self.0 | other.0)
    }

    /// The parts of both sets.
    #[must_use]
    pub const fn intersection(self, other: PartSet) -> PartSet {
        PartSet(self.0 & other.0)
    }

    /// The parts of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: PartSet) -> PartSet {
        PartSet(self.0 & !other.0)
    }

    /// Whether every part of this set is in the other.
    pub const fn is_subset(self, other: PartSet) -> bool {
        self.0 & !other.0 == 0
    }

    /// The parts, in the order of the answer.
    pub fn iter(self) -> impl Iterator<Item = Part> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let part = Part::ALL.get(rest.trailing_zeros() as usize)?;
            // Without the lowest bit that is set.
            rest &= rest - 1;
            Some(*part)
        })
    }
}

impl From<Part> for PartSet {
    fn from(part: Part) -> Self {
        PartSet::of(&[part])
    }
}

impl FromIterator<Part> for PartSet {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        let mut set = PartSet::EMPTY;
        for part in parts {
            set.insert(part);
        }
        set
    }
}

impl fmt::Debug for PartSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Part::as_str))
            .finish()
    }
}
