//! The serial form of what a replica announces to the others, which later versions keep readable: a version, the
//! invalidations, and what a webhook shows about the feed. Identifiers are written as canonical text, since each
//! replica digests national ids with its own key; the shared tier encrypts the whole payload.
//!
//! A payload that can't be read completely may name anything. So an unknown version, kind or part, and surplus bytes,
//! are errors, after which the reader drops everything.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Invalidation;
use crate::{
    cache::feed::Delivery,
    domain::{
        ContactId, ContactType, Digester, Identifier, Lookup, PartSet, custom_key::CustomKey,
        email::Email, identifier::AnyIdentifier, national_id::NationalId, phone::Phone,
    },
};

/// The first byte of the payload: the version that is written, and the only one that is read.
const VERSION: u8 = 1;

/// The reasons for a missed delivery that this version knows: their text is logged.
const REASONS: [&str; 5] = [
    "not-json",
    "sealed",
    "too-large",
    "overloaded",
    "unaddressed",
];

/// Stands for a reason that this version does not know.
const OTHER_REASON: &str = "other";

/// An announcement.
#[derive(Debug)]
pub(in crate::customer) struct Payload {
    /// The invalidations to apply.
    pub(in crate::customer) invalidations: Vec<Invalidation>,
    /// What a webhook shows about the feed.
    pub(in crate::customer) delivery: Option<Delivery>,
}

/// The payload is not of this version, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the announcement can't be read")]
pub(in crate::customer) struct Unreadable;

/// The serial form. New kinds are appended; the positions of the others never change.
#[derive(Serialize, Deserialize)]
struct PayloadForm<'a> {
    #[serde(borrow)]
    invalidations: Vec<InvalidationForm<'a>>,
    #[serde(borrow)]
    delivery: Option<DeliveryForm<'a>>,
}

#[derive(Serialize, Deserialize)]
enum InvalidationForm<'a> {
    Parts(IdForm, PartSet),
    Contact(IdForm),
    Identifier {
        #[serde(borrow)]
        value: ValueForm<'a>,
        is_any: bool,
        contact_type: Option<ContactType>,
    },
    Negatives,
    AnyContact,
    Everything,
    Alias {
        #[serde(borrow)]
        value: ValueForm<'a>,
        is_any: bool,
        contact_type: Option<ContactType>,
        parts: PartSet,
    },
}

