//! A contact's history: point transactions, redeemed vouchers and the summary of purchases, for requests that name them.

mod callers;
mod faults;
mod invalidation;
mod paging;
mod parameters;

use std::time::Duration;

use engage_bff::config::ApiVersion;
use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::harness::{API, Answer, TestApp, let_requests_arrive, not_applicable_in};

const TRANSACTIONS: &str = "pointTransactions";
const REDEEMED: &str = "redeemedVouchers";
const PURCHASES: &str = "purchases";

/// Each part with its endpoint.
const EACH: [(&str, Endpoint); 3] = [
    (TRANSACTIONS, Endpoint::PointTransactions),
    (REDEEMED, Endpoint::RedeemedVouchers),
    (PURCHASES, Endpoint::Purchases),
];

/// Calls for the accounts that a request for transactions costs where no points are cached.
const ACCOUNT_CALLS: usize = match API {
    ApiVersion::V3 => 1,
    ApiVersion::V2 => 0,
};

/// The calls of the part's endpoint that Alva's history costs: Alva has two accounts.
fn calls_of(part: &str) -> usize {
    if part == TRANSACTIONS && API == ApiVersion::V3 {
        2
    } else {
        1
    }
}

/// A request for Alva with these parts.
fn alva(parts: &str) -> String {
    format!("contactId={}&parts={parts}", ALVA.id)
}

/// A service with the overview cached, so that the next calls are only for the history.
async fn app() -> TestApp {
    let app = TestApp::spawn().await;
    app.get(&alva("none")).await.assert_ok();
    app.engage.reset_log();
    app
}

/// The values under a key of the items of a list.
#[track_caller]
fn each(answer: &Answer, list: &str, key: &str) -> Vec<Value> {
    let items = answer.assert_ok().at(&format!("/{list}/items"));
    let items = items.as_array().expect("a list").clone();
    items.into_iter().map(|item| item[key].clone()).collect()
}

/// The value with each number as a double, whose text has no trailing zeros.
fn numbers_as_read(value: &Value) -> Value {
    let mut value = value.clone();
    for (_, member) in value.as_object_mut().expect("an object") {
        if let Some(number) = member.as_f64() {
            *member = json!(number);
        }
    }
    value
}

/// Asserts that the part is missing, and that nothing else is.
#[track_caller]
fn assert_missing(answer: &Answer, part: &str) {
    assert_eq!(answer.assert_ok().at(&format!("/{part}")), Value::Null);
    assert_eq!(answer.at("/degraded"), json!([part]));
    assert_eq!(answer.at(&format!("/freshness/{part}")), Value::Null);
    assert_eq!(answer.at("/profile/firstName"), "Alva");
}

#[tokio::test]
async fn history_is_null_and_costs_no_call_unless_requested() {
    let app = TestApp::spawn().await;
    for query in [
        format!("contactId={}", ALVA.id),
        alva("none"),
        alva("points,promotions,vouchers"),
        format!("contactId={}&fresh=all", ALVA.id),
    ] {
        let answer = app.get(&query).await;
        for (part, _) in EACH {
            assert_eq!(answer.assert_ok().at(&format!("/{part}")), Value::Null);
            assert_eq!(answer.at(&format!("/freshness/{part}")), Value::Null);
        }
        assert_eq!(answer.at("/degraded"), json!([]));
    }
    for (part, endpoint) in EACH {
        assert_eq!(app.engage.calls(endpoint), 0, "{part}");
    }
}

