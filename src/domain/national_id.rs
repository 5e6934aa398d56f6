//! National identity numbers: the Swedish personnummer and samordningsnummer, and the Finnish henkilötunnus.
//!
//! Engage takes these three (Voyado: find contact page). Nothing is said about whether such a person exists;
//! the numbers are read so that they have one spelling, and so that they can be kept out of URLs.

use std::fmt;

use jiff::civil::Date;

use super::phone::is_swedish_mobile;

/// The check characters of the henkilötunnus in the order of their remainders (DVV: the personal identity code).
const FINNISH_CHECKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
/// The first year of birth that either country's numbers can express.
const FIRST_YEAR: i16 = 1800;
/// What a samordningsnummer adds to the day of birth (Skatteverket: samordningsnummer).
const COORDINATION_DAYS: i8 = 60;

/// A national id in canonical form: twelve digits for Sweden, eleven characters in upper case for Finland.
///
/// The Finnish sign of the century stays the one that was written: the signs added in 2023 exist because the
/// old ones ran out, so `150390-901C` and `150390Y901C` are two people (DVV: reform of the personal identity
/// code).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NationalId(Box<str>);

/// Whether the check digit has to be right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckDigit {
    Verified,
    Ignored,
}

impl NationalId {
    /// Reads a personnummer, a samordningsnummer or a henkilötunnus, ignoring blanks around it and case.
    ///
    /// The date of birth must exist and lie in the past of `today`; the check digit must be right if
    /// `check_digits` says so (Voyado's own examples are not). Ten digits mean somebody under a hundred
    /// (Voyado: contact field definitions page), with `+` instead of the hyphen somebody who turns a hundred
    /// this year or did earlier (Skatteverket: personnummer).
    ///
    /// `010203-9024` can be of either country. It is of the one whose check digit is right; if both are, or
    /// neither counts, it is Swedish: the Finn would be born before 1932.
    pub fn parse(text: &str, check_digits: bool, today: Date) -> Option<Self> {
        let text = text.trim_ascii();
        let read = |check| swedish(text, check, today).or_else(|| finnish(text, check, today));
        let canonical = match read(CheckDigit::Verified) {
            None if !check_digits => read(CheckDigit::Ignored)?,
            verified => verified?,
        };
        Some(Self(canonical.into()))
    }

    /// Says whether the text is in all likelihood somebody's national id: date and check digit are right.
    ///
    /// Ten bare digits beginning with 07 are taken for a Swedish mobile number; with a hyphen after the
    /// sixth they are not.
    pub fn looks_like(text: &str, today: Date) -> bool {
        !is_swedish_mobile(text.trim_ascii()) && Self::parse(text, true, today).is_some()
    }

