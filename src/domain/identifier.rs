//! Identifiers by which a customer can be requested: a kind and a value, parsed once into canonical form.
//!
//! `http` parses, the cache uses the result as its key, and responses of Engage are compared with it. Two spellings of
//! one value are equal; values that Engage may distinguish are not.

use std::{borrow::Cow, fmt};

use jiff::civil::Date;
use phonenumber::country;
use serde::{Deserialize, Serialize};

use super::{
    contact_id::ContactId,
    custom_key::CustomKey,
    email::{Email, EmailError},
    listed_enum::listed_enum,
    national_id::{self, NationalId},
    phone::{self, Phone},
};

/// Maximum length of a value in bytes: that of an e-mail address.
const MAX_LENGTH: usize = 254;

listed_enum! {
    /// The kind of an identifier, spelled as in Engage's and our own query parameters.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub enum IdentifierKind {
        /// The contact's GUID.
        ContactId => "contactId",
        /// The e-mail address.
        Email => "email",
        /// The mobile phone number.
        MobilePhone => "mobilePhone",
        /// The national id.
        SocialSecurityNumber => "socialSecurityNumber",
        /// The member number or external id, as configured in Engage.
        CustomKey => "customKey",
        /// Any of the others except the contact id, recognised by the form of the value.
        Any => "any",
    }
}

impl IdentifierKind {
    /// Returns the kind of a query parameter.
    pub fn from_param(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns the error of a malformed value of this kind.
    fn error(self) -> IdentifierError {
        match self {
            Self::ContactId => IdentifierError::InvalidContactId,
            Self::Email => IdentifierError::InvalidEmailAddress,
            Self::MobilePhone => IdentifierError::InvalidPhoneNumber,
            Self::SocialSecurityNumber => IdentifierError::InvalidSocialSecurityNumber,
            Self::CustomKey | Self::Any => IdentifierError::InvalidSearchQuery,
        }
    }
}

/// Rules for reading values that are ambiguous by themselves.
#[derive(Clone, Debug)]
pub struct IdentifierRules {
    /// The region of national phone numbers.
    pub phone_region: country::Id,
    /// Whether a national id with a wrong check digit is refused.
    pub check_digits: bool,
    /// The country of a national id that is valid in both countries.
    pub national_id_country: Option<national_id::Country>,
}

/// Why a value is refused, named after Engage's error code if it has one. Messages never contain the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Not a GUID in its hyphenated form.
    #[error("not a contact id")]
    InvalidContactId,
    /// Not the form of an e-mail address.
    #[error("not an e-mail address")]
    InvalidEmailAddress,
    /// An e-mail address with characters outside ASCII before the `@`.
    #[error("an e-mail address must be ASCII")]
    EmailNotAscii,
    /// An e-mail address with characters outside ASCII in its domain.
    #[error("the domain of an e-mail address must be ASCII; use its xn-- form")]
    EmailDomainNotAscii,
    /// Not a phone number, or a national one whose length is not possible in the region.
    #[error("not a phone number")]
    InvalidPhoneNumber,
    /// Not a Swedish or Finnish national id.
    #[error("not a national id")]
    InvalidSocialSecurityNumber,
    /// Not a searchable value.
    #[error("not a searchable value")]
    InvalidSearchQuery,
}

/// An identifier; equality and hash are by kind and canonical value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// A contact id.
    ContactId(ContactId),
    /// An e-mail address.
    Email(Email),
    /// A mobile phone number.
    MobilePhone(Phone),
    /// A national id.
    SocialSecurityNumber(NationalId),
    /// A member number or external id.
    CustomKey(CustomKey),
    /// A value of any kind but the contact id, recognised by its form.
    Any(AnyIdentifier),
}

impl Identifier {
    /// Parses a value of the given kind.
    pub fn parse(
        kind: IdentifierKind,
        text: &str,
        rules: &IdentifierRules,
        today: Date,
    ) -> Result<Self, IdentifierError> {
        if text.len() > MAX_LENGTH {
            return Err(kind.error());
        }
        let parsed = match kind {
            IdentifierKind::ContactId => ContactId::parse(text).map(Self::ContactId),
            IdentifierKind::Email => match Email::parse(text) {
                Err(EmailError::NotAscii) => return Err(IdentifierError::EmailNotAscii),
                Err(EmailError::DomainNotAscii) => {
                    return Err(IdentifierError::EmailDomainNotAscii);
                }
                other => other.ok().map(Self::Email),
            },
            IdentifierKind::MobilePhone => {
                Phone::parse(text, rules.phone_region).map(Self::MobilePhone)
            }
            IdentifierKind::SocialSecurityNumber => {
                let country = rules.national_id_country;
                NationalId::parse(text, rules.check_digits, country, today)
                    .map(Self::SocialSecurityNumber)
            }
            IdentifierKind::CustomKey => CustomKey::parse(text).map(Self::CustomKey),
            IdentifierKind::Any => return AnyIdentifier::parse(text, rules, today).map(Self::Any),
        };
        parsed.ok_or_else(|| kind.error())
    }

