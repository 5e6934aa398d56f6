//! What a caller asks for: an identifier, perhaps with a contact type, and the key under which the
//! answer to it is remembered.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::identifier::AnyIdentifier;
use super::{ContactId, ContactType, Digester, Identifier, IdentifierKind, KeyedDigest};

/// An identifier together with the contact type that narrows it.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Who is asked for.
    pub identifier: Identifier,
    /// Of which type the contact must be; needed by Engage with everything but a contact id.
    pub contact_type: Option<ContactType>,
    key: LookupKey,
}

impl Lookup {
    /// A look-up and its key.
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
            key,
        }
    }

    /// The look-up of a contact by its id alone.
    pub fn by_id(id: ContactId) -> Self {
        Self {
            identifier: Identifier::ContactId(id),
            contact_type: None,
            key: LookupKey::by_id(id),
        }
    }

    /// What the answer is remembered under.
    pub fn key(&self) -> &LookupKey {
        &self.key
    }
}

/// The digest that stands for a national id wherever one would have to be kept.
pub fn national_id_digest(digester: &Digester, canonical: &str) -> KeyedDigest {
    digester.digest("national id", canonical.as_bytes())
}

/// The same kind, contact type and canonical value: the same thing. A struct, never a joined text,
/// so that no value can pass for another kind's.
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

    /// The contact, where the key is its bare id: then there is nothing to resolve.
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

    /// To whom a failure of a call about the key is charged first: a hash of the value alone, whatever kind and contact
    /// type it was sent as, so that one contact can't pass for many. The same for every key of one contact id.
    pub fn owner(&self) -> u64 {
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

    /// The bytes that the key occupies on the heap.
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
    /// A national id is not kept, only its keyed digest.
    Digest(KeyedDigest),
}

impl std::fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}
