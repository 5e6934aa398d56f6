//! `limit`, `before`, and the names of the history in `parts` and `fresh`.

use serde_json::json;

use super::{ALVA, PURCHASES, REDEEMED, TRANSACTIONS, alva, app};
use crate::harness::percent_encoded;

const VALUES: &str = "only with pointTransactions, redeemedVouchers or purchases in parts";

#[tokio::test]
async fn limit_and_before_without_history_are_refused() {
    let app = app().await;
    for parts in ["none", "points", "points,promotions,vouchers"] {
        for (name, value) in [("limit", "5"), ("before", "2026-11-23T12:00:00Z")] {
            let answer = app.get(&format!("{}&{name}={value}", alva(parts))).await;
            answer.assert_problem(400, "InvalidParameter");
            let detail = answer.at("/detail").as_str().map(str::to_owned);
            let detail = detail.expect("a text");
            assert!(detail.contains(name) && detail.contains(VALUES), "{detail}");
        }
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn limit_is_a_whole_number_from_1_to_100() {
    let app = app().await;
    for limit in ["1", "20", "100", "007"] {
        let query = format!("{}&limit={limit}", alva(TRANSACTIONS));
        app.get(&query).await.assert_ok();
    }
    for limit in [
        "0",
        "101",
        "-1",
        "%2B5",
        "5.0",
        "1e1",
        "",
        "%20",
        "five",
        "18446744073709551617",
        "٥",
    ] {
        let query = format!("{}&limit={limit}", alva(TRANSACTIONS));
        app.get(&query)
            .await
            .assert_problem(400, "InvalidParameter");
    }
    let lookup = |limit| json!({"contactId": ALVA.id, "parts": [TRANSACTIONS], "limit": limit});
    for limit in [json!(1), json!(100), json!("20")] {
        app.lookup(lookup(limit)).await.assert_ok();
    }
    for limit in [
        json!(0),
        json!(101),
        json!(-1),
        json!(1.5),
        json!(true),
        json!(null),
        json!([5]),
        json!({"a": 5}),
        json!("5 "),
        json!(u64::MAX),
    ] {
        let answer = app.lookup(lookup(limit.clone())).await;
        assert_eq!(answer.status, 400, "{limit}");
    }
}

#[tokio::test]
async fn before_is_an_rfc_3339_time() {
    let app = app().await;
    for before in [
        "2026-11-23T12:00:00Z",
        "2026-11-23t12:00:00.123456789z",
        "2026-11-23T12:00:00+01:00",
        "0001-01-01T00:00:00Z",
        "9999-12-30T00:00:00Z",
    ] {
        let query = format!("{}&before={}", alva(REDEEMED), percent_encoded(before));
        app.get(&query).await.assert_ok();
    }
    for before in [
        "",
        "2026-11-23",
        "2026-11-23T12:00:00",
        "2026-11-23 12:00:00Z",
        "2026-13-23T12:00:00Z",
        "2026-11-23T25:00:00Z",
        "1795435200",
        "2026-11-23T12:00:00[Europe/Stockholm]",
        "2026-11-23T12:00:00Z[Europe/Stockholm]",
        "+002026-11-23T12:00:00Z",
        "99999-11-23T12:00:00Z",
        "now",
        "2026-11-23T12:00:00Z\u{0}",
    ] {
        let query = format!("{}&before={}", alva(REDEEMED), percent_encoded(before));
        app.get(&query)
            .await
            .assert_problem(400, "InvalidParameter");
    }
}

#[tokio::test]
async fn history_is_named_once_and_exactly() {
    let app = app().await;
    for parts in [
        "purchases,purchases",
        "Purchases",
        "pointtransactions",
        "purchases,none",
        "none,purchases",
        "purchases,",
        "profile,purchases",
        "history",
    ] {
        let answer = app.get(&alva(parts)).await;
        answer.assert_problem(400, "InvalidParameter");
    }
    for fresh in [PURCHASES, "points"] {
        let query = format!("{}&fresh={fresh}", alva(REDEEMED));
        let answer = app.get(&query).await;
        answer.assert_problem(400, "InvalidParameter");
    }
    let answer = app
        .lookup(json!({"contactId": ALVA.id, "parts": [PURCHASES, "points"], "fresh": [PURCHASES]}))
        .await;
    answer.assert_ok();
    assert_eq!(answer.at("/degraded"), json!([]));
    assert!(answer.at("/purchases").is_object());
    assert!(answer.at("/points").is_object());
}
