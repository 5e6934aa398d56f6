//! A missing part of the history affects nothing else in the response; an unreadable item is left out.

use std::time::Duration;

use engage_bff::config::ApiVersion;
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{EACH, PURCHASES, REDEEMED, TRANSACTIONS, alva, app, assert_missing, each};
use crate::{
    harness::{API, Answer, TestApp, logs},
    operators::operate,
};

const ID: &str = "ab530000-4009-4e44-9009-b2d400e00009";

#[tokio::test]
async fn failing_part_is_null_and_degraded_and_the_rest_is_served() {
    let faults = [
        Fault::Status(500, json!("An error has occurred")),
        Fault::Status(403, json!("Forbidden")),
        Fault::Status(404, json!("No such resource")),
        Fault::Status(404, json!({"errorCode": "ContactNotFound"})),
        Fault::Html502,
        Fault::HtmlOk200,
        Fault::TruncatedJson,
        Fault::Empty200,
        Fault::Body("[7]".to_owned()),
        Fault::Body("null".to_owned()),
        Fault::Body("\"text\"".to_owned()),
        Fault::Body("{\"items\":7}".to_owned()),
        Fault::Body(format!(
            "{{\"contactId\":\"{}\",\"items\":[{{\"contactId\":\"{}\"}}]}}",
            BO.id, BO.id
        )),
    ];
    for (part, endpoint) in EACH {
        for fault in &faults {
            // A list without readable items is an empty list; an object without figures is a summary.
            let is_read = match (part, fault) {
                (PURCHASES, Fault::Body(body)) => body.starts_with("{\"items"),
                (_, Fault::Body(body)) => body == "[7]",
                _ => false,
            };
            if is_read {
                continue;
            }
            let app = app().await;
            app.engage.fault(endpoint, fault.clone());
            let answer = app.get(&alva(part)).await;
            assert_missing(&answer, part);
        }
    }
}

#[tokio::test]
async fn failing_part_backs_off_without_affecting_other_endpoints() {
    let app = app().await;
    app.engage
        .fault(Endpoint::Purchases, Fault::Status(500, json!("busy")));
    for _ in 0..10 {
        assert_missing(&app.get(&alva(PURCHASES)).await, PURCHASES);
    }
    assert_eq!(app.engage.calls(Endpoint::Purchases), 1);
    let other = app.get(&alva(REDEEMED)).await;
    assert_eq!(other.assert_ok().at("/degraded"), json!([]));
    // A fresh request calls the endpoint nevertheless.
    let fresh = app
        .get(&format!("{}&fresh=purchases", alva(PURCHASES)))
        .await;
    assert_missing(&fresh, PURCHASES);
    assert_eq!(app.engage.calls(Endpoint::Purchases), 2);
    app.engage.clear_faults();
    app.advance(Duration::from_secs(31));
    let healed = app.get(&alva(PURCHASES)).await;
    assert_eq!(healed.assert_ok().at("/degraded"), json!([]));
}

#[tokio::test]
async fn stale_history_is_served_while_engage_fails() {
    let app = TestApp::with(|config| {
        config.cache.profile_lifetime = Duration::from_secs(10_000);
    })
    .await;
    for (part, endpoint) in EACH {
        app.get(&alva(part)).await.assert_ok();
        app.advance(Duration::from_secs(600));
        app.engage
            .fault(endpoint, Fault::Status(500, json!("busy")));
        let stale = app.get(&alva(part)).await;
        stale.assert_stale_if_error();
        assert_ne!(stale.at(&format!("/{part}")), Value::Null);
        assert_eq!(stale.at("/degraded"), json!([part]));
        let strict = app.get_with(&alva(part), "stale-if-error=0").await;
        assert_missing(&strict, part);
        // Beyond the last stale window it is not served.
        app.advance(Duration::from_secs(3700));
        assert_missing(&app.get(&alva(part)).await, part);
        app.engage.clear_faults();
    }
}

#[tokio::test]
async fn old_history_never_stands_in_for_a_fresh_one() {
    let app = app().await;
    for (part, endpoint) in EACH {
        app.get(&alva(part)).await.assert_ok();
        app.engage
            .fault(endpoint, Fault::Status(500, json!("busy")));
        let query = format!("{}&fresh={part}", alva(part));
        assert_missing(&app.get(&query).await, part);
        app.get(&alva(part)).await.assert_hit();
    }
}

#[tokio::test]
async fn slow_history_is_served_stale_after_stale_if_slow() {
    let app = TestApp::with(|config| {
        config.cache.profile_lifetime = Duration::from_secs(10_000);
    })
    .await;
    app.get(&alva(REDEEMED)).await.assert_ok();
    app.advance(Duration::from_secs(600));
    let hold = app.engage.hold(Endpoint::RedeemedVouchers);
    let waiting = app.spawn_get(&alva(REDEEMED));
    app.engage
        .wait_for_calls(Endpoint::RedeemedVouchers, 2)
        .await;
    app.advance(Duration::from_millis(300));
    waiting.await.expect("an answer").assert_stale_if_slow();
    hold.release();
    let is_new = |answer: &Answer| {
        answer
            .header("cache-status")
            .starts_with("engage-bff; hit; ttl=5")
    };
    app.get_until(&alva(REDEEMED), is_new).await;
}

