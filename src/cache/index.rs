//! The index: what names lead to, and the names that lead to nobody. Both are remembered apart from the
//! records, and bounded apart, so that a flood of names takes no room from customers.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    time::Duration,
};

use moka::ops::compute::Op as NegativeOp;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::{
    Answer, Begun, Cache,
    fence::Stamp,
    freshness::{Freshness, Policy, Provenance, Source},
    provenance,
    store::Op,
};
use crate::{
    clock::{Now, Tick},
    domain::{ContactId, ContactType, IdentifierKind, LookupKey, Part},
};

/// What a name led to when it was last asked for.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// The contact.
    pub id: ContactId,
    /// Who told it, and when.
    pub provenance: Provenance,
    /// Whether the contact is known to bear the name.
    pub assured: bool,
    /// The profile that was last seen to bear it: as long as that one is held, nobody need look again.
    pub seen_in: Stamp,
}

impl Name {
    /// How old the name is. One that could not be checked has no stale windows: it serves no longer
    /// than a negative answer.
    pub fn freshness(&self, now: Tick, policy: &Policy) -> Freshness {
        let freshness = self.provenance.freshness(now, policy);
        if self.assured || freshness == Freshness::Fresh {
            freshness
        } else {
            Freshness::Dead
        }
    }
}

impl Name {
    /// Whether it stays where `other`, learnt of the same alias, would take its place.
    fn outlasts(&self, other: &Name, overview_lag: Duration) -> bool {
        let (held, new) = (&self.provenance, &other.provenance);
        if self.id == other.id {
            held.stamp > new.stamp
        } else {
            held.stamp != new.stamp && !new.supersedes(held, overview_lag)
        }
    }
}

/// A name in the index, with what operators are told of it; its value is not there, only its digest.
#[derive(Clone, Debug)]
pub(super) struct HeldName {
    pub(super) name: Name,
    pub(super) kind: IdentifierKind,
    pub(super) contact_type: Option<ContactType>,
}

/// The digest that stands for a name. Of 128 bits under a key of the process's own, so that no two names that anybody
/// comes upon share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NameKey([u64; 2]);

/// Makes the digests.
pub(super) struct NameDigest(SipHasher13);

impl NameDigest {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        Self(SipHasher13::new_with_keys(
            random.hash_one(0),
            random.hash_one(1),
        ))
    }

    pub(super) fn of(&self, key: &LookupKey) -> NameKey {
        let mut hasher = self.0;
        key.hash(&mut hasher);
        let digest = hasher.finish128();
        NameKey([digest.h1, digest.h2])
    }
}

/// A remembered answer of which nothing can be shown: `E` says why.
#[derive(Clone, Debug)]
pub(super) struct Negative<E> {
    why: E,
    stamp: Stamp,
    until: Tick,
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// What the name led to, unless a fence forbids it. A bare contact id leads to itself.
    pub fn name(&self, key: &LookupKey) -> Option<Name> {
        if !self.is_on() {
            return None;
        }
        let HeldName { name, .. } = self.names.get(&self.name_digest.of(key))?;
        self.stands(&name).then_some(name)
    }

    /// Whether no fence forbids the name.
    pub(super) fn stands(&self, name: &Name) -> bool {
        let stamp = name.provenance.stamp;
        // Only a purge fences the audiences.
        let is_left_behind =
            self.leavers.contains(name.id) && !self.fences.allows(name.id, Part::Audiences, stamp);
        stamp > self.fences.everything() && !is_left_behind
    }

    /// Why there is nothing to show for the name, if that is remembered.
    pub fn negative(&self, key: &LookupKey, now: Tick) -> Option<E> {
        self.negative_until(key, now).map(|(why, _)| why)
    }

    /// The same, and until when.
    pub(super) fn negative_until(&self, key: &LookupKey, now: Tick) -> Option<(E, Tick)> {
        let negative = self.negatives.get(key).filter(|_| self.is_on())?;
        let holds = negative.stamp > self.fences.negatives_not_before(key) && now < negative.until;
        holds.then_some((negative.why, negative.until))
    }

