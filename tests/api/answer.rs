//! The contents of the customer answer: exact names and numbers, times in UTC, contactability.

use std::collections::BTreeSet;

use engage_bff::config::ApiVersion;
use engage_simulator::{
    Endpoint, VoucherSeed,
    fixtures::{ALVA, BO, CIM},
};
use serde_json::{Value, json};

use crate::harness::{API, POINTS_CALLS, TestApp};

const VOUCHER: &str = "8d31c000-2009-4c22-b002-b2d200c00009";

/// Asserts that the object has these members with these values, the members that `others` names, and no others.
#[track_caller]
fn assert_members(found: &Value, expected: &Value, others: &[&str]) {
    let expected = expected.as_object().expect("an object");
    for (key, expected) in expected {
        assert_eq!(&found[key], expected, "{key}");
    }
    let found = found.as_object().expect("an object").keys();
    let found: BTreeSet<_> = found.map(String::as_str).collect();
    let known = expected.keys().map(String::as_str);
    assert_eq!(found, known.chain(others.iter().copied()).collect());
}

#[tokio::test]
async fn complete_contact_has_every_field() {
    let app = TestApp::spawn().await;
    let answer = app.get(&format!("email={}", ALVA.email)).await.json();
    let accounts = match API {
        // The overview has a balance alone.
        ApiVersion::V2 => json!([
            {"definitionId": null, "name": null, "balance": 317.5, "pending": null, "expiresOn": null},
        ]),
        ApiVersion::V3 => json!([
            {"definitionId": "1", "name": null, "balance": 317.5, "pending": 40, "expiresOn": "2026-12-31T12:00:00.000Z"},
            {"definitionId": "2", "name": null, "balance": 0, "pending": 0, "expiresOn": null},
        ]),
    };
    let expected = json!({
        "contactId": ALVA.id,
        "contactType": "Member",
        "preferences": {"acceptsEmail": true, "acceptsSms": true, "acceptsPostal": false},
        "consents": [
            {"id": "memberTerms", "given": true, "date": "2024-04-09T12:00:00.000Z"},
            {"id": "profiling", "given": false, "date": "2025-01-16T12:00:00.000Z"},
        ],
        "audiences": [
            {"id": "a11d0000-0000-4000-8000-ffff006a0001", "name": "Svenska medlemmar"},
            {"id": "a11d0001-0000-4000-8000-aaaa006c0002", "name": "Gold"},
        ],
        "contactability": {
            "email": {"address": ALVA.email, "status": "ok", "accepted": true, "warnings": []},
            "sms": {"number": ALVA.phone, "status": "ok", "accepted": true, "warnings": []},
            "postal": {"status": "ok", "accepted": false, "warnings": []},
        },
        "points": {"balance": 317.5, "accounts": accounts},
        "expiringSoon": [{
            "kind": "promotion", "id": "7c20b000-1003-4b11-a001-b2d100b00003", "name": "Förköp",
            "expiresOn": "2026-12-01T12:00:00.000Z", "code": null, "definitionId": null, "amount": null,
        }],
        "pointTransactions": null,
        "redeemedVouchers": null,
        "purchases": null,
        "degraded": [],
    });
    // `offers` compares the items of the lists.
    let others = ["freshness", "profile", "promotions", "vouchers"];
    assert_members(&answer, &expected, &others);
    assert_eq!(answer["promotions"].as_array().map(Vec::len), Some(3));
    assert_eq!(answer["vouchers"].as_array().map(Vec::len), Some(2));
    for part in ["profile", "audiences", "promotions", "vouchers", "points"] {
        let fetched = json!({"asOf": "2026-11-23T12:00:00.000Z"});
        assert_eq!(answer["freshness"][part], fetched, "{part}");
    }
    let exact = |written: &str| -> Value { serde_json::from_str(written).expect("a number") };
    let profile = json!({
        "firstName": "Alva", "lastName": "Testsson", "email": ALVA.email, "mobilePhone": ALVA.phone,
        "address": {"street": "Provgatan 12", "careOf": null, "zipCode": "123 45", "city": "Exempelstad", "countryCode": "SE"},
        "protected": false, "birthDay": "1985-07-09", "language": "sv", "memberNumber": ALVA.member_number,
        "level": {"name": "Gold", "points": 3749.5, "threshold": exact("5000.0"), "pointsToNext": 1250.5,
                  "expiresOn": "2027-02-28T12:00:00.000Z"},
        "homeStore": {"id": "11c0a1b2-7d3e-4a5f-9b60-b1aa00000101", "name": "Exempelstad City", "externalId": "1001"},
        "memberSince": "2024-04-09T12:00:00.000Z",
    });
    assert_members(&answer["profile"], &profile, &["attributes"]);
}

