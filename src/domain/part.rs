//! The parts of a customer, sets of them, and one value for each of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::listed_enum::{listed_enum, listed_enum_map};

listed_enum! {
    /// A part of a customer: the unit in which data is fetched, cached and invalidated.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[repr(u8)]
    pub enum Part {
        /// Attributes, meta, preferences and consents.
        Profile => "profile",
        /// The contact's audiences, and Engage's warnings about the contact.
        Audiences => "audiences",
        /// The promotions assigned to the contact.
        Promotions => "promotions",
        /// The contact's reward vouchers.
        Vouchers => "vouchers",
        /// The contact's point accounts.
        Points => "points",
    }
}

listed_enum_map! {
    /// One value for each part.
    pub struct PartMap of Part
}

impl<T: Clone> PartMap<T> {
    /// The same value for every part.
    pub fn splat(value: T) -> Self {
        Self::from_fn(|_| value.clone())
    }
}

impl Part {
    /// The part of that name.
    pub fn from_name(name: &str) -> Option<Part> {
        Part::ALL.into_iter().find(|part| part.as_str() == name)
    }

    /// Whether every response contains the part, requested or not.
    const fn is_always_needed(self) -> bool {
        match self {
            Part::Profile | Part::Audiences => true,
            Part::Promotions | Part::Vouchers | Part::Points => false,
        }
    }

    /// Whether an invalidation affects the part. Audiences are only in the overview, so only a purge drops them.
    const fn is_invalidatable(self) -> bool {
        match self {
            Part::Profile | Part::Promotions | Part::Vouchers | Part::Points => true,
            Part::Audiences => false,
        }
    }
}

/// A set of parts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartSet(u8);

/// A bit for each part.
const _: () = assert!(Part::COUNT <= u8::BITS as usize);

impl PartSet {
    /// No part.
    pub const EMPTY: PartSet = PartSet(0);
    /// Every part.
    pub const ALL: PartSet = PartSet::of(&Part::ALL);
    /// The parts of every response.
    pub const ALWAYS: PartSet = {
        let mut set = PartSet::EMPTY;
        let mut index = 0;
        while index < Part::COUNT {
            if Part::ALL[index].is_always_needed() {
                set.insert(Part::ALL[index]);
            }
            index += 1;
        }
        set
    };
    /// The parts that an invalidation affects.
    pub const INVALIDATABLE: PartSet = {
        let mut set = PartSet::EMPTY;
        let mut index = 0;
        while index < Part::COUNT {
            if Part::ALL[index].is_invalidatable() {
                set.insert(Part::ALL[index]);
            }
            index += 1;
        }
        set
    };

    /// The set of these parts.
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

    /// The parts, in order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Part> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let part = Part::ALL.get(rest.trailing_zeros() as usize)?;
            // Clears the lowest bit.
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