    /// Remembers what a name leads to, unless the name was dropped meanwhile; then `false`. A name that
    /// the contact was not seen to bear lives no longer than a negative answer.
    pub fn store_name(
        &self,
        key: &LookupKey,
        id: ContactId,
        begun: Begun,
        source: Source,
        assured: bool,
    ) -> bool {
        let mut lifetime = self.policy.lifetime(Part::Profile);
        if !assured {
            lifetime = lifetime.min(self.policy.negative_lifetime);
        }
        let name = Name {
            id,
            provenance: provenance(begun, lifetime, source),
            assured,
            seen_in: Stamp::default(),
        };
        let mut overtaken = false;
        self.names.update(self.name_digest.of(key), |held| {
            let held = held.map(|held| &held.name);
            let other = held.filter(|held| held.id != id);
            let stays = held.is_some_and(|held| held.outlasts(&name, self.policy.overview_lag));
            // What the entity endpoint said of the alias no overview takes back within its lag.
            let contradicts =
                stays && other.is_some_and(|held| held.provenance.source == Source::Entity);
            let lags = source == Source::Overview
                && (contradicts || self.fences.name_is_entity_only(key, begun.now.tick));
            // Only a purge fences the audiences.
            let is_purged = !self.fences.allows(id, Part::Audiences, begun.stamp);
            overtaken = lags || is_purged || begun.stamp <= self.fences.name_not_before(key);
            if stays || overtaken || !self.is_on() {
                return Op::Nop;
            }
            if source == Source::Entity && other.is_some() {
                self.fences.name_resolved(key, self.clock.tick());
            }
            Op::Put(HeldName {
                name,
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
    pub fn assure_name(&self, key: &LookupKey, name: &Name, assured: bool) {
        if name.assured == assured {
            return;
        }
        // One that was dropped or learnt anew meanwhile stays so.
        let cached = self.names.peek(&self.name_digest.of(key));
        if cached.is_none_or(|cached| cached.name.provenance.stamp != name.provenance.stamp) {
            return;
        }
        let begun = Begun {
            stamp: name.provenance.stamp,
            now: Now {
                tick: name.provenance.requested_at,
                wall: name.provenance.as_of,
            },
        };
        self.store_name(key, name.id, begun, name.provenance.source, assured);
    }

    /// Notes in which profile the contact was seen to bear the name that led to it, unless the name was learnt anew
    /// meanwhile.
    pub fn note_seen(&self, key: &LookupKey, name: &Name, profile: Stamp) {
        self.names
            .update(self.name_digest.of(key), |held| match held {
                Some(held) if held.name.provenance.stamp == name.provenance.stamp => {
                    let mut held = held.clone();
                    held.name.seen_in = profile;
                    Op::Put(held)
                }
                _ => Op::Nop,
            });
    }

    /// Forgets a name that turned out to be wrong. For the overview's lag the overview can't bring it
    /// back.
    pub fn drop_name(&self, key: &LookupKey) {
        self.fences.raise_name(key, self.clock.tick());
        self.names.remove(self.name_digest.of(key));
    }

    /// Forgets a name; the overview may bring it back.
    pub fn forget_name(&self, key: &LookupKey) {
        self.names.remove(self.name_digest.of(key));
    }

    /// Remembers that there is nothing to show for the name, and forgets what it led to.
    pub fn store_negative(&self, key: &LookupKey, begun: Begun, source: Source, why: E) {
        let said = provenance(begun, Duration::ZERO, source);
        self.names.update(self.name_digest.of(key), |held| {
            let lag = self.policy.overview_lag;
            let newer = held.is_some_and(|held| {
                let held = &held.name.provenance;
                held.stamp > begun.stamp && !said.supersedes(held, lag)
            });
            if newer { Op::Nop } else { Op::Remove }
        });
        if source == Source::Entity && !key.is_contact_id() {
            self.fences.name_resolved(key, self.clock.tick());
        }
        let until = begun.now.tick + self.policy.negative_lifetime;
        let negative = Negative {
            why,
            stamp: begun.stamp,
            until,
        };
        self.negatives.entry(key.clone()).and_compute_with(|_| {
            if begun.stamp > self.fences.negatives_not_before(key) && self.is_on() {
                NegativeOp::Put(negative)
            } else {
                NegativeOp::Nop
            }
        });
    }

    /// Somebody was created, changed or deleted: no negative answer holds any more.
    pub fn end_negatives(&self) {
        self.fences.raise_negatives();
        self.negatives.invalidate_all();
    }
}
