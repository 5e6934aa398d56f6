//! The kinds of identifier whose values belong to at most one contact of a type each, according to the tenant's
//! operator, and the keys by which look-ups then find a contact whose profile is known.

use super::{
    aliases::{Aliases, CustomKeyAttribute},
    contact_type::ContactType,
    custom_key::CustomKey,
    customer::{Identity, Profile},
    digest::KeyedDigest,
    email::Email,
    field_value::FieldValue,
    identifier::IdentifierKind,
    lookup::LookupKey,
    phone::{Phone, PhoneReading},
};

/// Kinds of identifier whose values are unique within a contact type.
#[derive(Clone, Debug, Default)]
pub struct UniqueKinds {
    kinds: Vec<IdentifierKind>,
    custom_key: Option<CustomKeyAttribute>,
}

/// A value that a profile shows in exactly one reading.
#[derive(Clone, Debug)]
pub struct UniqueValue {
    key: LookupKey,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Email(Email),
    Phone(Phone),
    NationalId(KeyedDigest),
    CustomKey(CustomKey),
}

impl UniqueKinds {
    /// These kinds; a custom key is searched in this attribute. No values are taken for contact ids and `any`.
    pub fn new(
        kinds: impl IntoIterator<Item = IdentifierKind>,
        custom_key: Option<CustomKeyAttribute>,
    ) -> Self {
        let kinds = kinds.into_iter().collect();
        Self { kinds, custom_key }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Whether the kind is one of them.
    pub fn contains(&self, kind: IdentifierKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The values of these kinds that the profile shows, each with the key of a look-up by it. Empty if the contact's
    /// type is not readable in exactly one way. Hidden, unreadable and ambiguous values are left out.
    pub fn values(&self, profile: &Profile) -> Vec<UniqueValue> {
        let Some(contact_type) = profile.identity.contact_type.only() else {
            return Vec::new();
        };
        let kinds = self.kinds.iter();
        let value = |kind: &IdentifierKind| {
            let value = self.value(*kind, profile)?;
            let key = value.key(*kind, contact_type.clone());
            Some(UniqueValue { key, value })
        };
        kinds.filter_map(value).collect()
    }

    fn value(&self, kind: IdentifierKind, profile: &Profile) -> Option<Value> {
        let aliases = &profile.identity.aliases;
        match kind {
            IdentifierKind::Email => aliases.email.only().cloned().map(Value::Email),
            IdentifierKind::MobilePhone => match aliases.phone.only()? {
                PhoneReading::International(phone) => Some(Value::Phone(phone.clone())),
                // The number may be of any country: it is not known which one Engage searches.
                PhoneReading::National(_) => None,
            },
            IdentifierKind::SocialSecurityNumber => {
                aliases.national_id.only().copied().map(Value::NationalId)
            }
            IdentifierKind::CustomKey => self.custom_key(profile).map(Value::CustomKey),
            IdentifierKind::ContactId | IdentifierKind::Any => None,
        }
    }

    /// The custom key exactly as Engage writes it: a look-up by another spelling has another key.
    fn custom_key(&self, profile: &Profile) -> Option<CustomKey> {
        let searched = self.custom_key?;
        let text = match searched {
            CustomKeyAttribute::MemberNumber => profile.member_number.as_deref()?.into(),
            CustomKeyAttribute::ExternalId => profile.attribute_text("externalId")?,
        };
        let key = CustomKey::parse(&text)?;
        let [member_number, external_id] = &profile.identity.aliases.custom_keys;
        let read = match searched {
            CustomKeyAttribute::MemberNumber => member_number,
            CustomKeyAttribute::ExternalId => external_id,
        };
        (read.only()? == &key.folded()).then_some(key)
    }
}

impl UniqueValue {
    /// The key of a look-up by this value, with the contact's type.
    pub fn key(&self) -> &LookupKey {
        &self.key
    }

    /// Whether another contact, which this look-up led to, shows the value too, even as one of several readings. A
    /// contact of another type does not count.
    pub fn is_shown_by(&self, other: &Identity) -> bool {
        other.is_of(self.key.contact_type()) && self.value.is_among(&other.aliases)
    }
}

impl Value {
    fn key(&self, kind: IdentifierKind, contact_type: ContactType) -> LookupKey {
        match self {
            Value::Email(email) => LookupKey::of_text(kind, contact_type, email.as_str()),
            Value::Phone(phone) => LookupKey::of_text(kind, contact_type, phone.as_str()),
            Value::NationalId(digest) => LookupKey::of_national_id(contact_type, *digest),
            Value::CustomKey(key) => LookupKey::of_text(kind, contact_type, key.as_str()),
        }
    }

    fn is_among(&self, aliases: &Aliases) -> bool {
        match self {
            Value::Email(email) => aliases.email.readings().contains(email),
            Value::Phone(phone) => {
                let mut readings = aliases.phone.readings().iter();
                readings.any(|reading| reading.is(phone))
            }
            Value::NationalId(digest) => aliases.national_id.readings().contains(digest),
            Value::CustomKey(key) => {
                let folded = key.folded();
                let mut readings = aliases.custom_keys.iter().flat_map(FieldValue::readings);
                readings.any(|reading| *reading == folded)
            }
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests;
