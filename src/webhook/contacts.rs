//! The contacts that a payload is about. Voyado documents the payloads of few events, and those spell the key in two ways,
//! so it is not looked up at one place: every GUID under a key that may hold a contact's id counts, at any depth that is
//! read, in lists too. One contact too many costs a refill; one too few leaves its old data in service.
//!
//! Whether the payload was *understood* is judged more strictly: a key that names a contact must hold a GUID, and a
//! `contactId` or a side of a merge nothing else.

use serde_json::value::RawValue;

use crate::{
    domain::ContactId,
    json::{Object, list, text},
};

/// Objects and lists within one another that are looked into.
const MAX_DEPTH: usize = 16;
/// More ids than any event that we know of has reason to name.
const MAX_CONTACTS: usize = 1000;

/// In a key, without regard to case and punctuation: it is about a contact.
const CONTACT_WORDS: [&str; 4] = ["contact", "customer", "member", "person"];
/// The same, for the two sides of a merge.
const MERGE_WORDS: [&str; 7] = [
    "merge",
    "surviv",
    "duplicate",
    "winner",
    "loser",
    "retained",
    "absorbed",
];
/// The id of the thing itself that an object describes.
const OWN_ID: [&str; 6] = ["id", "guid", "uuid", "objectid", "entityid", "subjectid"];
/// Keys of objects that describe the same thing as the object around them.
const WRAPPERS: [&str; 14] = [
    "payload", "data", "object", "entity", "resource", "subject", "body", "content", "details",
    "before", "after", "old", "new", "changes",
];

/// What a key says of the value under it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    /// It names a contact, or a side of a merge. If strict it holds nothing but ids of contacts.
    Contact { is_strict: bool },
    /// The id of the thing that the object describes.
    Own,
    /// An id of something.
    OtherId,
    /// An object that describes the same thing.
    Wrapper,
    /// Nothing that leads to an id.
    Other,
}

impl Key {
    fn of(name: &str) -> Self {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let singular = name.strip_suffix('s').unwrap_or(&name);
        let is_id = ["id", "guid"].iter().any(|end| singular.ends_with(end));
        // A type of contact is none.
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
    /// Whether an object's own id is a contact's where nothing says otherwise: in events about contacts.
    own_ids_count: bool,
    /// Under keys that name contacts.
    named: Vec<ContactId>,
    /// Under other keys that hold ids.
    others: Vec<ContactId>,
    /// Whether a key that holds nothing but ids of contacts holds something else, or there are more than are read.
    is_unreadable: bool,
}

impl Contacts {
    /// No ids yet of an event, which is about contacts themselves or about something of theirs.
    pub(super) fn new(is_about_contacts: bool) -> Self {
        Self {
            own_ids_count: is_about_contacts,
            ..Self::default()
        }
    }

    /// Looks into a payload.
    pub(super) fn read(&mut self, payload: &RawValue) {
        self.value(payload, Key::Wrapper, 0);
    }

    /// Looks into what stands in a delivery under another key than the payload's: its own id is not a contact's.
    pub(super) fn read_outside(&mut self, key: &str, value: &RawValue) {
        match Key::of(key) {
            Key::Own | Key::OtherId => {}
            key => self.value(value, key, 0),
        }
    }

    /// Whether a contact was named, and all that should name one was read.
    pub(super) fn is_understood(&self) -> bool {
        !self.named.is_empty() && !self.is_unreadable
    }

    /// Whether a key that should name a contact could not be read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// The contacts that are named; with the ids under other keys where the event is about contacts, or names none.
    pub(super) fn known_event(self) -> Vec<ContactId> {
        if self.own_ids_count || self.named.is_empty() {
            return self.all();
        }
        self.named
    }

    /// The contacts that are named; of an event about contacts the ids under other keys too.
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

    /// What a key says within an object that stands under another.
    fn key(&self, name: &str, under: Key) -> Key {
        match (Key::of(name), under) {
            (Key::Own, Key::Contact { .. }) => Key::Contact { is_strict: false },
            (Key::Own, Key::Wrapper) if self.own_ids_count => Key::Contact { is_strict: false },
            // What wraps a contact is about that contact.
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
        match Shown::of(value) {
            Shown::Id(id) if ids.contains(&id) => {}
            Shown::Id(id) if ids.len() < MAX_CONTACTS => ids.push(id),
            Shown::Id(_) => self.is_unreadable = true,
            Shown::Unreadable if key == (Key::Contact { is_strict: true }) => {
                self.is_unreadable = true;
            }
            Shown::Unreadable | Shown::Absent => {}
        }
    }
}

/// What a value shows of an id.
enum Shown {
    Absent,
    Unreadable,
    Id(ContactId),
}

impl Shown {
    fn of(value: &RawValue) -> Self {
        if value.get() == "null" {
            return Shown::Absent;
        }
        match text(value) {
            Some(text) if text.trim().is_empty() => Shown::Absent,
            Some(text) => match ContactId::parse_lenient(&text) {
                // What Engage's platform writes where there is none.
                Some(id) if id.as_uuid().is_nil() => Shown::Absent,
                Some(id) => Shown::Id(id),
                None => Shown::Unreadable,
            },
            None => Shown::Unreadable,
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
    fn a_payload_is_understood_if_a_key_names_a_contact_and_none_is_unreadable() {
        let nested = format!(
            "{}{{\"contactId\":\"@\"}}{}",
            "[".repeat(15),
            "]".repeat(15)
        );
        let deeper = format!("[{nested}]");
        // In an event about something of a contact's, and in one about contacts.
        for (payload, something, contacts) in [
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
            for (is_about_contacts, is_understood) in [(false, something), (true, contacts)] {
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
    fn ids_that_name_no_contact_count_where_nothing_else_does() {
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