#[tokio::test]
async fn points_from_their_endpoint_have_every_account_field() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let answer = app.get(&format!("email={}", ALVA.email)).await;
    assert_eq!(
        answer.assert_ok().at("/points"),
        json!({"balance": 317.5, "accounts": [
            {"definitionId": "1", "name": null, "balance": 317.5, "pending": 40, "expiresOn": "2026-12-31T12:00:00.000Z"},
            {"definitionId": "2", "name": null, "balance": 0, "pending": 0, "expiresOn": null},
        ]})
    );
}

#[tokio::test]
async fn numbers_keep_the_exact_digits_from_engage() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.engage
        .contact(ALVA.id)
        .points("0.1")
        .points_of(2, "12345678901234567890.12345")
        .add_voucher(VoucherSeed::worth("250.0000", "SEK").id(VOUCHER));
    let query = format!("email={}", ALVA.email);
    for query in [query.clone(), format!("{query}&fresh=all")] {
        let answer = app.get(&query).await;
        let text = answer.assert_ok().text();
        for exact in [
            r#""points":{"balance":0.1,"#,
            r#""balance":12345678901234567890.12345,"#,
            r#"{"amount":250.0000,"currency":"SEK"}"#,
            r#"{"amount":148.5,"currency":"NOK"}"#,
            r#"{"amount":95.5,"currency":"NOK"}"#,
            r#""points":3749.5,"threshold":5000.0,"pointsToNext":1250.5"#,
        ] {
            assert!(text.contains(exact), "{exact} in {text}");
        }
    }
}

#[tokio::test]
async fn level_has_engages_values_and_the_exact_threshold() {
    let unknown = Value::Null;
    for (points, left, expected) in [
        (json!(10), json!(20), json!([10, 30, 20])),
        (json!("10"), json!("20"), json!([10, 30, 20])),
        (json!(10), json!(0), json!([10, unknown, 0])),
        (json!(10), Value::Null, json!([10, unknown, unknown])),
        (json!(10), json!("many"), json!([10, unknown, unknown])),
        (Value::Null, json!(20), json!([unknown, unknown, 20])),
        (json!({"sum": 10}), json!(20), json!([unknown, unknown, 20])),
    ] {
        let app = TestApp::spawn().await;
        app.engage
            .contact(BO.id)
            .attribute("bonusBasedLevel", json!("Gold"))
            .attribute("memberLevelsBonusPoints", points.clone())
            .attribute("bonusBasedLevelLeftForUpgrade", left);
        let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
        let level = answer.assert_ok().at("/profile/level");
        let found = json!([level["points"], level["threshold"], level["pointsToNext"]]);
        assert_eq!(found, expected, "{points}");
        assert_eq!(answer.at("/degraded"), json!([]));
        let attributes = answer.at("/profile/attributes");
        assert!(attributes.get("memberLevelsBonusPoints").is_none());
    }
}

#[tokio::test]
async fn protected_identity_is_flagged_in_both_views_and_fails_closed() {
    for (flag, expected) in [
        (json!(true), true),
        (json!("yes"), true),
        (json!({}), true),
        (json!(false), false),
        (Value::Null, false),
    ] {
        let app = TestApp::spawn().await;
        app.engage
            .contact(BO.id)
            .attribute("secrecyMarked", flag.clone());
        for view in ["full", "storefront"] {
            let query = format!("contactId={}&view={view}&parts=none", BO.id);
            let answer = app.get(&query).await;
            assert_eq!(
                answer.assert_ok().at("/profile/protected"),
                expected,
                "{flag}"
            );
        }
    }
}

