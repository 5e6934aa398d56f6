use std::collections::HashSet;

use proptest::prelude::*;

use super::{Email, EmailError};

#[test]
fn addresses_are_trimmed_and_lower_cased() {
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
fn other_text_is_malformed() {
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
fn text_outside_ascii_has_errors_of_its_own() {
    for text in [
        "alva@exämpel.example",
        "alva@example.com\u{a0}",
        "a@b@\u{e5}",
    ] {
        assert_eq!(
            Email::parse(text),
            Err(EmailError::DomainNotAscii),
            "{text:?}"
        );
    }
    for text in [
        "\u{212a}alva@example.com",
        "ſtina@example.com",
        "groß@example.com",
        "älva@exämpel.example",
        "å",
    ] {
        assert_eq!(Email::parse(text), Err(EmailError::NotAscii), "{text:?}");
    }
}

#[test]
fn field_is_read_in_every_common_form() {
    let read = |text: &str| Email::read_field(text);
    for (text, readings) in [
        (" Alva@Example.com\u{a0}", &["alva@example.com"][..]),
        ("mailto:alva@example.com", &["alva@example.com"]),
        ("\"alva@example.com\"", &["alva@example.com"]),
        ("‘alva@example.com’", &["alva@example.com"]),
        ("Alva Testsson <alva@example.com>", &["alva@example.com"]),
        (
            "\"Testsson, Alva\" <alva@example.com>",
            &["alva@example.com"],
        ),
        ("<mailto:alva@example.com>", &["alva@example.com"]),
        ("anna@räksmörgås.se", &["anna@xn--rksmrgs-5wao1o.se"]),
        ("ANNA@RÄKSMÖRGÅS.SE", &["anna@xn--rksmrgs-5wao1o.se"]),
        (
            "a@example.com;b@example.com",
            &["a@example.com", "b@example.com"],
        ),
        (
            "a@example.com, B <b@example.com>",
            &["a@example.com", "b@example.com"],
        ),
        (
            "a@example.com / b@example.com",
            &["a@example.com", "b@example.com"],
        ),
        (
            "a@example.com or b@example.com",
            &["a@example.com", "b@example.com"],
        ),
        (
            "a@example.com b@example.com",
            &["a@example.com", "b@example.com"],
        ),
    ] {
        let value = read(text);
        let found: Vec<_> = value.readings().iter().map(Email::as_str).collect();
        assert_eq!(found, readings, "{text:?}");
    }
    for text in [
        "andré.person@shop.example",
        "andré person@shop.example",
        "andré,person@shop.example",
        "al\u{ad}va@example.com",
        "alva@exam\u{ad}ple.com",
        "ａlva@example.com",
        "alva@ｅxample.com",
        "\u{430}lva@example.com",
        "a***@example.com",
        "alva@***.com",
        "\"alva\"@example.com",
        "alva@example.com; x",
        "alva@exampl\u{fffd}.com",
        "alva",
    ] {
        let value = read(text);
        let is_misread = value
            .readings()
            .iter()
            .any(|email| matches!(email.as_str(), "alva@example.com" | "person@shop.example"));
        assert!(!is_misread, "{text:?}");
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
