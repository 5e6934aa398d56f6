//! A contact's aliases, for the check that a response is about the requested contact.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    custom_key::{self, CustomKey},
    digest::{Digester, KeyedDigest},
    email::Email,
    field_value::FieldValue,
    identifier::{AnyIdentifier, Identifier, IdentifierRules},
    lookup::national_id_digest,
    national_id::NationalId,
    phone::{Phone, PhoneReading},
};

/// The attribute that Engage's `customKey` searches, which the tenant configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomKeyAttribute {
    /// `memberNumber`.
    MemberNumber,
    /// `externalId`.
    ExternalId,
}

/// Whether a contact has an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It has it.
    Yes,
    /// It has another value of that kind, or an unreadable one: a contradiction.
    No,
    /// The field is absent, because tenants may hide attributes: neither proof nor contradiction.
    Unknown,
}

/// A contact's aliases. The text of an unreadable one is not kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Aliases {
    /// E-mail address.
    pub email: FieldValue<Email>,
    /// Mobile number.
    pub phone: FieldValue<PhoneReading>,
    /// National id: keyed digests only.
    pub national_id: FieldValue<KeyedDigest>,
    /// Member number and external id, in the form in which custom keys are compared; absent if `customKey` does not
    /// search it.
    pub custom_keys: [FieldValue<Box<str>>; 2],
}

/// The attributes that identify a contact, as written by Engage. A repeated key has several values.
#[derive(Debug, Default)]
pub struct RawAliases<'a> {
    /// `email`.
    pub email: FieldValue<Cow<'a, str>>,
    /// `mobilePhone`.
    pub mobile_phone: FieldValue<Cow<'a, str>>,
    /// `socialSecurityNumber`.
    pub national_id: FieldValue<Cow<'a, str>>,
    /// `memberNumber`.
    pub member_number: FieldValue<Cow<'a, str>>,
    /// `externalId`.
    pub external_id: FieldValue<Cow<'a, str>>,
}

/// Parses the attributes of a contact into canonical form.
#[derive(Clone, Debug)]
pub struct AliasReader {
    /// Rules for reading identifiers.
    pub rules: IdentifierRules,
    /// What `customKey` searches, if known.
    pub custom_key: Option<CustomKeyAttribute>,
    /// Digests national ids.
    pub digester: Digester,
}

impl AliasReader {
    /// Parses the attributes.
    pub fn read(&self, written: &RawAliases<'_>) -> Aliases {
        let key_of = |attribute, written: &FieldValue<Cow<'_, str>>| {
            if self.custom_key.is_none_or(|searched| searched == attribute) {
                written.read(|text| {
                    FieldValue::of(custom_key::folded_field(text).into_iter().collect())
                })
            } else {
                FieldValue::Absent
            }
        };
        Aliases {
            email: written.email.read(Email::read_field),
            phone: written
                .mobile_phone
                .read(|text| PhoneReading::read(text, self.rules.phone_region)),
            national_id: written
                .national_id
                .read(|text| FieldValue::parse_list(text, |text| self.digests(text))),
            custom_keys: [
                key_of(CustomKeyAttribute::MemberNumber, &written.member_number),
                key_of(CustomKeyAttribute::ExternalId, &written.external_id),
            ],
        }
    }

    /// Whether the aliases include the identifier. A contact id is not an alias: compare it with the record's own id
    /// instead.
    pub fn matches(&self, aliases: &Aliases, identifier: &Identifier) -> Match {
        match identifier {
            Identifier::ContactId(_) => Match::Unknown,
            Identifier::Email(email) | Identifier::Any(AnyIdentifier::Email(email)) => {
                compare(&aliases.email, |reading| reading == email)
            }
            Identifier::MobilePhone(phone) | Identifier::Any(AnyIdentifier::Phone(phone)) => {
                compare(&aliases.phone, |reading| reading.is(phone))
            }
            Identifier::SocialSecurityNumber(id)
            | Identifier::Any(AnyIdentifier::NationalId(id)) => {
                let requested = national_id_digest(&self.digester, id.expose());
                compare(&aliases.national_id, |reading| *reading == requested)
            }
            Identifier::CustomKey(key) => self.matches_custom_key(aliases, key),
            // Engage may have read the value as another kind.
            Identifier::Any(AnyIdentifier::CustomKey(key)) => {
                match self.matches_custom_key(aliases, key) {
                    Match::No if self.matches_otherwise(aliases, key.as_str()) => Match::Yes,
                    matches => matches,
                }
            }
        }
    }

    /// Whether the contact may have the identifier, judged by its fields of that kind: one of them has the value or
    /// can't be read. For uses that must not miss a contact.
    pub fn may_match(&self, aliases: &Aliases, identifier: &Identifier) -> bool {
        let Aliases {
            email,
            phone,
            national_id,
            custom_keys,
        } = aliases;
        let is_unreadable = match identifier {
            Identifier::ContactId(_) => false,
            Identifier::Email(_) | Identifier::Any(AnyIdentifier::Email(_)) => {
                email.is_unreadable()
            }
            Identifier::MobilePhone(_) | Identifier::Any(AnyIdentifier::Phone(_)) => {
                phone.is_unreadable()
            }
            Identifier::SocialSecurityNumber(_) | Identifier::Any(AnyIdentifier::NationalId(_)) => {
                national_id.is_unreadable()
            }
            Identifier::CustomKey(_) => custom_keys.iter().any(FieldValue::is_unreadable),
            // Engage may have read the value as another kind.
            Identifier::Any(AnyIdentifier::CustomKey(_)) => {
                phone.is_unreadable()
                    || national_id.is_unreadable()
                    || custom_keys.iter().any(FieldValue::is_unreadable)
            }
        };
        is_unreadable || self.matches(aliases, identifier) == Match::Yes
    }

    fn matches_custom_key(&self, aliases: &Aliases, key: &CustomKey) -> Match {
        let key = key.folded();
        let each = || aliases.custom_keys.iter();
        let is_key = |value: &FieldValue<Box<str>>| {
            let mut readings = value.readings().iter();
            readings.any(|reading| **reading == *key)
        };
        let searchable = if self.custom_key.is_some() { 1 } else { 2 };
        let are_all_present = each().filter(|value| !value.is_absent()).count() == searchable;
        if each().any(is_key) {
            Match::Yes
        } else if are_all_present || each().any(|value| *value == FieldValue::Unreadable) {
            Match::No
        } else {
            Match::Unknown
        }
    }

    /// Whether a text that was read as a custom key is the contact's phone number or national id.
    fn matches_otherwise(&self, aliases: &Aliases, text: &str) -> bool {
        let is_phone = || {
            let requested = Phone::parse(text, self.rules.phone_region);
            requested.is_some_and(|requested| {
                compare(&aliases.phone, |reading| reading.is(&requested)) == Match::Yes
            })
        };
        let is_national_id = || {
            let known = aliases.national_id.readings();
            !known.is_empty()
                && self
                    .digests(text)
                    .iter()
                    .any(|digest| known.contains(digest))
        };
        is_phone() || is_national_id()
    }

    /// Digests of every national id that the text may mean.
    fn digests(&self, text: &str) -> Vec<KeyedDigest> {
        let readings = NationalId::readings(text);
        let digest = |id: &NationalId| national_id_digest(&self.digester, id.expose());
        readings.iter().map(digest).collect()
    }
}

fn compare<T>(value: &FieldValue<T>, is_requested: impl Fn(&T) -> bool) -> Match {
    if value.readings().iter().any(is_requested) {
        Match::Yes
    } else if value.is_absent() {
        Match::Unknown
    } else {
        Match::No
    }
}
