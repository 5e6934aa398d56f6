//! Purges: of one contact, of an identifier, of everything.
//!
//! Which contact has an identifier is known only once a profile shows it, and that profile may be in flight while the
//! purge is acknowledged. So a purged identifier stays as a predicate for as long as such a call may run: a contact
//! that matches gets a fence of its own, with the predicate's sequence number, and the fences do the rest. The
//! predicate is registered before the records are scanned, and the scan waits for stores under way: a store either sees
//! the predicate or is seen.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use moka::ops::compute::Op;

use super::{
    Answer, Cache,
    fence::{Fences, Sequence},
    parts::{Origins, Parts},
    record::Record,
};
use crate::{
    clock::Tick,
    domain::{ContactId, ContactType, Identifier, Identity, LookupKey, Part, PartSet},
    threads::{AtomicBool, Mutex, MutexGuard, Ordering},
};

/// If there would be more predicates than this, one fence around everything replaces them.
const MAX_PURGES: usize = 1000;

/// Which contacts are purged: by the identifiers in a profile, and by the identifier of the request, if there was one.
pub type IsPurged = Arc<dyn Fn(&Identity, Option<&Identifier>) -> bool + Send + Sync>;

/// A profile: the sequence number of its request, and the identity that it shows.
pub(super) type ProfileIdentity<'a> = (Sequence, &'a Identity);

/// The predicates in force.
#[derive(Default)]
pub(super) struct Purges {
    /// Whether there are any. While there are none, nothing else is checked.
    any: AtomicBool,
    purges: Mutex<Vec<Purge>>,
}

struct Purge {
    is_purged: IsPurged,
    sequence: Sequence,
    until: Tick,
}

/// Which data about a contact the predicates allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ruling {
    /// The contact is purged: requests for its data must have begun after this.
    purged_at: Option<Sequence>,
    /// Requests for its data must have begun after this, since no older profile shows that it is another contact.
    not_before: Sequence,
}

