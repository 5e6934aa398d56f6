//! What is held of a contact, for operators: where each part came from and how old it is, which names lead there, and
//! which fences stand. No value is among it but the contact's id, which whoever tells it must replace.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Answer, Cache,
    fence::FenceStatus,
    freshness::{FetchSource, Freshness, Policy, Provenance},
    index::AliasEntry,
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
    pub source: FetchSource,
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
pub struct AliasView {
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
pub struct NegativeView<E> {
    /// Why.
    pub why: E,
    /// The time since it was asked for.
    pub age: Duration,
    /// How long it is still remembered.
    pub left: Duration,
}

/// What is held of one contact.
#[derive(Clone, Debug)]
pub struct ContactView {
    /// The contact.
    pub id: ContactId,
    /// The parts that are held.
    pub parts: Vec<(Part, Age)>,
    /// How many answers are kept rendered.
    pub rendered: usize,
    /// The names that lead to it.
    pub aliases: Vec<AliasView>,
    /// The fences around it.
    pub fences: Vec<FenceStatus>,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// What is held of the contact. Looks at every name.
    pub fn explain(&self, id: ContactId) -> ContactView {
        let now = self.clock.tick();
        let record = self.glance(id);
        let record = record.as_deref();
        let age = |part: Part| {
            let provenance = record?.provenance(part)?;
            let freshness = provenance.freshness(now, &self.policy);
            Some((part, age(provenance, freshness, now, &self.policy)))
        };
        ContactView {
            id,
            parts: Part::ALL.into_iter().filter_map(age).collect(),
            rendered: record.map_or(0, |record| record.rendered().count()),
            aliases: self.names_of(id, now),
            fences: self.fences.status(id, now),
        }
    }

    /// What the name leads to, and how old that is.
    pub fn explain_alias(&self, key: &LookupKey) -> Option<(ContactId, AliasView)> {
        let held = self.aliases.peek(&self.alias_hasher.of(key))?;
        let is_told = self.is_on() && self.stands(&held.alias);
        is_told.then(|| (held.alias.id, self.alias_view(&held, self.clock.tick())))
    }

    /// Why there is nothing to show for the name, if that is remembered, and for how long.
    pub fn explain_negative(&self, key: &LookupKey) -> Option<NegativeView<E>> {
        let now = self.clock.tick();
        let (why, until) = self.negative_until(key, now)?;
        let left = until.since(now);
        Some(NegativeView {
            why,
            age: self.policy.negative_lifetime.saturating_sub(left),
            left,
        })
    }

    fn names_of(&self, id: ContactId, now: Tick) -> Vec<AliasView> {
        let mut held = Vec::new();
        self.aliases.for_each(|_, alias| {
            if alias.alias.id == id {
                held.push(alias.clone());
            }
        });
        let is_told = |held: &&AliasEntry| self.is_on() && self.stands(&held.alias);
        let told = held.iter().filter(is_told);
        let mut aliases: Vec<_> = told.map(|held| self.alias_view(held, now)).collect();
        aliases.sort_by_key(|alias| (alias.kind.as_str(), alias.age.age));
        aliases
    }

    fn alias_view(&self, held: &AliasEntry, now: Tick) -> AliasView {
        let alias = &held.alias;
        let freshness = alias.freshness(now, &self.policy);
        AliasView {
            kind: held.kind,
            contact_type: held.contact_type.as_ref().map(|of| of.folded().into()),
            is_assured: alias.confirmed,
            age: age(&alias.provenance, freshness, now, &self.policy),
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
