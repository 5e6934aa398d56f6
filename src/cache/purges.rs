//! Purges: of one contact, of an identifier, of everything.
//!
//! Which contact an identifier leads to is known only once an answer shows it, and that answer may be in the air while the
//! purge is acknowledged. So a purged identifier stays as a predicate for as long as such a call may run: a contact that
//! meets it gets a fence of its own, at the predicate's place in the order of events, and the fences do the rest. The
//! predicate is registered before the records are scanned, so a store either sees it or is seen by the scan.

use std::{
    fmt,
    sync::{Arc, PoisonError},
};

use super::{
    Answer, Cache,
    fence::{Fences, Sequence},
    parts::{Origins, Parts},
    record::Record,
    store::Op,
};
use crate::{
    clock::Tick,
    domain::{ContactId, ContactType, Identifier, Identity, LookupKey, Part, PartSet},
    threads::{AtomicBool, Mutex, MutexGuard, Ordering},
};

/// Predicates that are kept before one fence around everything takes their place.
const MAX_PURGES: usize = 1000;

/// Which contacts are purged: by what one shows of itself, and by what it was asked for by, if by anything.
pub type IsPurged = Arc<dyn Fn(&Identity, Option<&Identifier>) -> bool + Send + Sync>;

/// A profile at hand: when its request began, and which contact it shows.
pub(super) type Seen<'a> = (Sequence, &'a Identity);

/// The predicates in force.
#[derive(Default)]
pub(super) struct Purges {
    /// Whether there are any: without, this is all that anything costs.
    any: AtomicBool,
    purges: Mutex<Vec<Purge>>,
}

struct Purge {
    is_purged: IsPurged,
    sequence: Sequence,
    until: Tick,
}

/// What the predicates say of data about a contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ruling {
    /// The contact is one of those purged: its data must have begun after this.
    purged_at: Option<Sequence>,
    /// Data that comes now must have begun after this, since no profile as old shows whose it was.
    not_before: Sequence,
}

impl Purges {
    /// Registers a predicate. Where there are as many as may be, a fence around everything takes the place of all.
    fn add(&self, is_purged: &IsPurged, fences: &Fences, now: Tick) {
        let mut purges = self.locked();
        purges.retain(|purge| purge.until > now);
        let has_room = purges.len() < MAX_PURGES;
        if !has_room {
            // Before they are dropped: no answer may come in between.
            fences.raise_around_everything(now);
        }
        if has_room {
            purges.push(Purge {
                is_purged: Arc::clone(is_purged),
                // Under the lock: a request that takes a later stamp finds the predicate in force.
                sequence: fences.sequence(),
                until: now + fences.kept(),
            });
        } else {
            purges.clear();
        }
        self.any.store(has_room, Ordering::SeqCst);
    }

    /// Whether there are any.
    fn is_empty(&self) -> bool {
        !self.any.load(Ordering::SeqCst)
    }

