//! The contact type, such as `Member` or `Contact`.
//!
//! A look-up may have one, with a contact id too, and then it is part of the cache key. Which types exist depends on
//! the tenant.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Maximum length; known types are far shorter.
const MAX_LENGTH: usize = 64;

/// A contact type; equality ignores ASCII case.
///
/// Voyado's pages write `member` for the type `Member` (Voyado: get enriched profile page). The original spelling is
/// sent upstream.
#[derive(Clone)]
pub struct ContactType(Arc<Spellings>);

/// Shared, because nearly every request uses the default type.
struct Spellings {
    original: Box<str>,
    folded: Box<str>,
}

impl ContactType {
    /// Parses 1 to 64 ASCII letters, digits, `-`, `_` or `.`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || text.len() > MAX_LENGTH || !text.bytes().all(is_allowed) {
            return None;
        }
        Some(Self(Arc::new(Spellings {
            original: text.into(),
            folded: text.to_ascii_lowercase().into(),
        })))
    }

    /// Returns the original spelling, for sending it upstream.
    pub fn as_str(&self) -> &str {
        &self.0.original
    }

    /// Returns the lower-case form, by which equality and hash are defined.
    pub fn folded(&self) -> &str {
        &self.0.folded
    }
}

impl PartialEq for ContactType {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for ContactType {}

impl Hash for ContactType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl Serialize for ContactType {
    /// Serializes the original spelling.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ContactType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Self::parse(text).ok_or_else(|| D::Error::custom("not a contact type"))
    }
}

impl fmt::Debug for ContactType {
    /// Redacted, because callers may send a national id in the wrong field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactType(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::ContactType;

    #[test]
    fn known_types_are_read_and_keep_their_spelling() {
        let longest = "x".repeat(64);
        for (text, folded) in [
            ("Member", "member"),
            ("member", "member"),
            ("Contact", "contact"),
            ("transactContact", "transactcontact"),
            ("B2B.se-store_1", "b2b.se-store_1"),
            (longest.as_str(), longest.as_str()),
        ] {
            let parsed = ContactType::parse(text).expect(text);
            assert_eq!(parsed.as_str(), text);
            assert_eq!(parsed.folded(), folded);
        }
    }

    #[test]
    fn blanks_delimiters_and_foreign_letters_are_refused() {
        let too_long = "x".repeat(65);
        for text in [
            "",
            " ",
            "Member ",
            "Mem ber",
            "Member&any=1",
            "a/b",
            "a:b",
            "a@b",
            "Medlem\u{e5}",
            "\u{212a}und",
            "a\0",
            too_long.as_str(),
        ] {
            assert_eq!(ContactType::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn debug_is_redacted() {
        let parsed = ContactType::parse("19850709-9805").expect("letters, digits, hyphens");
        assert_eq!(format!("{parsed:?}"), "ContactType(…)");
    }

    proptest! {
        #[test]
        fn case_makes_no_difference(text in "[A-Za-z0-9._-]{1,64}") {
            let parsed = ContactType::parse(&text).expect("allowed characters");
            let upper = ContactType::parse(&text.to_ascii_uppercase()).expect("allowed characters");
            let again = ContactType::parse(parsed.folded()).expect("allowed characters");
            prop_assert_eq!(again.folded(), parsed.folded());
            prop_assert_eq!(HashSet::from([parsed, upper, again]).len(), 1);
        }

        #[test]
        fn different_types_stay_different(left in "[a-z0-9._-]{1,4}", right in "[a-z0-9._-]{1,4}") {
            prop_assert_eq!(ContactType::parse(&left) == ContactType::parse(&right), left == right);
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            if let Some(parsed) = ContactType::parse(&text) {
                prop_assert_eq!(parsed.as_str(), text.as_str());
            }
        }
    }
}
