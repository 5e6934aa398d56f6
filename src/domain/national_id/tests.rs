use std::collections::HashSet;

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::{Country, NationalId, finnish::CHECKS, swedish::has_luhn_check};

const TODAY: Date = date(2026, 3, 1);

fn canonical(text: &str, check_digits: bool) -> Option<String> {
    NationalId::parse(text, check_digits, None, TODAY).map(|id| id.expose().to_owned())
}

/// Appends the Luhn digit to nine digits.
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
fn inner_blanks_and_other_hyphens_are_accepted_for_unknown_kinds() {
    for text in [
        "850709 9805",
        "1985 07 09 - 9805",
        "850709\u{2011}9805",
        "19850709\u{a0}\u{2013} 9805",
    ] {
        assert_eq!(canonical(text, true), None, "{text:?}");
        let id = NationalId::parse_unless_mobile(text, true, None, TODAY);
        let found = id.as_ref().map(NationalId::expose);
        assert_eq!(found, Some("198507099805"), "{text:?}");
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
    let old = NationalId::parse("150390-901C", true, None, TODAY);
    assert_ne!(old, NationalId::parse("150390Y901C", true, None, TODAY));
}

#[test]
fn wrong_check_digits_are_refused_if_verified() {
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
fn impossible_dates_and_forms_are_refused() {
    let swedish = "- abc 12 1985 850709 85070998051 1985070998051 198513099805 198502299805 \
        198507009805 198507929805 198513619805 850709--9805 8507-099805 178507099805 203001011234 \
        000101010000 19850709980\u{663} å507099805";
    let finnish = "311152-308T 130052-308T 131052G308T 131052T308T 131052-308G 131052-308I \
        131052-3O8T 131035A308T 131052-308 131052-308TT 131052--08T 1310å-308T 1310520308T";
    let texts = swedish.split(' ').chain(finnish.split(' '));
    for text in texts.chain([
        "",
        " ",
        "850709_9805",
        "850709 9805",
        "850709- 9805",
        "8507099805\u{ad}",
    ]) {
        assert_eq!(canonical(text, false), None, "{text:?}");
    }
}

#[test]
fn century_follows_from_age_and_plus_sign() {
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
        let id = NationalId::parse(text, false, None, today);
        let found = id.as_ref().map(|id| &id.expose()[..8]);
        assert_eq!(found, born, "{text:?} on {today}");
    }
}

#[test]
fn check_digit_decides_between_countries() {
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
fn possible_coordination_number_is_finnish_unless_sweden_is_set() {
    use Country::{Finland, Sweden};
    let plain = with_luhn("010203902");
    let plain = format!("{}-{}", &plain[..6], &plain[6..]);
    for (text, check_digits, country, expected) in [
        // Both check digits are right.
        ("010672-9346", true, None, "010672-9346"),
        ("010672-9346", false, None, "010672-9346"),
        ("010672-9346", true, Some(Finland), "010672-9346"),
        ("010672-9346", true, Some(Sweden), "200106729346"),
        // Not a Finnish code without the sign.
        ("0106729346", true, Some(Finland), "200106729346"),
        // Only one is right: the country is ignored.
        ("010203-9024", true, Some(Sweden), "010203-9024"),
        (
            &plain,
            true,
            Some(Finland),
            &format!("20{}", plain.replace('-', "")),
        ),
        // Neither is.
        ("010203-9020", false, Some(Finland), "010203-9020"),
        ("010672-9340", false, None, "200106729340"),
        ("010672-9340", false, Some(Finland), "010672-9340"),
        ("010672-9340", false, Some(Sweden), "200106729340"),
    ] {
        let id = NationalId::parse(text, check_digits, country, TODAY);
        let found = id.as_ref().map(NationalId::expose);
        assert_eq!(found, Some(expected), "{text:?} {country:?}");
    }
}

#[test]
fn coordination_numbers_may_omit_month_and_day() {
    for nine in [
        "850760980",
        "850060980",
        "850061980",
        "850291980",
        "850491980",
        "001260980",
    ] {
        let ten = with_luhn(nine);
        let century = if nine.starts_with("00") { "20" } else { "19" };
        let expected = format!("{century}{ten}");
        let spellings = [
            ten.clone(),
            expected.clone(),
            format!("{}-{}", &ten[..6], &ten[6..]),
        ];
        for text in spellings {
            assert_eq!(
                canonical(&text, true).as_deref(),
                Some(&*expected),
                "{text}"
            );
            assert!(NationalId::looks_like(&text, TODAY), "{text}");
        }
    }
    for text in [
        "198513619805",
        "198507929805",
        "198500009805",
        "198500319805",
        "202700609805",
    ] {
        assert_eq!(canonical(text, false), None, "{text}");
    }
}

#[test]
fn other_spellings_and_reserve_numbers_look_like_national_ids() {
    for text in [
        "850709 9805",
        "8507 0998 05",
        "19 85 07 09 98 05",
        "19850709 - 9805",
        "850709\u{2212}9805",
        "131052 -308T",
        "19850709T805",
        "850709-T805",
        "850709 l805",
        "000101-R220",
    ] {
        assert!(NationalId::looks_like(text, TODAY), "{text:?}");
    }
    for text in [
        "0701 01 00 01",
        "850709-Q805",
        "851309-T805",
        "850709-TT05",
        "850-709 9805",
        "031-110 12 34",
    ] {
        assert!(!NationalId::looks_like(text, TODAY), "{text:?}");
    }
}

#[test]
fn field_has_every_possible_reading() {
    let readings = |text: &str| {
        let mut readings: Vec<_> = NationalId::readings(text)
            .iter()
            .map(|id| id.expose().to_owned())
            .collect();
        readings.sort_unstable();
        readings
    };
    for (text, expected) in [
        ("198507099805", &["198507099805"][..]),
        ("19850709-9806", &["198507099806"]),
        ("850709-9805", &["198507099805", "208507099805"]),
        ("850709 9805", &["198507099805", "208507099805"]),
        ("850709+9805", &["188507099805", "198507099805"]),
        ("131052-308t", &["131052-308T"]),
        (
            "010672-9346",
            &["010672-9346", "190106729346", "200106729346"],
        ),
        ("19850709-****", &[]),
        ("850709-980", &[]),
        ("131052?308T", &[]),
        ("", &[]),
    ] {
        assert_eq!(readings(text), expected, "{text:?}");
    }
    // A code without a sign may be of any century.
    assert!(readings("131052308T").contains(&"131052-308T".to_owned()));
    assert!(readings("150390901C").contains(&"150390Y901C".to_owned()));
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
    let id = NationalId::parse("198507099805", true, None, TODAY);
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
            spellings.iter().map(|text| NationalId::parse(text, true, Some(Country::Sweden), TODAY)).collect();
        prop_assert_eq!(keys.map(|keys| keys.len()), Some(1));
    }

    #[test]
    fn case_makes_no_difference_to_a_finnish_code(
        day in 1..=28_u8, month in 1..=12_u8, year in 32..=99_u8, sign in "[+U-Y-]", number in 2..1000_u16,
    ) {
        let digits = format!("{day:02}{month:02}{year:02}{number:03}");
        let remainder = digits.parse::<usize>().expect("nine digits") % 31;
        let check = char::from(CHECKS[remainder]);
        let text = format!("{}{sign}{}{check}", &digits[..6], &digits[6..]);
        let spellings = [text.to_ascii_lowercase(), text.clone()];
        let keys: Option<HashSet<_>> =
            spellings.iter().map(|text| NationalId::parse(text, true, None, TODAY)).collect();
        prop_assert_eq!(keys.map(|keys| keys.len()), Some(1));
    }

    #[test]
    fn reading_the_canonical_form_changes_nothing(
        text in "([0-9]{2}|19|20)?[0-9]{2}(0[1-9]|1[0-2])[0-9]{2}[-+A-FU-Y]?[0-9]{3}[0-9A-Y]", check: bool,
    ) {
        if let Some(id) = NationalId::parse(&text, check, None, TODAY) {
            prop_assert_eq!(NationalId::parse(id.expose(), check, None, TODAY), Some(id));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), check: bool, year in -9999..=9999_i16) {
        let _ = NationalId::parse(&text, check, None, date(year, 2, 28));
        let _ = NationalId::parse("8507099805", check, None, date(year, 2, 28));
        let _ = NationalId::looks_like(&text, TODAY);
    }
}
