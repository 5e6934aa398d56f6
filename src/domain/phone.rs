//! Phone numbers as identifiers: every usual spelling of a number becomes its international one.
//!
//! Engage wants the country code with `+` and no blanks (Voyado: LS Central contacts page). Whether a number
//! is in use, or a mobile's, is not asked.

use std::fmt;
use std::ops::RangeInclusive;

use phonenumber::country;
use phonenumber::metadata::DATABASE;
use serde::{Deserialize, Serialize};

/// How many digits an international number has; fifteen is E.164's limit.
const DIGITS: RangeInclusive<usize> = 8..=15;
/// The longest text that is looked at once its punctuation is gone.
const MAX_DIALLED: usize = 20;

/// A phone number in E.164 form: `+`, country calling code, national number.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Phone(Box<str>);

impl Phone {
    /// Reads a number in international form, or in the national form of `default_region`.
    ///
    /// International is what begins with `+` or `00`. Such a number is taken whenever its length is right,
    /// assigned or not: numbering plans change, and Engage is the judge. A national number must be valid in
    /// its region, because only the plan says how to write it internationally.
    pub fn parse(text: &str, default_region: country::Id) -> Option<Self> {
        let dialled = dialled(text)?;
        let international = dialled
            .strip_prefix('+')
            .or_else(|| dialled.strip_prefix("00"));
        match international {
            Some(digits) => Self::from_international(digits),
            None => Self::from_national(&dialled, default_region),
        }
    }

    /// Returns the canonical form, `+` and 8 to 15 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the digits after `+` or `00`; the numbering plan is not touched unless a zero, which may be the
    /// trunk prefix as in `+46 (0)70`, follows the calling code.
    fn from_international(digits: &str) -> Option<Self> {
        let without_prefix = without_trunk_prefix(digits);
        let digits = without_prefix.as_deref().unwrap_or(digits);
        if !DIGITS.contains(&digits.len()) || digits.starts_with('0') {
            return None;
        }
        Some(Self(format!("+{digits}").into()))
    }

    /// Takes a number as it is dialled inside the region.
    fn from_national(digits: &str, region: country::Id) -> Option<Self> {
        let number = phonenumber::parse(Some(region), digits).ok()?;
        if !phonenumber::is_valid(&number) {
            return None;
        }
        Self::from_international(&format!("{}{}", number.country().code(), number.national()))
    }
}

/// Returns the text without the punctuation of phone numbers, or nothing if anything but digits and one
/// leading `+` is left.
pub(super) fn dialled(text: &str) -> Option<String> {
    let mut dialled = String::with_capacity(MAX_DIALLED);
    for character in text.chars() {
        match character {
            ' ' | '\u{a0}' | '-' | '.' | '(' | ')' | '/' => {}
            '+' if dialled.is_empty() => dialled.push('+'),
            '0'..='9' if dialled.len() < MAX_DIALLED => dialled.push(character),
            _ => return None,
        }
    }
    Some(dialled)
}

