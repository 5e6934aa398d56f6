//! Published example numbers: each has one canonical form however it is written, and a sample of them finds its
//! contact.

use engage_bff::domain::{Identifier, IdentifierKind, IdentifierRules};
use jiff::civil::{Date, date};
use serde_json::json;

use crate::harness::TestApp;

const TODAY: Date = date(2026, 11, 23);
const PHONES: &str = include_str!("../fixtures/identifiers/phones.tsv");
const NATIONAL_IDS: &str = include_str!("../fixtures/identifiers/national_ids.tsv");

/// The rows of a table.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let is_row = |line: &&str| !line.is_empty() && !line.starts_with('#');
    table
        .lines()
        .filter(is_row)
        .map(|line| line.split('\t').collect())
}

fn canonical(kind: IdentifierKind, text: &str, region: &str) -> Option<String> {
    let rules = IdentifierRules {
        phone_region: region.parse().expect("a country"),
        check_digits: true,
        national_id_country: None,
    };
    let identifier = Identifier::parse(kind, text, &rules, TODAY).ok()?;
    Some(identifier.expose().into_owned())
}

#[test]
fn every_example_phone_number_has_one_canonical_form() {
    let kind = IdentifierKind::MobilePhone;
    let mut count = 0;
    for row in rows(PHONES) {
        let [region, _, national, international, expected] = row[..] else {
            panic!("five columns: {row:?}");
        };
        for (text, region) in [
            (national, region),
            (international, region),
            (international, "SE"),
            (&*international.replacen('+', "00", 1), "FI"),
            (&*format!("tel:{expected}"), "US"),
        ] {
            let found = canonical(kind, text, region);
            assert_eq!(found.as_deref(), Some(expected), "{text:?} in {region}");
        }
        count += 1;
    }
    assert!(count > 50, "{count}");
}

#[test]
fn every_example_national_id_has_one_canonical_form() {
    let mut count = 0;
    for row in rows(NATIONAL_IDS) {
        let [text, expected, what] = row[..] else {
            panic!("three columns: {row:?}");
        };
        for kind in [IdentifierKind::SocialSecurityNumber, IdentifierKind::Any] {
            let found = canonical(kind, text, "SE");
            assert_eq!(found.as_deref(), Some(expected), "{text:?}: {what}");
        }
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[tokio::test]
async fn example_phone_numbers_find_their_contacts_in_both_forms() {
    for region in ["SE", "NO", "PL", "GB"] {
        let app =
            TestApp::with(|config| region.clone_into(&mut config.identifiers.phone_region)).await;
        for row in rows(PHONES).filter(|row| row[0] == region && row[1] == "mobile") {
            let [_, _, national, international, expected] = row[..] else {
                panic!("five columns: {row:?}");
            };
            let id = app
                .engage
                .create(json!({"mobilePhone": expected}), "Member");
            for text in [national, international] {
                let answer = app.lookup(json!({"mobilePhone": text})).await;
                assert_eq!(answer.assert_ok().at("/contactId"), id, "{text:?}");
            }
        }
    }
}

#[tokio::test]
async fn example_national_ids_find_their_contacts() {
    let app = TestApp::spawn().await;
    for text in [
        "189001019802",
        "198500609808",
        "010594Y9032",
        "020516C903K",
        "200106729346",
    ] {
        let id = app
            .engage
            .create(json!({"socialSecurityNumber": text}), "Member");
        for kind in ["socialSecurityNumber", "any"] {
            let answer = app.lookup(json!({ kind: text })).await;
            assert_eq!(answer.assert_ok().at("/contactId"), id, "{text:?}");
        }
    }
}
