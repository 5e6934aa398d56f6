//! E-mail addresses as identifiers: one canonical form per address, so that two spellings are one cache key.
//!
//! Also asked whether the address in a profile is well formed. It does not ask whether mail would arrive.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest address that can be delivered to (RFC 3696 erratum 1690).
const MAX_LENGTH: usize = 254;
/// The longest part before the `@` (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL_LENGTH: usize = 64;
/// The longest label of a domain name (RFC 1035, section 2.3.4).
const MAX_LABEL_LENGTH: usize = 63;

/// An e-mail address in lower case.
///
/// Lower case is ASCII's alone. Beyond ASCII folding differs from one implementation to the next (the Kelvin
/// sign, ſ, ß, dotless ı), and one that differs from Engage's would make two people one; hence no such
/// address is read at all.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Email(Box<str>);

/// Why a text is not read as an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// It does not have the form of an address.
    #[error("not the form of an e-mail address")]
    Malformed,
    /// It holds a character outside ASCII; international domains are taken in their `xn--` form.
    #[error("an e-mail address is taken in ASCII only")]
    NotAscii,
}

impl Email {
    /// Reads an address, ignoring blanks around it and the case of its letters.
    ///
    /// Refuses with [`EmailError::NotAscii`] whatever holds a character outside ASCII, otherwise with
    /// [`EmailError::Malformed`]. Quoted local parts and address literals are not read: shops do not take them.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if !text.is_ascii() {
            return Err(EmailError::NotAscii);
        }
        let text = text.trim_ascii();
        let (local, domain) = text.split_once('@').ok_or(EmailError::Malformed)?;
        if text.len() > MAX_LENGTH || !is_local_part(local) || !is_domain(domain) {
            return Err(EmailError::Malformed);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// Returns the canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Says whether the text may stand before the `@`; apostrophes and plus signs may.
fn is_local_part(text: &str) -> bool {
    let is_allowed = |byte: u8| IN_LOCAL_PARTS[usize::from(byte)];
    (1..=MAX_LOCAL_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The characters of a local part, by their bytes: a table, for every request by an address reads one.
const IN_LOCAL_PARTS: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        allowed[byte as usize] = !matches!(
            byte,
            b'@' | b'"' | b'(' | b')' | b',' | b':' | b';' | b'<' | b'>' | b'[' | b']' | b'\\'
        );
        byte += 1;
    }
    allowed
};

/// Says whether the text is a domain name of at least two labels.
fn is_domain(text: &str) -> bool {
    let mut labels = 0;
    let mut all = text.as_bytes().split(|byte| *byte == b'.');
    all.all(|label| {
        labels += 1;
        is_label(label)
    }) && labels >= 2
}

/// Says whether the text is a label of a host name (RFC 1123, section 2.1).
fn is_label(text: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    (1..=MAX_LABEL_LENGTH).contains(&text.len())
        && text.iter().all(is_allowed)
        && !text.starts_with(b"-")
        && !text.ends_with(b"-")
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::{Email, EmailError};

    #[test]
    fn addresses_are_read_into_lower_case_without_blanks_around() {
        let long_local = format!("{}@example.com", "x".repeat(64));
        for (text, canonical) in [
            ("alva.testsson@example.com", "alva.testsson@example.com"),
            ("Alva.Testsson@EXAMPLE.com", "alva.testsson@example.com"),
            (" \talva@example.com\r\n", "alva@example.com"),
            ("a+tag@example.com", "a+tag@example.com"),
            ("alva@xn--exmpel-gua.example", "alva@xn--exmpel-gua.example"),
            ("o'testsson@example.com", "o'testsson@example.com"),
            (".a..b.@example.com", ".a..b.@example.com"),
            (
                "a/b=c!#$%&*?^_`{|}~-@a.b-c.example",
                "a/b=c!#$%&*?^_`{|}~-@a.b-c.example",
            ),
            (long_local.as_str(), long_local.as_str()),
        ] {
            let email = Email::parse(text);
            assert_eq!(email.as_ref().map(Email::as_str), Ok(canonical), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_an_address_is_malformed() {
        let long_local = format!("{}@example.com", "x".repeat(65));
        let long_label = format!("a@{}.com", "x".repeat(64));
        let too_long = format!("a@{}com", "abcdefghi.".repeat(26));
        for text in [
            "",
            " ",
            "plain",
            "a@",
            "@example.com",
            "a b@example.com",
            "a@b@example.com",
            "a@example",
            "a@.example.com",
            "a@example.com.",
            "a@example..com",
            "a@-example.com",
            "a@example-.com",
            "a@exam_ple.com",
            "a@exam ple.com",
            "a@[127.0.0.1]",
            "\"a\"@example.com",
            "a(b)@example.com",
            "a,b@example.com",
            "a;b@example.com",
            "a:b@example.com",
            "<a@example.com>",
            "a\\b@example.com",
            "a\0b@example.com",
            "mailto:a@example.com",
            long_local.as_str(),
            long_label.as_str(),
            too_long.as_str(),
        ] {
            assert_eq!(Email::parse(text), Err(EmailError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn letters_beyond_ascii_are_refused_by_name() {
        for text in [
            "alva@exämpel.example",
            "\u{212a}alva@example.com",
            "ſtina@example.com",
            "groß@example.com",
            "alva@example.com\u{a0}",
            "å",
        ] {
            assert_eq!(Email::parse(text), Err(EmailError::NotAscii), "{text:?}");
        }
    }

    #[test]
    fn debug_is_redacted() {
        let email = Email::parse("alva.testsson@example.com");
        assert_eq!(format!("{email:?}"), "Ok(Email(…))");
    }

    proptest! {
        #[test]
        fn spellings_of_one_address_are_one_key(
            text in "[A-Za-z0-9.+_'-]{1,20}@([A-Za-z0-9]{1,8}\\.){1,3}[A-Za-z]{2,6}",
            blanks in "[ \t]{0,3}",
        ) {
            let spellings = [
                text.clone(),
                text.to_ascii_uppercase(),
                text.to_ascii_lowercase(),
                format!("{blanks}{text}{blanks}"),
            ];
            let keys: Result<HashSet<_>, _> = spellings.iter().map(|s| Email::parse(s)).collect();
            prop_assert_eq!(keys.map(|keys| keys.len()), Ok(1));
        }

        #[test]
        fn reading_the_canonical_form_changes_nothing(text in "[ -~]{0,12}@[ -~]{0,8}\\.?[ -~]{0,8}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            if let Ok(email) = Email::parse(&text) {
                prop_assert!(email.as_str().is_ascii());
            }
        }
    }
}
