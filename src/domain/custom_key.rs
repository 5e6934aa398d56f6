//! The custom key: a contact's member number or external id.
//!
//! Only the tenant knows its form, so it is passed on unchanged, without trimming or case folding.

use std::fmt;

/// Maximum number of characters.
const MAX_CHARS: usize = 100;

/// A tenant's own key of a contact: `memberNumber` or `externalId`, as configured in Engage (Voyado: find contact
/// page).
///
/// Equal only to the same text, so that each spelling is looked up by itself: whether Engage ignores case or white
/// space is not documented. A contact found by one spelling may have another; for that comparison both are folded.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CustomKey(Box<str>);

impl CustomKey {
    /// Accepts 1 to 100 characters unchanged; control characters and blank text are refused.
    pub fn parse(text: &str) -> Option<Self> {
        let is_blank = text.chars().all(char::is_whitespace);
        let is_too_long = text.chars().nth(MAX_CHARS).is_some();
        if is_blank || is_too_long || text.chars().any(char::is_control) {
            return None;
        }
        Some(Self(text.into()))
    }

    /// Returns the original text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form for comparison with a contact's attribute.
    pub fn folded(&self) -> Box<str> {
        fold(&self.0)
    }
}

/// Returns the form of a contact's attribute for comparison; `None` if it contains a control or replacement character.
pub(super) fn folded_field(text: &str) -> Option<Box<str>> {
    let is_unreadable = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    let folded = fold(text);
    (!folded.contains(is_unreadable)).then_some(folded)
}

/// Trims and lower-cases. The Ångström sign and characters whose lower case contains ASCII, such as the Kelvin sign,
/// are kept: folding them would make two keys equal.
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

    use super::{CustomKey, folded_field};

    #[test]
    fn keys_are_unchanged() {
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
    fn blank_text_and_control_characters_are_refused() {
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
    fn case_and_blanks_distinguish_keys_and_debug_is_redacted() {
        let key = CustomKey::parse("SHOP-55501");
        assert_ne!(key, CustomKey::parse("shop-55501"));
        assert_ne!(key, CustomKey::parse("SHOP-55501 "));
        assert_eq!(format!("{key:?}"), "Some(CustomKey(…))");
    }

    #[test]
    fn comparison_ignores_case_and_outer_blanks() {
        let key = CustomKey::parse("Köp-55501 ").expect("a key").folded();
        for attribute in ["KÖP-55501", " köp-55501\r\n", "Köp-55501"] {
            assert_eq!(
                folded_field(attribute).as_deref(),
                Some(&*key),
                "{attribute:?}"
            );
        }
        assert_ne!(folded_field("KÖP 55501").as_deref(), Some(&*key));
        assert_eq!(folded_field("K\u{fffd}P-55501"), None);
    }

    proptest! {
        #[test]
        fn parsed_text_is_unchanged(text in any::<String>()) {
            if let Some(key) = CustomKey::parse(&text) {
                prop_assert_eq!(key.as_str(), text.as_str());
                prop_assert_eq!(CustomKey::parse(key.as_str()), Some(key));
            }
        }
    }
}
