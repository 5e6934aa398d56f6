//! The tiers of the cache, behind three calls: a flight begins, a flight stores, an invalidation takes effect. Today
//! there is one tier, this replica's memory. A tier that replicas share plugs in here and nowhere else.
//!
//! - [`Tiers::begin`] waits until the budget admits the call and marks its start. Before that, a shared tier is read:
//!   it returns the data, a lease, or until when another replica has the lease.
//! - [`Tiers::store`] stores what the fences allow. A shared tier stores it too, if the lease's token is still there.
//! - [`Tiers::invalidate`] raises the fence and drops what it covers. Then it is written to a shared tier, or fails.
//!
//! Reads of a hit go to [`Tiers::memory`] directly: no shared tier is ever on that path.
//!
//! # What a shared tier needs, and finds
//!
//! - **Numbers stay here.** [`Sequence`](crate::cache::fence::Sequence)s and ticks mean nothing to another replica, so
//!   no type that is stored carries one: the [`Lease`] keeps the start of the call to itself. What a shared tier stores
//!   is a [`Fill`], its [`FetchSource`] and its age, a duration: the time since the lease's start.
//! - **The lease is the fence.** An invalidation deletes the lease; a store without it reaches the callers and this
//!   memory, as far as the local fences allow, and no other replica. So a flight gets its lease in `begin` and gives it
//!   up in `store`: a [`Lease`] can be used once and can't be copied.
//! - **Two starts.** What another replica fetched enters memory under a sequence number that was taken *before* the
//!   tier was read. The start of a call of our own is marked after the budget admitted it: until then requests for
//!   fresh data may join the flight, and a call that starts later than its lease only returns newer data. `begin`
//!   covers both steps, so that the budget is spent only on what no replica has.
//! - **`fresh=` and corrections** never take another replica's data, but a lease of their own. `begin` can tell them
//!   apart by the flight's claims and by the alias fence.
//! - **Aliases and negative entries** are fills as parts are. A resolution has a [`Target`] of its own, hence a lease.
//! - **An invalidation is plain data**, which another replica can apply: it names contacts and identifiers, no closure
//!   and no sequence. Its local fence is raised first and stands even if the tier can't be written.
//!
//! `invalidate` returns nothing, because memory can't refuse: an error type would have no value. It is asynchronous
//! because every caller of it must be able to wait. With a shared tier it returns `Result<(), NotShared>`, and the
//! compiler leads to the callers: a webhook and a purge then answer 503, a poll of the changes does not advance.
//!
//! Not here: failures and back-offs ([`crate::cache::CallKey`]) and what a search corrects in memory (an alias that a
//! newer profile contradicts). They concern this replica's calls and are promised to no caller.

mod invalidation;

pub(super) use self::invalidation::Invalidation;
use super::Rendered;
use crate::{
    cache::{
        Alias, Cache, FetchStart, PartData,
        fence::Sequence,
        flight::FlightStart,
        freshness::{FetchSource, Provenance},
        parts::Parts,
    },
    domain::{ContactId, Lookup, LookupKey, Overview, Part, aliases::AliasReader},
    engage::{AdmissionRequest, EngageClient, Error, Group, Permit},
    shared_tier::SharedTier,
};

/// The tiers of the cache.
pub(super) struct Tiers {
    /// This replica's memory.
    pub(super) memory: Cache<Rendered, Error>,
    /// The tier that replicas share.
    pub(super) shared: Option<SharedTier>,
    alias_reader: AliasReader,
}

/// What a flight fetches.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// The overview, by an identifier.
    Overview(&'a Lookup),
    /// Which contact an identifier leads to.
    Resolution(&'a Lookup),
    /// One part, from its entity endpoint.
    Part(ContactId, Part),
}

/// The right of one flight to store what it fetched, once.
#[derive(Debug)]
pub(super) struct Lease {
    start: FetchStart,
}

/// What a flight fetched, checked against what was requested.
pub(super) enum Fill<'a> {
    /// The overview of a contact.
    Overview {
        /// By what it was requested.
        requested: &'a Lookup,
        /// What it contains.
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
    /// That no contact, or more than one, has the identifier.
    Negative {
        /// The identifier.
        key: &'a LookupKey,
        /// Which kind of endpoint said so.
        source: FetchSource,
        /// What it said.
        why: &'a Error,
    },
}

/// What may be served of a fill.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The alias that led to the contact.
    pub(super) alias: Option<Alias>,
    /// The parts that no fence forbids.
    pub(super) parts: Parts,
}

impl Lease {
    /// When and in which place the upstream request began. For this process only.
    pub(super) fn start(&self) -> FetchStart {
        self.start
    }
}

