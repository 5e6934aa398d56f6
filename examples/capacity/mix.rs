//! The identifiers by which a shop's requests look contacts up.

use engage_bff::domain::{ContactType, Digester, Identifier, IdentifierKind, Lookup};
use jiff::civil::date;

use crate::{
    engage::{email, guid, member_number, mobile_phone},
    replica::RULES,
};

/// The contact type of every contact.
const TYPE: &str = "Member";

/// Which identifiers a shop uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// The e-mail address in the web shop, the member number at tills. There is no service desk.
    ShopAndTill,
    /// The e-mail address everywhere.
    One,
    /// The contact id after login, the member number at tills, the mobile number at the service desk, and otherwise the
    /// e-mail address.
    Several {
        /// Whether a contact id is sent with the contact type.
        typed_ids: bool,
    },
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A page view before the shopper logs in: a newsletter's link contains the address.
    FromLink,
    /// A page view with the shopper's token.
    LoggedIn,
    /// A checkout, where the address is typed.
    Checkout,
    /// A visit to a till.
    Till,
    /// A call to the service desk.
    Desk,
}

impl Mix {
    /// Whether sessions may begin at a newsletter's link, and contacts call the service desk.
    pub(crate) fn has_links_and_desk(self) -> bool {
        self != Mix::ShopAndTill
    }

    /// The lookup of a request.
    pub(crate) fn lookup(self, purpose: Purpose, contact: u32, digester: &Digester) -> Lookup {
        let kind = match (self, purpose) {
            (Mix::ShopAndTill | Mix::Several { .. }, Purpose::Till) => IdentifierKind::CustomKey,
            (Mix::Several { .. }, Purpose::LoggedIn) => IdentifierKind::ContactId,
            (Mix::Several { .. }, Purpose::Desk) => IdentifierKind::MobilePhone,
            _ => IdentifierKind::Email,
        };
        let value = match kind {
            IdentifierKind::ContactId => guid(contact),
            IdentifierKind::MobilePhone => mobile_phone(contact),
            IdentifierKind::CustomKey => member_number(contact),
            _ => email(contact),
        };
        let is_typed =
            kind != IdentifierKind::ContactId || self == Mix::Several { typed_ids: true };
        let contact_type = is_typed.then(|| ContactType::parse(TYPE).expect("a contact type"));
        let identifier = Identifier::parse(kind, &value, &RULES, date(2026, 11, 23));
        let identifier = identifier.expect("a valid identifier");
        Lookup::new(identifier, contact_type, digester)
    }
}