    /// Returns the requested kind.
    pub fn kind(&self) -> IdentifierKind {
        match self {
            Self::ContactId(_) => IdentifierKind::ContactId,
            Self::Email(_) => IdentifierKind::Email,
            Self::MobilePhone(_) => IdentifierKind::MobilePhone,
            Self::SocialSecurityNumber(_) => IdentifierKind::SocialSecurityNumber,
            Self::CustomKey(_) => IdentifierKind::CustomKey,
            Self::Any(_) => IdentifierKind::Any,
        }
    }

    /// The same value in each kind by which it can be requested: `any`, and the kind that Engage reads it as.
    pub fn meanings(&self) -> Vec<Self> {
        let other = match self.clone() {
            Self::ContactId(_) => None,
            Self::Email(email) => Some(Self::Any(AnyIdentifier::Email(email))),
            Self::MobilePhone(phone) => Some(Self::Any(AnyIdentifier::Phone(phone))),
            Self::SocialSecurityNumber(id) => Some(Self::Any(AnyIdentifier::NationalId(id))),
            Self::CustomKey(key) => Some(Self::Any(AnyIdentifier::CustomKey(key))),
            Self::Any(AnyIdentifier::Email(email)) => Some(Self::Email(email)),
            Self::Any(AnyIdentifier::Phone(phone)) => Some(Self::MobilePhone(phone)),
            Self::Any(AnyIdentifier::NationalId(id)) => Some(Self::SocialSecurityNumber(id)),
            Self::Any(AnyIdentifier::CustomKey(key)) => Some(Self::CustomKey(key)),
        };
        [self.clone()].into_iter().chain(other).collect()
    }

    /// Whether both are the same value, by either of its kinds.
    pub fn means_the_same(&self, other: &Self) -> bool {
        self.meanings().contains(other)
    }

    /// Returns the canonical value, for Engage and comparisons; never for logs.
    pub fn expose(&self) -> Cow<'_, str> {
        match self {
            Self::ContactId(id) => Cow::Owned(id.to_string()),
            Self::Email(email) => Cow::Borrowed(email.as_str()),
            Self::MobilePhone(phone) => Cow::Borrowed(phone.as_str()),
            Self::SocialSecurityNumber(id) => Cow::Borrowed(id.expose()),
            Self::CustomKey(key) => Cow::Borrowed(key.as_str()),
            Self::Any(value) => Cow::Borrowed(value.expose()),
        }
    }
}

/// A value sent as `any`, read as Engage will read it.
///
/// Engage tries e-mail address, national id, phone number and custom key in this order, and uses the first whose format
/// matches, even if no contact has it (Voyado: find contact page).
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum AnyIdentifier {
    /// It has the form of an e-mail address.
    Email(Email),
    /// It has the form of a national id.
    NationalId(NationalId),
    /// It has the form of a phone number.
    Phone(Phone),
    /// Anything else, sent to Engage unchanged.
    CustomKey(CustomKey),
}

impl AnyIdentifier {
    /// Parses a value in Engage's order.
    ///
    /// Bare digits are a national phone number only if they are 07 and eight digits; otherwise a member number is
    /// likelier. An e-mail address outside ASCII is refused.
    fn parse(text: &str, rules: &IdentifierRules, today: Date) -> Result<Self, IdentifierError> {
        match Email::parse(text) {
            Ok(email) => return Ok(Self::Email(email)),
            Err(EmailError::DomainNotAscii) => return Err(IdentifierError::EmailDomainNotAscii),
            Err(EmailError::NotAscii) if text.contains('@') => {
                return Err(IdentifierError::EmailNotAscii);
            }
            Err(_) => {}
        }
        let country = rules.national_id_country;
        let id = NationalId::parse_unless_mobile(text, rules.check_digits, country, today);
        if let Some(id) = id {
            return Ok(Self::NationalId(id));
        }
        if is_written_as_phone(text)
            && let Some(phone) = Phone::parse(text, rules.phone_region)
        {
            return Ok(Self::Phone(phone));
        }
        CustomKey::parse(text)
            .map(Self::CustomKey)
            .ok_or(IdentifierError::InvalidSearchQuery)
    }

    /// Returns the canonical value, for Engage and comparisons; never for logs.
    pub fn expose(&self) -> &str {
        match self {
            Self::Email(email) => email.as_str(),
            Self::NationalId(id) => id.expose(),
            Self::Phone(phone) => phone.as_str(),
            Self::CustomKey(key) => key.as_str(),
        }
    }
}

/// Whether the value is a `tel:` URI, begins like an international number, or is a Swedish mobile number.
fn is_written_as_phone(text: &str) -> bool {
    phone::is_tel_uri(text.trim())
        || phone::dialled(text).is_some_and(|dialled| {
            dialled.starts_with('+')
                || dialled.starts_with("00")
                || phone::is_swedish_mobile(&dialled)
        })
}

impl fmt::Debug for AnyIdentifier {
    /// Writes the kind that the value was read as, not the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(email) => email.fmt(f),
            Self::NationalId(id) => id.fmt(f),
            Self::Phone(phone) => phone.fmt(f),
            Self::CustomKey(key) => key.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
