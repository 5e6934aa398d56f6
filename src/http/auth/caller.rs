//! The caller of a request and its rights.

use std::sync::Arc;

use super::{
    super::{
        client_metrics::{ChangeOutcome, ClientCounters, SHOPPERS},
        error::{ApiError, Code, Missing},
    },
    client::{ApiClient, ConcurrencyPermit},
    guard::HeldBack,
    refusal::AuthRefusal,
    shopper::Shopper,
};
use crate::{
    clock::Tick,
    config::Scope,
    customer::{self, view::View},
    domain::{Channel, ClientName, ContactId, Flow, Identifier, IdentifierKind, Lookup, LookupKey},
};

/// An admitted caller: a client with a key, a shopper with a token, or both (a client on behalf of a shopper); without
/// a credential, the client that stands for all such callers. With both, only the rights that both have count.
pub(in crate::http) struct Caller {
    client: Option<Arc<ApiClient>>,
    shopper: Option<Shopper>,
    /// The counters of a shopper without a client's key.
    shoppers: Option<Arc<ClientCounters>>,
    /// Limits the client's concurrent requests (`max_concurrency`); released when the caller is dropped.
    permit: Option<ConcurrencyPermit>,
}

impl Caller {
    pub(super) fn by_key(client: Arc<ApiClient>) -> Self {
        Self {
            client: Some(client),
            shopper: None,
            shoppers: None,
            permit: None,
        }
    }

    /// `shoppers`: the counters of shoppers without a client's key.
    pub(super) fn by_token(
        shopper: Shopper,
        client: Option<Arc<ApiClient>>,
        shoppers: Option<Arc<ClientCounters>>,
    ) -> Self {
        Self {
            client,
            shopper: Some(shopper),
            shoppers,
            permit: None,
        }
    }

    /// The caller's counters: those of its client, or of shoppers without one.
    pub(in crate::http) fn counters(&self) -> Option<&Arc<ClientCounters>> {
        let of_client = self.client.as_ref().map(|client| &client.counters);
        of_client.or(self.shoppers.as_ref())
    }

    /// Counts the request against the client's rate and concurrency limits.
    pub(in crate::http) fn admit(&mut self, now: Tick) -> Result<(), AuthRefusal> {
        let admit = |client: &Arc<ApiClient>| client.admit(now);
        self.permit = self.client.as_ref().map(admit).transpose()?.flatten();
        Ok(())
    }