#[derive(Serialize, Deserialize)]
enum ValueForm<'a> {
    ContactId(IdForm),
    Email(Cow<'a, Email>),
    Phone(Cow<'a, Phone>),
    NationalId(&'a str),
    CustomKey(&'a str),
}

#[derive(Serialize, Deserialize)]
enum DeliveryForm<'a> {
    Received,
    Missed(&'a str),
}

#[derive(Serialize, Deserialize)]
struct IdForm([u8; 16]);

impl Payload {
    /// The bytes of an announcement.
    pub(super) fn write(invalidations: &[Invalidation], delivery: Option<Delivery>) -> Vec<u8> {
        let form = PayloadForm {
            invalidations: invalidations.iter().map(InvalidationForm::of).collect(),
            delivery: delivery.map(|delivery| match delivery {
                Delivery::Received => DeliveryForm::Received,
                Delivery::Missed(why) => DeliveryForm::Missed(why),
            }),
        };
        postcard::to_extend(&form, vec![VERSION]).expect("a payload can be written")
    }

    /// Parses what another replica wrote.
    pub(in crate::customer) fn read(
        bytes: &[u8],
        digester: &Digester,
    ) -> Result<Payload, Unreadable> {
        let (&version, form) = bytes.split_first().ok_or(Unreadable)?;
        if version != VERSION {
            return Err(Unreadable);
        }
        let (form, left) =
            postcard::take_from_bytes::<PayloadForm<'_>>(form).map_err(|_| Unreadable)?;
        if !left.is_empty() {
            return Err(Unreadable);
        }
        let invalidations = form.invalidations.into_iter();
        let invalidations = invalidations.map(|form| form.read(digester));
        Ok(Payload {
            invalidations: invalidations.collect::<Option<_>>().ok_or(Unreadable)?,
            delivery: form.delivery.map(|form| match form {
                DeliveryForm::Received => Delivery::Received,
                DeliveryForm::Missed(why) => Delivery::Missed(known_reason(why)),
            }),
        })
    }
}

impl Payload {
    /// Whether applying it visits every cached entry: not for a thread that serves requests.
    pub(in crate::customer) fn is_heavy(&self) -> bool {
        self.invalidations.iter().any(Invalidation::is_wide)
    }
}

impl<'a> InvalidationForm<'a> {
    fn of(invalidation: &'a Invalidation) -> Self {
        match invalidation {
            Invalidation::Parts(id, parts) => Self::Parts((*id).into(), *parts),
            Invalidation::Contact(id) => Self::Contact((*id).into()),
            Invalidation::Identifier(lookup) => Self::Identifier {
                value: ValueForm::of(&lookup.identifier),
                is_any: matches!(lookup.identifier, Identifier::Any(_)),
                contact_type: lookup.contact_type.clone(),
            },
            Invalidation::Negatives => Self::Negatives,
            Invalidation::AnyContact => Self::AnyContact,
            Invalidation::Everything => Self::Everything,
            Invalidation::Alias(lookup, parts) => Self::Alias {
                value: ValueForm::of(&lookup.identifier),
                is_any: matches!(lookup.identifier, Identifier::Any(_)),
                contact_type: lookup.contact_type.clone(),
                parts: *parts,
            },
        }
    }

    fn read(self, digester: &Digester) -> Option<Invalidation> {
        Some(match self {
            Self::Parts(id, parts) => Invalidation::Parts(id.into(), known(parts)?),
            Self::Contact(id) => Invalidation::Contact(id.into()),
            Self::Identifier {
                value,
                is_any,
                contact_type,
            } => {
                let identifier = value.read(is_any)?;
                Invalidation::Identifier(Lookup::new(identifier, contact_type, digester))
            }
            Self::Negatives => Invalidation::Negatives,
            Self::AnyContact => Invalidation::AnyContact,
            Self::Everything => Invalidation::Everything,
            Self::Alias {
                value,
                is_any,
                contact_type,
                parts,
            } => {
                let identifier = value.read(is_any)?;
                let lookup = Lookup::new(identifier, contact_type, digester);
                Invalidation::Alias(lookup, known(parts)?)
            }
        })
    }
}

/// `None` if this version does not know all of the parts.
fn known(parts: PartSet) -> Option<PartSet> {
    parts.is_subset(PartSet::ALL).then_some(parts)
}

impl<'a> ValueForm<'a> {
    fn of(identifier: &'a Identifier) -> Self {
        match identifier {
            Identifier::ContactId(id) => Self::ContactId((*id).into()),
            Identifier::Email(email) | Identifier::Any(AnyIdentifier::Email(email)) => {
                Self::Email(Cow::Borrowed(email))
            }
            Identifier::MobilePhone(phone) | Identifier::Any(AnyIdentifier::Phone(phone)) => {
                Self::Phone(Cow::Borrowed(phone))
            }
            Identifier::SocialSecurityNumber(id)
            | Identifier::Any(AnyIdentifier::NationalId(id)) => Self::NationalId(id.expose()),
            Identifier::CustomKey(key) | Identifier::Any(AnyIdentifier::CustomKey(key)) => {
                Self::CustomKey(key.as_str())
            }
        }
    }

    /// The identifier; `None` if the text is not one, or if a contact id is sent as `any`.
    fn read(self, is_any: bool) -> Option<Identifier> {
        let value = match self {
            Self::ContactId(id) => return (!is_any).then(|| Identifier::ContactId(id.into())),
            Self::Email(email) => AnyIdentifier::Email(email.into_owned()),
            Self::Phone(phone) => AnyIdentifier::Phone(phone.into_owned()),
            Self::NationalId(text) => {
                let mut readings = NationalId::readings(text).into_iter();
                AnyIdentifier::NationalId(readings.find(|id| id.expose() == text)?)
            }
            Self::CustomKey(text) => AnyIdentifier::CustomKey(CustomKey::parse(text)?),
        };
        Some(match value {
            value if is_any => Identifier::Any(value),
            AnyIdentifier::Email(email) => Identifier::Email(email),
            AnyIdentifier::Phone(phone) => Identifier::MobilePhone(phone),
            AnyIdentifier::NationalId(id) => Identifier::SocialSecurityNumber(id),
            AnyIdentifier::CustomKey(key) => Identifier::CustomKey(key),
        })
    }
}

impl From<ContactId> for IdForm {
    fn from(id: ContactId) -> Self {
        Self(*id.as_uuid().as_bytes())
    }
}

impl From<IdForm> for ContactId {
    fn from(IdForm(bytes): IdForm) -> Self {
        Uuid::from_bytes(bytes).into()
    }
}

fn known_reason(why: &str) -> &'static str {
    let known = REASONS.into_iter().find(|reason| *reason == why);
    known.unwrap_or(OTHER_REASON)
}

#[cfg(test)]
mod tests;
