//! The custom key: a tenant's own name for a contact, its member number or its external id.
//!
//! What it looks like is known to the tenant alone, so it is passed on as it is: no trimming, no folding.

use std::fmt;

/// The greatest number of characters that is passed on.
const MAX_CHARS: usize = 100;

/// Names a contact by the tenant's own key; `memberNumber` or `externalId`, as the tenant has set up (Voyado:
/// find contact page).
///
/// Equal only to the very same text, so that each spelling is asked for by itself: whether Engage folds case or blanks
/// here is not printed. A contact that Engage finds by one spelling may show another: those are compared folded.
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

    /// Returns the form in which it is compared with what a contact shows.
    pub fn folded(&self) -> Box<str> {
        fold(&self.0)
    }
}

/// Returns the form in which a key that a contact shows is compared; nothing for what no key can be.
pub(super) fn folded_shown(text: &str) -> Option<Box<str>> {
    let is_unreadable = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    let folded = fold(text);
    (!folded.contains(is_unreadable)).then_some(folded)
}

/// Without blanks around it and without case; but a sign whose small letter is another alphabet's, such as the Kelvin sign,
/// stays what it is: folded, it would make one key of two.
fn fold(text: &str) -> Box<str> {
    let mut folded = String::with_capacity(text.len());
    for character in text.trim().chars() {
        let crosses = !character.is_ascii() && character.to_lowercase().any(|c| c.is_ascii());
        if crosses || character == '\u{212b}' {
            folded.push(character);
        } else {
            folded.extend(character.to_lowercase());
        }
    }
    folded.into()
}

impl fmt::Debug for CustomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CustomKey, folded_shown};

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

    #[test]
    fn keys_are_compared_with_what_is_shown_without_case_and_outer_blanks() {
        let key = CustomKey::parse("Köp-55501 ").expect("a key").folded();
        for shown in ["KÖP-55501", " köp-55501\r\n", "Köp-55501"] {
            assert_eq!(folded_shown(shown).as_deref(), Some(&*key), "{shown:?}");
        }
        assert_ne!(folded_shown("KÖP 55501").as_deref(), Some(&*key));
        assert_eq!(folded_shown("K\u{fffd}P-55501"), None);
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
