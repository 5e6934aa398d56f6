//! The index: which contact an alias leads to, and which identifiers lead to no contact. Both are bounded apart from
//! the records, so that a flood of aliases evicts no customer.

use std::time::Duration;

use moka::ops::compute::Op;

use super::{
    Answer, Cache, FetchStart, Reason,
    aliases::{Alias, AliasEntry},
    fence::Sequence,
    freshness::{FetchSource, Policy, Provenance},
    provenance,
};
use crate::{
    clock::Tick,
    domain::{ContactId, LookupKey, Part},
};

/// An identifier that leads to no contact; `E` is the reason.
#[derive(Clone, Debug)]
pub(super) struct NegativeEntry<E> {
    why: E,
    sequence: Sequence,
    until: Tick,
}

impl<E: Reason> NegativeEntry<E> {
    /// The bytes that it occupies on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.why.heap_bytes()
    }
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
        self.is_alias_allowed(&alias).then_some(alias)
    }

    /// Whether no fence forbids the alias.
    pub(super) fn is_alias_allowed(&self, alias: &Alias) -> bool {
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
        let negative = self.negative_entry(key, now).filter(|_| self.is_on())?;
        Some((negative.why, negative.until))
    }

    /// The negative entry, unless a fence forbids it or its time has passed.
    fn negative_entry(&self, key: &LookupKey, now: Tick) -> Option<NegativeEntry<E>> {
        let negative = self.negatives.get(key)?;
        let holds =
            negative.sequence > self.fences.negatives_not_before(key) && now < negative.until;
        holds.then_some(negative)
    }

    /// Stores which contact an alias leads to. `false` if a fence forbids it, or if within the overview's lag an
    /// overview contradicts what the entity endpoint found. An alias that is not confirmed lives no longer than a
    /// negative entry.
    pub fn store_alias(
        &self,
        key: &LookupKey,
        id: ContactId,
        start: FetchStart,
        source: FetchSource,
        confirmed: bool,
    ) -> bool {
        let found = provenance(start, self.alias_lifetime(confirmed), source);
        self.place_alias(key, Alias::found(id, found, confirmed), true)
    }

    /// Whether no fence forbids the alias. It is not stored: an invalidation that has not reached this replica yet
    /// covers it.
    pub fn allows_alias(
        &self,
        key: &LookupKey,
        id: ContactId,
        start: FetchStart,
        source: FetchSource,
    ) -> bool {
        let found = provenance(start, self.alias_lifetime(false), source);
        self.place_alias(key, Alias::found(id, found, false), false)
    }

    pub(super) fn alias_lifetime(&self, confirmed: bool) -> Duration {
        let lifetime = self.policy.lifetime(Part::Profile);
        if confirmed {
            lifetime
        } else {
            lifetime.min(self.policy.negative_lifetime)
        }
    }

    /// Checks the alias against what is cached and fenced, and stores it if `is_kept`. `false` if a fence forbids it,
    /// if it is an overview's and contradicts what the entity endpoint found within the lag, or if it is another
    /// replica's and the cached alias to another contact outlasts it.
    pub(super) fn place_alias(&self, key: &LookupKey, alias: Alias, is_kept: bool) -> bool {
        let Alias { id, provenance, .. } = alias;
        let mut overtaken = false;
        self.aliases.update(self.alias_hasher.of(key), |cached| {
            let cached = cached.map(|cached| cached.alias());
            let other = cached.filter(|cached| cached.id != id);
            let stays =
                cached.is_some_and(|cached| cached.outlasts(&alias, self.policy.overview_lag));
            // An overview does not replace what the entity endpoint found, within its lag.
            let contradicts = stays
                && other.is_some_and(|cached| cached.provenance.source == FetchSource::Entity);
            if contradicts && provenance.source == FetchSource::Overview {
                // Only the entity endpoint knows which of the two is outdated.
                self.fences.alias_resolved(key, self.clock.tick());
            }
            let lags = provenance.source == FetchSource::Overview
                && (contradicts
                    || self
                        .fences
                        .alias_is_entity_only(key, provenance.requested_at));
            // Only a purge fences the audiences.
            let is_purged = !self.fences.allows(id, Part::Audiences, provenance.sequence);
            let is_outdated = provenance.is_shared && stays && other.is_some();
            overtaken = lags
                || is_purged
                || is_outdated
                || provenance.sequence <= self.fences.alias_not_before(key);
            if stays || overtaken || !is_kept || !self.is_on() {
                return Op::Nop;
            }
            if provenance.source == FetchSource::Entity && other.is_some() {
                self.fences.alias_resolved(key, self.clock.tick());
            }
            Op::Put(AliasEntry::new(alias, key))
        });
        if !overtaken && is_kept {
            self.negatives.invalidate(key);
        }
        !overtaken
    }

    /// Notes whether the contact's profile was seen to have the identifier that led to it.
    pub fn confirm_alias(&self, key: &LookupKey, alias: &Alias, confirmed: bool) {
        if alias.confirmed == confirmed {
            return;
        }
        // Not if the alias was dropped or stored again in the meantime.
        let cached = self.aliases.peek(&self.alias_hasher.of(key));
        if cached.is_none_or(|cached| cached.provenance.sequence != alias.provenance.sequence) {
            return;
        }
        let lifetime = Policy::jittered(self.alias_lifetime(confirmed));
        let alias = Alias {
            provenance: Provenance {
                lifetime,
                ..alias.provenance
            },
            confirmed,
            seen_in: Sequence::default(),
            ..*alias
        };
        self.place_alias(key, alias, true);
    }

    /// Notes the profile that does not contradict the alias, unless the alias was stored again in the meantime.
    pub fn note_seen(&self, key: &LookupKey, alias: &Alias, profile: Sequence) {
        self.aliases
            .update(self.alias_hasher.of(key), |cached| match cached {
                Some(cached) if cached.provenance.sequence == alias.provenance.sequence => {
                    Op::Put(AliasEntry {
                        seen_in: profile,
                        ..cached
                    })
                }
                _ => Op::Nop,
            });
    }

    /// Drops an alias that turned out to be wrong. For the overview's lag the overview can't bring it back.
    pub fn drop_alias(&self, key: &LookupKey) {
        self.fences.raise_alias(key, self.clock.tick());
        self.forget_alias(key);
    }

    /// Drops an alias; the overview may bring it back.
    pub fn forget_alias(&self, key: &LookupKey) {
        self.aliases
            .update(self.alias_hasher.of(key), |_| Op::Remove);
    }

    /// The contact that the identifier leads to, from the cache. If none is cached, the identifier's negative entry
    /// ends, results that are in flight for it are not stored, and for the overview's lag its entity endpoint alone
    /// resolves it.
    pub fn contact_or_fence_alias(&self, key: &LookupKey) -> Option<ContactId> {
        let mut led_to = None;
        // Under the alias's lock: an alias that is being stored is seen here, or sees the fence.
        self.aliases.update(self.alias_hasher.of(key), |cached| {
            let cached = cached.map(|cached| cached.alias());
            led_to = cached.filter(|cached| self.is_alias_allowed(cached));
            if led_to.is_some() {
                return Op::Nop;
            }
            self.fences.raise_alias(key, self.clock.tick());
            Op::Remove
        });
        if led_to.is_none() {
            self.negatives.invalidate(key);
        }
        led_to.map(|alias| alias.id)
    }

    /// Remembers that the identifier leads to no contact, and drops its alias unless that was found later.
    pub fn store_negative(&self, key: &LookupKey, start: FetchStart, source: FetchSource, why: E) {
        let found = provenance(start, self.policy.negative_lifetime, source);
        self.place_negative(key, &found, why);
    }

    /// The same for what a request of that provenance found. `false` if a fence forbids it or a newer alias contradicts
    /// it. A fence keeps any entry out; a newer alias only that of another replica.
    pub(super) fn place_negative(&self, key: &LookupKey, found: &Provenance, why: E) -> bool {
        let source = found.source;
        let mut newer = false;
        self.aliases.update(self.alias_hasher.of(key), |cached| {
            let lag = self.policy.overview_lag;
            newer = cached.is_some_and(|cached| {
                let cached = cached.alias().provenance;
                cached.is_later_than(found) && !found.supersedes(&cached, lag)
            });
            if newer { Op::Nop } else { Op::Remove }
        });
        if newer && found.is_shared {
            return false;
        }
        if source == FetchSource::Entity && !key.is_contact_id() {
            self.fences.alias_resolved(key, self.clock.tick());
        }
        let negative = NegativeEntry {
            why,
            sequence: found.sequence,
            // Not the lifetime, which is jittered.
            until: found.requested_at + self.policy.negative_lifetime,
        };
        let mut is_allowed = false;
        self.negatives.entry(key.clone()).and_compute_with(|_| {
            is_allowed = found.sequence > self.fences.negatives_not_before(key);
            if is_allowed && self.is_on() {
                Op::Put(negative)
            } else {
                Op::Nop
            }
        });
        if self.learns_aliases() {
            // An alias may have been learned after the removal above and before the negative entry was stored.
            self.aliases.update(self.alias_hasher.of(key), |cached| {
                let is_older = |cached: AliasEntry| {
                    cached.is_learned && found.is_later_than(&cached.alias().provenance)
                };
                if is_allowed && cached.is_some_and(is_older) {
                    Op::Remove
                } else {
                    Op::Nop
                }
            });
        }
        is_allowed && !newer
    }

    /// Whether a negative entry is in force that was found later than that.
    pub(super) fn has_later_negative(&self, key: &LookupKey, than: &Provenance) -> bool {
        let negative = self.negative_entry(key, self.clock.tick());
        negative.is_some_and(|negative| {
            let requested_at = negative.until - self.policy.negative_lifetime;
            negative.sequence > than.sequence
                || (than.is_shared && requested_at >= than.requested_at)
        })
    }

    /// A contact was created, changed or deleted: every negative entry ends.
    pub fn drop_negatives(&self) {
        self.fences.raise_negatives();
        self.negatives.invalidate_all();
    }
}
