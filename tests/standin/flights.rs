//! The operations of flights: read, lease, store and release.

use std::time::Duration;

use bytes::Bytes;
use engage_bff::{
    domain::{Part, PartMap, PartSet},
    shared_tier::protocol::{
        AliasName, BackendError, ContactName, Covered, EpochId, FetchCommand, FetchOutcome,
        FetchReply, Grant, LeaseOffer, NewValue, PeekReply, ReleaseCommand, ServerTime,
        StoreCommand, StoreReply, StoredAlias, StoredValue, Subject, Token,
    },
};

use super::{
    server::{Server, millis},
    stream::Chain,
};

type Outcome<T> = Result<T, BackendError>;

#[derive(Clone, Default)]
pub(super) struct Contact {
    pub(super) generation: Option<Token>,
    pub(super) values: PartMap<Option<Value>>,
    /// For each part, until when only its entity endpoint may fill it.
    pub(super) entity_only: PartMap<u64>,
    pub(super) leases: PartMap<Vec<Lease>>,
    pub(super) ends: u64,
}

#[derive(Clone, Default)]
pub(super) struct Alias {
    pub(super) value: Option<(Leads, Value)>,
    pub(super) leases: Vec<Lease>,
    pub(super) ends: u64,
}

#[derive(Clone, Copy)]
pub(super) enum Leads {
    To(ContactName, Token),
    /// Leads to no contact, as of this number of negative invalidations.
    Nowhere(u64),
}

#[derive(Clone)]
pub(super) struct Value {
    pub(super) requested_at: u64,
    pub(super) lifetime: u64,
    pub(super) sealed: Bytes,
}

#[derive(Clone, Copy)]
pub(super) struct Lease {
    pub(super) token: Token,
    pub(super) ends: u64,
}

impl Contact {
    /// What remains after a purge: which parts only their entity endpoints may fill.
    pub(super) fn purged(&self) -> Self {
        Self {
            entity_only: self.entity_only,
            ..Self::default()
        }
    }

    /// Drops what has ended. Returns whether anything is left.
    pub(super) fn lapse(&mut self, now: u64) -> bool {
        if self.ends <= now {
            *self = self.purged();
        }
        self.ends > now || self.entity_only.iter().any(|(_, end)| *end > now)
    }
}

impl Value {
    fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.requested_at)
    }

    /// Whether it is fresh and younger than `max_age`.
    fn serves(&self, now: u64, max_age: Duration) -> bool {
        self.age(now) < self.lifetime && self.age(now) < millis(max_age)
    }

    fn stored(&self, now: u64) -> StoredValue {
        StoredValue {
            age: Duration::from_millis(self.age(now)),
            requested_at: ServerTime(self.requested_at),
            lifetime: Duration::from_millis(self.lifetime),
            sealed: self.sealed.clone(),
        }
    }
}

impl Server {
    pub(super) fn fetch(
        &mut self,
        id: EpochId,
        command: &FetchCommand,
        now: u64,
    ) -> Outcome<FetchReply> {
        let negatives = self.check(id)?.negatives;
        self.drop_ended(now);
        let mut reply = FetchReply {
            now: ServerTime(now),
            alias: None,
            parts: PartMap::default(),
            entity_only: PartMap::default(),
            outcome: FetchOutcome::Served,
        };
        let name = match command.subject {
            Subject::Contact(name) => Some(name),
            Subject::Alias(alias) => {
                reply.alias = self
                    .standing_alias(id, alias)
                    .filter(|(_, value)| value.serves(now, command.max_alias_age))
                    .map(|(contact, value)| StoredAlias {
                        contact,
                        value: value.stored(now),
                    });
                reply.alias.as_ref().and_then(|alias| alias.contact)
            }
        };
        let contact = name.and_then(|name| self.contacts.get(&(id.0, name.0)));
        if let Some(contact) = contact {
            reply.parts = PartMap::from_fn(|part| {
                contact.values[part]
                    .as_ref()
                    .filter(|value| value.serves(now, command.max_age[part]))
                    .map(|value| value.stored(now))
            });
            reply.entity_only = remaining(&contact.entity_only, now);
        }
        // Parts that the resolution of an alias could not fill do not count.
        let is_alias = matches!(command.subject, Subject::Alias(_));
        let is_left = |part| is_alias && !reply.entity_only[part].is_zero();
        let has_needed = command
            .needed
            .iter()
            .all(|part| reply.parts[part].is_some() || is_left(part));
        let serves = match (&command.subject, &reply.alias) {
            (Subject::Contact(_), _) => has_needed,
            (Subject::Alias(_), Some(alias)) => alias.contact.is_none() || has_needed,
            (Subject::Alias(_), None) => false,
        };
        if !serves {
            let busy = self.longest_lease(
                id,
                command.subject,
                command.fetched,
                Some(command.lease.token),
                now,
            );
            reply.outcome = if command.waits && busy > 0 {
                FetchOutcome::Busy(Duration::from_millis(busy))
            } else {
                self.may_write()?;
                self.lease(id, command.subject, command.fetched, command.lease, now);
                FetchOutcome::Leased(Grant {
                    position: self.last(id),
                    negatives,
                })
            };
        }
        Ok(reply)
    }

