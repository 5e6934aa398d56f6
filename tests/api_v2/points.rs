//! API v2 only: the overview contains the points, as one balance without an account.

use std::time::Duration;

use engage_bff::domain::{Part, PartSet};
use engage_simulator::{
    Endpoint, Fault, VoucherSeed,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp, id};

const LAG: Duration = Duration::from_secs(600);

fn alva() -> String {
    format!("email={}", ALVA.email)
}

/// An overview of Alva with these points among its attributes.
fn overview(points: &str) -> Fault {
    let attributes = format!(r#"{{"email":"{}"{points}}}"#, ALVA.email);
    Fault::Body(format!(
        r#"{{"id":"{}","attributes":{attributes},"bonusChecks":[],"promotions":[]}}"#,
        ALVA.id
    ))
}

/// The balance, exactly as it is written in the response.
#[track_caller]
fn balance(answer: &Answer) -> String {
    let text = answer.assert_ok().text();
    let (_, rest) = text.split_once(r#""points":{"balance":"#).expect("points");
    rest.split(',').next().expect("a number").to_owned()
}

#[tokio::test]
async fn cold_request_costs_one_overview_call() {
    let app = TestApp::spawn().await;
    let answer = app.get(&alva()).await;
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    assert_eq!(app.engage.total_calls(), 1);
    assert_eq!(answer.at("/points/balance"), json!(317.5));
    assert_eq!(answer.at("/vouchers/0/code"), "2511000000017");
    assert_eq!(answer.at("/promotions").as_array().map(Vec::len), Some(3));
    assert_eq!(answer.at("/profile/firstName"), "Alva");
    let attributes = answer.at("/profile/attributes");
    assert!(attributes.get("bonusPoints").is_none(), "{attributes}");
    assert_eq!(answer.at("/degraded"), json!([]));
    app.get(&alva()).await.assert_hit();
    app.get("email=unknown@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn fresh_parts_come_from_the_v2_entity_endpoints() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    app.get(&alva()).await.assert_ok();
    app.engage
        .contact(ALVA.id)
        .points("742.2500")
        .attribute("firstName", json!("Alvina"))
        .add_voucher(VoucherSeed::worth("250.0000", "SEK").number("99"))
        .redeem_promotion("7c20b000-1001-4b11-a001-b2d100b00001");
    app.engage.reset_log();
    let fresh = app.get(&format!("{}&fresh=all", alva())).await;
    assert_eq!(fresh.assert_ok().at("/degraded"), json!([]));
    assert!(fresh.text().contains(r#""balance":742.2500"#));
    assert!(fresh.text().contains(r#""amount":250.0000"#));
    assert_eq!(fresh.at("/profile/firstName"), "Alvina");
    assert_eq!(fresh.at("/vouchers/2/code"), "99");
    assert_eq!(fresh.at("/promotions").as_array().map(Vec::len), Some(2));
    // The identifier is resolved again, and four entity endpoints are called.
    assert_eq!(app.engage.total_calls(), 5);
    let plain = app.get(&alva()).await;
    plain.assert_hit();
    assert_eq!(plain.json(), fresh.json());
}

#[tokio::test]
async fn lagging_overview_never_replaces_newer_points() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let query = format!("{}&parts=points", alva());
    app.get(&query).await.assert_ok();
    app.engage.contact(ALVA.id).points("742.25");
    app.customers
        .invalidate(id(ALVA.id), Part::Points.into())
        .await
        .expect("there is no shared tier");
    for _ in 0..8 {
        let answer = app.get(&query).await;
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(742.25));
        app.advance(Duration::from_secs(95));
    }
    app.advance(LAG);
    app.engage.reset_log();
    let answer = app.get(&query).await;
    assert_eq!(answer.assert_ok().at("/points/balance"), json!(742.25));
    assert_eq!(app.engage.total_calls(), 1);
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn expired_points_are_refreshed_by_one_overview_call() {
    let app = TestApp::spawn().await;
    let query = format!("{}&parts=points", alva());
    app.get(&query).await.assert_ok();
    app.engage.contact(ALVA.id).points("1");
    app.advance(Duration::from_secs(90));
    let answer = app.get(&query).await;
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
    assert_eq!(answer.at("/points/balance"), json!(1));
    assert_eq!(app.overview_calls(), 2);
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn stale_points_are_served_on_error_and_invalidated_flight_is_repeated() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.advance(Duration::from_secs(90));
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("busy")));
    app.get(&alva()).await.assert_stale_if_error();
    app.engage.clear_faults();

    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.spawn_get(&alva());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.engage.contact(ALVA.id).points("5");
    app.customers
        .invalidate(id(ALVA.id), PartSet::ALL)
        .await
        .expect("there is no shared tier");
    hold.release();
    let waiting = waiting.await.expect("an answer");
    assert_eq!(waiting.assert_ok().at("/points/balance"), json!(5));
}

#[tokio::test]
async fn every_page_of_bonus_checks_and_point_accounts_is_read() {
    let app = TestApp::spawn().await;
    app.engage.page_cap(Some(1));
    app.engage.contact(ALVA.id).points_of(3, "3");
    let answer = app.get(&format!("{}&fresh=points,vouchers", alva())).await;
    let accounts = answer.assert_ok().at("/points/accounts");
    assert_eq!(accounts.as_array().map(Vec::len), Some(3));
    assert_eq!(answer.at("/vouchers").as_array().map(Vec::len), Some(2));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 3);
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 2);
}

#[tokio::test]
async fn overview_balance_keeps_its_exact_digits() {
    for (written, expected) in [
        ("0.1", "0.1"),
        ("317.5", "317.5"),
        ("250.0000", "250.0000"),
        ("-12.25", "-12.25"),
        ("0", "0"),
        ("0.0000001", "0.0000001"),
        ("12345678901234567890.12345", "12345678901234567890.12345"),
        (r#""0.1""#, "0.1"),
        (r#"" 317.5 ""#, "317.5"),
    ] {
        let app = TestApp::spawn().await;
        let points = format!(r#","bonusPoints":{written}"#);
        app.engage.fault(Endpoint::Overview, overview(&points));
        let answer = app.get(&alva()).await;
        assert_eq!(balance(&answer), expected, "{written}");
        assert_eq!(answer.at("/degraded"), json!([]));
        assert_eq!(app.engage.total_calls(), 1, "{written}");
    }
}

#[tokio::test]
async fn missing_or_unreadable_overview_balance_comes_from_the_accounts() {
    for points in [
        "",
        r#","bonusPoints":null"#,
        r#","bonusPoints":"many""#,
        r#","bonusPoints":"""#,
        r#","bonusPoints":true"#,
        r#","bonusPoints":{"balance":1}"#,
        r#","bonusPoints":[1]"#,
        r#","bonusPoints":1e400"#,
    ] {
        let app = TestApp::spawn().await;
        app.engage.fault(Endpoint::Overview, overview(points));
        let answer = app.get(&alva()).await;
        assert_eq!(balance(&answer), "317.5", "{points}");
        assert_eq!(answer.at("/points/accounts/0/definitionId"), "1");
        assert_eq!(answer.at("/degraded"), json!([]), "{points}");
        assert_eq!(app.overview_calls(), 1);
        assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1, "{points}");
    }
}

#[tokio::test]
async fn unreadable_balance_and_failed_accounts_degrade_points_only() {
    let app = TestApp::spawn().await;
    app.engage
        .fault(Endpoint::Overview, overview(r#","bonusPoints":"many""#));
    app.engage
        .fault(Endpoint::PointAccounts, Fault::Status(500, json!("busy")));
    let answer = app.get(&alva()).await;
    assert_eq!(answer.assert_ok().at("/points"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["points"]));
    assert_eq!(answer.at("/profile/email"), ALVA.email);
    assert_eq!(answer.at("/vouchers"), json!([]));
}

#[tokio::test]
async fn overview_points_have_a_balance_only_and_fresh_points_all_fields() {
    let app = TestApp::spawn().await;
    let query = format!("{}&expiringWithin=60d", alva());
    let plain = app.get(&query).await;
    assert_eq!(
        plain.assert_ok().at("/points"),
        json!({"balance": 317.5, "accounts": [
            {"definitionId": null, "name": null, "balance": 317.5, "pending": null, "expiresOn": null},
        ]})
    );
    let points_expire = |answer: &Answer| {
        let soon = answer.at("/expiringSoon");
        let mut soon = soon.as_array().expect("a list").iter();
        soon.any(|item| item["kind"] == "points")
    };
    assert!(!points_expire(&plain));
    let fresh = app.get(&format!("{query}&fresh=points")).await;
    assert_eq!(fresh.assert_ok().at("/points/balance"), json!(317.5));
    assert_eq!(fresh.at("/points/accounts/0/pending"), json!(40));
    let expires_on = fresh.at("/points/accounts/0/expiresOn");
    assert_eq!(expires_on, "2026-12-31T12:00:00.000Z");
    assert!(points_expire(&fresh));
}

#[tokio::test]
async fn bonus_points_are_no_attribute_in_either_view() {
    let app = TestApp::with(|config| {
        config.views.full.attributes = vec!["*".to_owned()];
        config.views.storefront.attributes = vec!["bonusPoints".to_owned()];
    })
    .await;
    for view in ["full", "storefront"] {
        let query = format!("contactId={}&view={view}&parts=none", BO.id);
        let attributes = app.get(&query).await.at("/profile/attributes");
        assert!(attributes.get("bonusPoints").is_none(), "{attributes}");
    }
}