#[tokio::test]
async fn times_are_utc_with_milliseconds_and_default_to_swedish_time() {
    let app = TestApp::spawn().await;
    for (written, expected) in [
        ("2026-12-31T07:12:44+01:00", "2026-12-31T06:12:44.000Z"),
        (
            "2026-12-31T07:12:44.1234567+01:00",
            "2026-12-31T06:12:44.123Z",
        ),
        ("2026-12-31T06:12:44.123Z", "2026-12-31T06:12:44.123Z"),
        ("2026-12-31T06:12:44Z", "2026-12-31T06:12:44.000Z"),
        ("2026-12-31T07:12:44", "2026-12-31T06:12:44.000Z"),
        ("2026-12-31T07:12:44.12345", "2026-12-31T06:12:44.123Z"),
        ("2027-07-01T00:00:00", "2027-06-30T22:00:00.000Z"),
    ] {
        let voucher = VoucherSeed::worth("1", "SEK")
            .id(VOUCHER)
            .expires_on(written);
        app.engage.contact(BO.id).add_voucher(voucher);
        let answer = app
            .get(&format!(
                "contactId={}&fresh=vouchers&parts=vouchers",
                BO.id
            ))
            .await;
        assert_eq!(answer.at("/vouchers/0/expiresOn"), expected, "{written}");
        app.engage.contact(BO.id).remove_voucher(VOUCHER);
    }
}

#[tokio::test]
async fn attributes_that_are_times_are_utc_and_others_verbatim() {
    let app = TestApp::spawn().await;
    let cases = [
        ("2026-12-31T07:12:44+01:00", "2026-12-31T06:12:44.000Z"),
        (
            "2026-12-31T07:12:44.1234567+01:00",
            "2026-12-31T06:12:44.123Z",
        ),
        ("2026-12-31T06:12:44Z", "2026-12-31T06:12:44.000Z"),
        ("2026-07-01T07:12:44", "2026-07-01T05:12:44.000Z"),
        ("2026-07-01T00:00:00+02:00", "2026-06-30T22:00:00.000Z"),
        // Dates, and values that are not times.
        ("2026-12-31", "2026-12-31"),
        ("2026-12-31T00:00:00", "2026-12-31T00:00:00"),
        ("2026-12-31 07:12:44", "2026-12-31 07:12:44"),
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
        ("9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59.9999999"),
        ("2026-13-31T07:12:44Z", "2026-13-31T07:12:44Z"),
        (
            "2026-12-31T07:12:44+01:00, twice",
            "2026-12-31T07:12:44+01:00, twice",
        ),
        ("2026-12-31T", "2026-12-31T"),
        ("åäöåäöåäöåT7:12", "åäöåäöåäöåT7:12"),
    ];
    for (number, (written, _)) in cases.iter().enumerate() {
        let key = format!("custom{number}");
        app.engage.contact(BO.id).attribute(&key, json!(written));
    }
    let nested = json!({"at": "2026-12-31T06:12:44Z", "all": ["2026-12-31T06:12:44Z"], "n": 1.50});
    app.engage
        .contact(BO.id)
        .attribute("nested", nested.clone());
    let query = format!("contactId={}&view=full", BO.id);
    for query in [query.clone(), format!("{query}&fresh=profile")] {
        let attributes = app.get(&query).await.assert_ok().at("/profile/attributes");
        for (number, (written, expected)) in cases.iter().enumerate() {
            assert_eq!(
                attributes[format!("custom{number}")],
                *expected,
                "{written}"
            );
        }
        assert_eq!(attributes["nested"], nested);
    }
}

#[tokio::test]
async fn times_without_a_zone_use_the_configured_zone() {
    let app = TestApp::with(|config| config.engage.time_zone = "Europe/Helsinki".to_owned()).await;
    let voucher = VoucherSeed::worth("1", "SEK").expires_on("2026-12-31T07:12:44");
    app.engage.contact(BO.id).add_voucher(voucher);
    let answer = app
        .get(&format!(
            "contactId={}&fresh=vouchers&parts=vouchers",
            BO.id
        ))
        .await;
    let expected = "2026-12-31T05:12:44.000Z";
    assert_eq!(answer.at("/vouchers/0/expiresOn"), expected);
}