    fn rule(&self, seen: &[Seen<'_>], asked: Option<&Identifier>, now: Tick) -> Ruling {
        let mut purges = self.locked();
        purges.retain(|purge| purge.until > now);
        if purges.is_empty() {
            self.any.store(false, Ordering::SeqCst);
        }
        let mut ruling = Ruling::default();
        for purge in purges.iter() {
            let is_purged = |(_, identity): &Seen<'_>| (purge.is_purged)(identity, asked);
            let is_as_old = |(sequence, _): &Seen<'_>| *sequence <= purge.sequence;
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

impl fmt::Debug for Purges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Purges(…)")
    }
}

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// The contact is gone: nothing fetched of it until now is ever served again, audiences included.
    pub fn purge(&self, id: ContactId) {
        self.fences.raise(id, PartSet::ALL, self.clock.tick());
        self.records.remove(id);
        self.pending_purges.add(id);
    }

    /// What the alias led to is gone: nothing fetched by it, or of the contact that it leads to, until now is ever served
    /// again.
    pub fn purge_alias(&self, key: &LookupKey) {
        self.fences.raise_alias(key, self.clock.tick());
        let mut led_to = None;
        self.aliases.update(self.alias_hasher.of(key), |held| {
            led_to = held.map(|held| held.alias.id);
            Op::Remove
        });
        self.negatives.invalidate(key);
        if let Some(id) = key.bare_id().or(led_to) {
            self.purge(id);
        }
    }

    /// Every contact of which this holds is gone, cached or not: nothing fetched of one until now is ever served again.
    /// Looks at every record.
    pub fn purge_where(&self, is_purged: &IsPurged) {
        let now = self.clock.tick();
        self.purges.add(is_purged, &self.fences, now);
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
        // Of these it can't be said which contact they show.
        for id in unknown {
            self.records.update(id, |held| match held {
                Some(held) if held.identity(id).is_none() => Op::Remove,
                _ => Op::Nop,
            });
        }
    }

    /// The contact types that aliases in the index are narrowed by.
    pub fn contact_types(&self) -> Vec<ContactType> {
        let mut types = Vec::new();
        self.aliases.for_each(|_, held| {
            if let Some(of) = &held.contact_type
                && !types.contains(of)
            {
                types.push(of.clone());
            }
        });
        types
    }

    /// Nothing fetched until now is ever served again, whoever it is about.
    pub fn purge_everything(&self) {
        self.fences.raise_everything();
        self.clear();
    }

    /// Any contact may have changed until now: nothing fetched before is ever served again, and for the overview's lag
    /// everything is filled from entity endpoints.
    pub fn invalidate_everything(&self) {
        self.fences.raise_around_everything(self.clock.tick());
        self.clear();
    }

    fn clear(&self) {
        self.records.clear();
        self.packer.forget();
        self.aliases.clear();
        self.negatives.invalidate_all();
        self.failures.clear();
    }

    /// Takes note of what a profile that was just fetched shows, whatever becomes of it: a contact that it shows to be
    /// purged gets its fence.
    pub fn note_identity(
        &self,
        id: ContactId,
        start: Sequence,
        identity: &Identity,
        asked: &Identifier,
    ) {
        let is_fenced = self.heed_purges(
            id,
            &mut Parts::default(),
            Some((start, identity)),
            Some(asked),
        );
        if is_fenced {
            self.drop_forbidden(id);
        }
    }

    /// Whether what the identifier led to at `start` was purged since, though no profile may show the identifier.
    pub fn is_purged(&self, asked: &Identifier, start: Sequence) -> bool {
        !self.purges.is_empty() && {
            let hidden = [(Sequence::default(), &Identity::default())];
            let ruling = self.purges.rule(&hidden, Some(asked), self.clock.tick());
            ruling.purged_at.is_some_and(|purged_at| start <= purged_at)
        }
    }

    /// Leaves out of `parts`, which were just fetched, what a purge by identifier forbids. A contact that a predicate means
    /// gets a fence at that predicate's place; then `true`: what is cached of it may be forbidden now. Called within the
    /// record's own lock where the parts are to be stored.
    pub(super) fn heed_purges(
        &self,
        id: ContactId,
        parts: &mut Parts,
        cached: Option<Seen<'_>>,
        asked: Option<&Identifier>,
    ) -> bool {
        if self.purges.is_empty() {
            return false;
        }
        let now = self.clock.tick();
        let fetched = parts
            .seen()
            .map(|(sequence, identity)| (sequence, identity.clone()));
        let fetched = fetched
            .as_ref()
            .map(|(sequence, identity)| (*sequence, identity));
        let seen: Vec<_> = fetched.into_iter().chain(cached).collect();
        let ruling = self.purges.rule(&seen, asked, now);
        parts.retain(|_, provenance| provenance.sequence > ruling.not_before);
        let raised = ruling
            .purged_at
            .filter(|sequence| self.fences.allows(id, Part::Audiences, *sequence));
        if let Some(sequence) = raised {
            self.fences.raise_at(sequence, id, PartSet::ALL, now);
            self.pending_purges.add(id);
        }
        raised.is_some()
    }

    /// The parts that a search has gained of a contact, without what a fence or a purge by identifier forbids.
    pub fn still_allowed(
        &self,
        gained: &Parts,
        id: ContactId,
        cached: Option<&Record<R>>,
    ) -> Parts {
        let mut parts = gained.clone();
        let profile =
            cached.and_then(|record| Some((record.sequence(Part::Profile), record.identity()?)));
        if self.heed_purges(id, &mut parts, profile, None) {
            self.drop_forbidden(id);
        }
        parts.retain(|part, provenance| self.fences.allows(id, part, provenance.sequence));
        parts
    }
}
