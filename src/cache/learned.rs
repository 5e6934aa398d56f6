//! Learned aliases: where the operator says that a kind of identifier is unique within a contact type, a cached profile
//! also resolves the identifiers that it shows. They are ordinary entries of the index, with the profile's provenance,
//! so they live no longer than the profile, and every fence applies to them.
//!
//! # When they are placed
//!
//! They are placed once the profile has become the cached one, while [`Cache::stores`] is still read-locked.
//!
//! - **A purge by identifier** registers its predicate, waits for the stores under way, scans the records, and then
//!   purges the aliases of that value. A store under way has placed its aliases by the time of the scan: the scan finds
//!   the record, and the purge of the contact forbids all its aliases. A later store meets the predicate, and what was
//!   requested before it is not stored, so nothing is learned from it. Aliases may be learned from what was requested
//!   later.
//! - **A purge of the contact** raises its fence first. An alias that is placed later sees it; one that was placed
//!   before is not served any more, and a sweep, which waits for changes under way, removes it.
//! - **An invalidation of the profile** does not end the contact's aliases, learned or not: the search checks whether
//!   the profile that replaces it still shows the identifier.
//! - **An alias that was purged or found wrong** has a fence that forbids what was requested before, and within the
//!   overview's lag nothing is learned for it.
//!
//! # Two contacts with one value
//!
//! When the second contact's profile is stored, the alias of the first is in the index, and its record was stored
//! before that. If that record's profile shows the value, the value is not unique, or was moved and one of the two
//! profiles is out of date. Only Engage knows which: the alias gets the fence of a wrong alias, so for the overview's
//! lag `/contacts/id` alone resolves it.

use moka::ops::compute::Op;

use super::{
    Alias, Answer, Cache,
    aliases::AliasEntry,
    freshness::{FetchSource, Freshness, Provenance},
    parts::{Entry, Origins, Parts},
};
use crate::{
    domain::{ContactId, IdentifierKind, LookupKey, Part, Profile, UniqueKinds, UniqueValue},
    threads::{AtomicU64, Ordering},
};

/// How often an identifier of a unique kind turned out to belong to two contacts.
#[derive(Debug, Default)]
pub(super) struct Conflicts([AtomicU64; IdentifierKind::COUNT]);

impl Conflicts {
    fn report(&self, kind: IdentifierKind) {
        self.0[kind as usize].fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            alarm = true,
            kind = kind.as_str(),
            "unique identifier of two contacts"
        );
    }
}

/// What a profile says about the alias of a value that it shows.
#[derive(Clone, Copy)]
enum AliasDecision {
    /// Nothing new, or nothing that may be used.
    Nothing,
    /// The alias leads to its contact.
    Place,
    /// The alias leads to its contact already, and this profile confirms it.
    Seen,
    /// The alias must not be known any more: the contact is protected.
    Forget,
    /// Another cached contact shows the value too.
    Conflict,
    /// Engage said that the alias leads to another contact; that may be outdated.
    Doubt,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// From now on the aliases of these kinds are learned from profiles. To be called before anything is stored.
    pub fn learn_aliases(&mut self, unique: UniqueKinds) {
        self.unique = unique;
    }

    /// Whether aliases are learned from profiles.
    pub fn learns_aliases(&self) -> bool {
        !self.unique.is_empty()
    }

    /// The kinds of which aliases are learned, and how often a value of each turned out to belong to two contacts.
    pub fn conflicts(&self) -> Vec<(IdentifierKind, u64)> {
        let of = |kind: IdentifierKind| self.conflicts.0[kind as usize].load(Ordering::Relaxed);
        let kinds = IdentifierKind::ALL.into_iter();
        let learned = kinds.filter(|kind| self.unique.contains(*kind));
        learned.map(|kind| (kind, of(kind))).collect()
    }

    /// Learns the aliases of a contact from the profile that has just become the cached one.
    pub(super) fn learn(&self, id: ContactId, profile: &Entry<Profile>) {
        for value in self.unique.values(&profile.data) {
            // No alias is learned from a protected profile, but its values still show that they do not belong to
            // another contact alone.
            let is_kept = !profile.data.secrecy_marked;
            self.learn_alias(id, profile.provenance, &value, is_kept);
        }
    }

