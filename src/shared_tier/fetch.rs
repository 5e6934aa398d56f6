//! Fetches what a flight needs, and reads what other replicas stored.

use std::time::Duration;

use super::{
    Inner, Need, SharedAlias, SharedData, SharedFetch, SharedLease, SharedNegative, Unavailable,
    Wanted,
    epoch::Epoch,
    guard::Link,
    metrics::Operation,
    protocol::{
        AliasName, FetchCommand, FetchOutcome, FetchReply, LeaseOffer, StoredAlias, StoredValue,
        Subject, Token,
    },
    server_clock::Reading,
    value::{ReadAt, Unreadable, decode_alias, decode_negative, decode_part},
};
use crate::{
    cache::{
        FetchStart,
        parts::{Origins as _, Parts},
    },
    clock::Tick,
    domain::{ContactId, Part, PartMap},
};

/// Older data is never read: its moments must stay well within the two days before the start of this process that a
/// [`Tick`] can express.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why what another replica stored can't be used.
pub(super) enum Flaw {
    Unreadable(Unreadable),
    /// It is about another contact than the name under which it is stored.
    Mismatch,
    /// Its request began before the earliest moment that this process's clock can express.
    TooOld,
    /// The reply lacks something that it should have.
    Missing,
}

impl From<Unreadable> for Flaw {
    fn from(why: Unreadable) -> Self {
        Flaw::Unreadable(why)
    }
}

impl Flaw {
    const fn as_str(&self) -> &'static str {
        match self {
            Flaw::Unreadable(why) => why.as_str(),
            Flaw::Mismatch => "mismatch",
            Flaw::TooOld => "too_old",
            Flaw::Missing => "missing",
        }
    }
}

/// What was read.
enum Read {
    Data(Box<SharedData>),
    Negative(SharedNegative),
}

impl Inner {
    /// See [`SharedTier::fetch`](super::SharedTier::fetch).
    pub(super) async fn fetch(
        &self,
        start: FetchStart,
        need: Need<'_>,
    ) -> Result<SharedFetch, Unavailable> {
        let link = self.guard.link(Operation::Fetch)?;
        let until = self.deadline();
        let subject = subject(&link.epoch, need.wanted);
        let command = self.command(subject, &need);
        let reply = self.fetch_once(&link, until, command.clone()).await?;
        match reply.outcome {
            FetchOutcome::Leased(_) => Ok(self.leased(&link, &command, &reply)),
            FetchOutcome::Busy(_) => {
                self.metrics.ended(Operation::Fetch, "busy");
                Ok(SharedFetch::Busy)
            }
            FetchOutcome::Served => match self.read(&link.epoch, start, &need, &reply) {
                Some(Read::Data(data)) => {
                    self.metrics.ended(Operation::Fetch, "hit");
                    Ok(SharedFetch::Data(data))
                }
                Some(Read::Negative(negative)) => {
                    self.metrics.ended(Operation::Fetch, "negative");
                    Ok(SharedFetch::Negative(negative))
                }
                None => {
                    self.metrics.ended(Operation::Fetch, "unreadable");
                    self.lease_only(&link, until, command).await
                }
            },
        }
    }

    /// Takes the lease to replace a stored value that can't be read.
    async fn lease_only(
        &self,
        link: &Link,
        until: Tick,
        command: FetchCommand,
    ) -> Result<SharedFetch, Unavailable> {
        let command = FetchCommand {
            max_age: PartMap::default(),
            max_alias_age: Duration::ZERO,
            waits: false,
            ..command
        };
        let reply = self.fetch_once(link, until, command.clone()).await?;
        match reply.outcome {
            FetchOutcome::Leased(_) => Ok(self.leased(link, &command, &reply)),
            FetchOutcome::Busy(_) | FetchOutcome::Served => Err(Unavailable),
        }
    }

    async fn fetch_once(
        &self,
        link: &Link,
        until: Tick,
        command: FetchCommand,
    ) -> Result<FetchReply, Unavailable> {
        let reply = self.backend.fetch(link.epoch.id, command);
        let call = self.guard.call(link, Operation::Fetch, until, reply);
        Ok(call.await?)
    }

    fn command(&self, subject: Subject, need: &Need<'_>) -> FetchCommand {
        let greatest = need.max_age.min(LONGEST_AGE);
        let younger_than = |cached: Option<Duration>| cached.unwrap_or(greatest).min(greatest);
        FetchCommand {
            subject,
            needed: need.needed,
            fetched: need.fetched,
            max_age: PartMap::from_fn(|part| younger_than(need.cached[part])),
            max_alias_age: younger_than(need.cached_alias),
            waits: !need.max_age.is_zero(),
            lease: LeaseOffer {
                token: Token::of(self.replica),
                busy: self.settings.lease,
            },
        }
    }