#[tokio::test]
async fn slow_history_without_a_cached_one_is_missing_at_the_deadline() {
    let app = app().await;
    let hold = app.engage.hold(Endpoint::Purchases);
    let waiting = app.spawn_get(&alva(PURCHASES));
    app.engage.wait_for_calls(Endpoint::Purchases, 1).await;
    app.advance(Duration::from_secs(60));
    assert_missing(&waiting.await.expect("an answer"), PURCHASES);
    hold.release();
    // The call continued, and filled the cache.
    app.get_until(&alva(PURCHASES), |answer| {
        answer.at("/purchases").is_object()
    })
    .await;
}

#[tokio::test]
async fn transactions_without_accounts_are_missing() {
    if API == ApiVersion::V2 {
        return;
    }
    let app = app().await;
    let fault = Fault::Status(500, json!("busy"));
    app.engage.fault(Endpoint::PointAccounts, fault);
    assert_missing(&app.get(&alva(TRANSACTIONS)).await, TRANSACTIONS);
    assert_eq!(app.engage.calls(Endpoint::PointTransactions), 0);
}

#[tokio::test]
async fn account_that_cannot_be_read_degrades_the_transactions() {
    if API == ApiVersion::V2 {
        return;
    }
    for unreadable in [
        json!({"definitionId": 2}),
        json!({"balance": 5}),
        json!({"definitionId": {}, "balance": 5}),
    ] {
        let app = app().await;
        let accounts = json!([{"definitionId": 1, "balance": 1}, unreadable]);
        let fault = Fault::Body(accounts.to_string());
        app.engage.fault(Endpoint::PointAccounts, fault);
        let answer = app.get(&alva(TRANSACTIONS)).await;
        assert_eq!(each(&answer, TRANSACTIONS, "id").len(), 4);
        assert_eq!(
            answer.at("/degraded"),
            json!([TRANSACTIONS]),
            "{unreadable}"
        );
    }
}

#[tokio::test]
async fn unreadable_transaction_is_left_out_and_the_list_degraded() {
    let with = |key: &str, value: Value| {
        let mut item = json!({
            "id": ID, "amount": 5, "transactionDate": "2026-10-01T12:00:00Z",
            "transactionDateTime": "2026-10-01T12:00:00Z",
        });
        item[key] = value;
        item
    };
    let mut unreadable = vec![
        json!(7),
        json!(null),
        json!({"id": ID, "amount": 5}),
        with("id", json!(null)),
        with("id", json!(true)),
        with("id", json!(" ")),
        with("amount", json!(null)),
        with("amount", json!("many")),
        with("amount", json!(1e60)),
        with("validFrom", json!("soon")),
        with("validFrom", json!(1_795_435_200)),
        with("validFrom", json!({})),
        with("ValidFrom", json!("2026-02-30")),
        with("validTo", json!("31/12/2026")),
    ];
    for key in ["transactionDate", "transactionDateTime"] {
        unreadable.push(json!({"id": ID, "amount": 5, key: "yesterday"}));
        unreadable.push(
            json!({"id": ID, "amount": 5, key: "yesterday", "createdOn": "2026-10-01T12:00:00Z"}),
        );
    }
    for item in unreadable {
        let app = app().await;
        let list =
            json!({"items": [item, with("description", json!("readable")), item], "totalCount": 3});
        let fault = Fault::Body(list.to_string());
        app.engage.fault(Endpoint::PointTransactions, fault);
        let answer = app.get(&alva(TRANSACTIONS)).await;
        let left = each(&answer, TRANSACTIONS, "description");
        assert_eq!(left, [json!("readable")], "{item}");
        assert_eq!(answer.at("/degraded"), json!([TRANSACTIONS]), "{item}");
        // The cached list is degraded too.
        let cached = app.get(&alva(TRANSACTIONS)).await;
        cached.assert_hit();
        assert_eq!(cached.at("/degraded"), json!([TRANSACTIONS]), "{item}");
        assert!(logs().contains("unreadable item left out"));
    }
}

#[tokio::test]
async fn unreadable_redeemed_voucher_is_left_out_and_the_list_degraded() {
    let with = |key: &str, value: Value| {
        let mut item = json!({"id": ID, "redeemed": true, "redeemedOn": "2026-10-01T12:00:00Z"});
        item[key] = value;
        item
    };
    for item in [
        json!([]),
        with("id", json!({})),
        with("redeemedOn", json!(null)),
        with("redeemedOn", json!("lately")),
        with("expiresOn", json!("31/12/2026")),
        with("value", json!(100)),
        with("value", json!({"amount": 100})),
        with("localValues", json!([1])),
        with("points", json!("many")),
        with("bonusPoints", json!([])),
    ] {
        let app = app().await;
        let list = json!({"items": [item, with("name", json!("readable"))], "totalCount": 2});
        let fault = Fault::Body(list.to_string());
        app.engage.fault(Endpoint::RedeemedVouchers, fault);
        let answer = app.get(&alva(REDEEMED)).await;
        let left = each(&answer, REDEEMED, "name");
        assert_eq!(left, [json!("readable")], "{item}");
        assert_eq!(answer.at("/degraded"), json!([REDEEMED]), "{item}");
    }
}

