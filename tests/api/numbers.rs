//! Numbers are exact from end to end or left out: points, money, percentages and tenant attributes.

use engage_simulator::{Endpoint, fixtures::BO};

use crate::{
    forms::{GUID, answer_with, assert_incomplete, fresh},
    harness::{Answer, TestApp},
};

/// A number as Engage may write it, and as we return it; `None` if it cannot be returned exactly.
const NUMBERS: [(&str, Option<&str>); 29] = [
    ("0.1", Some("0.1")),
    ("250", Some("250")),
    ("250.0000", Some("250.0000")),
    ("249.99", Some("249.99")),
    ("0", Some("0")),
    ("-12.50", Some("-12.50")),
    ("0.30000000000000004", Some("0.30000000000000004")),
    ("9007199254740993", Some("9007199254740993")),
    (
        "12345678901234567890.12345",
        Some("12345678901234567890.12345"),
    ),
    (
        "79228162514264337593543950335",
        Some("79228162514264337593543950335"),
    ),
    (
        "0.0000000000000000000000000001",
        Some("0.0000000000000000000000000001"),
    ),
    ("1e2", Some("100")),
    ("1.25E1", Some("12.5")),
    ("25e-1", Some("2.5")),
    (r#""0.1""#, Some("0.1")),
    (r#""250.0000""#, Some("250.0000")),
    (r#"" 17.5 ""#, Some("17.5")),
    (r#""-3""#, Some("-3")),
    // More digits than a decimal holds: rounding would be wrong.
    ("79228162514264337593543950336", None),
    ("0.00000000000000000000000000001", None),
    ("0.12345678901234567890123456789012e1", None),
    ("1e-29", None),
    ("1e400", None),
    (r#""250,00""#, None),
    (r#""1_000""#, None),
    (r#""many""#, None),
    (r#""""#, None),
    ("true", None),
    ("[1]", None),
];

/// Asserts that the answer contains `before` and exactly this number, or that the item is left out.
#[track_caller]
fn assert_exact(answer: &Answer, part: &str, before: &str, written: &str, expected: Option<&str>) {
    let Some(expected) = expected else {
        return assert_incomplete(answer, part, 0, written);
    };
    let text = answer.assert_ok().text();
    let exact = [',', '}'].map(|end| format!("{before}{expected}{end}"));
    let is_there = exact.iter().any(|exact| text.contains(exact));
    assert!(is_there, "{written} became {text}");
}

#[tokio::test]
async fn balances_are_exact_or_left_out() {
    let app = TestApp::spawn().await;
    for (written, expected) in NUMBERS {
        let account = format!(r#"[{{"definitionId":1,"balance":{written},"pendingPoints":0.1}}]"#);
        answer_with(&app, Endpoint::PointAccounts, account);
        let answer = app.get(&fresh("points")).await;
        assert_exact(
            &answer,
            "points",
            r#""points":{"balance":"#,
            written,
            expected,
        );
        if expected.is_some() {
            assert!(answer.text().contains(r#""pending":0.1,"#));
        }
    }
    answer_with(&app, Endpoint::PointAccounts, r#"[{"definitionId":1}]"#);
    assert_incomplete(&app.get(&fresh("points")).await, "points", 0, "no balance");
}

#[tokio::test]
async fn voucher_amounts_are_exact_or_left_out() {
    let app = TestApp::spawn().await;
    for (written, expected) in NUMBERS {
        let money = format!(r#"{{"amount":{written},"currency":"SEK"}}"#);
        for voucher in [
            format!(r#"{{"id":"{GUID}","value":{money}}}"#),
            format!(r#"{{"id":"{GUID}","value":null,"localValues":[{money}]}}"#),
        ] {
            let page = format!(r#"{{"items":[{voucher}],"totalCount":1}}"#);
            answer_with(&app, Endpoint::Vouchers, page);
            let answer = app.get(&fresh("vouchers")).await;
            assert_exact(&answer, "vouchers", r#"{"amount":"#, written, expected);
        }
    }
}

#[tokio::test]
async fn offer_values_are_exact_or_left_out() {
    let app = TestApp::spawn().await;
    for (written, expected) in NUMBERS {
        let money = format!(r#"{{"amount":{written},"currency":"SEK"}}"#);
        for (kind, value, before) in [
            ("PERCENT", written, r#""value":"#),
            ("money", &money, r#""value":{"amount":"#),
        ] {
            let offer = format!(r#"{{"type":"POS","valueType":"{kind}","value":{value}}}"#);
            let promotions = format!(r#"[{{"id":"{GUID}","redemptionChannels":[{offer}]}}]"#);
            answer_with(&app, Endpoint::Promotions, promotions);
            let answer = app.get(&fresh("promotions")).await;
            assert_exact(&answer, "promotions", before, written, expected);
        }
    }
}

#[tokio::test]
async fn points_to_next_level_and_tenant_attributes_keep_their_digits() {
    let app = TestApp::spawn().await;
    let attributes = r#"{"bonusBasedLevel":"Gold","bonusBasedLevelLeftForUpgrade":0.10,
        "spent":250.0000,"tiny":1e-40,"big":123456789012345678901234567890.5}"#;
    let body = format!(r#"{{"id":"{}","attributes":{attributes}}}"#, BO.id);
    answer_with(&app, Endpoint::Overview, body);
    let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
    for exact in [
        r#""pointsToNext":0.10"#,
        r#""spent":250.0000"#,
        r#""tiny":1e-40"#,
        r#""big":123456789012345678901234567890.5"#,
    ] {
        assert!(answer.assert_ok().text().contains(exact), "{exact}");
    }
}
