//! The index: which contact an alias leads to, and which identifiers no contact has. Both are bounded apart from the
//! records, so that a flood of aliases evicts no customer.

use std::time::Duration;

use moka::ops::compute::Op as NegativeOp;

use super::{
    Answer, Cache, FetchStart,
    aliases::{Alias, AliasChange, AliasEntry},
    fence::Sequence,
    freshness::FetchSource,
    provenance,
};
use crate::{
    clock::{Now, Tick},
    domain::{ContactId, LookupKey, Part},
};

/// An identifier that leads to no contact; `E` is the reason.
#[derive(Clone, Debug)]
pub(super) struct NegativeEntry<E> {
    why: E,
    sequence: Sequence,
    until: Tick,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// Which contact the alias leads to, unless a fence forbids it. A bare contact id has no alias.
    pub fn alias(&self, key: &LookupKey) -> Option<Alias> {
        if !self.is_on() {
            return None;
        }
        let alias = self.aliases.get(&self.alias_hasher.of(key))?.alias();
        self.stands(&alias).then_some(alias)
    }

    /// Whether no fence forbids the alias.
    pub(super) fn stands(&self, alias: &Alias) -> bool {
        let sequence = alias.provenance.sequence;
        // Only a purge fences the audiences.
        let is_purged = self.pending_purges.contains(alias.id)
            && !self.fences.allows(alias.id, Part::Audiences, sequence);
        sequence > self.fences.everything() && !is_purged
    }

    /// Why the identifier leads to no contact, if that is remembered.
    pub fn negative(&self, key: &LookupKey, now: Tick) -> Option<E> {
        self.negative_until(key, now).map(|(why, _)| why)
    }

    /// The same, and until when.
    pub(super) fn negative_until(&self, key: &LookupKey, now: Tick) -> Option<(E, Tick)> {
        let negative = self.negatives.get(key).filter(|_| self.is_on())?;
        let holds =
            negative.sequence > self.fences.negatives_not_before(key) && now < negative.until;
        holds.then_some((negative.why, negative.until))
    }

    /// Stores which contact an alias leads to. `false` where a fence forbids it. An alias that is not confirmed lives
    /// no longer than a negative entry.
    pub fn store_alias(
        &self,
        key: &LookupKey,
        id: ContactId,
        start: FetchStart,
        source: FetchSource,
        confirmed: bool,
    ) -> bool {
        let mut lifetime = self.policy.lifetime(Part::Profile);
        if !confirmed {
            lifetime = lifetime.min(self.policy.negative_lifetime);
        }
        let alias = Alias {
            id,
            provenance: provenance(start, lifetime, source),
            confirmed,
            seen_in: Sequence::default(),
        };
        let mut overtaken = false;
        self.aliases.update(self.alias_hasher.of(key), |cached| {
            let cached = cached.map(|cached| cached.alias());
            let other = cached.filter(|cached| cached.id != id);
            let stays =
                cached.is_some_and(|cached| cached.outlasts(&alias, self.policy.overview_lag));
            // An overview does not replace what the entity endpoint found, within its lag.
            let contradicts = stays
                && other.is_some_and(|cached| cached.provenance.source == FetchSource::Entity);
            let lags = source == FetchSource::Overview
                && (contradicts || self.fences.alias_is_entity_only(key, start.now.tick));
            // Only a purge fences the audiences.
            let is_purged = !self.fences.allows(id, Part::Audiences, start.sequence);
            overtaken = lags || is_purged || start.sequence <= self.fences.alias_not_before(key);
            if stays || overtaken || !self.is_on() {
                return AliasChange::None;
            }
            if source == FetchSource::Entity && other.is_some() {
                self.fences.alias_resolved(key, self.clock.tick());
            }
            AliasChange::Put(AliasEntry::new(alias, key))
        });
        if !overtaken {
            self.negatives.invalidate(key);
        }
        !overtaken
    }

    /// Notes whether the contact's profile was seen to have the identifier that led to it.
    pub fn confirm_alias(&self, key: &LookupKey, alias: &Alias, confirmed: bool) {
        if alias.confirmed == confirmed {
            return;
        }
        // Not where the alias was dropped or stored anew meanwhile.
        let cached = self.aliases.peek(&self.alias_hasher.of(key));
        if cached.is_none_or(|cached| cached.provenance.sequence != alias.provenance.sequence) {
            return;
        }
        let start = FetchStart {
            sequence: alias.provenance.sequence,
            now: Now {
                tick: alias.provenance.requested_at,
                wall: alias.provenance.as_of,
            },
        };
        self.store_alias(key, alias.id, start, alias.provenance.source, confirmed);
    }

    /// Notes the profile that does not contradict the alias, unless the alias was stored anew meanwhile.
    pub fn note_seen(&self, key: &LookupKey, alias: &Alias, profile: Sequence) {
        self.aliases
            .update(self.alias_hasher.of(key), |cached| match cached {
                Some(cached) if cached.provenance.sequence == alias.provenance.sequence => {
                    AliasChange::Put(AliasEntry {
                        seen_in: profile,
                        ..cached
                    })
                }
                _ => AliasChange::None,
            });
    }

    /// Drops an alias that turned out to be wrong. For the overview's lag the overview can't bring it back.
    pub fn drop_alias(&self, key: &LookupKey) {
        self.fences.raise_alias(key, self.clock.tick());
        self.aliases.remove(self.alias_hasher.of(key));
    }

    /// Drops an alias; the overview may bring it back.
    pub fn forget_alias(&self, key: &LookupKey) {
        self.aliases.remove(self.alias_hasher.of(key));
    }

    /// Remembers that the identifier leads to no contact, and drops its alias.
    pub fn store_negative(&self, key: &LookupKey, start: FetchStart, source: FetchSource, why: E) {
        let found = provenance(start, Duration::ZERO, source);
        self.aliases.update(self.alias_hasher.of(key), |cached| {
            let lag = self.policy.overview_lag;
            let newer = cached.is_some_and(|cached| {
                let cached = cached.alias().provenance;
                cached.sequence > start.sequence && !found.supersedes(&cached, lag)
            });
            if newer {
                AliasChange::None
            } else {
                AliasChange::Remove
            }
        });
        if source == FetchSource::Entity && !key.is_contact_id() {
            self.fences.alias_resolved(key, self.clock.tick());
        }
        let until = start.now.tick + self.policy.negative_lifetime;
        let negative = NegativeEntry {
            why,
            sequence: start.sequence,
            until,
        };
        self.negatives.entry(key.clone()).and_compute_with(|_| {
            if start.sequence > self.fences.negatives_not_before(key) && self.is_on() {
                NegativeOp::Put(negative)
            } else {
                NegativeOp::Nop
            }
        });
    }

    /// A contact was created, changed or deleted: every negative entry ends.
    pub fn drop_negatives(&self) {
        self.fences.raise_negatives();
        self.negatives.invalidate_all();
    }
}
