//! The identifiers that a contact bears, for the check that an answer is about whom it was asked for.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    Digester, Identifier, IdentifierRules, KeyedDigest, Shown,
    custom_key::{self, CustomKey},
    email::Email,
    identifier::AnyIdentifier,
    lookup::national_id_digest,
    national_id::NationalId,
    phone::{Phone, ShownPhone},
};

/// Which attribute Engage's `customKey` searches: tenant set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomKeyAttribute {
    /// `memberNumber`.
    MemberNumber,
    /// `externalId`.
    ExternalId,
}

/// Whether a contact bears an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It does.
    Yes,
    /// It shows another of that kind, or one that can't be read: a contradiction.
    No,
    /// It shows none of that kind, as a tenant may hide attributes: no contradiction, no proof.
    Unknown,
}

/// The identifiers that a contact bears, as far as Engage shows them. Nothing of an identifier that can't be read is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Aliases {
    /// E-mail address.
    pub email: Shown<Email>,
    /// Mobile number.
    pub phone: Shown<ShownPhone>,
    /// National id: keyed digests only.
    pub national_id: Shown<KeyedDigest>,
    /// What `customKey` may name: member number, external id, each as custom keys are compared.
    pub custom_keys: [Shown<Box<str>>; 2],
}

/// The attributes that identify a contact, as Engage wrote them. Of a key that is there more than once there are several.
#[derive(Debug, Default)]
pub struct RawAliases<'a> {
    /// `email`.
    pub email: Shown<Cow<'a, str>>,
    /// `mobilePhone`.
    pub mobile_phone: Shown<Cow<'a, str>>,
    /// `socialSecurityNumber`.
    pub national_id: Shown<Cow<'a, str>>,
    /// `memberNumber`.
    pub member_number: Shown<Cow<'a, str>>,
    /// `externalId`.
    pub external_id: Shown<Cow<'a, str>>,
}

/// What it takes to bring the attributes of a contact into canonical form.
#[derive(Clone, Debug)]
pub struct AliasReader {
    /// How identifiers are read.
    pub rules: IdentifierRules,
    /// What `customKey` means, where it is known.
    pub custom_key: Option<CustomKeyAttribute>,
    /// Stands in for national ids.
    pub digester: Digester,
}

impl AliasReader {
    /// The names in the attributes.
    pub fn read(&self, written: &RawAliases<'_>) -> Aliases {
        let key_of = |attribute, written: &Shown<Cow<'_, str>>| {
            if self.custom_key.is_none_or(|searched| searched == attribute) {
                written.read(|text| Shown::of(custom_key::folded_shown(text).into_iter().collect()))
            } else {
                Shown::Absent
            }
        };
        Aliases {
            email: written.email.read(Email::read_shown),
            phone: written
                .mobile_phone
                .read(|text| ShownPhone::read(text, self.rules.phone_region)),
            national_id: written
                .national_id
                .read(|text| Shown::in_field(text, |text| self.digests(text))),
            custom_keys: [
                key_of(CustomKeyAttribute::MemberNumber, &written.member_number),
                key_of(CustomKeyAttribute::ExternalId, &written.external_id),
            ],
        }
    }

    /// Whether the names include the identifier. A contact id is not a name: it is compared with the
    /// record's own.
    pub fn matches(&self, aliases: &Aliases, identifier: &Identifier) -> Match {
        match identifier {
            Identifier::ContactId(_) => Match::Unknown,
            Identifier::Email(email) | Identifier::Any(AnyIdentifier::Email(email)) => {
                compare(&aliases.email, |shown| shown == email)
            }
            Identifier::MobilePhone(phone) | Identifier::Any(AnyIdentifier::Phone(phone)) => {
                compare(&aliases.phone, |shown| shown.is(phone))
            }
            Identifier::SocialSecurityNumber(id)
            | Identifier::Any(AnyIdentifier::NationalId(id)) => {
                let asked = national_id_digest(&self.digester, id.expose());
                compare(&aliases.national_id, |shown| *shown == asked)
            }
            Identifier::CustomKey(key) => self.matches_custom_key(aliases, key),
            // Engage may have read the value as another kind than we did.
            Identifier::Any(AnyIdentifier::CustomKey(key)) => {
                match self.matches_custom_key(aliases, key) {
                    Match::No if self.matches_otherwise(aliases, key.as_str()) => Match::Yes,
                    matches => matches,
                }
            }
        }
    }

    fn matches_custom_key(&self, aliases: &Aliases, key: &CustomKey) -> Match {
        let key = key.folded();
        let each = || aliases.custom_keys.iter();
        let is_key = |shown: &Shown<Box<str>>| shown.readings().iter().any(|shown| **shown == *key);
        let searchable = if self.custom_key.is_some() { 1 } else { 2 };
        let are_all_shown = each().filter(|shown| !shown.is_absent()).count() == searchable;
        if each().any(is_key) {
            Match::Yes
        } else if are_all_shown || each().any(|shown| *shown == Shown::Unreadable) {
            Match::No
        } else {
            Match::Unknown
        }
    }

    /// Whether a text that was taken for a custom key is the phone number or the national id.
    fn matches_otherwise(&self, aliases: &Aliases, text: &str) -> bool {
        let is_phone = || {
            let asked = Phone::parse(text, self.rules.phone_region);
            asked.is_some_and(|asked| {
                compare(&aliases.phone, |shown| shown.is(&asked)) == Match::Yes
            })
        };
        let is_national_id = || {
            let shown = aliases.national_id.readings();
            !shown.is_empty()
                && self
                    .digests(text)
                    .iter()
                    .any(|digest| shown.contains(digest))
        };
        is_phone() || is_national_id()
    }

    /// What stands for every national id that the text may be.
    fn digests(&self, text: &str) -> Vec<KeyedDigest> {
        let readings = NationalId::readings(text);
        let digest = |id: &NationalId| national_id_digest(&self.digester, id.expose());
        readings.iter().map(digest).collect()
    }
}

fn compare<T>(shown: &Shown<T>, is_asked: impl Fn(&T) -> bool) -> Match {
    if shown.readings().iter().any(is_asked) {
        Match::Yes
    } else if shown.is_absent() {
        Match::Unknown
    } else {
        Match::No
    }
}
