//! The parts of a customer, sets of them, and one value for each of them.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

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
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Every part, in the order of the answer.
    pub const ALL: [Part; Part::COUNT] = [
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

/// One value for each part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartMap<T>([T; Part::COUNT]);

impl<T> PartMap<T> {
    /// The value that `value_of` gives for each part.
    pub fn from_fn(value_of: impl FnMut(Part) -> T) -> Self {
        Self(Part::ALL.map(value_of))
    }

    /// The same value for every part.
    pub fn splat(value: T) -> Self
    where
        T: Clone,
    {
        Self::from_fn(|_| value.clone())
    }

    /// Each part with its value, in the order of the answer.
    pub fn iter(&self) -> impl Iterator<Item = (Part, &T)> {
        Part::ALL.into_iter().zip(&self.0)
    }
}

impl<T> Index<Part> for PartMap<T> {
    type Output = T;

    fn index(&self, part: Part) -> &T {
        &self.0[part as usize]
    }
}

impl<T> IndexMut<Part> for PartMap<T> {
    fn index_mut(&mut self, part: Part) -> &mut T {
        &mut self.0[part as usize]
    }
}

/// A set of parts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PartSet(u8);

impl PartSet {
    /// No part.
    pub const EMPTY: PartSet = PartSet(0);
    /// Every part.
    pub const ALL: PartSet = PartSet::of(&Part::ALL);
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
