//! The tiers of the cache: this replica's memory, and an optional tier that replicas share. Three operations hide them:
//! a flight begins, a flight stores, an invalidation takes effect.
//!
//! - [`Tiers::begin`] reads the shared tier. If another replica fetched what the flight needs, the flight ends there
//!   and spends nothing of the budget. If another replica is fetching it, the flight waits and reads again. Otherwise
//!   the flight gets the shared lease, waits until the budget admits the call, and marks its start.
//! - [`Tiers::store`] stores what a call fetched, in the shared tier first. Data that an invalidation has overtaken
//!   according to the shared tier is not stored in memory; it reaches the waiting requests only if this replica's own
//!   fences allow that.
//! - [`Tiers::invalidate`] announces an invalidation to the other replicas, raises its fences and drops what they cover
//!   ([`announce`]).
//!
//! A hit reads [`Tiers::memory`] directly and never the shared tier. While the cache is switched off, the shared tier
//! is neither read nor written.
//!
//! # Data of other replicas
//!
//! - **It enters memory under a sequence that was taken before the shared tier was read**, so each invalidation that
//!   this replica applied since then overtakes it. [`Sequence`]s and ticks mean nothing to another replica, so replicas
//!   share ages instead.
//! - **That sequence is not its place in the order of requests at Engage**: the provenance is marked `is_shared`, and
//!   [`Provenance::is_later_than`] compares times if one of the two is marked.
//! - **It never satisfies a request for fresh data.** A flight knows the greatest age that all its requests accept
//!   ([`Demand`]): zero if one of them requests fresh data, or corrects something that turned out to be wrong. Such a
//!   flight gets a lease at once.
//! - **What memory refuses is not requested from the tier again**: if a fence or newer knowledge forbids something that
//!   the flight needs, the flight asks for a lease. So no flight repeats itself for ever.
//! - **An invalidation is plain data**, which another replica can apply: it names contacts and identifiers, and
//!   contains no closure and no sequence ([`payload`] is its serial form). Its local fence is raised even if the tier
//!   can't be written; in that case a webhook and a purge answer 503, and a poll of the changes does not advance.
//!
//! Every failure of the shared tier is a miss: the flight continues as it would without one.
//!
//! Not handled here: failures and back-offs ([`crate::cache::CallKey`]), and what a search corrects in memory (an alias
//! that a newer profile contradicts). They concern only this replica's calls, and no caller relies on them.

mod announce;
mod invalidation;
mod payload;
mod shared;
mod target;

pub use self::announce::WebhookMessage;
use self::{announce::Owed, shared::SharedOutcome};
pub(super) use self::{
    invalidation::Invalidation,
    payload::{Payload, Unreadable},
    target::Target,
};
use super::Rendered;
#[cfg(doc)]
use crate::domain::Demand;
use crate::{
    cache::{
        Alias, Cache, FetchStart, PartData, Reason,
        fence::Sequence,
        flight::FlightStart,
        freshness::{FetchSource, Provenance},
        parts::{Origins, Parts},
    },
    clock::Clock,
    domain::{ContactId, Lookup, Overview, Part, aliases::AliasReader},
    engage::{AdmissionRequest, EngageClient, Error, Permit},
    shared_tier::{AliasFill, Overtaken, SharedFill, SharedLease, SharedTier},
};

impl Reason for Error {
    fn heap_bytes(&self) -> usize {
        match self {
            Error::MultipleMatches(matches) => matches.heap_bytes(),
            Error::Rejected { code } => code.len(),
            _ => 0,
        }
    }
}

/// The tiers of the cache.
pub(super) struct Tiers {
    /// This replica's memory.
    pub(super) memory: Cache<Rendered, Error>,
    /// The tier that replicas share.
    pub(super) shared: Option<SharedTier>,
    /// What may not have reached the other replicas yet.
    owed: Owed,
    alias_reader: AliasReader,
    clock: Clock,
}

/// The result of beginning a flight.
pub(super) enum BeginOutcome {
    /// This flight makes the call.
    Call(Lease, Permit),
    /// Another replica made the call.
    Shared(FetchStart, Result<Box<Shared>, Error>),
}

/// What another replica fetched, as stored in this replica's memory.
#[derive(Debug)]
pub(super) struct Shared {
    /// The contact.
    pub(super) id: ContactId,
    /// What may be served.
    pub(super) stored: Stored,
}