    fn leased(&self, link: &Link, command: &FetchCommand, reply: &FetchReply) -> SharedFetch {
        let FetchOutcome::Leased(grant) = reply.outcome else {
            return SharedFetch::Busy;
        };
        self.metrics.ended(Operation::Fetch, "leased");
        SharedFetch::Leased(SharedLease {
            epoch: link.epoch.id,
            subject: command.subject,
            token: command.lease.token,
            leased: command.fetched,
            grant,
            granted_at: Reading {
                time: reply.now,
                received: self.clock.tick(),
            },
        })
    }

    /// Reads a reply that serves the flight. `None` where something that it needs can't be read.
    fn read(
        &self,
        epoch: &Epoch,
        start: FetchStart,
        need: &Need<'_>,
        reply: &FetchReply,
    ) -> Option<Read> {
        let (id, alias) = match need.wanted {
            Wanted::Contact(id) => (id, None),
            Wanted::Alias(lookup) => {
                let name = epoch.names.alias(lookup);
                let read = self.read_alias(epoch, start, name, reply.alias.as_ref());
                match self.usable(read)? {
                    AliasRead::Contact(id, alias) => (id, Some(alias)),
                    AliasRead::Negative(negative) => return Some(Read::Negative(negative)),
                }
            }
        };
        let mut parts = Parts::default();
        for (part, stored) in reply.parts.iter() {
            if let Some(stored) = stored {
                let read = self.read_part(epoch, start, id, part, stored, &mut parts);
                // A part that is not needed is merely left out.
                let _ = self.usable(read);
            }
        }
        let data = SharedData {
            id,
            alias,
            parts,
            entity_only: reply.entity_only,
        };
        let needed = need.needed.without(data.left_to_entities());
        let serves = needed.is_subset(data.parts.present());
        serves.then(|| Read::Data(Box::new(data)))
    }

    /// Counts what can't be used.
    fn usable<T>(&self, read: Result<T, Flaw>) -> Option<T> {
        read.inspect_err(|flaw| {
            self.metrics.unreadable(flaw.as_str());
            if matches!(flaw, Flaw::Mismatch) && self.mismatch_log.is_due(self.clock.tick()) {
                tracing::error!(alarm = true, "shared tier value is about another contact");
            }
        })
        .ok()
    }

    pub(super) fn read_alias(
        &self,
        epoch: &Epoch,
        start: FetchStart,
        name: AliasName,
        stored: Option<&StoredAlias>,
    ) -> Result<AliasRead, Flaw> {
        let StoredAlias { contact, value } = stored.ok_or(Flaw::Missing)?;
        check_age(start, value)?;
        let at = |longest| ReadAt { start, longest };
        let Some(contact) = contact else {
            let at = at(self.settings.negative_lifetime);
            let negative = decode_negative(&epoch.sealer, name, value, &at)?;
            return Ok(AliasRead::Negative(negative));
        };
        let at = at(self.settings.lifetimes[Part::Profile]);
        let (id, mut alias) = decode_alias(&epoch.sealer, name, value, &at)?;
        // For a fetch the server has checked the generation of the contact with this name, so it must be the same
        // contact.
        if epoch.names.contact(id) != *contact {
            return Err(Flaw::Mismatch);
        }
        if !alias.confirmed {
            let lifetime = &mut alias.provenance.lifetime;
            *lifetime = self.settings.negative_lifetime.min(*lifetime);
        }
        Ok(AliasRead::Contact(id, alias))
    }

    /// Reads a part into `parts`.
    pub(super) fn read_part(
        &self,
        epoch: &Epoch,
        start: FetchStart,
        id: ContactId,
        part: Part,
        stored: &StoredValue,
        parts: &mut Parts,
    ) -> Result<(), Flaw> {
        check_age(start, stored)?;
        let at = ReadAt {
            start,
            longest: self.settings.lifetimes[part],
        };
        let name = epoch.names.contact(id);
        let found = decode_part(&epoch.sealer, name, None, part, stored, &at, parts)?;
        if found != id {
            parts.retain(|kept, _| kept != part);
            return Err(Flaw::Mismatch);
        }
        Ok(())
    }
}

/// An alias that was read.
pub(super) enum AliasRead {
    Contact(ContactId, SharedAlias),
    Negative(SharedNegative),
}

/// The name of what a flight looks up.
pub(super) fn subject(epoch: &Epoch, wanted: Wanted<'_>) -> Subject {
    match wanted {
        Wanted::Contact(id) => Subject::Contact(epoch.names.contact(id)),
        Wanted::Alias(lookup) => Subject::Alias(epoch.names.alias(lookup)),
    }
}

/// An age that reaches back before the earliest moment would be cut off there, and the data would look younger.
fn check_age(start: FetchStart, stored: &StoredValue) -> Result<(), Flaw> {
    if stored.age > start.now.tick.since(Tick::default()) {
        return Err(Flaw::TooOld);
    }
    Ok(())
}
