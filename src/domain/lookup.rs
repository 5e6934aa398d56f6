//! A look-up: an identifier with an optional contact type, and its cache key.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{
    contact_id::ContactId,
    contact_type::ContactType,
    digest::{Digester, KeyedDigest},
    identifier::{AnyIdentifier, Identifier, IdentifierKind},
};

/// An identifier with the contact type that narrows it.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The requested identifier.
    pub identifier: Identifier,
    /// The required contact type. Engage's overview needs it with everything but a contact id; `/contacts/id` does
    /// without.
    pub contact_type: Option<ContactType>,
    /// Whether the contact type is the service's default, and not the caller's.
    pub has_default_type: bool,
    key: LookupKey,
}

impl Lookup {
    /// Creates a look-up and its key.
    pub fn new(
        identifier: Identifier,
        contact_type: Option<ContactType>,
        digester: &Digester,
    ) -> Self {
        let value = match &identifier {
            Identifier::ContactId(id) => KeyValue::Contact(*id),
            Identifier::SocialSecurityNumber(id)
            | Identifier::Any(AnyIdentifier::NationalId(id)) => {
                KeyValue::Digest(national_id_digest(digester, id.expose()))
            }
            other => KeyValue::Text(other.expose().into()),
        };
        let key = LookupKey {
            kind: identifier.kind(),
            contact_type: contact_type.clone(),
            value,
        };
        Self {
            identifier,
            contact_type,
            has_default_type: false,
            key,
        }
    }

    /// A look-up by contact id alone.
    pub fn by_id(id: ContactId) -> Self {
        Self {
            identifier: Identifier::ContactId(id),
            contact_type: None,
            has_default_type: false,
            key: LookupKey::by_id(id),
        }
    }

    /// The same with a note of whether its contact type, if it has one, is the service's default.
    #[must_use]
    pub fn with_type_by_default(self, is_default: bool) -> Self {
        Self {
            has_default_type: is_default && self.contact_type.is_some(),
            ..self
        }
    }

    /// The cache key.
    pub fn key(&self) -> &LookupKey {
        &self.key
    }
}

/// The digest that replaces a national id wherever one is stored.
pub fn national_id_digest(digester: &Digester, canonical: &str) -> KeyedDigest {
    digester.digest("national id", canonical.as_bytes())
}

/// Kind, contact type and canonical value. A struct rather than a joined string, so that values of different kinds
/// cannot collide.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LookupKey {
    kind: IdentifierKind,
    contact_type: Option<ContactType>,
    value: KeyValue,
}

impl LookupKey {
    /// The key of a contact id alone.
    pub fn by_id(id: ContactId) -> Self {
        Self {
            kind: IdentifierKind::ContactId,
            contact_type: None,
            value: KeyValue::Contact(id),
        }
    }

    /// The key of a value in canonical form with a contact type, as [`Lookup::new`] makes it.
    pub(super) fn of_text(kind: IdentifierKind, contact_type: ContactType, text: &str) -> Self {
        Self {
            kind,
            contact_type: Some(contact_type),
            value: KeyValue::Text(text.into()),
        }
    }

    /// The same of a national id, by its digest.
    pub(super) fn of_national_id(contact_type: ContactType, digest: KeyedDigest) -> Self {
        Self {
            kind: IdentifierKind::SocialSecurityNumber,
            contact_type: Some(contact_type),
            value: KeyValue::Digest(digest),
        }
    }

    /// The contact id, if the key is a contact id alone: then there is nothing to resolve.
    pub fn bare_id(&self) -> Option<ContactId> {
        match (&self.value, &self.contact_type) {
            (KeyValue::Contact(id), None) => Some(*id),
            _ => None,
        }
    }

    /// Whether it is a contact id, alone or with a contact type.
    pub fn is_contact_id(&self) -> bool {
        self.kind == IdentifierKind::ContactId
    }

    /// Whether it is an identifier without a contact type. Engage's overview does not accept those, `/contacts/id` does.
    pub fn is_untyped(&self) -> bool {
        !self.is_contact_id() && self.contact_type.is_none()
    }

    /// What a failure of a call by this key is charged to: a hash of the value without kind and contact type, so that
    /// one value counts once, whatever the kind and the type by which it is requested. Equal for all keys of one
    /// contact id.
    pub fn subject(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.value.hash(&mut hasher);
        hasher.finish()
    }

    /// The kind of identifier.
    pub fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// The contact type that narrows it.
    pub fn contact_type(&self) -> Option<&ContactType> {
        self.contact_type.as_ref()
    }

    /// Heap size of the key in bytes.
    pub fn heap_bytes(&self) -> usize {
        let text = match &self.value {
            KeyValue::Text(text) => text.len(),
            KeyValue::Contact(_) | KeyValue::Digest(_) => 0,
        };
        text + self.contact_type().map_or(0, |of| of.folded().len())
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum KeyValue {
    Contact(ContactId),
    Text(Box<str>),
    /// A national id, as its keyed digest.
    Digest(KeyedDigest),
}

impl std::fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}