/// The right of one flight to store its result once. [`Tiers::store`] or [`Tiers::release`] gives it up.
#[derive(Debug)]
pub(super) struct Lease {
    start: FetchStart,
    /// The right to store the result in the shared tier too.
    shared: Option<SharedLease>,
}

/// The result of a call, checked against what was requested.
pub(super) enum Fill<'a> {
    /// The overview of a contact.
    Overview {
        /// The lookup that it was requested by.
        requested: &'a Lookup,
        /// Its contents.
        overview: Box<Overview>,
        /// Whether its profile shows the identifier.
        confirmed: bool,
    },
    /// The contact that an identifier leads to.
    Resolution {
        /// The identifier.
        requested: &'a Lookup,
        /// The contact.
        id: ContactId,
    },
    /// A part of a contact.
    Part(ContactId, PartData),
    /// No contact, or more than one, has the identifier, or Engage rejects it.
    Negative {
        /// The identifier.
        requested: &'a Lookup,
        /// The kind of endpoint that reported it.
        source: FetchSource,
        /// The error that was reported.
        why: &'a Error,
    },
}

/// The data of a fill that may be served.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The alias that led to the contact.
    pub(super) alias: Option<Alias>,
    /// The parts that no fence forbids.
    pub(super) parts: Parts,
}

impl Lease {
    /// The start of the upstream request: its time and its sequence, which have a meaning in this process only.
    pub(super) fn start(&self) -> FetchStart {
        self.start
    }
}

impl Tiers {
    /// The tiers over a memory; `alias_reader` compares identifiers with profiles.
    pub(super) fn new(
        memory: Cache<Rendered, Error>,
        alias_reader: AliasReader,
        clock: Clock,
    ) -> Self {
        Self {
            memory,
            shared: None,
            owed: Owed::default(),
            alias_reader,
            clock,
        }
    }

    /// Begins a flight: takes what another replica fetched, or waits until `engage` admits the upstream request and
    /// marks its start. The error says why the request was not admitted.
    pub(super) async fn begin<V>(
        &self,
        target: Target<'_>,
        engage: &EngageClient,
        flight: &FlightStart<V>,
    ) -> Result<BeginOutcome, Error> {
        let mut shared = None;
        if self.shared.is_some() {
            let outcome = self.read_shared(target, engage.overview_parts(), flight);
            match Box::pin(outcome).await {
                SharedOutcome::Found(start, found) => {
                    return Ok(BeginOutcome::Shared(start, found));
                }
                SharedOutcome::Leased(lease) => shared = Some(lease),
                SharedOutcome::Unavailable => {}
            }
        }
        let request = AdmissionRequest {
            requesters: flight.claims(),
            subject: target.owner(&self.memory),
            trace: flight.trace().cloned(),
        };
        let permit = match engage.admit(target.group(), request).await {
            Ok(permit) => permit,
            Err(error) => {
                self.release_shared(shared).await;
                return Err(error);
            }
        };
        let start = self.memory.begin();
        flight.begin(start.sequence, start.now.tick);
        Ok(BeginOutcome::Call(Lease { start, shared }, permit))
    }

    /// Gives up the lease of a flight whose call failed.
    pub(super) async fn release(&self, lease: Lease) {
        self.release_shared(lease.shared).await;
    }

    /// Ends a flight: stores what it fetched, except what an invalidation has overtaken, and returns what may be
    /// served. [`Error::Overtaken`] if the alias itself was dropped since the flight began.
    pub(super) async fn store(&self, lease: Lease, fill: Fill<'_>) -> Result<Stored, Error> {
        let Lease { start, shared } = lease;
        match fill {
            Fill::Overview {
                requested,
                overview,
                confirmed,
            } => {
                let id = overview.id;
                let parts = self.memory.parts_of_overview(start, *overview);
                let led = AliasFill {
                    requested,
                    source: FetchSource::Overview,
                    confirmed,
                };
                self.store_contact(shared, start, id, Some(led), parts)
                    .await
            }
            Fill::Resolution { requested, id } => {
                let led = AliasFill {
                    requested,
                    source: FetchSource::Entity,
                    confirmed: false,
                };
                self.store_contact(shared, start, id, Some(led), Parts::default())
                    .await
            }
            Fill::Part(id, data) => {
                let part = self.memory.part_of_entity(start, data);
                self.store_contact(shared, start, id, None, part).await
            }
            Fill::Negative {
                requested,
                source,
                why,
            } => {
                let key = requested.key();
                let overtaken = self
                    .share_negative(shared, start, requested, source, why)
                    .await;
                if !overtaken.alias {
                    if matches!(why, Error::MultipleMatches(_)) {
                        self.memory.note_ambiguous(key);
                    }
                    self.memory.store_negative(key, start, source, why.clone());
                }
                if let Some(id) = key.bare_id() {
                    self.memory.drop_record(id, start);
                }
                Ok(Stored::default())
            }
        }
    }