    /// The value of an alias, if it is still valid, whatever its age.
    fn standing_alias(
        &self,
        id: EpochId,
        alias: AliasName,
    ) -> Option<(Option<ContactName>, &Value)> {
        let (leads, value) = self.aliases.get(&(id.0, alias.0))?.value.as_ref()?;
        match *leads {
            Leads::To(name, generation) => {
                let contact = self.contacts.get(&(id.0, name.0))?;
                (contact.generation == Some(generation)).then_some((Some(name), value))
            }
            Leads::Nowhere(number) => {
                let negatives = self.epoch.as_ref()?.negatives;
                (number == negatives).then_some((None, value))
            }
        }
    }

    /// The remaining time of the longest lease, not counting those of the replica with this token.
    fn longest_lease(
        &self,
        id: EpochId,
        subject: Subject,
        parts: PartSet,
        except: Option<Token>,
        now: u64,
    ) -> u64 {
        let leases: Vec<&Lease> = match subject {
            Subject::Contact(name) => {
                let contact = self.contacts.get(&(id.0, name.0));
                let leased = |part| contact.map(|contact| &contact.leases[part]);
                parts.iter().filter_map(leased).flatten().collect()
            }
            Subject::Alias(name) => {
                let alias = self.aliases.get(&(id.0, name.0));
                alias.iter().flat_map(|alias| &alias.leases).collect()
            }
        };
        let is_own = |token| except.is_some_and(|except: Token| except.is_of_same_replica(token));
        let others = leases.iter().filter(|lease| !is_own(lease.token));
        let rests = others.map(|lease| lease.ends.saturating_sub(now));
        rests.max().unwrap_or(0)
    }

    fn lease(
        &mut self,
        id: EpochId,
        subject: Subject,
        parts: PartSet,
        offer: LeaseOffer,
        now: u64,
    ) {
        let lease = Lease {
            token: offer.token,
            ends: now + millis(offer.busy),
        };
        match subject {
            Subject::Contact(name) => {
                let contact = self.contacts.entry((id.0, name.0)).or_default();
                contact.ends = contact.ends.max(lease.ends);
                for part in parts.iter() {
                    contact.leases[part].push(lease);
                }
            }
            Subject::Alias(name) => {
                let alias = self.aliases.entry((id.0, name.0)).or_default();
                alias.ends = alias.ends.max(lease.ends);
                alias.leases.push(lease);
            }
        }
    }

    pub(super) fn store(
        &mut self,
        id: EpochId,
        command: StoreCommand,
        now: u64,
    ) -> Outcome<StoreReply> {
        self.check(id)?;
        self.may_write()?;
        self.drop_ended(now);
        self.give_up(id, command.subject, command.token);
        let offered = command.parts.iter().filter(|(_, new)| new.is_some());
        let offered: PartSet = offered.map(|(part, _)| part).collect();
        let chain = match self.streams.get(&id.0) {
            Some(stream) => stream.since(command.grant.position),
            None => Chain::Broken,
        };
        let Chain::Whole(entries) = chain else {
            return Ok(StoreReply {
                overtaken: offered,
                alias_overtaken: command.alias.is_some(),
                ..StoreReply::default()
            });
        };
        let about = |covered: &&Covered| Some(covered.contact) == command.contact;
        let covered = || {
            entries
                .iter()
                .flat_map(|entry| &entry.contacts)
                .filter(about)
        };
        let is_purged = covered().any(|covered| covered.is_purge);
        let named = covered().fold(PartSet::EMPTY, |named, covered| named.union(covered.parts));
        let named = if is_purged { PartSet::ALL } else { named };
        let alias_named = match command.subject {
            Subject::Alias(name) => entries.iter().any(|entry| entry.aliases.contains(&name)),
            Subject::Contact(_) => false,
        };
        let mut reply = StoreReply {
            overtaken: offered.intersection(named),
            alias_overtaken: command.alias.is_some() && (is_purged || alias_named),
            ..StoreReply::default()
        };
        self.store_values(id, command, named, now, &mut reply);
        Ok(reply)
    }

