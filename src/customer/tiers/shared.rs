//! How a flight uses the shared tier: it takes what another replica fetched, waits for another replica's call, or gets
//! the lease to make the call itself.

use std::time::Duration;

use super::{Shared, Stored, Target, Tiers};
use crate::{
    cache::{
        FetchStart,
        flight::FlightStart,
        freshness::{FetchSource, Freshness, Provenance},
        parts::{Origins, Parts},
    },
    clock::Tick,
    domain::{ContactId, Demand, Identifier, Lookup, Match, Matches, Part, PartMap, PartSet},
    engage::Error,
    shared_tier::{
        Need, NegativeReason, Overtaken, SharedAlias, SharedData, SharedFetch, SharedFill,
        SharedLease, SharedNegative, Wanted,
    },
};

/// The pause before a flight checks again whether another replica's call has ended, in milliseconds.
const RETRY_PAUSE_MILLIS: std::ops::Range<u64> = 25..100;
/// The longest wait of a flight for the calls of other replicas; then it takes a lease itself. With the default
/// configuration each of their leases ends earlier.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The server measures ages in milliseconds: data that is newer by at most this may be the same as the cached data.
const PRECISION: Duration = Duration::from_millis(2);

/// The result of reading the shared tier.
pub(super) enum SharedOutcome {
    /// The data that the flight needs.
    Found(FetchStart, Result<Box<Shared>, Error>),
    /// The tier has no such data: this replica makes the call.
    Leased(SharedLease),
    /// The tier can't be used.
    Unavailable,
}

impl<'a> Target<'a> {
    /// The identifier of a look-up. A contact id alone leads to itself.
    fn lookup(self) -> Option<&'a Lookup> {
        match self {
            Target::Overview(lookup) | Target::Resolution(lookup) => {
                Some(lookup).filter(|lookup| lookup.key().bare_id().is_none())
            }
            Target::Part(..) => None,
        }
    }
}

impl Tiers {
    /// Reads the tier until it has what the flight needs, or until the flight may make the call.
    pub(super) async fn read_shared<V>(
        &self,
        target: Target<'_>,
        overview_parts: PartSet,
        flight: &FlightStart<V>,
    ) -> SharedOutcome {
        let mut demand = flight.demand();
        let give_up = self.clock.tick() + LONGEST_WAIT;
        // Whether the flight must get a lease, because memory refused something that it needs, or because it has waited
        // too long.
        let mut wants_lease = false;
        while self.memory.is_on() {
            let start = self.memory.begin();
            let Some(tier) = self.readable() else {
                break;
            };
            let mut requested = *demand.borrow_and_update();
            wants_lease |= start.now.tick >= give_up;
            requested.max_age = if wants_lease {
                Duration::ZERO
            } else {
                self.usable_age(target, requested.max_age, start.now.tick)
            };
            let need = self.need(target, overview_parts, requested, start.now.tick);
            let found = match tier.fetch(start, need).await {
                Err(_) => return SharedOutcome::Unavailable,
                Ok(SharedFetch::Leased(lease)) if self.memory.is_on() => {
                    return SharedOutcome::Leased(lease);
                }
                Ok(SharedFetch::Leased(lease)) => {
                    tier.release(lease).await;
                    return SharedOutcome::Unavailable;
                }
                // The reply is not the lease that was requested.
                Ok(_) if wants_lease => return SharedOutcome::Unavailable,
                Ok(SharedFetch::Busy) => {
                    let wait = Duration::from_millis(fastrand::u64(RETRY_PAUSE_MILLIS));
                    tokio::select! {
                        biased;
                        _ = demand.changed() => {}
                        () = self.clock.sleep_until(self.clock.tick() + wait) => {}
                    }
                    continue;
                }
                Ok(SharedFetch::Data(data)) => Ok(data),
                Ok(SharedFetch::Negative(negative)) => Err(negative),
            };
            // From here on requests for newer data don't join the flight; those that joined before are part of the
            // demand.
            flight.begin(start.sequence, start.now.tick);
            let requested = *demand.borrow_and_update();
            let taken = match found {
                Ok(data) => {
                    let taken = self.take(target, start, requested, *data);
                    taken.map(|taken| Ok(Box::new(taken)))
                }
                Err(negative) => self
                    .take_negative(target, start, requested, &negative)
                    .map(Err),
            };
            if let Some(taken) = taken {
                return SharedOutcome::Found(start, taken);
            }
            wants_lease = true;
        }
        SharedOutcome::Unavailable
    }