    /// Fails with `Forbidden` if the caller lacks the scope.
    pub(in crate::http) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        self.missing(scope)
            .map_or(Ok(()), |missing| Err(ApiError::forbidden(missing)))
    }

    /// Whether the caller has the scope.
    pub(in crate::http) fn has(&self, scope: Scope) -> bool {
        self.missing(scope).is_none()
    }

    /// What the caller lacks to have the scope; `None` if it has the scope.
    fn missing(&self, scope: Scope) -> Option<Missing> {
        let client_lacks = self
            .client
            .as_ref()
            .is_some_and(|client| !client.has(scope));
        let Some(shopper) = &self.shopper else {
            return client_lacks.then_some(Missing::ScopeOfClient(scope));
        };
        // A shopper gets the storefront view of its own data, never the full view, nor others' data.
        if matches!(scope, Scope::ReadFull | Scope::Batch) {
            return Some(Missing::ScopeWithoutToken(scope));
        }
        if client_lacks {
            return Some(Missing::ScopeOfClient(scope));
        }
        let of_token = match scope {
            Scope::Read => Scope::ReadSelf,
            other => other,
        };
        (!shopper.has(of_token)).then_some(Missing::ScopeOfToken(of_token))
    }

    /// Whether a shopper calls, or a client on behalf of one: then every look-up is of that shopper's own data.
    pub(in crate::http) fn is_shopper(&self) -> bool {
        self.shopper.is_some()
    }

    /// Fails with `Forbidden` if the client may not look up by this kind of identifier.
    pub(in crate::http) fn require_identifier(&self, kind: IdentifierKind) -> Result<(), ApiError> {
        let may = |client: &Arc<ApiClient>| client.may_look_up_by(kind);
        if self.client.as_ref().is_none_or(may) {
            Ok(())
        } else {
            Err(ApiError::forbidden(Missing::Identifier(kind)))
        }
    }

    /// Fails with `ContactNotFound`, without an upstream call, if a shopper looks up by an identifier that its token
    /// does not contain.
    pub(in crate::http) fn require_lookup(&self, lookup: &Lookup) -> Result<(), ApiError> {
        let is_own = |shopper: &Shopper| shopper.is_named_by(lookup);
        if self.shopper.as_ref().is_none_or(is_own) {
            Ok(())
        } else {
            Err(ApiError::new(Code::ContactNotFound))
        }
    }

    /// The final check of a response: fails with `ContactNotFound` if it is about another contact than the token's.
    pub(in crate::http) fn require_contact(&self, id: ContactId) -> Result<(), ApiError> {
        let may_be = |shopper: &Shopper| shopper.may_be(id);
        if self.shopper.as_ref().is_none_or(may_be) {
            Ok(())
        } else {
            Err(ApiError::new(Code::ContactNotFound))
        }
    }

    /// The identifier in the shopper's token, of a kind that the client may look up by, if there is a client.
    pub(in crate::http) fn own_identifier(&self) -> Result<Identifier, ApiError> {
        let Some(shopper) = &self.shopper else {
            return Err(ApiError::forbidden(Missing::Token));
        };
        let mut refusal = None;
        for identifier in shopper.identifiers() {
            match self.require_identifier(identifier.kind()) {
                Ok(()) => return Ok(identifier),
                Err(forbidden) => refusal = Some(forbidden),
            }
        }
        Err(refusal.unwrap_or_else(|| ApiError::new(Code::ContactNotFound)))
    }

    /// The client's name; `None` for a shopper without one.
    pub(in crate::http) fn client(&self) -> Option<&ClientName> {
        self.client.as_ref().map(|client| &client.name)
    }

    /// The flow that the caller's upstream calls are charged to. All shoppers without a client count as one client,
    /// within which each has a flow of its own.
    pub(in crate::http) fn flow(&self) -> Flow {
        let name = self.client().cloned();
        Flow {
            client: name.unwrap_or_else(|| ClientName::from(SHOPPERS)),
            shopper: self.shopper.as_ref().map(|shopper| shopper.flow),
        }
    }

    /// Counts the outcome of a reported change.
    pub(in crate::http) fn count_change(&self, outcome: ChangeOutcome) {
        if let Some(counters) = self.counters() {
            counters.count_change(outcome);
        }
    }

    /// Counts a report of a change against the limits of the shopper and of the client.
    pub(in crate::http) fn admit_change(&self, now: Tick) -> Result<(), AuthRefusal> {
        if let Some(limit) = self
            .shopper
            .as_ref()
            .and_then(|shopper| shopper.changes.as_ref())
        {
            limit.admit(now)?;
        }
        self.client
            .as_ref()
            .map_or(Ok(()), |client| client.changes.admit(now))
    }

    /// Whether the client looked up so many unknown contacts that it is answered from the cache alone.
    pub(in crate::http) fn is_guard_tripped(&self, now: Tick) -> bool {
        let is_tripped = |client: &Arc<ApiClient>| client.guard.is_tripped(now);
        self.client.as_ref().is_some_and(is_tripped)
    }

    /// Counts one more look-up of a request against the client's rate.
    pub(in crate::http) fn count_look_up(&self, now: Tick) -> Result<(), AuthRefusal> {
        let count = |client: &Arc<ApiClient>| client.count(now);
        self.client.as_ref().map_or(Ok(()), count)
    }

    /// Begins a look-up for which no person waits, unless the client's enumeration guard holds it back.
    pub(in crate::http) fn begin_deferred(
        &self,
        lookup: &Lookup,
        now: Tick,
    ) -> Result<PendingLookUp, HeldBack> {
        if let Some(client) = &self.client {
            client.guard.begin_pending(now)?;
        }
        Ok(PendingLookUp {
            client: self.client.clone(),
            unknown: Some(lookup.key().clone()),
        })
    }

    /// Counts a look-up of an unknown contact.
    pub(in crate::http) fn record_unknown(&self, lookup: &Lookup) {
        if let Some(client) = &self.client {
            client.guard.record_unknown(&client.name, lookup.key());
        }
    }

    /// Counts a contact that is sent to the client.
    pub(in crate::http) fn record_shown(&self, id: ContactId) {
        if let Some(client) = &self.client {
            client.record_shown(id);
        }
    }

    /// The default view.
    pub(in crate::http) fn view(&self) -> View {
        match (&self.shopper, &self.client) {
            (None, Some(client)) => client.view,
            _ => View::Storefront,
        }
    }

    /// The default channel.
    pub(in crate::http) fn channel(&self) -> Option<Channel> {
        self.client.as_ref().and_then(|client| client.channel)
    }
}

/// A deferred look-up under way. If it is dropped before it has ended, its call continues, and the next request could
/// read the result. So it then counts as a look-up of an unknown contact.
pub(in crate::http) struct PendingLookUp {
    client: Option<Arc<ApiClient>>,
    unknown: Option<LookupKey>,
}

impl PendingLookUp {
    /// Ends the look-up with its result. It counts as a look-up of an unknown contact if Engage knows no such contact,
    /// or if the deadline passed first: the call still runs then, and the next request could read its result.
    pub(in crate::http) fn end<T>(mut self, found: &Result<T, customer::Error>) {
        let may_still_be_cached =
            |error: &customer::Error| error.is_not_found() || *error == customer::Error::TooLate;
        if !found.as_ref().err().is_some_and(may_still_be_cached) {
            self.unknown = None;
        }
    }

    /// Withdraws the look-up, which was not made.
    pub(in crate::http) fn withdraw(mut self) {
        self.unknown = None;
    }
}

impl Drop for PendingLookUp {
    fn drop(&mut self) {
        let Some(client) = &self.client else {
            return;
        };
        if let Some(key) = &self.unknown {
            client.guard.record_unknown(&client.name, key);
        }
        client.guard.end_pending();
    }
}

#[cfg(fuzzing)]
use super::super::client_metrics::ClientMetrics;

#[cfg(fuzzing)]
impl Caller {
    /// A caller with all rights.
    pub(in crate::http) fn unrestricted(clock: &crate::clock::Clock) -> Self {
        Self {
            client: Some(Arc::new(ApiClient::anonymous(
                &ClientMetrics::default(),
                clock,
            ))),
            shopper: None,
            shoppers: None,
            permit: None,
        }
    }
}