    /// Stores the values that no entry since the lease covers.
    fn store_values(
        &mut self,
        id: EpochId,
        command: StoreCommand,
        named: PartSet,
        now: u64,
        reply: &mut StoreReply,
    ) {
        let requested_at = command.requested_at.0;
        let value = |new: NewValue| Value {
            requested_at,
            lifetime: millis(new.lifetime),
            sealed: new.sealed,
        };
        let is_newer = |old: Option<&Value>| old.is_none_or(|old| old.requested_at < requested_at);
        let alias = command.alias.filter(|_| !reply.alias_overtaken);
        let mut leads = Leads::Nowhere(command.grant.negatives);
        if let Some(name) = command.contact {
            let mut contact = self
                .contacts
                .get(&(id.0, name.0))
                .cloned()
                .unwrap_or_default();
            let mut parts = command.parts;
            for part in Part::ALL {
                let lags = command.from_overview.contains(part) && contact.entity_only[part] > now;
                let allowed =
                    !named.contains(part) && !lags && is_newer(contact.values[part].as_ref());
                if let Some(new) = parts[part].take().filter(|_| allowed) {
                    let new = value(new);
                    contact.ends = contact.ends.max(now + new.lifetime);
                    contact.values[part] = Some(new);
                    reply.stored.insert(part);
                }
                let entity_only = millis(command.entity_only[part]);
                if entity_only > 0 && !named.contains(part) {
                    let until = now + entity_only;
                    contact.entity_only[part] = contact.entity_only[part].max(until);
                }
            }
            if !reply.stored.is_empty() || alias.is_some() {
                let generation = *contact.generation.get_or_insert(command.generation);
                leads = Leads::To(name, generation);
                let alias_lifetime = alias.as_ref().map_or(0, |new| millis(new.lifetime));
                contact.ends = contact.ends.max(now + alias_lifetime);
            }
            self.contacts.insert((id.0, name.0), contact);
        }
        if let (Subject::Alias(name), Some(new)) = (command.subject, alias) {
            let alias = self.aliases.entry((id.0, name.0)).or_default();
            if is_newer(alias.value.as_ref().map(|(_, value)| value)) {
                let new = value(new);
                alias.ends = alias.ends.max(now + new.lifetime);
                alias.value = Some((leads, new));
                reply.alias_stored = true;
            }
        }
    }

    pub(super) fn release(&mut self, id: EpochId, command: ReleaseCommand) -> Outcome<()> {
        self.check(id)?;
        self.give_up(id, command.subject, command.token);
        Ok(())
    }

    fn give_up(&mut self, id: EpochId, subject: Subject, token: Token) {
        match subject {
            Subject::Contact(name) => {
                if let Some(contact) = self.contacts.get_mut(&(id.0, name.0)) {
                    for part in Part::ALL {
                        contact.leases[part].retain(|lease| lease.token != token);
                    }
                }
            }
            Subject::Alias(name) => {
                if let Some(alias) = self.aliases.get_mut(&(id.0, name.0)) {
                    alias.leases.retain(|lease| lease.token != token);
                }
            }
        }
    }

    pub(super) fn peek(&mut self, id: EpochId, subject: Subject, now: u64) -> Outcome<PeekReply> {
        self.check(id)?;
        self.drop_ended(now);
        let mut reply = PeekReply::default();
        let name = match subject {
            Subject::Contact(name) => Some(name),
            Subject::Alias(name) => {
                let alias = self.aliases.get(&(id.0, name.0));
                let value = alias.and_then(|alias| alias.value.as_ref());
                let value = value.filter(|(_, value)| value.serves(now, Duration::MAX));
                reply.alias = value.map(|(leads, value)| StoredAlias {
                    contact: match leads {
                        Leads::To(contact, _) => Some(*contact),
                        Leads::Nowhere(_) => None,
                    },
                    value: value.stored(now),
                });
                // The alias is not valid if its contact was purged.
                let standing = self.standing_alias(id, name);
                let contact =
                    standing.and_then(|(contact, _)| contact.filter(|_| reply.alias.is_some()));
                let leads_to = reply.alias.as_ref().and_then(|alias| alias.contact);
                reply.is_contact_gone = leads_to.is_some() && contact.is_none();
                contact
            }
        };
        if let Some(contact) = name.and_then(|name| self.contacts.get(&(id.0, name.0))) {
            reply.parts = PartMap::from_fn(|part| {
                let value = contact.values[part].as_ref();
                let fresh = value.filter(|value| value.serves(now, Duration::MAX));
                fresh.map(|value| value.stored(now))
            });
            reply.entity_only = remaining(&contact.entity_only, now);
        }
        let busy = self.longest_lease(id, subject, PartSet::ALL, None, now);
        reply.busy = Duration::from_millis(busy);
        Ok(reply)
    }
}

fn remaining(ends: &PartMap<u64>, now: u64) -> PartMap<Duration> {
    PartMap::from_fn(|part| Duration::from_millis(ends[part].saturating_sub(now)))
}