impl Target<'_> {
    /// The group of endpoints that answers.
    fn group(self) -> Group {
        match self {
            Target::Overview(_) => Group::Overview,
            Target::Resolution(_) => Group::Contacts,
            Target::Part(_, part) => match part {
                Part::Profile => Group::Contacts,
                Part::Promotions => Group::Promotions,
                Part::Vouchers => Group::Vouchers,
                Part::Points => Group::Points,
                Part::Audiences => unreachable!("audiences have no entity endpoint"),
            },
        }
    }

    /// The subject of the call: the contact, or the identifier where the contact is not known.
    fn owner(self, memory: &Cache<Rendered, Error>) -> u64 {
        match self {
            Target::Overview(lookup) | Target::Resolution(lookup) => {
                let alias = memory.alias(lookup.key());
                alias.map_or_else(
                    || lookup.key().subject(),
                    |alias| LookupKey::by_id(alias.id).subject(),
                )
            }
            Target::Part(id, _) => LookupKey::by_id(id).subject(),
        }
    }
}

impl Tiers {
    /// A memory, and how identifiers are compared with profiles.
    pub(super) fn new(memory: Cache<Rendered, Error>, alias_reader: AliasReader) -> Self {
        Self {
            memory,
            shared: None,
            alias_reader,
        }
    }

    /// Begins a flight's upstream request: waits until `engage` admits it, then marks its start. The error says why it
    /// was not admitted.
    pub(super) async fn begin<V>(
        &self,
        target: Target<'_>,
        engage: &EngageClient,
        flight: &FlightStart<V>,
    ) -> Result<(Lease, Permit), Error> {
        let demand = AdmissionRequest {
            requesters: flight.claims(),
            subject: target.owner(&self.memory),
        };
        let permit = engage.admit(target.group(), demand).await?;
        let start = self.memory.begin();
        flight.begin(start.sequence, start.now.tick);
        Ok((Lease { start }, permit))
    }

    /// Ends a flight: stores what it fetched, except what an invalidation has overtaken, and returns what may be
    /// served. [`Error::Overtaken`] where the alias itself was dropped since the flight began.
    #[expect(
        clippy::unused_async,
        reason = "memory needs no wait, a shared tier will"
    )]
    pub(super) async fn store(&self, lease: Lease, fill: Fill<'_>) -> Result<Stored, Error> {
        let start = lease.start;
        match fill {
            Fill::Overview {
                requested,
                overview,
                confirmed,
            } => {
                // The alias first: a purge by identifier finds it and fences the contact, or comes first and fences the
                // alias, and then nothing is stored.
                let id = overview.id;
                let alias =
                    self.store_alias(requested, id, start, FetchSource::Overview, confirmed)?;
                let parts = self.memory.store_overview(requested, start, *overview);
                Ok(Stored { alias, parts })
            }
            Fill::Resolution { requested, id } => Ok(Stored {
                alias: self.store_alias(requested, id, start, FetchSource::Entity, false)?,
                parts: Parts::default(),
            }),
            Fill::Part(id, data) => Ok(Stored {
                alias: None,
                parts: self.memory.store_part(id, start, data),
            }),
            Fill::Negative { key, source, why } => {
                self.memory.store_negative(key, start, source, why.clone());
                if let Some(id) = key.bare_id() {
                    self.memory.drop_record(id, start.sequence);
                }
                Ok(Stored::default())
            }
        }
    }

    /// What the invalidation covers and was fetched until now is never served again: not by flights that have begun,
    /// nor from memory.
    #[expect(
        clippy::unused_async,
        reason = "memory needs no wait, a shared tier will"
    )]
    pub(super) async fn invalidate(&self, invalidation: Invalidation) {
        invalidation.apply(&self.memory, &self.alias_reader);
    }

    /// Switches this replica's cache off or on. Off, nothing is read or stored; fences go on being raised.
    pub(super) async fn switch(&self, on: bool) {
        self.memory.switch(on);
        if !on {
            // After the switch: a store that still saw the cache on is fenced out, wherever it ends up.
            self.invalidate(Invalidation::Everything).await;
        }
    }

    fn store_alias(
        &self,
        requested: &Lookup,
        id: ContactId,
        start: FetchStart,
        source: FetchSource,
        confirmed: bool,
    ) -> Result<Option<Alias>, Error> {
        let key = requested.key();
        if key.bare_id().is_some() {
            return Ok(None);
        }
        let confirmed = confirmed || key.is_contact_id();
        if !self.memory.store_alias(key, id, start, source, confirmed) {
            return Err(Error::Overtaken);
        }
        // Afterwards: a purge by identifier is seen here, or finds the alias.
        if self.memory.is_purged(&requested.identifier, start.sequence) {
            self.memory.forget_alias(key);
            return Err(Error::Overtaken);
        }
        Ok(Some(self.alias(id, start, source, confirmed)))
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
        }
    }
}
