//! Expiry dates: read in every unambiguous notation, otherwise treated as unreadable.

use std::time::Duration;

use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::{
    forms::{GUID, answer_with, fresh, overview},
    harness::TestApp,
};

/// Makes Engage return one item of the part with this expiry, and requests the part.
async fn answer(app: &TestApp, part: &str, expiry: &Value) -> crate::harness::Answer {
    let (endpoint, body) = match part {
        "vouchers" => (
            Endpoint::Vouchers,
            json!({"items": [{"id": GUID, "expiresOn": expiry}], "totalCount": 1}),
        ),
        "promotions" => (
            Endpoint::Promotions,
            json!([{"id": GUID, "expiresOn": expiry}]),
        ),
        _ => (
            Endpoint::PointAccounts,
            json!([{"definitionId": 1, "balance": 1, "balanceExpires": expiry}]),
        ),
    };
    answer_with(app, endpoint, body.to_string());
    app.get(&fresh(part)).await
}

fn list_of(part: &str) -> &'static str {
    match part {
        "vouchers" => "/vouchers",
        "promotions" => "/promotions",
        _ => "/points/accounts",
    }
}

const PARTS: [&str; 3] = ["vouchers", "promotions", "points"];

#[tokio::test]
async fn expiry_is_read_in_every_unambiguous_notation() {
    let app = TestApp::spawn().await;
    for (written, expected) in [
        (json!("2026-12-31T24:00:00"), "2026-12-31T23:00:00.000Z"),
        (
            json!("2026-12-31T07:12:44.1234567891+01:00"),
            "2026-12-31T06:12:44.123Z",
        ),
        (
            json!("2026-12-31T07:12:44 +01:00"),
            "2026-12-31T06:12:44.000Z",
        ),
        (json!("2026-12-31 06:12:44z"), "2026-12-31T06:12:44.000Z"),
        (json!("2026-12-31t06:12:44z"), "2026-12-31T06:12:44.000Z"),
        (
            json!("2026-12-31T07:12:44+0100"),
            "2026-12-31T06:12:44.000Z",
        ),
        (json!(" 2026-12-31 "), "2026-12-31T23:00:00.000Z"),
        (json!("2027-03-28T02:30:00"), "2027-03-28T01:30:00.000Z"),
    ] {
        for part in PARTS {
            let answer = answer(&app, part, &written).await;
            let found = answer
                .assert_ok()
                .at(&format!("{}/0/expiresOn", list_of(part)));
            assert_eq!(found, expected, "{part} {written}");
            assert_eq!(answer.at("/degraded"), json!([]), "{part} {written}");
        }
    }
}

#[tokio::test]
async fn item_without_expiry_is_shown_without_one() {
    let app = TestApp::spawn().await;
    for written in [
        json!(null),
        json!(""),
        json!("  "),
        json!("0001-01-01T00:00:00"),
        json!("9999-12-31T23:59:59.9999999"),
        json!("9999-12-31T23:59:59Z"),
        json!("9999-12-31"),
    ] {
        for part in PARTS {
            let answer = answer(&app, part, &written).await;
            let found = answer
                .assert_ok()
                .at(&format!("{}/0/expiresOn", list_of(part)));
            assert_eq!(found, Value::Null, "{part} {written}");
            assert_eq!(answer.at("/degraded"), json!([]), "{part} {written}");
        }
    }
}

#[tokio::test]
async fn expired_item_is_left_out_in_every_notation() {
    let app = TestApp::spawn().await;
    for written in [
        "2019-12-31T24:00:00",
        "2019-12-31T12:00:00.1234567891Z",
        "2019-12-31T12:00:00 +01:00",
        "2019-12-31 12:00:00",
        "2019-12-31",
    ] {
        for part in ["vouchers", "promotions"] {
            let answer = answer(&app, part, &json!(written)).await;
            let found = answer.assert_ok().at(list_of(part));
            assert_eq!(found, json!([]), "{part} {written}");
            assert_eq!(answer.at("/degraded"), json!([]), "{part} {written}");
        }
    }
}

