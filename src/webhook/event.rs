//! Parses a delivery: its envelope, the event, and the contacts that it is about.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::contacts::Contacts;
use crate::{
    domain::{Change, ChangeKind, Part, PartSet},
    json::{Object, text},
};

/// A parsed delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEvent {
    /// The event's name, if it is known. All unknown events share one name.
    pub event: &'static str,
    /// The readable part of the change.
    pub change: Change,
    /// Whether the whole delivery is readable. If not, a change may be missed.
    pub is_understood: bool,
}

/// Known events and what they change [Voyado: Webhooks].
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
/// What an unknown event may have changed: every part that can be fetched again.
const ANYTHING: ChangeKind = ChangeKind::Changed(PartSet::INVALIDATABLE);
const OTHER: &str = "(other)";
/// Prefix of events about contacts themselves.
const ABOUT_CONTACTS: &str = "contact.";

/// A delivery's body. Its id is not used: the message id is in a header.
pub(super) struct Envelope<'a>(Object<'a>);

impl<'a> Envelope<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        Object::parse(body).map(Self)
    }

    /// The encrypted payload, if it is encrypted.
    pub(super) fn ciphertext(&self) -> Option<Cow<'a, str>> {
        let is_encrypted = self.get("isEncrypted").and_then(text)?;
        if !is_encrypted.eq_ignore_ascii_case("true") {
            return None;
        }
        // An object is not encrypted, whatever the flag says.
        serde_json::from_str::<Cow<'a, str>>(self.get("payload")?.get()).ok()
    }

    /// The event with its plain payload.
    pub(super) fn event(&self) -> WebhookEvent {
        self.event_about(self.get("payload"))
    }

    /// The event with its decrypted payload; `None` if that is not a JSON object.
    pub(super) fn event_with(&self, payload: &[u8]) -> Option<WebhookEvent> {
        Object::parse(payload)?;
        let payload: &RawValue = serde_json::from_slice(payload).ok()?;
        Some(self.event_about(Some(payload)))
    }

    fn event_about(&self, payload: Option<&RawValue>) -> WebhookEvent {
        let name = self.get("eventType").and_then(text).unwrap_or_default();
        let known = KNOWN
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name));
        let begin = name.get(..ABOUT_CONTACTS.len()).unwrap_or_default();
        let is_about_contacts = begin.eq_ignore_ascii_case(ABOUT_CONTACTS);
        let mut contacts = Contacts::new(is_about_contacts);
        if let Some(payload) = payload {
            contacts.read(payload);
        }
        let others = self.0.0.iter().filter(|(key, _)| !is(key, "payload"));
        for (key, value) in others {
            contacts.read_outside(key, value);
        }
        let is_unreadable = contacts.is_unreadable();
        let names_contact = contacts.is_understood();
        let (event, kind, contacts, needs_contact) = match known {
            // Nothing is cached about a new contact.
            Some((event, ChangeKind::Created)) => {
                (*event, ChangeKind::Created, contacts.known_event(), false)
            }
            Some((event, kind)) => (*event, *kind, contacts.known_event(), true),
            None => (OTHER, ANYTHING, contacts.unknown_event(), is_about_contacts),
        };
        let kind = if event == OTHER && contacts.is_empty() {
            ChangeKind::Changed(PartSet::EMPTY)
        } else {
            kind
        };
        let is_missed = if needs_contact {
            !names_contact
        } else {
            is_unreadable
        };
        WebhookEvent {
            event,
            change: Change { kind, contacts },
            is_understood: !is_missed || kind == ChangeKind::Created,
        }
    }

    /// The value under a key in any ASCII case.
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.0.iter().find(|(name, _)| is(name, key))?;
        (value.get() != "null").then_some(*value)
    }
}

/// Whether two keys of the envelope are equal.
fn is(name: &str, key: &str) -> bool {
    name.eq_ignore_ascii_case(key)
}