    /// Returns the canonical form, for sending it to Engage and for comparing; never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Reads ten or twelve digits, before the last four of which may stand `-` or `+`, into twelve.
fn swedish(text: &str, check: CheckDigit, today: Date) -> Option<String> {
    let (head, number) = text.split_at_checked(text.len().checked_sub(4)?)?;
    let (date, turned_100) = match head.strip_suffix('+') {
        Some(date) => (date, true),
        None => (head.strip_suffix('-').unwrap_or(head), false),
    };
    if !is_digits(date) || !is_digits(number) {
        return None;
    }
    let (year, month_and_day) = date.split_at_checked(date.len().checked_sub(4)?)?;
    let month = month_and_day[..2].parse().ok()?;
    let written_day: i8 = month_and_day[2..].parse().ok()?;
    let day = if written_day > COORDINATION_DAYS {
        written_day - COORDINATION_DAYS
    } else {
        written_day
    };
    let year = match year.len() {
        2 => full_year(year.parse().ok()?, (month, day), turned_100, today),
        // The century is written out, so the sign adds nothing.
        4 => year.parse().ok()?,
        _ => return None,
    };
    if !is_birth_date(year, month, day, today) {
        return None;
    }
    let canonical = format!("{year:04}{month_and_day}{number}");
    (check == CheckDigit::Ignored || has_luhn_check(&canonical[2..])).then_some(canonical)
}

/// Returns the year that two digits of it mean.
///
/// Without the sign the latest birth that is not ahead; with it, the latest that turns a hundred this year or
/// did earlier.
fn full_year(two_digits: i16, (month, day): (i8, i8), turned_100: bool, today: Date) -> i16 {
    let this_century = today.year() - today.year() % 100 + two_digits;
    let is_too_late = |year| {
        if turned_100 {
            today.year() - year < 100
        } else {
            (year, month, day) > (today.year(), today.month(), today.day())
        }
    };
    let mut year = this_century;
    while is_too_late(year) {
        year -= 100;
    }
    year
}

/// Says whether the digits end with the right check digit: weights 2, 1, 2, …, digits of the products summed,
/// a multiple of ten (Skatteverket: personnummer).
fn has_luhn_check(ten_digits: &str) -> bool {
    let products = ten_digits.bytes().enumerate().map(|(place, byte)| {
        let digit = u32::from(byte - b'0');
        let product = if place % 2 == 0 { digit * 2 } else { digit };
        product / 10 + product % 10
    });
    products.sum::<u32>() % 10 == 0
}

/// Reads `DDMMYYCZZZQ` into upper case: date, sign of the century, individual number, check character.
fn finnish(text: &str, check: CheckDigit, today: Date) -> Option<String> {
    let text = text.to_ascii_uppercase();
    let [date @ .., century, _, _, _, check_character] = text.as_bytes() else {
        return None;
    };
    let date = str::from_utf8(date).ok()?;
    let individual = text.get(7..10)?;
    if date.len() != 6 || !is_digits(date) || !is_digits(individual) {
        return None;
    }
    let century: i16 = match century {
        b'+' => 1800,
        b'-' | b'U'..=b'Y' => 1900,
        b'A'..=b'F' => 2000,
        _ => return None,
    };
    let year = century + date[4..].parse::<i16>().ok()?;
    if !is_birth_date(
        year,
        date[2..4].parse().ok()?,
        date[..2].parse().ok()?,
        today,
    ) {
        return None;
    }
    let remainder = format!("{date}{individual}").parse::<usize>().ok()? % FINNISH_CHECKS.len();
    let written = FINNISH_CHECKS
        .iter()
        .position(|character| character == check_character)?;
    (check == CheckDigit::Ignored || written == remainder).then_some(text)
}

/// Says whether somebody can have been born on that day: it is in the calendar, and not ahead.
fn is_birth_date(year: i16, month: i8, day: i8, today: Date) -> bool {
    year >= FIRST_YEAR && Date::new(year, month, day).is_ok_and(|born| born <= today)
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::civil::{Date, date};
    use proptest::prelude::*;

    use super::{FINNISH_CHECKS, NationalId, has_luhn_check};

    const TODAY: Date = date(2026, 3, 1);

    fn canonical(text: &str, check_digits: bool) -> Option<String> {
        NationalId::parse(text, check_digits, TODAY).map(|id| id.expose().to_owned())
    }

    /// Completes nine digits with their Luhn digit.
    fn with_luhn(nine_digits: &str) -> String {
        (0..10)
            .map(|check| format!("{nine_digits}{check}"))
            .find(|ten_digits| has_luhn_check(ten_digits))
            .expect("one of ten check digits is right")
    }

    #[test]
    fn swedish_numbers_become_twelve_digits() {
        for (text, expected) in [
            ("198507099805", "198507099805"),
            ("19850709-9805", "198507099805"),
            ("8507099805", "198507099805"),
            ("850709-9805", "198507099805"),
            (" 850709-9805\t", "198507099805"),
            ("191212121212", "191212121212"),
            ("19121212+1212", "191212121212"),
            ("121212+1212", "191212121212"),
            ("121212-1212", "201212121212"),
            ("1212121212", "201212121212"),
            ("198507699802", "198507699802"),
            ("8507699802", "198507699802"),
            ("850769-9802", "198507699802"),
        ] {
            assert_eq!(canonical(text, true).as_deref(), Some(expected), "{text:?}");
            let found = canonical(text, false);
            assert_eq!(found.as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn finnish_codes_keep_their_sign_in_upper_case() {
        for (text, expected) in [
            ("131052-308T", "131052-308T"),
            (" 131052-308t ", "131052-308T"),
            ("150390y901c", "150390Y901C"),
            ("010203f9024", "010203F9024"),
        ] {
            assert_eq!(canonical(text, true).as_deref(), Some(expected), "{text:?}");
        }
        for sign in "+-UVWXY".chars() {
            let text = format!("150390{sign}901C");
            assert_eq!(canonical(&text, true), Some(text));
        }
        for sign in 'A'..='F' {
            let text = format!("010203{sign}9024");
            assert_eq!(canonical(&text, true), Some(text));
        }
        let old = NationalId::parse("150390-901C", true, TODAY);
        assert_ne!(old, NationalId::parse("150390Y901C", true, TODAY));
    }

    #[test]
    fn wrong_check_digits_are_refused_only_where_they_are_verified() {
        for (text, expected) in [
            ("198507099806", "198507099806"),
            ("8507099804", "198507099804"),
            ("196903027573", "196903027573"),
            ("198506059738", "198506059738"),
            ("131052-308A", "131052-308A"),
        ] {
            assert_eq!(canonical(text, true), None, "{text:?}");
            let found = canonical(text, false);
            assert_eq!(found.as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_date_or_no_form_is_refused_in_any_case() {
        let swedish = "- abc 12 1985 850709 85070998051 1985070998051 198513099805 198502299805 \
            198507009805 198507609805 198507929805 850709--9805 8507-099805 178507099805 203001011234 \
            000101010000 19850709980\u{663} å507099805";
        let finnish = "311152-308T 130052-308T 131052G308T 131052T308T 131052-308G 131052-308I \
            131052-3O8T 131035A308T 131052-308 131052-308TT 131052--08T 1310å-308T 1310520308T";
        let texts = swedish.split(' ').chain(finnish.split(' '));
        for text in texts.chain(["", " ", "850709 9805", "850709- 9805"]) {
            assert_eq!(canonical(text, false), None, "{text:?}");
        }
    }

    #[test]
    fn ten_digits_mean_under_a_hundred_and_the_plus_sign_the_year_of_the_hundredth_birthday() {
        for (text, today, born) in [
            ("260301-0000", date(2026, 3, 1), Some("20260301")),
            ("260301-0000", date(2026, 2, 28), Some("19260301")),
            ("260302-0000", date(2026, 3, 1), Some("19260302")),
            ("260302+0000", date(2026, 3, 1), Some("19260302")),
            ("260301+0000", date(2026, 3, 1), Some("19260301")),
            ("991231-0000", date(2026, 3, 1), Some("19991231")),
            ("000229-0000", date(2026, 3, 1), Some("20000229")),
            ("000229+0000", date(2026, 3, 1), None),
            ("260361-0000", date(2026, 3, 1), Some("20260361")),
            ("260362-0000", date(2026, 3, 1), Some("19260362")),
        ] {
            let id = NationalId::parse(text, false, today);
            let found = id.as_ref().map(|id| &id.expose()[..8]);
            assert_eq!(found, born, "{text:?} on {today}");
        }
    }

    #[test]
    fn a_number_of_either_country_goes_by_its_check_digit() {
        for (text, check_digits, expected) in [
            // Only the Finnish check digit is right.
            ("010203-9024", true, Some("010203-9024")),
            ("010203-9024", false, Some("010203-9024")),
            // Neither is.
            ("010203-9020", true, None),
            ("010203-9020", false, Some("200102039020")),
        ] {
            assert_eq!(canonical(text, check_digits).as_deref(), expected);
        }
        let swedish = with_luhn("010203902");
        let hyphenated = format!("{}-{}", &swedish[..6], &swedish[6..]);
        assert_eq!(canonical(&hyphenated, true), Some(format!("20{swedish}")));
    }

    #[test]
    fn mobile_numbers_do_not_look_like_national_ids() {
        let born_2007 = with_luhn("070101000");
        let hyphenated = format!("{}-{}", &born_2007[..6], &born_2007[6..]);
        for (text, expected) in [
            ("198507099805", true),
            (" 8507099805 ", true),
            ("8507699802", true),
            ("131052-308t", true),
            ("010203A9024", true),
            (hyphenated.as_str(), true),
            (born_2007.as_str(), false),
            ("0701740605", false),
            ("+46701740605", false),
            ("198507099806", false),
            ("131052-308A", false),
            ("999888777", false),
            ("SHOP-55501", false),
            ("alva.testsson@example.com", false),
        ] {
            assert_eq!(NationalId::looks_like(text, TODAY), expected, "{text:?}");
        }
        assert!(canonical(&born_2007, true).is_some());
    }

    #[test]
    fn debug_is_redacted() {
        let id = NationalId::parse("198507099805", true, TODAY);
        assert_eq!(format!("{id:?}"), "Some(NationalId(…))");
    }

    proptest! {
        #[test]
        fn spellings_of_one_personnummer_are_one_key(
            year in 1927..2026_i16, month in 1..=12_u8, day in 1..=28_u8, raised: bool, number in 0..1000_u16,
        ) {
            let written = if raised { day + 60 } else { day };
            let ten = with_luhn(&format!("{:02}{month:02}{written:02}{number:03}", year % 100));
            let (date, number) = ten.split_at(6);
            let century = year / 100;
            let spellings = [
                ten.clone(),
                format!("{date}-{number}"),
                format!("{century}{ten}"),
                format!("{century}{date}-{number}"),
            ];
            let keys: Option<HashSet<_>> =
                spellings.iter().map(|text| NationalId::parse(text, true, TODAY)).collect();
            prop_assert_eq!(keys.map(|keys| keys.len()), Some(1));
        }

        #[test]
        fn case_makes_no_difference_to_a_finnish_code(
            day in 1..=28_u8, month in 1..=12_u8, year in 32..=99_u8, sign in "[+U-Y-]", number in 2..1000_u16,
        ) {
            let digits = format!("{day:02}{month:02}{year:02}{number:03}");
            let remainder = digits.parse::<usize>().expect("nine digits") % 31;
            let check = char::from(FINNISH_CHECKS[remainder]);
            let text = format!("{}{sign}{}{check}", &digits[..6], &digits[6..]);
            let spellings = [text.to_ascii_lowercase(), text.clone()];
            let keys: Option<HashSet<_>> =
                spellings.iter().map(|text| NationalId::parse(text, true, TODAY)).collect();
            prop_assert_eq!(keys.map(|keys| keys.len()), Some(1));
        }

        #[test]
        fn reading_the_canonical_form_changes_nothing(
            text in "([0-9]{2}|19|20)?[0-9]{2}(0[1-9]|1[0-2])[0-9]{2}[-+A-FU-Y]?[0-9]{3}[0-9A-Y]", check: bool,
        ) {
            if let Some(id) = NationalId::parse(&text, check, TODAY) {
                prop_assert_eq!(NationalId::parse(id.expose(), check, TODAY), Some(id));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), check: bool, year in -9999..=9999_i16) {
            let _ = NationalId::parse(&text, check, date(year, 2, 28));
            let _ = NationalId::parse("8507099805", check, date(year, 2, 28));
            let _ = NationalId::looks_like(&text, TODAY);
        }
    }
}
