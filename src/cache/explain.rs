//! What is cached of a contact, for operators: where each part came from and how old it is, which aliases lead to it,
//! and which fences are raised. It contains no personal value except the contact's id, which the caller must replace.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Answer, Cache,
    aliases::AliasEntry,
    fence::FenceStatus,
    freshness::{FetchSource, Freshness, Provenance},
    parts::Origins,
};
use crate::{
    clock::Tick,
    domain::{ContactId, HistoryPart, IdentifierKind, LookupKey, Part},
};

/// How old an entry is, and how long it is fresh.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// Which kind of endpoint it came from.
    pub source: FetchSource,
    /// When it was requested.
    pub as_of: Timestamp,
    /// The time since.
    pub age: Duration,
    /// Seconds until its lifetime ends; negative afterwards.
    pub ttl_seconds: i64,
    /// In which window it is.
    pub freshness: Freshness,
}

/// An alias that leads to a contact, without its text.
#[derive(Clone, Debug)]
pub struct AliasView {
    /// The kind of identifier.
    pub kind: IdentifierKind,
    /// The contact type that it was requested with.
    pub contact_type: Option<Box<str>>,
    /// Whether the contact's profile is known to have it.
    pub is_confirmed: bool,
    /// Whether it was learned from the contact's profile.
    pub is_learned: bool,
    /// How old it is.
    pub age: Age,
}

/// An identifier that leads to no contact.
#[derive(Clone, Debug)]
pub struct NegativeView<E> {
    /// Why.
    pub why: E,
    /// The time since it was requested.
    pub age: Duration,
    /// For how much longer it is remembered.
    pub left: Duration,
}

/// What is cached of one contact.
#[derive(Clone, Debug)]
pub struct ContactView {
    /// The contact.
    pub id: ContactId,
    /// The cached parts.
    pub parts: Vec<(Part, Age)>,
    /// The cached parts of its history.
    pub history: Vec<(HistoryPart, Age)>,
    /// The number of rendered responses.
    pub rendered: usize,
    /// The aliases that lead to it.
    pub aliases: Vec<AliasView>,
    /// The fences around it.
    pub fences: Vec<FenceStatus>,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// What is cached of the contact. Visits every alias; a sweep does not count it as a read, though moka's eviction
    /// does.
    pub fn explain(&self, id: ContactId) -> ContactView {
        let now = self.clock.tick();
        let record = self.glance(id);
        let record = record.as_deref();
        let age = |part| Some((part, self.age(record?.provenance(part)?, now)));
        let history = |part| Some((part, self.age(&self.history(id, part)?.provenance, now)));
        ContactView {
            id,
            parts: Part::ALL.into_iter().filter_map(age).collect(),
            history: HistoryPart::ALL.into_iter().filter_map(history).collect(),
            rendered: record.map_or(0, |record| record.rendered().count()),
            aliases: self.aliases_of(id, now),
            fences: self.fences.status(id, now),
        }
    }

    /// Which contact the alias leads to, and how old that is.
    pub fn explain_alias(&self, key: &LookupKey) -> Option<(ContactId, AliasView)> {
        let entry = self.aliases.peek(&self.alias_hasher.of(key))?;
        let is_served = self.is_on() && self.is_alias_allowed(&entry.alias());
        is_served.then(|| (entry.id, self.alias_view(&entry, self.clock.tick())))
    }

    /// Why the identifier leads to no contact, if that is remembered, and for how long.
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

    fn aliases_of(&self, id: ContactId, now: Tick) -> Vec<AliasView> {
        let is_served = |entry: &AliasEntry| {
            entry.id == id && self.is_on() && self.is_alias_allowed(&entry.alias())
        };
        let entries = self.aliases.iter().filter(is_served);
        let mut aliases: Vec<_> = entries.map(|entry| self.alias_view(&entry, now)).collect();
        aliases.sort_by_key(|alias| (alias.kind.as_str(), alias.age.age));
        aliases
    }

    fn alias_view(&self, entry: &AliasEntry, now: Tick) -> AliasView {
        let alias = entry.alias();
        AliasView {
            kind: entry.kind,
            contact_type: entry.contact_type.as_ref().map(|of| of.folded().into()),
            is_confirmed: alias.confirmed,
            is_learned: alias.is_learned,
            age: Age {
                freshness: alias.freshness(now, &self.policy),
                ..self.age(&alias.provenance, now)
            },
        }
    }

    fn age(&self, provenance: &Provenance, now: Tick) -> Age {
        Age {
            source: provenance.source,
            as_of: provenance.as_of,
            age: provenance.age(now),
            ttl_seconds: provenance.ttl_seconds(now, &self.policy),
            freshness: provenance.freshness(now, &self.policy),
        }
    }
}
