//! Who asks, and what it may do.

use std::sync::Arc;

use super::{
    super::error::{ApiError, Code},
    client::{ApiClient, ConcurrencyPermit},
    refusal::AuthRefusal,
    shopper::Shopper,
};
use crate::{
    clock::Tick,
    config::Scope,
    customer::view::View,
    domain::{Channel, ClientName, ContactId, Flow, Identifier, IdentifierKind, Lookup},
};

/// Somebody who may ask: a client with a key, a shopper with a token, or a client on behalf of a
/// shopper, who then may do what both may.
pub(in crate::http) struct Caller {
    client: Option<Arc<ApiClient>>,
    shopper: Option<Shopper>,
    /// The client's permit among its requests under way, as long as this is one.
    permit: Option<ConcurrencyPermit>,
}

impl Caller {
    pub(super) fn by_key(client: Arc<ApiClient>) -> Self {
        Self {
            client: Some(client),
            shopper: None,
            permit: None,
        }
    }

    pub(super) fn by_token(shopper: Shopper, client: Option<Arc<ApiClient>>) -> Self {
        Self {
            client,
            shopper: Some(shopper),
            permit: None,
        }
    }

    /// Counts the request; refuses one that is too many a second or at once.
    pub(in crate::http) fn admit(&mut self, now: Tick) -> Result<(), AuthRefusal> {
        let admit = |client: &Arc<ApiClient>| client.admit(now);
        self.permit = self.client.as_ref().map(admit).transpose()?.flatten();
        Ok(())
    }

    /// Refuses a caller without the right.
    pub(in crate::http) fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.has(scope) {
            Ok(())
        } else {
            Err(ApiError::new(Code::Forbidden))
        }
    }

    /// Whether the caller has the right.
    pub(in crate::http) fn has(&self, scope: Scope) -> bool {
        let client_may = |scope| self.client.as_ref().is_none_or(|client| client.has(scope));
        match &self.shopper {
            None => client_may(scope),
            // Of a customer's own data shoppers never see more than the storefront shows.
            Some(_) if scope == Scope::ReadFull => false,
            Some(shopper) if scope == Scope::Read => {
                client_may(Scope::Read) && shopper.has(Scope::ReadSelf)
            }
            Some(shopper) => client_may(scope) && shopper.has(scope),
        }
    }

    /// Refuses an identifier that the caller may not ask by.
    pub(in crate::http) fn require_identifier(&self, kind: IdentifierKind) -> Result<(), ApiError> {
        let may = |client: &Arc<ApiClient>| client.may_ask_by(kind);
        if self.client.as_ref().is_none_or(may) {
            Ok(())
        } else {
            Err(ApiError::new(Code::Forbidden))
        }
    }

    /// To a shopper everybody else is nobody, and Engage need not be asked for nobody.
    pub(in crate::http) fn require_lookup(&self, lookup: &Lookup) -> Result<(), ApiError> {
        let is_own = |shopper: &Shopper| shopper.is_named_by(lookup);
        if self.shopper.as_ref().is_none_or(is_own) {
            Ok(())
        } else {
            Err(ApiError::new(Code::ContactNotFound))
        }
    }

    /// The last look at an answer: it must be about the contact that the token names.
    pub(in crate::http) fn require_contact(&self, id: ContactId) -> Result<(), ApiError> {
        let may_be = |shopper: &Shopper| shopper.may_be(id);
        if self.shopper.as_ref().is_none_or(may_be) {
            Ok(())
        } else {
            Err(ApiError::new(Code::ContactNotFound))
        }
    }

    /// What a shopper's own token names it by, as far as the client beside it may ask by that.
    pub(in crate::http) fn own_identifier(&self) -> Result<Identifier, ApiError> {
        let Some(shopper) = &self.shopper else {
            return Err(ApiError::with_detail(
                Code::Forbidden,
                "This path is for a shopper's own token.",
            ));
        };
        let mut refusal = Code::ContactNotFound;
        for identifier in shopper.identifiers() {
            if self.require_identifier(identifier.kind()).is_ok() {
                return Ok(identifier);
            }
            refusal = Code::Forbidden;
        }
        Err(ApiError::new(refusal))
    }

    /// Whose share of the calls to Engage the caller uses: shoppers without a client count as one client together.
    pub(in crate::http) fn flow(&self) -> Flow {
        let name = self.client.as_ref().map(|client| client.name().clone());
        Flow {
            client: name.unwrap_or_else(|| ClientName::from("(shoppers)")),
            shopper: self.shopper.as_ref().map(Shopper::flow),
        }
    }

    /// Whether it has asked for so many unknown people that nobody is looked up for it any more.
    pub(in crate::http) fn is_guard_tripped(&self, now: Tick) -> bool {
        let is_tripped = |client: &Arc<ApiClient>| client.guard().is_tripped(now);
        self.client.as_ref().is_some_and(is_tripped)
    }

    /// Notes that nobody was found.
    pub(in crate::http) fn record_unknown(&self, lookup: &Lookup) {
        if let Some(client) = &self.client {
            client.guard().record_unknown(client.name(), lookup.key());
        }
    }

    /// Notes that it was shown the contact.
    pub(in crate::http) fn record_shown(&self, id: ContactId) {
        if let Some(client) = &self.client {
            client.record_shown(id);
        }
    }

    /// The view of callers that name none.
    pub(in crate::http) fn view(&self) -> View {
        match (&self.shopper, &self.client) {
            (None, Some(client)) => client.view(),
            _ => View::Storefront,
        }
    }

    /// The channel of callers that name none.
    pub(in crate::http) fn channel(&self) -> Option<Channel> {
        self.client.as_ref().and_then(|client| client.channel())
    }
}

#[cfg(fuzzing)]
impl Caller {
    /// Somebody who may ask for everything by everything.
    pub(in crate::http) fn anybody(clock: &crate::clock::Clock) -> Self {
        Self {
            client: Some(Arc::new(ApiClient::anonymous(clock))),
            shopper: None,
            permit: None,
        }
    }
}
