//! The index: what names lead to, and the names that lead to nobody. Both are remembered apart from the
//! records, and bounded apart, so that a flood of names takes no room from customers.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    time::Duration,
};

use moka::ops::compute::Op as NegativeOp;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::{
    Answer, Cache, FetchStart,
    fence::Sequence,
    freshness::{FetchSource, Freshness, Policy, Provenance},
    provenance,
    store::Op,
};
use crate::{
    clock::{Now, Tick},
    domain::{ContactId, ContactType, IdentifierKind, LookupKey, Part},
};

/// What a name led to when it was last asked for.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The contact.
    pub id: ContactId,
    /// Who told it, and when.
    pub provenance: Provenance,
    /// Whether the contact is known to bear the name.
    pub confirmed: bool,
    /// The profile that was last seen to bear it: as long as that one is held, nobody need look again.
    pub seen_in: Sequence,
}

impl Alias {
    /// How old the name is. One that could not be checked has no stale windows: it serves no longer
    /// than a negative answer.
    pub fn freshness(&self, now: Tick, policy: &Policy) -> Freshness {
        let freshness = self.provenance.freshness(now, policy);
        if self.confirmed || freshness == Freshness::Fresh {
            freshness
        } else {
            Freshness::Dead
        }
    }
}

impl Alias {
    /// Whether it stays where `other`, learnt of the same alias, would take its place.
    fn outlasts(&self, other: &Alias, overview_lag: Duration) -> bool {
        let (held, new) = (&self.provenance, &other.provenance);
        if self.id == other.id {
            held.sequence > new.sequence
        } else {
            held.sequence != new.sequence && !new.supersedes(held, overview_lag)
        }
    }
}

/// A name in the index, with what operators are told of it; its value is not there, only its digest.
#[derive(Clone, Debug)]
pub(super) struct AliasEntry {
    pub(super) alias: Alias,
    pub(super) kind: IdentifierKind,
    pub(super) contact_type: Option<ContactType>,
}

/// The digest that stands for a name. Of 128 bits under a key of the process's own, so that no two names that anybody
/// comes upon share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AliasKey([u64; 2]);

/// Makes the digests.
pub(super) struct AliasHasher(SipHasher13);

impl AliasHasher {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self(SipHasher13::new_with_keys(
            random.hash_one(0),
            random.hash_one(1),
        ))
    }

    pub(super) fn of(&self, key: &LookupKey) -> AliasKey {
        let mut hasher = self.0;
        key.hash(&mut hasher);
        let digest = hasher.finish128();
        AliasKey([digest.h1, digest.h2])
    }
}

/// A remembered answer of which nothing can be shown: `E` says why.
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
    /// What the name led to, unless a fence forbids it. A bare contact id leads to itself.
    pub fn alias(&self, key: &LookupKey) -> Option<Alias> {
        if !self.is_on() {
            return None;
        }
        let AliasEntry { alias, .. } = self.aliases.get(&self.alias_hasher.of(key))?;
        self.stands(&alias).then_some(alias)
    }

    /// Whether no fence forbids the name.
    pub(super) fn stands(&self, alias: &Alias) -> bool {
        let sequence = alias.provenance.sequence;
        // Only a purge fences the audiences.
        let is_left_behind = self.pending_purges.contains(alias.id)
            && !self.fences.allows(alias.id, Part::Audiences, sequence);
        sequence > self.fences.everything() && !is_left_behind
    }

    /// Why there is nothing to show for the name, if that is remembered.
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

    /// Remembers what a name leads to, unless the name was dropped meanwhile; then `false`. A name that
    /// the contact was not seen to bear lives no longer than a negative answer.
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
        self.aliases.update(self.alias_hasher.of(key), |held| {
            let held = held.map(|held| &held.alias);
            let other = held.filter(|held| held.id != id);
            let stays = held.is_some_and(|held| held.outlasts(&alias, self.policy.overview_lag));
            // What the entity endpoint said of the alias no overview takes back within its lag.
            let contradicts =
                stays && other.is_some_and(|held| held.provenance.source == FetchSource::Entity);
            let lags = source == FetchSource::Overview
                && (contradicts || self.fences.alias_is_entity_only(key, start.now.tick));
            // Only a purge fences the audiences.
            let is_purged = !self.fences.allows(id, Part::Audiences, start.sequence);
            overtaken = lags || is_purged || start.sequence <= self.fences.alias_not_before(key);
            if stays || overtaken || !self.is_on() {
                return Op::Nop;
            }
            if source == FetchSource::Entity && other.is_some() {
                self.fences.alias_resolved(key, self.clock.tick());
            }
            Op::Put(AliasEntry {
                alias,
                kind: key.kind(),
                contact_type: key.contact_type().cloned(),
            })
        });
        if !overtaken {
            self.negatives.invalidate(key);
        }
        !overtaken
    }

    /// Notes that the contact was, or was not, seen to bear the name that led to it.
    pub fn confirm_alias(&self, key: &LookupKey, alias: &Alias, confirmed: bool) {
        if alias.confirmed == confirmed {
            return;
        }
        // One that was dropped or learnt anew meanwhile stays so.
        let cached = self.aliases.peek(&self.alias_hasher.of(key));
        if cached.is_none_or(|cached| cached.alias.provenance.sequence != alias.provenance.sequence)
        {
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

    /// Notes in which profile the contact was seen to bear the name that led to it, unless the name was learnt anew
    /// meanwhile.
    pub fn note_seen(&self, key: &LookupKey, alias: &Alias, profile: Sequence) {
        self.aliases
            .update(self.alias_hasher.of(key), |held| match held {
                Some(held) if held.alias.provenance.sequence == alias.provenance.sequence => {
                    let mut held = held.clone();
                    held.alias.seen_in = profile;
                    Op::Put(held)
                }
                _ => Op::Nop,
            });
    }

    /// Forgets a name that turned out to be wrong. For the overview's lag the overview can't bring it
    /// back.
    pub fn drop_alias(&self, key: &LookupKey) {
        self.fences.raise_alias(key, self.clock.tick());
        self.aliases.remove(self.alias_hasher.of(key));
    }

    /// Forgets a name; the overview may bring it back.
    pub fn forget_alias(&self, key: &LookupKey) {
        self.aliases.remove(self.alias_hasher.of(key));
    }

    /// Remembers that there is nothing to show for the name, and forgets what it led to.
    pub fn store_negative(&self, key: &LookupKey, start: FetchStart, source: FetchSource, why: E) {
        let said = provenance(start, Duration::ZERO, source);
        self.aliases.update(self.alias_hasher.of(key), |held| {
            let lag = self.policy.overview_lag;
            let newer = held.is_some_and(|held| {
                let held = &held.alias.provenance;
                held.sequence > start.sequence && !said.supersedes(held, lag)
            });
            if newer { Op::Nop } else { Op::Remove }
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

    /// Somebody was created, changed or deleted: no negative answer holds any more.
    pub fn drop_negatives(&self) {
        self.fences.raise_negatives();
        self.negatives.invalidate_all();
    }
}