#[tokio::test]
async fn transactions_say_which_points_are_pending_and_until_when() {
    if not_applicable_in(ApiVersion::V2, "its transactions have no dates of validity") {
        return;
    }
    let app = app().await;
    let answer = app.get(&alva(TRANSACTIONS)).await;
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    assert_eq!(
        numbers_as_read(&answer.at("/pointTransactions/items/0")),
        json!({
            "id": "ab530000-4004-4e44-9004-b2d400e00004", "definitionId": "1",
            "type": "Addition", "source": "Purchase", "amount": 40.0, "description": "Receipt 4712",
            "date": "2026-11-16T12:00:00.000Z", "validFrom": "2026-11-30T12:00:00.000Z",
            "validTo": "2027-11-16T12:00:00.000Z", "pending": true,
        })
    );
    assert!(answer.text().contains(r#""amount":40.00,"#));
    let pending = json!([true, false, false, false]);
    assert_eq!(json!(each(&answer, TRANSACTIONS, "pending")), pending);
    assert_eq!(
        json!(each(&answer, TRANSACTIONS, "amount")).to_string(),
        "[40.00,-50,158.5,100]"
    );
    assert_eq!(answer.at("/pointTransactions/next"), Value::Null);
    assert_eq!(answer.at("/pointTransactions/truncated"), json!(false));
    assert_eq!(answer.at("/points"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!([]));
    let as_of = answer.at("/freshness/pointTransactions/asOf");
    assert_eq!(as_of, "2026-11-23T12:00:00.000Z");
    // The moment of the response decides which points are pending.
    app.advance(Duration::from_secs(7 * 24 * 60 * 60 - 1));
    let answer = app.get(&alva(TRANSACTIONS)).await;
    assert_eq!(answer.at("/pointTransactions/items/0/pending"), json!(true));
    app.advance(Duration::from_secs(1));
    app.get(&alva(TRANSACTIONS)).await.assert_hit();
    let answer = app.get(&alva(TRANSACTIONS)).await;
    assert_eq!(
        answer.at("/pointTransactions/items/0/pending"),
        json!(false)
    );
}

#[tokio::test]
async fn v2_transactions_have_no_definition_and_no_validity() {
    if not_applicable_in(ApiVersion::V3, "its transactions have both") {
        return;
    }
    let app = app().await;
    let answer = app.get(&alva(TRANSACTIONS)).await;
    assert_eq!(
        answer.assert_ok().at("/pointTransactions/items/3"),
        json!({
            "id": "ab530000-4001-4e44-9001-b2d400e00001", "definitionId": null,
            "type": "FromAutomation", "source": null, "amount": 100,
            "description": "Birthday points", "date": "2026-07-09T12:00:00.000Z",
            "validFrom": null, "validTo": null, "pending": null,
        })
    );
    assert_eq!(answer.at("/degraded"), json!([]));
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn redeemed_vouchers_say_when_and_for_how_many_points() {
    let app = app().await;
    let answer = app.get(&alva(REDEEMED)).await;
    let redeemed = answer.assert_ok().at("/redeemedVouchers");
    assert_eq!(
        redeemed,
        json!({
            "items": [{
                "id": "8d31c000-2003-4c22-b002-b2d200c00003", "code": "2511000000031",
                "name": "Bonusutbetalning 2026-04-01", "value": {"amount": 100, "currency": "SEK"},
                "localValues": [], "expiresOn": "2026-06-30T12:00:00.000Z",
                "redeemedOn": "2026-05-02T12:00:00.000Z", "points": 2000,
            }],
            "next": null, "truncated": false,
        })
    );
    assert_eq!(answer.at("/degraded"), json!([]));
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn purchases_are_exact_figures_by_period() {
    let app = app().await;
    let answer = app.get(&alva(PURCHASES)).await;
    let purchases = answer.assert_ok().at("/purchases");
    assert_eq!(purchases["updatedOn"], "2026-11-22T12:00:00.000Z");
    assert_eq!(purchases["latestReceiptOn"], "2026-11-16T12:00:00.000Z");
    let figures = r#"{"amount":1842.50,"articles":3,"averageReceipt":921.25,"frequency":2}"#;
    for period in ["all", "lastYear", "lastTwoYears"] {
        let expected = format!(r#""{period}":{figures}"#);
        assert!(answer.text().contains(&expected), "{}", answer.text());
    }
    assert_eq!(answer.at("/degraded"), json!([]));
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn contact_without_history_has_empty_lists_and_no_summary() {
    let app = TestApp::spawn().await;
    let all = format!("{TRANSACTIONS},{REDEEMED},{PURCHASES}");
    let answer = app.get(&format!("contactId={}&parts={all}", BO.id)).await;
    let empty = json!({"items": [], "next": null, "truncated": false});
    assert_eq!(answer.assert_ok().at("/pointTransactions"), empty);
    assert_eq!(answer.at("/redeemedVouchers"), empty);
    // Engage has computed no summary, and the cache knows that.
    assert_eq!(answer.at("/purchases"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!([]));
    assert_ne!(answer.at("/freshness/purchases"), Value::Null);
    let again = app.get(&format!("contactId={}&parts={all}", BO.id)).await;
    again.assert_hit();
    assert_eq!(app.engage.calls(Endpoint::Purchases), 1);
}

#[tokio::test]
async fn history_is_cached_for_its_lifetime() {
    for (part, endpoint) in EACH {
        let app = TestApp::with(|config| {
            config.cache.history_lifetime = Duration::from_secs(100);
            config.cache.profile_lifetime = Duration::from_secs(1000);
            config.cache.stale_while_revalidate = Duration::from_secs(10);
        })
        .await;
        app.get(&alva(part)).await.assert_ok();
        // Lifetimes are shortened at random by up to a tenth.
        app.advance(Duration::from_secs(89));
        let cached = app.get(&alva(part)).await;
        cached.assert_ok().assert_hit();
        assert!((1..=11).contains(&cached.ttl()), "{}", cached.ttl());
        assert_eq!(cached.header("age"), "89");
        assert_eq!(app.engage.calls(endpoint), calls_of(part), "{part}");
        app.advance(Duration::from_secs(21));
        let stale = app.get(&alva(part)).await;
        stale.assert_cache_status("engage-bff; fwd=stale; stored");
        assert_eq!(app.engage.calls(endpoint), 2 * calls_of(part), "{part}");
    }
}

#[tokio::test]
async fn stale_history_is_served_while_one_call_refreshes_it() {
    let app = TestApp::with(|config| {
        config.cache.history_lifetime = Duration::from_secs(60);
        config.cache.profile_lifetime = Duration::from_secs(1000);
        config.cache.stale_while_revalidate = Duration::from_secs(30);
    })
    .await;
    app.get(&alva(PURCHASES)).await.assert_ok();
    app.engage.contact(ALVA.id).purchases(Value::Null);
    app.advance(Duration::from_secs(61));
    let hold = app.engage.hold(Endpoint::Purchases);
    for _ in 0..5 {
        let stale = app.get(&alva(PURCHASES)).await;
        stale.assert_ok().assert_hit();
        assert_ne!(stale.at("/purchases"), Value::Null);
        assert_eq!(stale.at("/degraded"), json!([]));
    }
    hold.release();
    let is_new = |answer: &Answer| answer.at("/purchases") == Value::Null;
    app.get_until(&alva(PURCHASES), is_new).await.assert_hit();
    assert_eq!(app.engage.calls(Endpoint::Purchases), 2);
}

#[tokio::test]
async fn hundred_requests_cost_no_more_calls_than_one() {
    let app = app().await;
    for (part, endpoint) in EACH {
        app.engage.reset_log();
        let hold = app.engage.hold(endpoint);
        let query = alva(part);
        let pending: Vec<_> = (0..100).map(|_| app.spawn_get(&query)).collect();
        app.engage.wait_for_calls(endpoint, 1).await;
        let_requests_arrive().await;
        hold.release();
        let mut collapsed = 0;
        for pending in pending {
            let answer = pending.await.expect("an answer");
            assert_ne!(answer.assert_ok().at(&format!("/{part}")), Value::Null);
            collapsed += usize::from(answer.header("cache-status").contains("; collapsed"));
        }
        assert!(collapsed > 50, "{collapsed}");
        assert_eq!(app.engage.calls(endpoint), calls_of(part), "{part}");
        let accounts = if part == TRANSACTIONS {
            ACCOUNT_CALLS
        } else {
            0
        };
        assert_eq!(
            app.engage.calls(Endpoint::PointAccounts),
            accounts,
            "{part}"
        );
    }
}

#[tokio::test]
async fn parts_of_the_history_are_fetched_concurrently() {
    let app = app().await;
    let hold = app.engage.hold(Endpoint::All);
    let pending = app.spawn_get(&alva(&format!("{REDEEMED},{PURCHASES}")));
    app.engage.wait_for_calls(Endpoint::All, 2).await;
    hold.release();
    pending.await.expect("an answer").assert_ok();
}

#[tokio::test]
async fn points_and_transactions_share_the_call_for_the_accounts() {
    let app = app().await;
    app.fetch_points_separately(ALVA.id).await;
    let answer = app.get(&alva(&format!("points,{TRANSACTIONS}"))).await;
    assert_eq!(answer.assert_ok().at("/points/balance"), json!(317.5));
    assert_eq!(each(&answer, TRANSACTIONS, "id").len(), 4);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
}

#[tokio::test]
async fn fresh_history_is_fetched_after_the_request_arrived() {
    let app = app().await;
    for (part, endpoint) in EACH {
        app.get(&alva(part)).await.assert_ok();
        app.engage.reset_log();
        let query = format!("{}&fresh={part}", alva(part));
        let fresh = app.get(&query).await;
        fresh
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=request; stored");
        assert_eq!(app.engage.calls(endpoint), calls_of(part), "{part}");
        app.get(&alva(part)).await.assert_hit();
    }
}

#[tokio::test]
async fn fresh_transactions_include_those_of_a_new_account() {
    let app = app().await;
    app.get(&alva(&format!("points,{TRANSACTIONS}")))
        .await
        .assert_ok();
    app.engage.contact(ALVA.id).points_of(7, "70");
    let query = alva(TRANSACTIONS);
    for (suffix, has_it) in [("", false), ("&fresh=all", true), ("", true)] {
        let answer = app.get(&format!("{query}{suffix}")).await;
        let amounts = each(&answer, TRANSACTIONS, "amount");
        assert_eq!(amounts.contains(&json!(70)), has_it, "{suffix}");
    }
    app.engage.contact(ALVA.id).points_of(8, "80");
    let answer = app.get_with(&query, "no-cache").await;
    assert!(each(&answer, TRANSACTIONS, "amount").contains(&json!(80)));
}

#[tokio::test]
async fn max_age_and_only_if_cached_hold_for_history() {
    let app = app().await;
    let query = alva(PURCHASES);
    app.get_with(&query, "only-if-cached")
        .await
        .assert_problem(504, "NotCached");
    assert_eq!(app.engage.total_calls(), 0);
    app.get(&query).await.assert_ok();
    app.advance(Duration::from_secs(5));
    app.get_with(&query, "only-if-cached").await.assert_hit();
    app.get_with(&query, "max-age=5").await.assert_hit();
    let newer = app.get_with(&query, "max-age=4").await;
    newer.assert_cache_status("engage-bff; fwd=request; stored");
    assert_eq!(app.engage.calls(Endpoint::Purchases), 2);
}

#[tokio::test]
async fn response_with_history_has_its_own_validator_and_is_not_kept() {
    let app = app().await;
    let plain = app.get(&alva("none")).await;
    let with = app.get(&alva(PURCHASES)).await;
    assert_ne!(plain.header("etag"), with.header("etag"));
    let request = app.customer(crate::harness::TILL, &alva(PURCHASES));
    let again = Answer::of(request.header("if-none-match", with.header("etag"))).await;
    assert_eq!(again.status, 304);
    let plain = app.get(&alva("none")).await;
    assert_eq!(plain.at("/purchases"), Value::Null);
    let listed = app.get(&alva(TRANSACTIONS)).await;
    assert_eq!(listed.at("/purchases"), Value::Null);
}