/// Says whether the text is ten digits beginning with 07: a Swedish mobile number in national form.
///
/// Ten digits can be a personnummer of somebody born in 2007 just as well; the number is the likelier one.
pub(super) fn is_swedish_mobile(text: &str) -> bool {
    text.len() == 10 && text.starts_with("07") && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the international digits without the trunk prefix that people write in brackets, or nothing if
/// there is none: in Italy, among others, the zero belongs to the number.
fn without_trunk_prefix(digits: &str) -> Option<String> {
    let (code, national) = digits.split_at_checked(calling_code_length(digits))?;
    if !national.starts_with('0') {
        return None;
    }
    let countries = DATABASE.by_code(&code.parse::<u16>().ok()?)?;
    let main_country = countries.first()?;
    let rest = national.strip_prefix(main_country.national_prefix()?)?;
    // A second zero is nobody's prefix; such a number stays as it is, and is Engage's to refuse.
    (!rest.starts_with('0')).then(|| format!("{code}{rest}"))
}

/// Returns the length of the country calling code at the beginning of the digits.
///
/// The world zones of ITU-T E.164 decide it: zones 1 and 7 are one code each, in the others certain second
/// digits end the code, and all other codes have three digits.
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use phonenumber::country::{self, Id};
    use proptest::prelude::*;

    use super::{DATABASE, Phone, calling_code_length, is_swedish_mobile};

    fn canonical(text: &str, region: Id) -> Option<String> {
        Phone::parse(text, region).map(|phone| phone.as_str().to_owned())
    }

    #[test]
    fn usual_spellings_become_international() {
        for (text, region, expected) in [
            ("+46701740605", country::SE, "+46701740605"),
            ("0046701740605", country::SE, "+46701740605"),
            ("0701740605", country::SE, "+46701740605"),
            ("070-174 06 05", country::SE, "+46701740605"),
            ("070/174.06.05", country::SE, "+46701740605"),
            ("+46 (0)70-174 06 05", country::SE, "+46701740605"),
            ("0046 (0)70-174 06 05", country::FI, "+46701740605"),
            ("(+46)\u{a0}70 174 06 05", country::SE, "+46701740605"),
            ("46701740605", country::SE, "+46701740605"),
            ("701740605", country::SE, "+46701740605"),
            ("08-465 004 04", country::SE, "+46846500404"),
            ("+447700900123", country::SE, "+447700900123"),
            ("+44 (0)7700 900123", country::SE, "+447700900123"),
            ("07400 123456", country::GB, "+447400123456"),
            ("+12025550123", country::SE, "+12025550123"),
            ("(202) 555-0123", country::US, "+12025550123"),
            ("011 46 70 174 06 05", country::US, "+46701740605"),
            ("040 1234567", country::FI, "+358401234567"),
            ("+358 (0)40 1234567", country::SE, "+358401234567"),
            ("40612345", country::NO, "+4740612345"),
            ("+81 (0)90-1234-5678", country::RU, "+819012345678"),
            ("+36 (06) 20 123 4567", country::SE, "+36201234567"),
            ("+54 (0)11 4123 4567", country::SE, "+541141234567"),
            ("+49 (0)1523 4567 89012", country::SE, "+491523456789012"),
            ("+34777888555", country::SE, "+34777888555"),
        ] {
            assert_eq!(
                canonical(text, region).as_deref(),
                Some(expected),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_zero_that_belongs_to_the_number_stays() {
        for (text, region, expected) in [
            ("+39 06 698 12345", country::SE, "+390669812345"),
            ("06 698 12345", country::IT, "+390669812345"),
            ("+378 0549 886377", country::SE, "+3780549886377"),
            ("+225 07 01 02 03 04", country::SE, "+2250701020304"),
        ] {
            assert_eq!(
                canonical(text, region).as_deref(),
                Some(expected),
                "{text:?}"
            );
        }
    }

    #[test]
    fn unassigned_international_numbers_are_left_to_engage() {
        for text in [
            "+46999999999999",
            "+21012345678",
            "+999123456789",
            "+12345678",
            "+460070174060",
        ] {
            assert_eq!(canonical(text, country::SE).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            " ",
            "+",
            "00",
            "++46701740605",
            "46+701740605",
            "phone",
            "+46 70 174 06 05 ext 2",
            "+46701740605;ext=2",
            "tel:+46701740605",
            "+1 800 FLOWERS",
            "+4670174",
            "+4670174060512345",
            "+0701740605",
            "+0046701740605",
            "000701740605",
            "+46 (0)12345",
            "07017406",
            "070174060512",
            "47701740605",
            "112",
            "+46\t701740605",
            "+４６701740605",
            "070174060٥",
            "1234567890123456789012345678901234567890",
        ] {
            assert_eq!(canonical(text, country::SE), None, "{text:?}");
        }
    }

    #[test]
    fn the_zone_rule_agrees_with_every_assigned_calling_code() {
        for code in 1..=999_u16 {
            if DATABASE.by_code(&code).is_some() {
                let digits = code.to_string();
                assert_eq!(
                    calling_code_length(&format!("{digits}12345678")),
                    digits.len(),
                    "+{code}"
                );
            }
        }
        assert_eq!(calling_code_length(""), 0);
    }

    #[test]
    fn swedish_mobiles_are_told_by_their_form() {
        assert!(is_swedish_mobile("0701740605"));
        for text in [
            "070174060",
            "07017406055",
            "0801740605",
            "070-174060",
            "07017406o5",
            "",
        ] {
            assert!(!is_swedish_mobile(text), "{text:?}");
        }
    }

    #[test]
    fn debug_is_redacted() {
        let phone = Phone::parse("+46701740605", country::SE);
        assert_eq!(format!("{phone:?}"), "Some(Phone(…))");
    }

    proptest! {
        #[test]
        fn spellings_of_one_number_are_one_key(number in "7[02369][0-9]{7}", blank in "[ \u{a0}().-]{0,2}") {
            let (operator, rest) = number.split_at(2);
            let spellings = [
                format!("+46{number}"),
                format!("0046{number}"),
                format!("46{number}"),
                format!("0{number}"),
                format!("+46 (0){operator}{blank}{rest}"),
                format!("0{operator}{blank}{rest}"),
            ];
            let keys: Option<HashSet<_>> = spellings.iter().map(|s| Phone::parse(s, country::SE)).collect();
            prop_assert_eq!(keys.map(|keys| keys.len()), Some(1));
        }

        #[test]
        fn reading_the_canonical_form_changes_nothing(
            text in "(\\+|00|0)?[0-9]{5,16}",
            region in proptest::sample::select(vec![
                country::SE, country::FI, country::IT, country::US, country::GB, country::AR, country::BR,
                country::MX, country::RU, country::CI, country::HU,
            ]),
        ) {
            if let Some(phone) = Phone::parse(&text, region) {
                prop_assert_eq!(Phone::parse(phone.as_str(), region), Some(phone.clone()));
                prop_assert_eq!(Phone::parse(phone.as_str(), country::JP), Some(phone));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), digits in "[+0-9 ().-]{0,24}") {
            let _ = Phone::parse(&text, country::SE);
            if let Some(phone) = Phone::parse(&digits, country::FI) {
                prop_assert!((9..=16).contains(&phone.as_str().len()));
            }
        }
    }
}
