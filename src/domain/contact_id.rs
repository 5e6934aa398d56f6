//! The id of a contact, which Engage never reuses for another one.
//!
//! Parsed from requests, webhooks and Engage's responses. Whether such a contact exists is not known here.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::digest::{Digester, KeyedDigest};

/// Length of the only accepted form, 8-4-4-4-12.
const HYPHENATED_LENGTH: usize = 36;

/// The permanent id of one contact; the only identifier that Engage guarantees to be unique (Voyado: get enriched
/// profile page).
///
/// [`Display`](fmt::Display) is for responses and upstream URLs; `Debug` is redacted, because logs contain at most a
/// keyed digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactId(Uuid);

impl ContactId {
    /// Parses a GUID in the form 8-4-4-4-12, hexadecimal digits in either case.
    ///
    /// Braces, missing hyphens and the `urn:uuid:` form are refused.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != HYPHENATED_LENGTH {
            return None;
        }
        Uuid::try_parse(text).ok().map(Self)
    }

    /// Parses a GUID with or without hyphens, in braces, in parentheses or after `urn:uuid:`, in either case. For
    /// Engage's data, not for callers'.
    pub fn parse_lenient(text: &str) -> Option<Self> {
        let text = text.trim();
        let bare = [('{', '}'), ('(', ')')]
            .into_iter()
            .find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close))
            .unwrap_or(text);
        Uuid::try_parse(bare.trim()).ok().map(Self)
    }

    /// Returns the GUID, for storing it in sixteen bytes.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// Returns the digest that represents the contact in logs.
    pub fn digest(&self, digester: &Digester) -> KeyedDigest {
        digester.digest("contact id", self.0.as_bytes())
    }
}

impl From<Uuid> for ContactId {
    /// The contact of a GUID that was stored.
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for ContactId {
    /// Writes the canonical form: lower case, hyphenated.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactId(…)")
    }
}

impl Serialize for ContactId {
    /// Serializes the canonical form as a string, in binary formats too.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::ContactId;

    const CANONICAL: &str = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";

    #[test]
    fn both_cases_are_read_and_lower_case_is_written() {
        for text in [CANONICAL, "6F1D2C3A-4B5E-4F60-8A71-B2C300D41E01"] {
            let id = ContactId::parse(text).expect("a GUID");
            assert_eq!(id.to_string(), CANONICAL);
            assert_eq!(id.as_uuid().to_string(), CANONICAL);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "not-a-guid",
            "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e0",
            "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e010",
            "{6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01}",
            "6f1d2c3a4b5e4f608a71b2c300d41e01",
            "urn:uuid:6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01",
            " 6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01",
            "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e0g",
            "6f1d2c3a4-b5e-4f60-8a71-b2c300d41e01",
            "6f1d2c3a-4b5e-4f60-8a71_b2c300d41e01",
            "6f1d2c3a-4b5e-4f60-8a71-b2c300d41eé",
        ] {
            assert_eq!(ContactId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn lenient_parser_reads_every_common_guid_form() {
        let bare = CANONICAL.replace('-', "");
        for text in [
            CANONICAL.to_owned(),
            CANONICAL.to_uppercase(),
            bare.clone(),
            format!("{{{CANONICAL}}}"),
            format!("({CANONICAL})"),
            format!(" {{{bare}}}\n"),
            format!("urn:uuid:{CANONICAL}"),
        ] {
            let id = ContactId::parse_lenient(&text);
            assert_eq!(id, ContactId::parse(CANONICAL), "{text}");
        }
        for text in [
            "",
            "{}",
            "alva",
            &CANONICAL[1..],
            &format!("{CANONICAL}0"),
            &format!("{{{CANONICAL}"),
        ] {
            assert_eq!(ContactId::parse_lenient(text), None, "{text}");
        }
    }

    #[test]
    fn debug_is_redacted_and_json_is_the_canonical_form() {
        let id = ContactId::parse("6F1D2C3A-4B5E-4F60-8A71-B2C300D41E01").expect("a GUID");
        assert_eq!(format!("{id:?}"), "ContactId(…)");
        let json = serde_json::to_string(&id).expect("a string is always serializable");
        assert_eq!(json, format!("\"{CANONICAL}\""));
    }

    proptest! {
        #[test]
        fn forms_of_one_guid_are_one_key(text in "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}") {
            let id = ContactId::parse(&text).expect("a GUID");
            prop_assert_eq!(id.to_string(), text.as_str());
            prop_assert_eq!(ContactId::parse(&id.to_string()), Some(id));
            let upper = ContactId::parse(&text.to_ascii_uppercase()).expect("a GUID");
            prop_assert_eq!(HashSet::from([id, upper]).len(), 1);
        }

        #[test]
        fn any_other_text_is_refused_without_panic(text in any::<String>()) {
            if let Some(id) = ContactId::parse(&text) {
                prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
            }
        }
    }
}
