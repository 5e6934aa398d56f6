//! What a delivery tells: its envelope, the event, and whom it concerns.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    domain::{Change, ChangeKind, ContactId, Part, PartSet},
    engage::wire::Object,
};

/// What a delivery tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The event's name where it is known; there is one name for all others.
    pub event: &'static str,
    /// What changed.
    pub change: Change,
}

/// The events that are known, and what they say has changed [Voyado: Webhooks].
const KNOWN: [(&str, ChangeKind); 11] = [
    ("contact.created", ChangeKind::Created),
    ("contact.updated", PROFILE),
    ("contact.deleted", ChangeKind::Deleted),
    ("contact.acceptsEmail.changed", PROFILE),
    ("contact.acceptsSms.changed", PROFILE),
    ("contact.acceptsPostal.changed", PROFILE),
    ("contact.consent.changed", PROFILE),
    ("point.balance.updated", POINTS),
    ("loyalty.addPoints", POINTS),
    (
        "reward.voucher.created",
        ChangeKind::Changed(PartSet::of(&[Part::Vouchers, Part::Points])),
    ),
    (
        "promotion.multichannel.assigned",
        ChangeKind::Changed(PartSet::of(&[Part::Promotions])),
    ),
];
const PROFILE: ChangeKind = ChangeKind::Changed(PartSet::of(&[Part::Profile]));
const POINTS: ChangeKind = ChangeKind::Changed(PartSet::of(&[Part::Points]));
/// What an event that is not known may have changed: whatever can be asked for again.
const ANYTHING: ChangeKind = ChangeKind::Changed(PartSet::INVALIDATABLE);
const NOTHING: ChangeKind = ChangeKind::Changed(PartSet::EMPTY);
const OTHER: &str = "(other)";

/// A delivery's body. Its own id is under one of two keys and not needed: the message's is in a header.
pub(super) struct Envelope<'a>(Object<'a>);

impl<'a> Envelope<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        Object::parse(body).map(Self)
    }

    /// The payload, if it is encrypted.
    pub(super) fn sealed(&self) -> Option<Cow<'a, str>> {
        let is_sealed = self.0.flag("isEncrypted") == Some(true);
        let payload = self.0.get("payload").filter(|_| is_sealed)?;
        // An object was not encrypted, whatever the flag says.
        serde_json::from_str::<Cow<'a, str>>(payload.get()).ok()
    }

    /// What it tells with its payload as it is.
    pub(super) fn news(&self) -> News {
        self.about(self.0.object("payload").as_ref())
    }

    /// What it tells with the payload that was encrypted; `None` where that is no JSON object.
    pub(super) fn news_with(&self, payload: &[u8]) -> Option<News> {
        Object::parse(payload).map(|payload| self.about(Some(&payload)))
    }

    fn about(&self, payload: Option<&Object<'_>>) -> News {
        let name = self.0.text("eventType").unwrap_or_default();
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let contact = payload.and_then(contact_in);
        let (event, kind) = match (known, contact) {
            (Some(known), _) => *known,
            (None, Some(_)) => (OTHER, ANYTHING),
            (None, None) => (OTHER, NOTHING),
        };
        News {
            event,
            change: Change { kind, contact },
        }
    }
}

/// The contact's id, whose key one event spells otherwise than the others.
fn contact_in(payload: &Object<'_>) -> Option<ContactId> {
    let keys = payload.0.iter();
    let mut ids = keys
        .filter(|(key, _)| key.eq_ignore_ascii_case("contactId"))
        .filter_map(|(_, value)| serde_json::from_str::<Cow<'_, str>>(RawValue::get(value)).ok());
    ids.find_map(|id| ContactId::parse(&id))
}
