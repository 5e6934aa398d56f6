//! The custom key: a tenant's own name for a contact, its member number or its external id.
//!
//! What it looks like is known to the tenant alone, so it is passed on as it is: no trimming, no folding.

use std::fmt;

/// The greatest number of characters that is passed on.
const MAX_CHARS: usize = 100;

/// Names a contact by the tenant's own key; `memberNumber` or `externalId`, as the tenant has set up (Voyado:
/// find contact page).
///
/// Equal only to the very same text: whether Engage folds case or blanks here is not printed, and a guess
/// could answer with somebody else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CustomKey(Box<str>);

impl CustomKey {
    /// Takes 1 to 100 characters as they are; control characters and nothing but blanks are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let is_blank = text.chars().all(char::is_whitespace);
        let is_too_long = text.chars().nth(MAX_CHARS).is_some();
        if is_blank || is_too_long || text.chars().any(char::is_control) {
            return None;
        }
        Some(Self(text.into()))
    }

    /// Returns the key as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CustomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::CustomKey;

    #[test]
    fn keys_are_taken_as_they_are() {
        let longest = "å".repeat(100);
        for text in [
            "999888777",
            "SHOP-55501",
            "shop-55501",
            " padded ",
            "0701740605",
            "köp:1/2",
            longest.as_str(),
        ] {
            let key = CustomKey::parse(text).expect(text);
            assert_eq!(key.as_str(), text);
        }
    }

    #[test]
    fn nothing_blanks_and_control_characters_are_refused() {
        let too_long = "x".repeat(101);
        for text in [
            "",
            " ",
            " \u{a0}\u{2003}",
            "a\nb",
            "a\tb",
            "\0",
            "a\u{7f}",
            "a\u{85}",
            too_long.as_str(),
        ] {
            assert_eq!(CustomKey::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn case_and_blanks_tell_keys_apart_and_debug_is_redacted() {
        let key = CustomKey::parse("SHOP-55501");
        assert_ne!(key, CustomKey::parse("shop-55501"));
        assert_ne!(key, CustomKey::parse("SHOP-55501 "));
        assert_eq!(format!("{key:?}"), "Some(CustomKey(…))");
    }

    proptest! {
        #[test]
        fn what_is_read_is_unchanged(text in any::<String>()) {
            if let Some(key) = CustomKey::parse(&text) {
                prop_assert_eq!(key.as_str(), text.as_str());
                prop_assert_eq!(CustomKey::parse(key.as_str()), Some(key));
            }
        }
    }
}