#[tokio::test]
async fn item_with_unreadable_expiry_is_left_out_and_degrades_its_part() {
    let app = TestApp::spawn().await;
    for written in [
        json!("2019-02-29T12:00:00Z"),
        json!("2026-02-30"),
        json!("31/12/2026"),
        json!("2026-12-31T24:30:00"),
        json!("soon"),
        json!(1_798_675_200),
        json!(false),
        json!({"date": "2026-12-31"}),
        json!(["2026-12-31"]),
    ] {
        for part in PARTS {
            let answer = answer(&app, part, &written).await;
            let found = answer.assert_ok().at(list_of(part));
            assert_eq!(found, json!([]), "{part} {written}");
            assert_eq!(answer.at("/degraded"), json!([part]), "{part} {written}");
        }
    }
}

#[tokio::test]
async fn earliest_of_several_expiry_keys_in_any_case_counts() {
    let app = TestApp::spawn().await;
    for (keys, shown, degraded) in [
        (r#""ExpiresOn": "2019-12-31""#, 0, json!([])),
        (
            r#""expiresOn": "2027-12-31", "EXPIRESON": "2019-12-31""#,
            0,
            json!([]),
        ),
        (
            r#""expiresOn": "2027-12-31", "expiresOn": "x""#,
            0,
            json!(["vouchers"]),
        ),
        (
            r#""expiresOn": null, "ExpiresOn": "2027-12-31""#,
            1,
            json!([]),
        ),
    ] {
        let page = format!(r#"{{"items": [{{"id": "{GUID}", {keys}}}], "totalCount": 1}}"#);
        answer_with(&app, Endpoint::Vouchers, page);
        let answer = app.get(&fresh("vouchers")).await;
        let found = answer.assert_ok().at("/vouchers");
        assert_eq!(found.as_array().map(Vec::len), Some(shown), "{keys}");
        assert_eq!(answer.at("/degraded"), degraded, "{keys}");
    }
}

#[tokio::test]
async fn date_only_expiry_lasts_to_the_end_of_that_day() {
    let app = TestApp::spawn().await;
    // Midnight in Stockholm is eleven hours away.
    for part in ["vouchers", "promotions"] {
        let answer = answer(&app, part, &json!("2026-11-23")).await;
        let expires_on = answer
            .assert_ok()
            .at(&format!("{}/0/expiresOn", list_of(part)));
        assert_eq!(expires_on, "2026-11-23T23:00:00.000Z", "{part}");
    }
    app.advance(Duration::from_secs(11 * 3600));
    for part in ["vouchers", "promotions"] {
        let answer = answer(&app, part, &json!("2026-11-23")).await;
        assert_eq!(answer.assert_ok().at(list_of(part)), json!([]), "{part}");
    }
}

#[tokio::test]
async fn level_with_unreadable_expiry_is_null_and_degrades_the_profile() {
    for (end, is_shown) in [
        (json!("2027-02-29"), false),
        (json!("31/12/2026"), false),
        (json!(7), false),
        (json!(null), true),
        (json!("0001-01-01T00:00:00"), true),
        (json!("2027-02-28"), true),
    ] {
        let app = TestApp::spawn().await;
        app.engage
            .contact(ALVA.id)
            .attribute("bonusBasedLevelExpires", end.clone());
        let answer = app.get(&format!("contactId={}", ALVA.id)).await;
        let level = answer.assert_ok().at("/profile/level");
        assert_eq!(level.is_object(), is_shown, "{end}");
        let degraded = if is_shown {
            json!([])
        } else {
            json!(["profile"])
        };
        assert_eq!(answer.at("/degraded"), degraded, "{end}");
    }
}

#[tokio::test]
async fn unreadable_informational_date_is_null_and_not_degraded() {
    for written in [json!("31/12/2026"), json!(7), json!({})] {
        let app = TestApp::spawn().await;
        let more = json!({
            "attributes": {"email": BO.email, "registrationDate": written},
            "consents": [{"id": "terms", "value": true, "date": written}],
        });
        answer_with(&app, Endpoint::Overview, overview(&more));
        let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
        assert_eq!(answer.assert_ok().at("/profile/memberSince"), Value::Null);
        assert_eq!(answer.at("/consents/0/date"), Value::Null);
        assert_eq!(answer.at("/degraded"), json!([]));
    }
}
