//! A shopper, as its token names it.

use crate::{
    config::Scope,
    domain::{ContactId, Identifier, Lookup, email::Email},
};

/// A shopper, who may ask for one customer.
#[derive(Clone)]
pub(super) struct Shopper {
    pub(super) contact_id: Option<ContactId>,
    pub(super) email: Option<Email>,
    pub(super) scopes: Vec<Scope>,
    /// A keyed hash of whom the token names: the same for all tokens of one shopper.
    pub(super) flow: u64,
}

impl Shopper {
    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whose share of the calls to Engage the shopper uses: one hash for all of its tokens.
    pub(super) fn flow(&self) -> u64 {
        self.flow
    }

    /// Whether the look-up is for the shopper, by what the token carries.
    pub(super) fn is_named_by(&self, lookup: &Lookup) -> bool {
        match &lookup.identifier {
            Identifier::ContactId(id) => self.contact_id == Some(*id),
            Identifier::Email(email) => self.email.as_ref() == Some(email),
            _ => false,
        }
    }

    /// Whether that contact is the shopper, as far as the token says who it is.
    pub(super) fn may_be(&self, id: ContactId) -> bool {
        self.contact_id.is_none_or(|own| own == id)
    }

    /// What the token names the shopper by, the surest first.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = Identifier> {
        let by_id = self.contact_id.map(Identifier::ContactId);
        let by_email = self.email.clone().map(Identifier::Email);
        by_id.into_iter().chain(by_email)
    }
}
