//! Parses the list of changed contacts, which may be long, without allocating per element.

use std::fmt;

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{domain::ContactId, engage::error::Error, json::text};

/// Maximum number of contacts that Engage lists [Voyado: the Engage API].
const MAX_CHANGES: usize = 250_000;
/// Size limit of the response, in bytes: each id with quotes, a comma and white space.
pub(in crate::engage) const MAX_LIST: usize = MAX_CHANGES * 48;

/// The contacts that changed between two times.
#[derive(Debug, PartialEq, Eq)]
pub enum Changes {
    /// These contacts.
    Listed {
        /// The readable ids.
        ids: Vec<ContactId>,
        /// Whether every id was readable.
        is_complete: bool,
    },
    /// More contacts changed than Engage lists.
    TooMany,
}

/// Parses `/contacts/changes`: a bare array of ids.
pub(in crate::engage) fn changes(body: &[u8]) -> Result<Changes, Error> {
    let mut body = serde_json::Deserializer::from_slice(body);
    let changes = body.deserialize_seq(Ids);
    changes
        .and_then(|changes| body.end().map(|()| changes))
        .map_err(|_| Error::invalid("$"))
}

struct Ids;

impl<'de> Visitor<'de> for Ids {
    type Value = Changes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Changes, A::Error> {
        let (mut ids, mut is_complete) = (Vec::new(), true);
        let mut count = 0;
        while let Some(value) = list.next_element::<&RawValue>()? {
            count += 1;
            if count > MAX_CHANGES {
                continue;
            }
            match text(value).and_then(|text| ContactId::parse_lenient(&text)) {
                Some(id) => ids.push(id),
                None => is_complete = false,
            }
        }
        Ok(if count > MAX_CHANGES {
            Changes::TooMany
        } else {
            Changes::Listed { ids, is_complete }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";

    fn listed(count: usize, is_complete: bool) -> Changes {
        let id = ContactId::parse(ID).expect("an id");
        Changes::Listed {
            ids: vec![id; count],
            is_complete,
        }
    }

    #[test]
    fn unreadable_ids_make_the_list_incomplete() {
        for (body, count, is_complete) in [
            ("[]".to_owned(), 0, true),
            (format!("[\"{ID}\"]"), 1, true),
            (
                format!(" [ \"{{{ID}}}\" ,\n\"{}\"] ", ID.replace('-', "")),
                2,
                true,
            ),
            (format!("[\"{ID}\", \"unknown\", \"{ID}\"]"), 2, false),
            (
                format!("[null, 1, {{\"id\": \"{ID}\"}}, \"\\ud800\", \"{ID}\"]"),
                1,
                false,
            ),
        ] {
            assert_eq!(
                changes(body.as_bytes()),
                Ok(listed(count, is_complete)),
                "{body}"
            );
        }
        for body in ["", "{}", "null", "[", "[\"a\"", "[] []"] {
            assert_eq!(changes(body.as_bytes()), Err(Error::invalid("$")), "{body}");
        }
    }

    #[test]
    fn list_is_read_up_to_the_limit() {
        let list = |count: usize| format!("[{}]", vec![format!("\"{ID}\""); count].join(", "));
        let longest = list(MAX_CHANGES);
        assert!(longest.len() < MAX_LIST);
        assert_eq!(changes(longest.as_bytes()), Ok(listed(MAX_CHANGES, true)));
        assert_eq!(
            changes(list(MAX_CHANGES + 1).as_bytes()),
            Ok(Changes::TooMany)
        );
    }
}
