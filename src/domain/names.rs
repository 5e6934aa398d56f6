//! The identifiers that a contact bears, for the check that an answer is about whom it was asked for.

use serde::{Deserialize, Serialize};

use super::{
    Digester, Identifier, IdentifierRules, KeyedDigest, email::Email, identifier::AnyIdentifier,
    lookup::national_id_digest, national_id::NationalId, phone::Phone,
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
pub enum Bears {
    /// It does.
    Yes,
    /// It bears another of that kind: a contradiction.
    No,
    /// It shows none of that kind, as a tenant may hide attributes: no contradiction, no proof.
    Unknown,
}

/// The identifiers that a contact bears, in canonical form; `None` where Engage tells none or one
/// that can't be read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Names {
    /// E-mail address.
    pub email: Option<Email>,
    /// Mobile number.
    pub phone: Option<Phone>,
    /// National id: its keyed digest only.
    pub national_id: Option<KeyedDigest>,
    /// What `customKey` may name: member number, external id. Empty where the tenant shows none.
    pub custom_keys: [Option<Box<str>>; 2],
}

/// What it takes to bring the attributes of a contact into canonical form.
#[derive(Clone, Debug)]
pub struct NameReader {
    /// How identifiers are read.
    pub rules: IdentifierRules,
    /// What `customKey` means, where it is known.
    pub custom_key: Option<CustomKeyAttribute>,
    /// Stands in for national ids.
    pub digester: Digester,
}

impl NameReader {
    /// The names in the attributes as Engage wrote them.
    pub fn read(
        &self,
        email: Option<&str>,
        phone: Option<&str>,
        national_id: Option<&str>,
        member_number: Option<&str>,
        external_id: Option<&str>,
        today: jiff::civil::Date,
    ) -> Names {
        let (member, external) = match self.custom_key {
            None => (member_number, external_id),
            Some(CustomKeyAttribute::MemberNumber) => (member_number, None),
            Some(CustomKeyAttribute::ExternalId) => (None, external_id),
        };
        Names {
            email: email.and_then(|text| Email::parse(text).ok()),
            phone: phone.and_then(|text| Phone::parse(text, self.rules.phone_region)),
            national_id: national_id
                .and_then(|text| NationalId::parse(text, false, None, today))
                .map(|id| national_id_digest(&self.digester, id.expose())),
            custom_keys: [member.map(Into::into), external.map(Into::into)],
        }
    }

    /// Whether the names include the identifier. A contact id is not a name: it is compared with the
    /// record's own.
    pub fn bears(&self, names: &Names, identifier: &Identifier) -> Bears {
        match identifier {
            Identifier::ContactId(_) => Bears::Unknown,
            Identifier::Email(email) | Identifier::Any(AnyIdentifier::Email(email)) => {
                compare(names.email.as_ref(), email)
            }
            Identifier::MobilePhone(phone) | Identifier::Any(AnyIdentifier::Phone(phone)) => {
                compare(names.phone.as_ref(), phone)
            }
            Identifier::SocialSecurityNumber(id)
            | Identifier::Any(AnyIdentifier::NationalId(id)) => compare(
                names.national_id.as_ref(),
                &national_id_digest(&self.digester, id.expose()),
            ),
            Identifier::CustomKey(key) => self.bears_custom_key(names, key.as_str()),
            // Engage may have read the value as something else than we did: only a match says anything.
            Identifier::Any(AnyIdentifier::CustomKey(key)) => {
                match self.bears_custom_key(names, key.as_str()) {
                    Bears::Yes => Bears::Yes,
                    Bears::No | Bears::Unknown => Bears::Unknown,
                }
            }
        }
    }

    fn bears_custom_key(&self, names: &Names, key: &str) -> Bears {
        let shown = || names.custom_keys.iter().flatten();
        let searchable = if self.custom_key.is_some() { 1 } else { 2 };
        if shown().any(|name| &**name == key) {
            Bears::Yes
        } else if shown().count() == searchable {
            Bears::No
        } else {
            Bears::Unknown
        }
    }
}

fn compare<T: PartialEq>(borne: Option<&T>, asked: &T) -> Bears {
    match borne {
        Some(borne) if borne == asked => Bears::Yes,
        Some(_) => Bears::No,
        None => Bears::Unknown,
    }
}