    /// Limits the age so that data that memory would refuse is not requested: the flight waits for another replica's
    /// call or gets a lease instead.
    fn usable_age(&self, target: Target<'_>, max_age: Duration, now: Tick) -> Duration {
        let longest = self.memory.policy.longest_use(target.source(), now);
        longest.map_or(max_age, |longest| max_age.min(longest))
    }

    /// What the flight needs from the tier.
    fn need<'a>(
        &self,
        target: Target<'a>,
        overview_parts: PartSet,
        demand: Demand,
        now: Tick,
    ) -> Need<'a> {
        let (wanted, id, called) = match target {
            Target::Part(id, part) => (Wanted::Contact(id), Some(id), part.into()),
            Target::Overview(lookup) | Target::Resolution(lookup) => {
                let key = lookup.key();
                let called = match target {
                    Target::Overview(_) => overview_parts,
                    Target::Resolution(_) | Target::Part(..) => PartSet::EMPTY,
                };
                if let Some(id) = key.bare_id() {
                    (Wanted::Contact(id), Some(id), called)
                } else {
                    let id = self.memory.alias(key).map(|alias| alias.id);
                    (Wanted::Alias(lookup), id, called)
                }
            }
        };
        // Only the parts that requests wait for. The others may come from another call, even one of the same request.
        let waited_for = called.intersection(demand.needed);
        let fetched = if waited_for.is_empty() {
            called
        } else {
            waited_for
        };
        Need {
            wanted,
            needed: demand.needed,
            fetched,
            max_age: demand.max_age,
            cached: id.map_or_else(PartMap::default, |id| {
                let ages = self.memory.outdated(id, demand.max_age, now);
                PartMap::from_fn(|part| ages[part].map(|age| age.saturating_sub(PRECISION)))
            }),
            cached_alias: target
                .lookup()
                .and_then(|lookup| self.outdated_alias(lookup, now)),
        }
    }

    /// The age of the cached alias, if it is about to expire: then only a newer one is accepted. `None` otherwise: then
    /// an older one is accepted as well.
    fn outdated_alias(&self, lookup: &Lookup, now: Tick) -> Option<Duration> {
        let alias = self.memory.alias(lookup.key())?;
        let is_outdated = alias.provenance.expires_soon(now, &self.memory.policy);
        is_outdated.then(|| alias.provenance.age(now).saturating_sub(PRECISION))
    }

    /// Stores in memory what another replica fetched. `None` if something that the requests need and that the flight's
    /// call could fetch is missing, or is refused by memory's rules or by the requests' greatest age.
    fn take(
        &self,
        target: Target<'_>,
        start: FetchStart,
        demand: Demand,
        data: SharedData,
    ) -> Option<Shared> {
        // The parts that are left to entity endpoints are not needed here: the search fetches them next.
        let needed = demand.needed.without(data.left_to_entities());
        let SharedData {
            id,
            alias,
            parts,
            entity_only,
        } = data;
        let now = self.clock.tick();
        let is_usable = |provenance: &Provenance| {
            provenance.age(now) < demand.max_age
                && provenance.freshness(now, &self.memory.policy) <= Freshness::Stale
        };
        let lookup = target.lookup();
        let alias = match (target, lookup) {
            (Target::Part(wanted, _), _) if wanted != id => return None,
            (_, None) => None,
            (_, Some(lookup)) => {
                let alias = alias.filter(|alias| is_usable(&alias.provenance))?;
                let confirmed = self.confirms(target, lookup, id, &alias, &parts)?;
                let key = lookup.key();
                let alias = self
                    .memory
                    .store_shared_alias(key, id, alias.provenance, confirmed)?;
                self.unless_purged(lookup, start).ok()?;
                Some(alias)
            }
        };
        let parts = self
            .memory
            .store_shared_parts(id, parts, &entity_only, lookup);
        let is_served = |part: Part| parts.provenance(part).is_some_and(&is_usable);
        let is_complete = needed.iter().all(is_served);
        is_complete.then_some(Shared {
            id,
            stored: Stored { alias, parts },
        })
    }

    /// Whether the contact is known to have the identifier; `None` if this is, or may be, the wrong contact.
    fn confirms(
        &self,
        target: Target<'_>,
        lookup: &Lookup,
        id: ContactId,
        alias: &SharedAlias,
        parts: &Parts,
    ) -> Option<bool> {
        let key = lookup.key();
        let is_overview = alias.provenance.source == FetchSource::Overview;
        if matches!(target, Target::Resolution(_)) && is_overview {
            return None;
        }
        if let Identifier::ContactId(requested) = lookup.identifier
            && requested != id
        {
            return None;
        }
        let Some(profile) = &parts.profile else {
            return Some(alias.confirmed || key.is_contact_id());
        };
        let identity = &profile.data.identity;
        let matches = self
            .alias_reader
            .matches(&identity.aliases, &lookup.identifier);
        let is_other = matches == Match::No || !identity.is_of(lookup.contact_type.as_ref());
        (!is_other).then_some(alias.confirmed || matches == Match::Yes || key.is_contact_id())
    }

    /// Stores the negative result of another replica, and returns the error for it; `None` if it is refused.
    fn take_negative(
        &self,
        target: Target<'_>,
        start: FetchStart,
        demand: Demand,
        found: &SharedNegative,
    ) -> Option<Error> {
        let lookup = target.lookup()?;
        let is_overview = found.source == FetchSource::Overview;
        let age = self.clock.tick().since(found.requested_at);
        let is_lagging = matches!(target, Target::Resolution(_)) && is_overview;
        if is_lagging || age >= demand.max_age.min(self.memory.policy.negative_lifetime) {
            return None;
        }
        let error = Error::from(&found.why);
        let is_stored = error.is_about_the_identifier()
            && self.memory.store_shared_negative(
                lookup.key(),
                start,
                found.source,
                found.requested_at,
                error.clone(),
            );
        is_stored.then_some(error)
    }

    /// Stores the result of a call in the shared tier, unless the cache was switched off in the meantime.
    pub(super) async fn share(
        &self,
        lease: SharedLease,
        start: FetchStart,
        fill: SharedFill<'_>,
    ) -> Overtaken {
        match &self.shared {
            Some(tier) if self.memory.is_on() => tier.store(lease, start, fill).await,
            _ => {
                self.release_shared(Some(lease)).await;
                Overtaken::default()
            }
        }
    }

    /// Stores in the shared tier that an identifier leads to no contact.
    pub(super) async fn share_negative(
        &self,
        lease: Option<SharedLease>,
        start: FetchStart,
        requested: &Lookup,
        source: FetchSource,
        why: &Error,
    ) -> Overtaken {
        // A contact id alone has no alias, so it has no negative value.
        let reason = reason(why).filter(|_| requested.key().bare_id().is_none());
        match (lease, &reason) {
            (Some(lease), Some(why)) => {
                let fill = SharedFill::Negative {
                    requested,
                    source,
                    why,
                };
                self.share(lease, start, fill).await
            }
            (lease, _) => {
                self.release_shared(lease).await;
                Overtaken::default()
            }
        }
    }

    /// Gives up a lease of the shared tier.
    pub(super) async fn release_shared(&self, lease: Option<SharedLease>) {
        if let (Some(tier), Some(lease)) = (&self.shared, lease) {
            tier.release(lease).await;
        }
    }
}

/// The negative result that the error stands for, if it is one.
fn reason(error: &Error) -> Option<NegativeReason> {
    match error {
        Error::NotFound => Some(NegativeReason::NotFound),
        Error::MultipleMatches(matches) if matches.ids().is_empty() => {
            Some(NegativeReason::MultipleMatches)
        }
        Error::MultipleMatches(matches) => Some(NegativeReason::TheseMatch(matches.clone())),
        Error::Rejected { code } => Some(NegativeReason::Rejected(code.clone())),
        _ => None,
    }
}

impl From<&NegativeReason> for Error {
    fn from(why: &NegativeReason) -> Self {
        match why {
            NegativeReason::NotFound => Error::NotFound,
            NegativeReason::MultipleMatches => Error::MultipleMatches(Matches::default()),
            NegativeReason::TheseMatch(matches) => Error::MultipleMatches(matches.clone()),
            NegativeReason::Rejected(code) => Error::Rejected { code: code.clone() },
        }
    }
}