#[tokio::test]
async fn balances_of_different_definitions_are_not_summed() {
    let app = TestApp::spawn().await;
    let query = |id: &str| format!("contactId={id}&parts=points&fresh=points");
    // The default definition's balance, although there are two accounts.
    app.engage.contact(ALVA.id).points_of(2, "1000");
    let answer = app.get(&query(ALVA.id)).await;
    assert_eq!(answer.at("/points/balance"), json!(317.5));
    // The only account's balance, whatever its definition.
    app.engage.contact(BO.id).points_of(7, "70");
    let answer = app.get(&query(BO.id)).await;
    assert_eq!(answer.at("/points/balance"), json!(70));
    // Two accounts, neither of them the default.
    app.engage.contact(BO.id).points_of(8, "80");
    let answer = app.get(&query(BO.id)).await;
    assert_eq!(answer.at("/points/balance"), Value::Null);
    assert_eq!(
        answer.at("/points/accounts").as_array().map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn contactability_status_is_missing_malformed_warned_or_ok() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}&parts=none", CIM.id);
    let cim = app.get(&query).await;
    assert_eq!(
        cim.at("/contactability/email"),
        json!({"address": CIM.email, "status": "warned", "accepted": false, "warnings":
               [{"id": "invalidEmail", "message": "The e-mail address has bounced"}]})
    );
    assert_eq!(cim.at("/contactability/sms/status"), "ok");
    assert_eq!(cim.at("/contactability/sms/warnings"), json!([]));
    assert_eq!(cim.at("/contactability/postal/status"), "missing");
    for (email, status) in [
        (json!(null), "missing"),
        (json!("  "), "missing"),
        (json!("cim.ovan(at)example.com"), "malformed"),
        (json!("cim@example.com"), "warned"),
    ] {
        app.engage.contact(CIM.id).attribute("email", email.clone());
        let answer = app.get(&format!("{query}&fresh=profile")).await;
        assert_eq!(answer.at("/contactability/email/status"), status, "{email}");
    }
    let warnings =
        json!([{"id": "phoneInvalid", "message": null}, {"id": null, "message": "E-mail?"}]);
    app.engage
        .contact(CIM.id)
        .attribute("mobilePhone", json!("12"))
        .warnings(warnings)
        .preferences(json!({"acceptsSms": true}));
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    let answer = app.get(&query).await;
    assert_eq!(
        answer.at("/contactability/sms"),
        json!({"number": "12", "status": "malformed", "accepted": true,
               "warnings": [{"id": "phoneInvalid", "message": null}]})
    );
    assert_eq!(answer.at("/contactability/email/status"), "warned");
    app.engage
        .contact(CIM.id)
        .attribute("mobilePhone", json!(CIM.phone))
        .attribute("city", json!("Testås"))
        .warnings(json!([]));
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    let answer = app.get(&query).await;
    for (channel, status) in [("email", "ok"), ("sms", "ok"), ("postal", "ok")] {
        assert_eq!(
            answer.at(&format!("/contactability/{channel}/status")),
            status
        );
    }
}

#[tokio::test]
async fn post_and_get_return_the_same_answer() {
    let app = TestApp::spawn().await;
    let got = app.get(&format!("email={}", ALVA.email)).await;
    let posted = app
        .lookup(json!({"email": ALVA.email, "contactType": "Member"}))
        .await;
    posted.assert_ok().assert_hit();
    assert_eq!(posted.json(), got.json());
    let some = app
        .lookup(json!({"contactId": ALVA.id, "parts": ["points"], "fresh": ["points"]}))
        .await;
    assert_eq!(some.assert_ok().at("/vouchers"), Value::Null);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), POINTS_CALLS + 1);
    let none = app
        .lookup(json!({"contactId": ALVA.id, "parts": [], "fresh": []}))
        .await;
    assert_eq!(none.assert_ok().at("/points"), Value::Null);
}

#[tokio::test]
async fn protected_identity_hides_country_but_not_other_attributes() {
    let app = TestApp::with(|config| {
        let listed = ["country", "shoeSize"];
        config.views.storefront.attributes = listed.map(str::to_owned).to_vec();
    })
    .await;
    for id in [ALVA.id, CIM.id] {
        app.engage
            .contact(id)
            .attribute("country", json!("Sverige"))
            .attribute("shoeSize", json!(38));
    }
    let attributes = async |id: &str| {
        let answer = app.get(&format!("contactId={id}&view=storefront")).await;
        answer.assert_ok().at("/profile/attributes")
    };
    assert_eq!(
        attributes(ALVA.id).await,
        json!({"country": "Sverige", "shoeSize": 38})
    );
    assert_eq!(attributes(CIM.id).await, json!({"shoeSize": 38}));
}
