//! What a delivery tells: its envelope, the event, and whom it concerns.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::contacts::Contacts;
use crate::{
    domain::{Change, ChangeKind, Part, PartSet},
    json::{Object, text},
};

/// What a delivery tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The event's name where it is known; there is one name for all others.
    pub event: &'static str,
    /// What changed, as far as it could be read.
    pub change: Change,
    /// Whether that is all: if not, a change of a contact is missed.
    pub is_understood: bool,
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
const OTHER: &str = "(other)";
/// What the names of events about contacts themselves begin with.
const ABOUT_CONTACTS: &str = "contact.";

/// A delivery's body. Its own id is under one of two keys and not needed: the message's is in a header.
pub(super) struct Envelope<'a>(Object<'a>);

impl<'a> Envelope<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        Object::parse(body).map(Self)
    }

    /// The payload, if it is encrypted.
    pub(super) fn sealed(&self) -> Option<Cow<'a, str>> {
        let is_sealed = self.get("isEncrypted").and_then(text)?;
        if !is_sealed.eq_ignore_ascii_case("true") {
            return None;
        }
        // An object was not encrypted, whatever the flag says.
        serde_json::from_str::<Cow<'a, str>>(self.get("payload")?.get()).ok()
    }

    /// What it tells with its payload as it is.
    pub(super) fn news(&self) -> News {
        self.about(self.get("payload"))
    }

    /// What it tells with the payload that was encrypted; `None` where that is no JSON object.
    pub(super) fn news_with(&self, payload: &[u8]) -> Option<News> {
        Object::parse(payload)?;
        let payload: &RawValue = serde_json::from_slice(payload).ok()?;
        Some(self.about(Some(payload)))
    }

    fn about(&self, payload: Option<&RawValue>) -> News {
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
        let is_addressed = contacts.is_understood();
        let (event, kind, contacts, must_name_one) = match known {
            // Of a contact that came to be nothing is held.
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
        let is_missed = if must_name_one {
            !is_addressed
        } else {
            is_unreadable
        };
        News {
            event,
            change: Change { kind, contacts },
            is_understood: !is_missed || kind == ChangeKind::Created,
        }
    }

    /// The value under a key, in whichever case it is written.
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.0.iter().find(|(name, _)| is(name, key))?;
        (value.get() != "null").then_some(*value)
    }
}

/// Whether a key of the envelope is that one.
fn is(name: &str, key: &str) -> bool {
    name.eq_ignore_ascii_case(key)
}
