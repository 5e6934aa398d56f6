//! Phone numbers: every usual spelling becomes the international form.
//!
//! Engage requires the country code with `+` and no blanks (Voyado: LS Central contacts page). Whether a number is in
//! use or a mobile number is not checked.

mod reading;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;

use phonenumber::country;
use phonenumber::metadata::{DATABASE, Metadata};
use serde::{Deserialize, Serialize};

pub use self::reading::PhoneReading;
use super::punctuation::{is_direction_mark, is_hyphen};

/// Number of digits of an international number; fifteen is E.164's limit.
const DIGITS: RangeInclusive<usize> = 8..=15;
/// Maximum length of a number without punctuation.
const MAX_DIALLED: usize = 20;

/// A phone number in E.164 form: `+`, country calling code, national number.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Phone(Box<str>);

impl Phone {
    /// Parses a number in international form, or in the national form of `default_region`.
    ///
    /// A number that begins with `+` or `00` is international and accepted if its length is valid, assigned or not:
    /// numbering plans change, and Engage decides. The same holds for a national number of a possible length.
    pub fn parse(text: &str, default_region: country::Id) -> Option<Self> {
        let dialled = dialled(text)?;
        match international(&dialled) {
            Some(digits) => Self::from_international(digits),
            None => Self::from_national(&dialled, default_region),
        }
    }

    /// Returns the canonical form, `+` and 8 to 15 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses the digits after `+` or `00`. The numbering plan is only used if a zero follows the calling code, which
    /// may be the trunk prefix as in `+46 (0)70`.
    fn from_international(digits: &str) -> Option<Self> {
        let without_prefix = without_trunk_prefix(digits);
        let digits = without_prefix.as_deref().unwrap_or(digits);
        if !DIGITS.contains(&digits.len()) || digits.starts_with('0') {
            return None;
        }
        Some(Self(format!("+{digits}").into()))
    }

    /// Parses a national number: a valid one, else one of a possible length, with or without the region's calling code.
    fn from_national(digits: &str, region: country::Id) -> Option<Self> {
        Self::from_valid_national(digits, region).or_else(|| {
            let plan = DATABASE.by_id(region.as_ref())?;
            let national = match plan.national_prefix() {
                Some(trunk_prefix) => digits.strip_prefix(trunk_prefix).unwrap_or(digits),
                None => digits,
            };
            let code = plan.country_code().to_string();
            let as_written = || {
                has_possible_length(national, plan)
                    .then(|| Self::from_international(&format!("{code}{national}")))?
            };
            let with_code = || {
                let rest = digits.strip_prefix(&*code)?;
                has_possible_length(rest, plan).then(|| Self::from_international(digits))?
            };
            if plan.national_prefix().is_none() {
                as_written().or_else(with_code)
            } else {
                with_code().or_else(as_written)
            }
        })
    }

    /// Parses a number that is valid in the region's plan. It may begin like the region's calling code, or be written
    /// with that code without `+`. In regions without a trunk prefix the number as written takes precedence.
    fn from_valid_national(digits: &str, region: country::Id) -> Option<Self> {
        let plan = DATABASE.by_id(region.as_ref())?;
        let code = plan.country_code().to_string();
        let of = |region, digits: &str| {
            let number = phonenumber::parse(region, digits).ok()?;
            phonenumber::is_valid(&number).then_some(number)
        };
        let as_read = || of(Some(region), digits);
        let number = if digits.starts_with(&code) {
            // The library would remove the code first.
            let as_written = || of(None, &format!("+{code}{digits}"));
            if plan.national_prefix().is_none() {
                as_written().or_else(as_read)
            } else {
                as_read().or_else(as_written)
            }
        } else {
            as_read()
        }?;
        Self::from_international(&format!("{}{}", number.country().code(), number.national()))
    }
}

/// The digits of an international number after `+` or `00`.
fn international(dialled: &str) -> Option<&str> {
    dialled
        .strip_prefix('+')
        .or_else(|| dialled.strip_prefix("00"))
}

/// Whether the length is possible in the plan.
fn has_possible_length(national: &str, plan: &Metadata) -> bool {
    let kinds = plan.descriptors();
    let kinds = [
        kinds.fixed_line(),
        kinds.mobile(),
        kinds.toll_free(),
        kinds.premium_rate(),
        kinds.shared_cost(),
        kinds.personal_number(),
        kinds.voip(),
        kinds.pager(),
        kinds.uan(),
    ];
    u16::try_from(national.len()).is_ok_and(|length| {
        let mut kinds = kinds.into_iter().flatten();
        kinds.any(|kind| kind.possible_length().contains(&length))
    })
}

/// Whether the text is a `tel:` URI (RFC 3966).
pub(super) fn is_tel_uri(text: &str) -> bool {
    without_tel(text).is_some()
}

fn without_tel(text: &str) -> Option<&str> {
    let (scheme, number) = text.split_at_checked(4)?;
    scheme.eq_ignore_ascii_case("tel:").then_some(number)
}

/// Returns the text without punctuation; `None` if anything but digits and one leading `+` is left, or a hyphen
/// precedes them.
pub(super) fn dialled(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || is_direction_mark(c));
    let text = without_tel(text).unwrap_or(text);
    let mut dialled = String::with_capacity(MAX_DIALLED);
    for character in text.chars() {
        match character {
            '0'..='9' if dialled.len() < MAX_DIALLED => dialled.push(character),
            '+' if dialled.is_empty() => dialled.push('+'),
            '.' | '(' | ')' | '/' => {}
            character if is_direction_mark(character) => {}
            character if is_hyphen(character) && !matches!(&*dialled, "" | "+") => {}
            character if character.is_whitespace() && !character.is_control() => {}
            _ => return None,
        }
    }
    Some(dialled)
}

/// Whether the text is a Swedish mobile number in national form: ten digits beginning with 07.
///
/// Such digits may also be a personnummer of a birth in 2007; a phone number is likelier.
pub(super) fn is_swedish_mobile(text: &str) -> bool {
    text.len() == 10 && text.starts_with("07") && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the international digits without the trunk prefix that follows the calling code, as in `+46 (0)70`; `None`
/// if there is none. In Italy, among others, the zero is part of the number.
fn without_trunk_prefix(digits: &str) -> Option<String> {
    let (code, national) = digits.split_at_checked(calling_code_length(digits))?;
    if !national.starts_with('0') {
        return None;
    }
    let countries = DATABASE.by_code(&code.parse::<u16>().ok()?)?;
    let main_country = countries.first()?;
    let rest = national.strip_prefix(main_country.national_prefix()?)?;
    // A second zero is no country's prefix; such a number is left to Engage.
    (!rest.starts_with('0')).then(|| format!("{code}{rest}"))
}

/// Returns the length of the country calling code.
///
/// By the world zones of ITU-T E.164: zones 1 and 7 are one code each; in the others certain second digits complete the
/// code, and all other codes have three digits.
fn calling_code_length(digits: &str) -> usize {
    let Some((&zone, rest)) = digits.as_bytes().split_first() else {
        return 0;
    };
    let two_digit_codes: &[u8] = match zone {
        b'1' | b'7' => return 1,
        b'2' => b"07",
        b'3' => b"0123469",
        b'4' => b"013456789",
        b'5' => b"12345678",
        b'6' => b"0123456",
        b'8' => b"1246",
        b'9' => b"0123458",
        _ => b"",
    };
    let has_two_digits = rest
        .first()
        .is_some_and(|second| two_digit_codes.contains(second));
    if has_two_digits { 2 } else { 3 }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}
