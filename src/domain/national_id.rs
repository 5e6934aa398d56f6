//! National identity numbers: the Swedish personnummer and samordningsnummer, and the Finnish henkilötunnus.
//!
//! Engage takes these three (Voyado: find contact page). Nothing is said about whether such a person exists;
//! the numbers are read so that they have one spelling, and so that they can be kept out of URLs.

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
/// The longest text that is looked at once its blanks are gone; the longest form has thirteen characters.
const MAX_LENGTH: usize = 13;

/// A national id in canonical form: twelve digits for Sweden, eleven characters in upper case for Finland.
///
/// The Finnish sign of the century stays the one that was written: the signs added in 2023 exist because the
/// old ones ran out, so `150390-901C` and `150390Y901C` are two people (DVV: reform of the personal identity
/// code).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NationalId(Box<str>);

/// A country whose national ids are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Country {
    /// Sweden.
    Sweden,
    /// Finland.
    Finland,
}

/// Whether the check digit has to be right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckDigit {
    Verified,
    Ignored,
}

impl NationalId {
    /// Reads a personnummer, a samordningsnummer or a henkilötunnus, ignoring blanks around it and case.
    ///
    /// The date of birth must exist and lie in the past of `today`, as far as a samordningsnummer says it; the check
    /// digit must be right if `check_digits` says so (Voyado's own examples are not). Ten digits mean a birth less than a
    /// hundred years ago (Voyado: contact field definitions page), with `+` instead of the hyphen a hundredth birthday
    /// this year or earlier (Skatteverket: personnummer).
    ///
    /// `010203-9024` can be of either country. It is of the one whose check digit is right. If both are, or neither
    /// is and none counts, it is of `country`. Without one it is Finnish where both are right and the Swedish number would
    /// be a samordningsnummer, of which there are few, and else Swedish: the Finn would be born before 1932.
    pub fn parse(
        text: &str,
        check_digits: bool,
        country: Option<Country>,
        today: Date,
    ) -> Option<Self> {
        let text = text.trim_ascii().to_ascii_uppercase();
        Self::parse_compact(&text, check_digits, country, today)
    }

    /// The same for a text of which is not known what it is, with blanks in it and any hyphen: so written, an id must not
    /// pass for something else. Ten digits beginning with 07 are taken for a Swedish mobile number; with a hyphen after the
    /// sixth they are not.
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
                        // With `+` the Swedish one is a hundred years old, as the Finnish one would be twice.
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

    /// Says whether the text is in all likelihood a national id: date and check digit are right. Swedish reserve numbers,
    /// with a letter before the last three digits, are too; how their check digit is made differs from issuer to issuer.
    pub fn looks_like(text: &str, today: Date) -> bool {
        compact(text).is_some_and(|text| {
            let is_national_id = || Self::parse_compact(&text, true, None, today).is_some();
            !is_swedish_mobile(&text)
                && (is_national_id() || swedish::is_reserve_number(&text, today))
        })
    }

    /// Every id that the text may stand for, however it is written and whether the check digit is right or not: ten digits
    /// are of either century, and of either country.
    pub fn readings(text: &str) -> Vec<Self> {
        let Some(text) = compact(text) else {
            return Vec::new();
        };
        let readings = swedish::readings(&text)
            .into_iter()
            .chain(finnish::readings(&text));
        readings.map(|canonical| Self(canonical.into())).collect()
    }

    /// Returns the canonical form, for sending it to Engage and for comparing; never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Returns the text without blanks, in upper case, and with one hyphen for all; nothing if it is too long to be an id.
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

/// Says whether the text consists of ASCII digits, one at least.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Debug for NationalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NationalId(…)")
    }
}
