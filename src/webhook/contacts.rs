//! Finds the contacts that a payload is about. Voyado documents the payloads of only a few events, and spells the key
//! in two ways. So every GUID under a key that may contain a contact id counts, in lists too, down to a depth of 16.
//! One contact too many costs a fetch; one too few leaves stale data in service.
//!
//! Whether a payload was *understood* is judged more strictly: at least one key that names a contact must contain a
//! GUID, and a key such as `contactId`, or the id of a side of a merge, must contain nothing else except nulls and
//! blank texts.

use serde_json::value::RawValue;

use crate::{
    domain::ContactId,
    json::{Object, list, text},
};

/// Maximum depth that is searched.
const MAX_DEPTH: usize = 16;
/// More ids than any known event contains.
const MAX_CONTACTS: usize = 1000;

/// Words in a key that is about a contact; case and punctuation are ignored.
const CONTACT_WORDS: [&str; 4] = ["contact", "customer", "member", "person"];
/// Words in a key that is about a side of a merge.
const MERGE_WORDS: [&str; 7] = [
    "merge",
    "surviv",
    "duplicate",
    "winner",
    "loser",
    "retained",
    "absorbed",
];
/// Keys of an object's own id.
const OWN_ID: [&str; 6] = ["id", "guid", "uuid", "objectid", "entityid", "subjectid"];
/// Keys of objects that describe the same entity as the enclosing object.
const WRAPPERS: [&str; 14] = [
    "payload", "data", "object", "entity", "resource", "subject", "body", "content", "details",
    "before", "after", "old", "new", "changes",
];

/// What a key says about its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    /// A contact or a side of a merge. If strict, the value must consist of contact ids.
    Contact { is_strict: bool },
    /// The object's own id.
    Own,
    /// Another id.
    OtherId,
    /// An object that describes the same entity.
    Wrapper,
    /// Irrelevant.
    Other,
}

impl Key {
    fn of(name: &str) -> Self {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let singular = name.strip_suffix('s').unwrap_or(&name);
        let is_id = ["id", "guid"].iter().any(|end| singular.ends_with(end));
        // A contact type is not a contact.
        let is_type = name.contains("type");
        if has(&MERGE_WORDS) && !is_type {
            Key::Contact { is_strict: is_id }
        } else if has(&CONTACT_WORDS) && !is_type {
            let is_strict = ["contactid", "contactguid"]
                .iter()
                .any(|end| singular.ends_with(end));
            Key::Contact { is_strict }
        } else if OWN_ID.contains(&singular) {
            Key::Own
        } else if is_id {
            Key::OtherId
        } else if WRAPPERS.contains(&&*name) {
            Key::Wrapper
        } else {
            Key::Other
        }
    }
}

/// The ids found so far.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    /// Whether an object's own id counts as a contact id, as it does in events about contacts.
    own_ids_count: bool,
    /// Ids under keys that name contacts.
    named: Vec<ContactId>,
    /// Ids under other keys.
    others: Vec<ContactId>,
    /// Whether a strict key has another value, or there are too many ids.
    is_unreadable: bool,
}

impl Contacts {
    /// An empty set for an event about contacts, or about their data.
    pub(super) fn new(is_about_contacts: bool) -> Self {
        Self {
            own_ids_count: is_about_contacts,
            ..Self::default()
        }
    }

    /// Searches a payload.
    pub(super) fn read(&mut self, payload: &RawValue) {
        self.value(payload, Key::Wrapper, 0);
    }

    /// Searches a value outside of the payload; the delivery's own id is not a contact id.
    pub(super) fn read_outside(&mut self, key: &str, value: &RawValue) {
        match Key::of(key) {
            Key::Own | Key::OtherId => {}
            key => self.value(value, key, 0),
        }
    }

    /// Whether a contact was named and every strict key was readable.
    pub(super) fn is_understood(&self) -> bool {
        !self.named.is_empty() && !self.is_unreadable
    }

    /// Whether a strict key was unreadable, or there were too many ids.
    pub(super) fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// Contacts of a known event: those named, and the other ids if the event is about contacts or names none.
    pub(super) fn known_event(self) -> Vec<ContactId> {
        if self.own_ids_count || self.named.is_empty() {
            return self.all();
        }
        self.named
    }

    /// Contacts of an unknown event: those named, and the other ids if the event is about contacts.
    pub(super) fn unknown_event(self) -> Vec<ContactId> {
        if self.own_ids_count {
            return self.all();
        }
        self.named
    }

    fn all(self) -> Vec<ContactId> {
        let mut all = self.named;
        all.extend(self.others);
        all.sort_unstable();
        all.dedup();
        all
    }

