//! National identity numbers: the Swedish personnummer and samordningsnummer, and the Finnish henkilötunnus.
//!
//! Engage accepts these three (Voyado: find contact page). They are parsed into one spelling. They are also recognised
//! in other values, so that they can be kept out of URLs. Whether a person with this number exists is not checked.

mod finnish;
mod swedish;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::civil::Date;

use super::{
    phone::is_swedish_mobile,
    punctuation::{is_direction_mark, is_hyphen},
};

/// The first year of birth that either country's numbers can express.
const FIRST_YEAR: i16 = 1800;
/// Maximum length without blanks; the longest form has thirteen characters.
const MAX_LENGTH: usize = 13;

/// A national id in canonical form: twelve digits for Sweden, eleven characters in upper case for Finland.
///
/// The Finnish sign of the century is kept as written: the signs added in 2023 exist because the old ones ran out, so
/// `150390-901C` and `150390Y901C` are two people (DVV: reform of the personal identity code).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NationalId(Box<str>);

/// A country with supported national ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Country {
    /// Sweden.
    Sweden,
    /// Finland.
    Finland,
}

/// Whether the check digit must be right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckDigit {
    Verified,
    Ignored,
}

impl NationalId {
    /// Parses a personnummer, a samordningsnummer or a henkilötunnus, ignoring surrounding blanks and case.
    ///
    /// The date of birth must exist and not be after `today`, as far as a samordningsnummer contains it; the check
    /// digit must be right if `check_digits` is set (Voyado's own examples are not). Ten digits mean a birth less than
    /// a hundred years ago (Voyado: contact field definitions page). With `+` instead of the hyphen they mean a birth
    /// whose hundredth anniversary is this year or earlier (Skatteverket: personnummer).
    ///
    /// `010203-9024` may be of either country: of the one whose check digit is right. If both are right, or neither is
    /// and check digits are ignored, it is of `country`. Without `country` it is Finnish if both are right, it has no
    /// `+`, and the Swedish number would be a samordningsnummer, which is rare; otherwise Swedish, because the Finnish
    /// birth would be before 1932.
    pub fn parse(
        text: &str,
        check_digits: bool,
        country: Option<Country>,
        today: Date,
    ) -> Option<Self> {
        let text = text.trim_ascii().to_ascii_uppercase();
        Self::parse_compact(&text, check_digits, country, today)
    }

    /// The same for a text of unknown kind, which may contain blanks and any hyphen. Ten digits that begin with 07 are
    /// a Swedish mobile number, unless a hyphen follows the sixth.
    pub fn parse_unless_mobile(
        text: &str,
        check_digits: bool,
        country: Option<Country>,
        today: Date,
    ) -> Option<Self> {
        let text = compact(text).filter(|text| !is_swedish_mobile(text))?;
        Self::parse_compact(&text, check_digits, country, today)
    }

    fn parse_compact(
        text: &str,
        check_digits: bool,
        country: Option<Country>,
        today: Date,
    ) -> Option<Self> {
        let read = |check| {
            let swedish = swedish::read(text, check, today);
            let finnish = finnish::read(text, check, today);
            match (swedish, finnish) {
                (Some(swedish), Some(finnish)) => {
                    let is_finnish = match country {
                        Some(country) => country == Country::Finland,
                        // `+` means a Swedish age of about a hundred years, but a Finnish birth in the 19th century.
                        None => {
                            swedish.is_coordination_number
                                && check == CheckDigit::Verified
                                && !text.contains('+')
                        }
                    };
                    Some(if is_finnish {
                        finnish
                    } else {
                        swedish.canonical
                    })
                }
                (swedish, finnish) => swedish.map(|swedish| swedish.canonical).or(finnish),
            }
        };
        let canonical = match read(CheckDigit::Verified) {
            None if !check_digits => read(CheckDigit::Ignored)?,
            verified => verified?,
        };
        Some(Self(canonical.into()))
    }

    /// Whether the text is very likely a national id: date and check digit are right. Includes Swedish reserve numbers,
    /// with a letter before the last three digits; their check digits differ by issuer and are not checked.
    pub fn looks_like(text: &str, today: Date) -> bool {
        compact(text).is_some_and(|text| {
            let is_national_id = || Self::parse_compact(&text, true, None, today).is_some();
            !is_swedish_mobile(&text)
                && (is_national_id() || swedish::is_reserve_number(&text, today))
        })
    }

    /// Every id that the text may mean, in any spelling, with any check digit: ten digits may be of either century.
    /// They may also be Finnish, but only if the check character is right.
    pub fn readings(text: &str) -> Vec<Self> {
        let Some(text) = compact(text) else {
            return Vec::new();
        };
        let readings = swedish::readings(&text)
            .into_iter()
            .chain(finnish::readings(&text));
        readings.map(|canonical| Self(canonical.into())).collect()
    }

    /// Returns the canonical form, for Engage and comparisons; never for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Returns the text without blanks, in upper case, with plain hyphens; `None` if it is too long or has other characters
/// outside ASCII.
fn compact(text: &str) -> Option<String> {
    let mut compact = String::with_capacity(MAX_LENGTH);
    for character in text.chars() {
        match character {
            character if character.is_whitespace() || is_direction_mark(character) => {}
            _ if compact.len() >= MAX_LENGTH => return None,
            character if is_hyphen(character) => compact.push('-'),
            character if character.is_ascii() => compact.push(character.to_ascii_uppercase()),
            _ => return None,
        }
    }
    Some(compact)
}

/// Whether the text is one or more ASCII digits.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Debug for NationalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NationalId(…)")
    }
}