#[tokio::test]
async fn unreadable_figure_is_null_and_the_summary_degraded() {
    for (key, value, at) in [
        ("purchaseAmountAll", json!("much"), "/purchases/all/amount"),
        (
            "purchaseFrequencyLastYear",
            json!([1]),
            "/purchases/lastYear/frequency",
        ),
        (
            "averageReceiptLastTwoYears",
            json!({}),
            "/purchases/lastTwoYears/averageReceipt",
        ),
        ("lastUpdated", json!("lately"), "/purchases/updatedOn"),
        ("latestReceiptDate", json!(7), "/purchases/latestReceiptOn"),
    ] {
        let app = app().await;
        app.engage
            .contact(ALVA.id)
            .purchases(json!({"numberOfArticlePurchasesAll": 3, key: value}));
        let answer = app.get(&alva(PURCHASES)).await;
        assert_eq!(answer.assert_ok().at(at), Value::Null, "{key}");
        assert_eq!(answer.at("/purchases/all/articles"), json!(3));
        assert_eq!(answer.at("/degraded"), json!([PURCHASES]), "{key}");
    }
    // A figure that Engage does not send is unknown; nothing is missing.
    let app = app().await;
    app.engage.contact(ALVA.id).purchases(json!({}));
    let answer = app.get(&alva(PURCHASES)).await;
    assert_eq!(answer.assert_ok().at("/purchases/all/amount"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!([]));
}

#[tokio::test]
async fn items_of_another_contact_are_an_alarm_and_never_served() {
    for (part, endpoint) in &EACH[..2] {
        let app = app().await;
        let item = json!({
            "id": ID, "contactId": BO.id, "amount": 5, "transactionDate": "2026-10-01T12:00:00Z",
            "transactionDateTime": "2026-10-01T12:00:00Z", "redeemedOn": "2026-10-01T12:00:00Z",
        });
        let fault = Fault::Body(json!({"items": [item], "totalCount": 1}).to_string());
        app.engage.fault(*endpoint, fault);
        assert_missing(&app.get(&alva(part)).await, part);
        assert!(
            logs().contains("engage response about another contact"),
            "{part}"
        );
    }
}

#[tokio::test]
async fn explanation_lists_the_history_and_its_failures() {
    let app = app().await;
    app.get(&alva(REDEEMED)).await.assert_ok();
    app.engage
        .fault(Endpoint::Purchases, Fault::Status(500, json!("busy")));
    app.get(&alva(PURCHASES)).await.assert_ok();
    let body = json!({"contactId": ALVA.id}).to_string();
    let answer = operate(&app, Method::POST, "/cache/explain", &body).await;
    let history = answer.assert_ok().at("/contacts/0/history");
    assert_eq!(history["redeemedVouchers"]["freshness"], "fresh");
    assert_eq!(history["redeemedVouchers"]["source"], "entity");
    assert_eq!(history[TRANSACTIONS], Value::Null);
    assert_eq!(history[PURCHASES], Value::Null);
    assert_eq!(answer.at("/failures/0/call"), PURCHASES);
    assert_eq!(answer.at("/failures/0/code"), "UpstreamFailed");
    assert!(!answer.text().contains("2511000000031"));
}

#[tokio::test]
async fn calls_for_history_are_counted_by_their_own_groups() {
    let app = app().await;
    let all = format!("{TRANSACTIONS},{REDEEMED},{PURCHASES}");
    app.get(&alva(&all)).await.assert_ok();
    let list = json!({"items": [7], "totalCount": 1}).to_string();
    app.engage
        .fault(Endpoint::RedeemedVouchers, Fault::Body(list));
    app.get(&format!("{}&fresh=all", alva(REDEEMED))).await;
    let metrics = app.operations("/metrics").await;
    let metrics = metrics.assert_ok().text();
    for line in [
        "engage_bff_engage_calls_total{group=\"purchases\",outcome=\"ok\"} 1",
        "engage_bff_engage_calls_total{group=\"redeemed_vouchers\",outcome=\"ok\"} 2",
        "engage_bff_engage_calls_total{group=\"point_transactions\",outcome=\"ok\"}",
        "engage_bff_engage_items_unreadable_total{part=\"redeemedVouchers\"} 1",
        "engage_bff_engage_breaker_state{group=\"purchases\"} 0",
        "engage_bff_cache_histories 3",
        "engage_bff_cache_history_bytes ",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let stats = app.operations("/cache/stats").await;
    assert_eq!(stats.assert_ok().at("/histories"), json!(3));
    assert_eq!(stats.at("/flights/histories"), json!(0));
}