    fn value(&mut self, value: &RawValue, key: Key, depth: usize) {
        match value.get().as_bytes().first() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => {}
            Some(b'{') => {
                let object = Object::of(value);
                for (name, value) in object.iter().flat_map(|object| &object.0) {
                    self.value(value, self.key(name, key), depth + 1);
                }
            }
            Some(b'[') => {
                for value in list(value).unwrap_or_default() {
                    self.value(value, key, depth + 1);
                }
            }
            _ => self.scalar(value, key),
        }
    }

    /// The meaning of a key within an object under another key.
    fn key(&self, name: &str, under: Key) -> Key {
        match (Key::of(name), under) {
            (Key::Own, Key::Contact { .. }) => Key::Contact { is_strict: false },
            (Key::Own, Key::Wrapper) if self.own_ids_count => Key::Contact { is_strict: false },
            // A wrapper inside of a contact is about that contact.
            (Key::Wrapper, Key::Contact { .. }) => under,
            (key, _) => key,
        }
    }

    fn scalar(&mut self, value: &RawValue, key: Key) {
        let ids = match key {
            Key::Contact { .. } => &mut self.named,
            Key::Own | Key::OtherId => &mut self.others,
            Key::Wrapper | Key::Other => return,
        };
        match IdValue::of(value) {
            IdValue::Id(id) if ids.contains(&id) => {}
            IdValue::Id(id) if ids.len() < MAX_CONTACTS => ids.push(id),
            IdValue::Id(_) => self.is_unreadable = true,
            IdValue::Unreadable if key == (Key::Contact { is_strict: true }) => {
                self.is_unreadable = true;
            }
            IdValue::Unreadable | IdValue::Absent => {}
        }
    }
}

/// A value read as an id.
enum IdValue {
    Absent,
    Unreadable,
    Id(ContactId),
}

impl IdValue {
    fn of(value: &RawValue) -> Self {
        if value.get() == "null" {
            return IdValue::Absent;
        }
        match text(value) {
            Some(text) if text.trim().is_empty() => IdValue::Absent,
            Some(text) => match ContactId::parse_lenient(&text) {
                // The nil GUID means that there is no contact.
                Some(id) if id.as_uuid().is_nil() => IdValue::Absent,
                Some(id) => IdValue::Id(id),
                None => IdValue::Unreadable,
            },
            None => IdValue::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";
    const OTHER: &str = "0b8e7a55-93c1-4d2f-9e10-b2c300d41e02";

    fn read(payload: &str, is_about_contacts: bool) -> Contacts {
        let mut contacts = Contacts::new(is_about_contacts);
        let payload: &RawValue = serde_json::from_str(payload).expect("JSON");
        contacts.read(payload);
        contacts
    }

    #[test]
    fn payload_is_understood_if_every_contact_key_is_readable() {
        let nested = format!(
            "{}{{\"contactId\":\"@\"}}{}",
            "[".repeat(15),
            "]".repeat(15)
        );
        let deeper = format!("[{nested}]");
        // Expected for an event about a contact's data, and for one about contacts.
        for (payload, about_data, about_contacts) in [
            (r#"{"contactId":"@"}"#, true, true),
            (r#"{"CONTACT_ID":"@"}"#, true, true),
            (r#"{"contact":{"id":"@"}}"#, true, true),
            (r#"{"contact":{"data":{"Id":"@"}}}"#, true, true),
            (r#"{"contact":"@"}"#, true, true),
            (r#"{"memberGuid":"@"}"#, true, true),
            (r#"{"mergedInto":"@"}"#, true, true),
            (r#"{"id":"@"}"#, false, true),
            (r#"{"data":{"id":"@"}}"#, false, true),
            (r#"{"voucher":{"id":"@"}}"#, false, false),
            (r#"{"voucherId":"@"}"#, false, false),
            (r#"{"contactType":{"id":"@"}}"#, false, false),
            (r#"{"contactId":12}"#, false, false),
            (r#"{"contactId":"@","contactIds":["alva"]}"#, false, false),
            (r#"{"contactId":"@","contactIds":[null,""]}"#, true, true),
            (r#"{"contactId":"@","memberId":"M1001"}"#, true, true),
            (
                r#"{"contactId":"@","attributes":{"x":"\ud800"}}"#,
                true,
                true,
            ),
            (r#"{"contactId":"@","survivorId":"alva"}"#, false, false),
            (nested.as_str(), true, true),
            (deeper.as_str(), false, false),
            (r#""@""#, false, false),
            ("{}", false, false),
            ("null", false, false),
        ] {
            let payload = payload.replace('@', ID);
            for (is_about_contacts, is_understood) in [(false, about_data), (true, about_contacts)]
            {
                let read = read(&payload, is_about_contacts);
                assert_eq!(
                    read.is_understood(),
                    is_understood,
                    "{payload} {is_about_contacts}"
                );
            }
        }
    }

    #[test]
    fn other_ids_count_for_contact_events_and_known_events_without_named_contacts() {
        let [id, other] = [ID, OTHER].map(|id| ContactId::parse(id).expect("an id"));
        let both = format!("{{\"contactId\":\"{ID}\",\"id\":\"{OTHER}\"}}");
        let alone = format!("{{\"voucherId\":\"{OTHER}\"}}");
        for (payload, is_about_contacts, known, unknown) in [
            (&both, false, vec![id], vec![id]),
            (&both, true, vec![other, id], vec![other, id]),
            (&alone, false, vec![other], vec![]),
            (&alone, true, vec![other], vec![other]),
        ] {
            let read = || read(payload, is_about_contacts);
            assert_eq!(read().known_event(), known, "{payload}");
            assert_eq!(read().unknown_event(), unknown, "{payload}");
        }
    }
}
