//! A shopper: the contact that a token names.

use std::sync::Arc;

use super::rate_limiter::RateLimiter;
use crate::{
    config::Scope,
    domain::{ContactId, Identifier, Lookup, email::Email},
};

/// A shopper, which may look up one contact: itself.
#[derive(Clone)]
pub(super) struct Shopper {
    pub(super) contact_id: Option<ContactId>,
    pub(super) email: Option<Email>,
    pub(super) scopes: Vec<Scope>,
    /// A keyed hash of the first identifier in the token, the same for all tokens with that identifier: the flow that
    /// the shopper's calls to Engage are charged to.
    pub(super) flow: u64,
    /// Limits the changes that the shopper reports; `None` without that scope.
    pub(super) changes: Option<Arc<RateLimiter>>,
}

impl Shopper {
    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the look-up is by an identifier in the token.
    pub(super) fn is_named_by(&self, lookup: &Lookup) -> bool {
        match &lookup.identifier {
            Identifier::ContactId(id) => self.contact_id == Some(*id),
            Identifier::Email(email) => self.email.as_ref() == Some(email),
            _ => false,
        }
    }

    /// Whether the contact may be the shopper: a token without a contact id excludes none.
    pub(super) fn may_be(&self, id: ContactId) -> bool {
        self.contact_id.is_none_or(|own| own == id)
    }

    /// The identifiers in the token, the contact id first.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = Identifier> {
        let by_id = self.contact_id.map(Identifier::ContactId);
        let by_email = self.email.clone().map(Identifier::Email);
        by_id.into_iter().chain(by_email)
    }
}