impl Purges {
    /// Registers a predicate. If there are too many, a fence around everything replaces them all.
    fn add(&self, is_purged: &IsPurged, fences: &Fences, now: Tick) {
        let mut purges = self.locked();
        purges.retain(|purge| purge.until > now);
        let has_room = purges.len() < MAX_PURGES;
        if !has_room {
            // Before they are dropped: no response may come in between.
            fences.raise_around_everything(now);
        }
        if has_room {
            purges.push(Purge {
                is_purged: Arc::clone(is_purged),
                // Under the lock: a request with a later number finds the predicate in force.
                sequence: fences.sequence(),
                until: now + fences.kept(),
            });
        } else {
            purges.clear();
        }
        self.any.store(has_room, Ordering::SeqCst);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::SeqCst)
    }

    fn rule(
        &self,
        seen: &[ProfileIdentity<'_>],
        requested: Option<&Identifier>,
        now: Tick,
    ) -> Ruling {
        let mut purges = self.locked();
        purges.retain(|purge| purge.until > now);
        if purges.is_empty() {
            self.any.store(false, Ordering::SeqCst);
        }
        let mut ruling = Ruling::default();
        for purge in purges.iter() {
            let is_purged =
                |(_, identity): &ProfileIdentity<'_>| (purge.is_purged)(identity, requested);
            let is_as_old = |(sequence, _): &ProfileIdentity<'_>| *sequence <= purge.sequence;
            if seen.iter().any(is_purged) {
                ruling.purged_at = ruling.purged_at.max(Some(purge.sequence));
            } else if !seen.iter().any(is_as_old) {
                ruling.not_before = ruling.not_before.max(purge.sequence);
            }
        }
        ruling
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Purge>> {
        self.purges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// Purges the contact: no data of it that was fetched until now is ever served again, audiences included.
    pub fn purge(&self, id: ContactId) {
        self.purge_since(id, Duration::ZERO);
    }

    /// The same for a change that happened `age` ago: the overview's lag counts from then.
    pub fn purge_since(&self, id: ContactId, age: Duration) {
        self.fences
            .raise_since(id, PartSet::ALL, age, self.clock.tick());
        self.remove_record(id);
        self.drop_forbidden_history(id, PartSet::ALL);
        self.pending_purges.add(id);
    }

    /// Purges the alias and the contact that it leads to: no data that was fetched by it, or of the contact, until now
    /// is ever served again.
    pub fn purge_alias(&self, key: &LookupKey) {
        self.fences.raise_alias(key, self.clock.tick());
        let mut led_to = None;
        self.aliases.update(self.alias_hasher.of(key), |cached| {
            led_to = cached.map(|cached| cached.id);
            Op::Remove
        });
        self.negatives.invalidate(key);
        if let Some(id) = key.bare_id().or(led_to) {
            self.purge(id);
        }
    }

    /// Purges every contact for which this holds, cached or not: no data of one that was fetched until now is ever
    /// served again. Visits every record.
    pub fn purge_where(&self, is_purged: &IsPurged) {
        let now = self.clock.tick();
        self.purges.add(is_purged, &self.fences, now);
        // A store that did not see the predicate has inserted its record by now; a scan alone does not wait for it.
        drop(self.stores.write().unwrap_or_else(PoisonError::into_inner));
        let mut unknown = Vec::new();
        let purged = self.contacts_where(|id, identity| {
            if identity.is_none() {
                unknown.push(id);
            }
            identity.is_some_and(|identity| is_purged(identity, None))
        });
        for id in purged {
            self.purge(id);
        }
        // Without a profile it is not known whether these records are of a purged contact.
        for id in unknown {
            self.update_record(id, |cached| match cached {
                Some(cached) if cached.provenance(Part::Profile).is_none() => Op::Remove,
                _ => Op::Nop,
            });
        }
        self.drop_purged_history();
    }

    /// The contact types that cached aliases are narrowed by. Visits every alias.
    pub fn contact_types(&self) -> Vec<ContactType> {
        let mut types = Vec::new();
        for of in self.aliases.iter().filter_map(|entry| entry.contact_type) {
            if !types.contains(&of) {
                types.push(of);
            }
        }
        types
    }

    /// Makes sure that nothing fetched until now is ever served again. Frees every record: never on a thread that serves
    /// requests.
    pub fn purge_everything(&self) {
        self.fences.raise_everything();
        self.clear();
    }

    /// Any contact may have changed: nothing fetched until now is ever served again, and for the overview's lag
    /// everything is filled from entity endpoints.
    pub fn invalidate_everything(&self) {
        self.fences.raise_around_everything(self.clock.tick());
        self.clear();
    }

    fn clear(&self) {
        self.records.invalidate_all();
        // Before the slow steps: a record that is stored in the meantime must not use a dictionary made from purged
        // records.
        self.codec.drop_dictionary();
        // Frees the memory: until then moka keeps entries that it no longer serves.
        self.records.run_pending_tasks();
        self.aliases.clear();
        self.negatives.invalidate_all();
        self.failures.clear();
        self.histories.clear();
    }

    /// Checks the identity in a profile that was just fetched, stored or not: a contact that a predicate matches gets
    /// its fence.
    pub fn note_identity(
        &self,
        id: ContactId,
        start: Sequence,
        identity: &Identity,
        requested: &Identifier,
    ) {
        let is_fenced = self.apply_purges(
            id,
            &mut Parts::default(),
            Some((start, identity)),
            Some(requested),
        );
        if is_fenced {
            self.drop_forbidden(id);
        }
    }

    /// Whether the contact that the identifier led to at `start` was purged since; its profile may not show the
    /// identifier.
    pub fn is_purged(&self, requested: &Identifier, start: Sequence) -> bool {
        !self.purges.is_empty() && {
            let hidden = [(Sequence::default(), &Identity::default())];
            let ruling = self
                .purges
                .rule(&hidden, Some(requested), self.clock.tick());
            ruling.purged_at.is_some_and(|purged_at| start <= purged_at)
        }
    }

    /// The sequence number of the last purge by identifier that is in force.
    pub fn last_purge(&self) -> Sequence {
        if self.purges.is_empty() {
            return Sequence::default();
        }
        let purges = self.purges.locked();
        let sequences = purges.iter().map(|purge| purge.sequence);
        sequences.max().unwrap_or_default()
    }

    /// Whether the purges by identifier allow data without an identity that was fetched for a contact by a request that
    /// began at `start`, given the contact's cached profile.
    pub(super) fn is_allowed_by_purges(
        &self,
        profile: Option<ProfileIdentity<'_>>,
        start: Sequence,
    ) -> bool {
        let seen: Vec<_> = profile.into_iter().collect();
        let ruling = self.purges.rule(&seen, None, self.clock.tick());
        start > ruling.not_before && ruling.purged_at.is_none_or(|purged_at| start > purged_at)
    }

    /// Removes from `parts`, which were just fetched, those that a purge by identifier forbids. A contact that a
    /// predicate matches gets a fence with that predicate's sequence number. Returns whether it got one: then some of
    /// its cached data may be forbidden. Called under the record's lock where the parts are to be stored.
    pub(super) fn apply_purges(
        &self,
        id: ContactId,
        parts: &mut Parts,
        cached: Option<ProfileIdentity<'_>>,
        requested: Option<&Identifier>,
    ) -> bool {
        if self.purges.is_empty() {
            return false;
        }
        let now = self.clock.tick();
        let seen: Vec<_> = parts.identity().into_iter().chain(cached).collect();
        let ruling = self.purges.rule(&seen, requested, now);
        parts.retain(|_, provenance| provenance.sequence > ruling.not_before);
        let raised = ruling
            .purged_at
            .filter(|sequence| self.fences.allows(id, Part::Audiences, *sequence));
        if let Some(sequence) = raised {
            self.fences.raise_at(sequence, id, PartSet::ALL, now);
            self.drop_forbidden_history(id, PartSet::ALL);
            self.pending_purges.add(id);
        }
        raised.is_some()
    }

    /// The parts of a contact that a request fetched, without those that a fence or a purge by identifier forbids, and
    /// without an overview's copies of parts of which an entity endpoint has returned something new since. The cached
    /// parts alone would not show that if the cache is off or has evicted them.
    pub fn still_allowed(
        &self,
        fetched: &Parts,
        id: ContactId,
        cached: Option<&Record<R>>,
    ) -> Parts {
        let mut parts = fetched.clone();
        if !self.purges.is_empty() {
            let cached = cached.and_then(|record| self.parts_of(record));
            let profile = cached.as_ref().and_then(Parts::identity);
            if self.apply_purges(id, &mut parts, profile, None) {
                self.drop_forbidden(id);
            }
        }
        self.drop_fenced(id, &mut parts, None);
        parts
    }
}