    /// Stores what was fetched of a contact, in the shared tier first and then in memory.
    async fn store_contact(
        &self,
        shared: Option<SharedLease>,
        start: FetchStart,
        id: ContactId,
        led: Option<AliasFill<'_>>,
        mut parts: Parts,
    ) -> Result<Stored, Error> {
        let requested = led.map(|led| led.requested);
        // A bare contact id has no alias.
        let led = led.filter(|led| led.requested.key().bare_id().is_none());
        let overtaken = match shared {
            None => Overtaken::default(),
            Some(shared) => {
                let (allowed, new_from_entity) =
                    self.memory.parts_to_share(id, &mut parts, requested);
                let fill = SharedFill::Contact {
                    id,
                    alias: led,
                    parts: &allowed,
                    new_from_entity,
                };
                self.share(shared, start, fill).await
            }
        };
        // The alias is stored first. Then a purge by identifier either finds it and fences the contact, or has come
        // earlier and fenced the alias, and nothing is stored.
        let alias = match led {
            None => None,
            Some(led) => Some(self.store_alias(led, id, start, overtaken.alias)?),
        };
        let mut kept_out = overtaken.parts;
        // What overtook the alias may also forbid what would be learned from the profile.
        if overtaken.alias && self.memory.learns_aliases() {
            kept_out.insert(Part::Profile);
        }
        let parts = if parts.present().is_empty() {
            parts
        } else {
            self.memory
                .store_parts_except(id, parts, requested, kept_out)
        };
        Ok(Stored { alias, parts })
    }

    /// Stores an alias, unless another replica's invalidation has overtaken it, and returns it. [`Error::Overtaken`] if
    /// a fence of this replica forbids it.
    fn store_alias(
        &self,
        led: AliasFill<'_>,
        id: ContactId,
        start: FetchStart,
        is_overtaken: bool,
    ) -> Result<Alias, Error> {
        let AliasFill {
            requested,
            source,
            confirmed,
        } = led;
        let key = requested.key();
        let confirmed = confirmed || key.is_contact_id();
        let is_allowed = if is_overtaken {
            self.memory.allows_alias(key, id, start, source)
        } else {
            self.memory.store_alias(key, id, start, source, confirmed)
        };
        if !is_allowed {
            return Err(Error::Overtaken);
        }
        self.unless_purged(requested, start)?;
        Ok(self.alias(id, start, source, confirmed))
    }

    /// [`Error::Overtaken`] if the contact that the identifier led to was purged since `start`. The alias is then
    /// dropped.
    fn unless_purged(&self, requested: &Lookup, start: FetchStart) -> Result<(), Error> {
        // Checked after the alias was stored: a purge by identifier is either seen here, or it finds the alias.
        if self.memory.is_purged(&requested.identifier, start.sequence) {
            self.memory.forget_alias(requested.key());
            return Err(Error::Overtaken);
        }
        Ok(())
    }

    /// The alias of a contact id, which leads to itself whatever the contact's type.
    pub(super) fn alias_of_id(&self, id: ContactId) -> Alias {
        self.alias(id, self.memory.begin(), FetchSource::Entity, true)
    }

    fn alias(
        &self,
        id: ContactId,
        start: FetchStart,
        source: FetchSource,
        confirmed: bool,
    ) -> Alias {
        Alias {
            id,
            provenance: Provenance {
                sequence: start.sequence,
                requested_at: start.now.tick,
                as_of: start.now.wall,
                lifetime: self.memory.policy.lifetime(Part::Profile),
                source,
                differed_at: (source == FetchSource::Entity).then_some(start.now.tick),
                is_shared: false,
            },
            confirmed,
            seen_in: Sequence::default(),
            is_learned: false,
        }
    }
}
