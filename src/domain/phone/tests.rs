use std::collections::HashSet;

use phonenumber::country::{self, Id};
use proptest::prelude::*;

use super::{DATABASE, Phone, PhoneReading, calling_code_length, is_swedish_mobile};
use crate::domain::FieldValue;

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
        ("\t070-174 06 05\r\n", country::SE, "+46701740605"),
        ("\u{202d}070-174 06 05\u{202c}", country::SE, "+46701740605"),
        (
            "\u{200e}+46\u{2011}70\u{2012}174\u{2013}06\u{2212}05",
            country::SE,
            "+46701740605",
        ),
        (
            "070\u{2010}174\u{202f}06\u{2009}05",
            country::SE,
            "+46701740605",
        ),
        ("tel:+46-70-174-06-05", country::SE, "+46701740605"),
        ("TEL:0701740605", country::SE, "+46701740605"),
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
fn zero_that_is_part_of_the_number_is_kept() {
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
fn unassigned_international_numbers_are_accepted() {
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
fn other_text_is_refused() {
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
        "tel:",
        "tel:tel:+46701740605",
        "-46701740605",
        "\u{2212}46701740605",
        " \u{2013} 0701740605",
        "(-46)701740605",
        "+-46701740605",
        "tel:-46701740605",
        "+1 800 FLOWERS",
        "+4670174",
        "+4670174060512345",
        "+0701740605",
        "+0046701740605",
        "000701740605",
        "+46 (0)12345",
        "070174060512",
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
fn zone_rule_agrees_with_every_assigned_calling_code() {
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
fn national_number_may_begin_like_the_calling_code() {
    for (text, region, expected) in [
        ("47 00 00 00", country::NO, "+4747000000"),
        ("4747000000", country::NO, "+4747000000"),
        ("+47 47 00 00 00", country::NO, "+4747000000"),
        ("45 12 34 56", country::DK, "+4545123456"),
        ("48 123 45 67", country::PL, "+48481234567"),
        ("48481234567", country::PL, "+48481234567"),
        ("46701740605", country::SE, "+46701740605"),
        ("0046 12 34 56 78", country::SE, "+4612345678"),
        ("4915123456789", country::DE, "+4915123456789"),
        ("447400123456", country::GB, "+447400123456"),
        ("12025550123", country::US, "+12025550123"),
    ] {
        assert_eq!(
            canonical(text, region).as_deref(),
            Some(expected),
            "{text:?}"
        );
    }
}

#[test]
fn national_number_of_possible_length_is_accepted() {
    for (text, region, expected) in [
        ("0790 00 00 00", country::SE, "+46790000000"),
        ("00 00", country::SE, ""),
        ("99 99 99 99", country::NO, "+4799999999"),
        ("00000000", country::NO, ""),
        ("1", country::NO, ""),
        ("12345", country::GB, ""),
        ("(555) 000-0000", country::US, "+15550000000"),
    ] {
        let expected = Some(expected).filter(|expected| !expected.is_empty());
        assert_eq!(canonical(text, region).as_deref(), expected, "{text:?}");
    }
}

#[test]
fn field_is_compared_in_every_common_form() {
    let requested = Phone::parse("+46701740605", country::SE).expect("a number");
    let compared = |text: &str| {
        let value = PhoneReading::read(text, country::SE);
        let matches = value
            .readings()
            .iter()
            .any(|reading| reading.is(&requested));
        (matches, value == FieldValue::Unreadable)
    };
    for text in [
        "+46701740605",
        "+46 (0)70-174 06 05",
        "0046 70 174 06 05",
        "46701740605",
        "460701740605",
        "0701740605",
        "701740605",
        "070-174 06 05",
        "070\u{2013}1740605",
        "tel:+46701740605",
        "0701740606; 0701740605",
        "070-174 06 06, 070-174 06 05",
        "070-174 06 06 / 070-174 06 05",
        "0701740606 0701740605",
        "0701740606 or 0701740605",
        "+46 70 174 06 06 +46 70 174 06 05",
        "+46701740606/+46701740605",
    ] {
        assert_eq!(compared(text), (true, false), "{text:?}");
    }
    for text in [
        "+46701740606",
        "0701740606",
        "+47701740605",
        "+47 701740605",
        "08-465 004 04",
    ] {
        assert_eq!(compared(text), (false, false), "{text:?}");
    }
    for text in [
        "070-174 ** **",
        "+46701740605 ext 2",
        "070174060\u{ff15}",
        "0701740605\u{ad}",
        "\u{fffd}0701740605",
        "phone",
        "112",
    ] {
        assert_eq!(compared(text), (false, true), "{text:?}");
    }
}

#[test]
fn national_number_in_a_field_may_be_of_any_country() {
    for (text, requested) in [
        ("040 123 4567", "+358401234567"),
        ("06 698 12345", "+390669812345"),
        ("4747000000", "+4747000000"),
        ("47 00 00 00", "+4747000000"),
        ("2025550123", "+12025550123"),
    ] {
        let requested = Phone::parse(requested, country::SE).expect("a number");
        let value = PhoneReading::read(text, country::SE);
        assert!(
            value
                .readings()
                .iter()
                .any(|reading| reading.is(&requested)),
            "{text:?}"
        );
    }
}

#[test]
fn swedish_mobile_numbers_are_recognised_by_form() {
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
