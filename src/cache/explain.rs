//! What is held of a contact, for operators: where each part came from and how old it is, which names lead there, and
//! which fences stand. No value is among it but the contact's id, which whoever tells it must replace.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Answer, Cache,
    fence::Standing,
    freshness::{Freshness, Policy, Provenance, Source},
    index::HeldName,
    parts::Origins,
};
use crate::{
    clock::Tick,
    domain::{ContactId, IdentifierKind, LookupKey, Part},
};

/// How old something is, and how long it is fresh.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// Who told it.
    pub source: Source,
    /// When it was asked for.
    pub as_of: Timestamp,
    /// The time since.
    pub age: Duration,
    /// Seconds until its lifetime ends; negative afterwards.
    pub ttl_seconds: i64,
    /// In which window it is.
    pub freshness: Freshness,
}

/// A name that leads to a contact; not its value.
#[derive(Clone, Debug)]
pub struct NameHeld {
    /// The kind of identifier.
    pub kind: IdentifierKind,
    /// The contact type that it was asked with.
    pub contact_type: Option<Box<str>>,
    /// Whether the contact is known to bear it.
    pub is_assured: bool,
    /// How old it is.
    pub age: Age,
}

/// A remembered answer of which nothing can be shown.
#[derive(Clone, Debug)]
pub struct NegativeHeld<E> {
    /// Why.
    pub why: E,
    /// The time since it was asked for.
    pub age: Duration,
    /// How long it is still remembered.
    pub left: Duration,
}

/// What is held of one contact.
#[derive(Clone, Debug)]
pub struct ContactHeld {
    /// The contact.
    pub id: ContactId,
    /// The parts that are held.
    pub parts: Vec<(Part, Age)>,
    /// How many answers are kept rendered.
    pub rendered: usize,
    /// The names that lead to it.
    pub names: Vec<NameHeld>,
    /// The fences around it.
    pub fences: Vec<Standing>,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// What is held of the contact. Looks at every name.
    pub fn explain(&self, id: ContactId) -> ContactHeld {
        let now = self.clock.tick();
        let record = self.glance(id);
        let record = record.as_deref();
        let age = |part: Part| {
            let provenance = record?.provenance(part)?;
            let freshness = provenance.freshness(now, &self.policy);
            Some((part, age(provenance, freshness, now, &self.policy)))
        };
        ContactHeld {
            id,
            parts: Part::ALL.into_iter().filter_map(age).collect(),
            rendered: record.map_or(0, |record| record.rendered().count()),
            names: self.names_of(id, now),
            fences: self.fences.standing(id, now),
        }
    }

    /// What the name leads to, and how old that is.
    pub fn explain_name(&self, key: &LookupKey) -> Option<(ContactId, NameHeld)> {
        let held = self.names.peek(&self.name_digest.of(key))?;
        let is_told = self.is_on() && self.stands(&held.name);
        is_told.then(|| (held.name.id, self.name_held(&held, self.clock.tick())))
    }

    /// Why there is nothing to show for the name, if that is remembered, and for how long.
    pub fn explain_negative(&self, key: &LookupKey) -> Option<NegativeHeld<E>> {
        let now = self.clock.tick();
        let (why, until) = self.negative_until(key, now)?;
        let left = until.since(now);
        Some(NegativeHeld {
            why,
            age: self.policy.negative_lifetime.saturating_sub(left),
            left,
        })
    }

    fn names_of(&self, id: ContactId, now: Tick) -> Vec<NameHeld> {
        let mut held = Vec::new();
        self.names.for_each(|_, name| {
            if name.name.id == id {
                held.push(name.clone());
            }
        });
        let is_told = |held: &&HeldName| self.is_on() && self.stands(&held.name);
        let told = held.iter().filter(is_told);
        let mut names: Vec<_> = told.map(|held| self.name_held(held, now)).collect();
        names.sort_by_key(|name| (name.kind.as_str(), name.age.age));
        names
    }

    fn name_held(&self, held: &HeldName, now: Tick) -> NameHeld {
        let name = &held.name;
        let freshness = name.freshness(now, &self.policy);
        NameHeld {
            kind: held.kind,
            contact_type: held.contact_type.as_ref().map(|of| of.folded().into()),
            is_assured: name.assured,
            age: age(&name.provenance, freshness, now, &self.policy),
        }
    }
}

fn age(provenance: &Provenance, freshness: Freshness, now: Tick, policy: &Policy) -> Age {
    Age {
        source: provenance.source,
        as_of: provenance.as_of,
        age: provenance.age(now),
        ttl_seconds: provenance.ttl_seconds(now, policy),
        freshness,
    }
}