    fn learn_alias(
        &self,
        id: ContactId,
        provenance: Provenance,
        value: &UniqueValue,
        is_kept: bool,
    ) {
        let key = value.key();
        let alias = Alias {
            id,
            provenance,
            confirmed: true,
            seen_in: provenance.sequence,
            is_learned: true,
        };
        let mut decision = AliasDecision::Nothing;
        self.aliases.update(self.alias_hasher.of(key), |entry| {
            let cached = entry.as_ref().map(AliasEntry::alias);
            let cached = cached.filter(|cached| self.is_alias_allowed(cached));
            decision = self.decide_alias(&alias, cached.as_ref(), value, is_kept);
            match (decision, entry) {
                (AliasDecision::Nothing, _) => Op::Nop,
                (AliasDecision::Conflict | AliasDecision::Doubt, _) => {
                    self.fences.raise_alias(key, self.clock.tick());
                    Op::Remove
                }
                (AliasDecision::Forget, _) => Op::Remove,
                (AliasDecision::Seen, Some(entry)) => Op::Put(AliasEntry {
                    seen_in: alias.seen_in,
                    ..entry
                }),
                (AliasDecision::Seen | AliasDecision::Place, _) => {
                    let replaces = cached.is_some_and(|cached| cached.id != id);
                    if replaces && provenance.source == FetchSource::Entity {
                        self.fences.alias_resolved(key, self.clock.tick());
                    }
                    Op::Put(AliasEntry::new(alias, key))
                }
            }
        });
        match decision {
            AliasDecision::Place => self.negatives.invalidate(key),
            AliasDecision::Conflict => self.conflicts.report(key.kind()),
            AliasDecision::Nothing
            | AliasDecision::Doubt
            | AliasDecision::Forget
            | AliasDecision::Seen => {}
        }
    }

    /// What a profile that shows the value says about the value's alias; `cached` is the alias as it is cached.
    fn decide_alias(
        &self,
        alias: &Alias,
        cached: Option<&Alias>,
        value: &UniqueValue,
        is_kept: bool,
    ) -> AliasDecision {
        let Alias { id, provenance, .. } = *alias;
        let key = value.key();
        // The contact was not protected when the alias was learned. The alias must go, whatever the fences allow.
        let is_own = |cached: &Alias| cached.id == id && cached.is_learned;
        if !is_kept && cached.is_some_and(is_own) {
            return AliasDecision::Forget;
        }
        // Only a purge fences the audiences.
        let is_purged = !self.fences.allows(id, Part::Audiences, provenance.sequence);
        if !self.is_on() || is_purged || provenance.sequence <= self.fences.alias_not_before(key) {
            return AliasDecision::Nothing;
        }
        let by_entity = provenance.source == FetchSource::Entity;
        let is_later = |cached: &Alias| provenance.is_later_than(&cached.provenance);
        let outlasts = |cached: &Alias| cached.outlasts(alias, self.policy.overview_lag);
        let other = cached.filter(|cached| cached.id != id);
        // Within the overview's lag after a wrong alias only `/contacts/id` says to which contact the identifier leads.
        if self
            .fences
            .alias_is_entity_only(key, provenance.requested_at)
        {
            // The entity endpoint said so before this contact had the identifier.
            let is_outdated = by_entity && other.is_some_and(is_later);
            return if is_outdated {
                AliasDecision::Doubt
            } else {
                AliasDecision::Nothing
            };
        }
        if let Some(other) = other {
            if self.shows(other.id, value) {
                return AliasDecision::Conflict;
            }
            // The entity endpoint said so within the lag, and an overview that began later shows it elsewhere.
            let is_resolved = other.provenance.source == FetchSource::Entity;
            if is_resolved && is_later(other) && outlasts(other) {
                return AliasDecision::Doubt;
            }
        }
        match cached {
            _ if !is_kept || self.has_later_negative(key, &provenance) => AliasDecision::Nothing,
            Some(cached) if outlasts(cached) => AliasDecision::Nothing,
            // The call that fetched the profile was a look-up by this very identifier.
            Some(cached)
                if cached.id == id
                    && cached.confirmed
                    && cached.provenance.sequence == provenance.sequence =>
            {
                AliasDecision::Seen
            }
            _ => AliasDecision::Place,
        }
    }

    /// Whether the cached profile of the contact, if it may still be served, shows the value.
    fn shows(&self, id: ContactId, value: &UniqueValue) -> bool {
        let now = self.clock.tick();
        let is_usable =
            |provenance: &Provenance| provenance.freshness(now, &self.policy) < Freshness::Dead;
        let record = self.glance(id);
        let record =
            record.filter(|record| record.provenance(Part::Profile).is_some_and(is_usable));
        let parts = record.and_then(|record| self.parts_of(&record));
        let profile = parts.and_then(|parts| parts.profile);
        profile.is_some_and(|profile| value.is_shown_by(&profile.data.identity))
    }

    /// Notes that Engage knows several contacts by an identifier that should be unique within their type: for the
    /// overview's lag nothing is learned for it.
    pub fn note_ambiguous(&self, key: &LookupKey) {
        let now = self.clock.tick();
        let is_unique = key.contact_type().is_some() && self.unique.contains(key.kind());
        if is_unique && !self.fences.alias_is_entity_only(key, now) {
            // Not a fence that forbids what was requested until now: this answer is right.
            self.fences.alias_resolved(key, now);
            self.conflicts.report(key.kind());
        }
    }
}

/// The profile of the merged parts, if it is the one that was just fetched.
pub(super) fn placed_profile(merged: &Parts, fetched: &Parts) -> Option<Entry<Profile>> {
    let fetched = fetched.profile.as_ref()?.provenance.sequence;
    let profile = merged.profile.as_ref()?;
    (profile.provenance.sequence == fetched).then(|| profile.clone())
}
