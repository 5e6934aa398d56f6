//! The OpenAPI documents compared with real responses. The harness compares every response with the document; here the
//! other direction is tested: the service answers with everything that the document names.

use std::time::Duration;

use engage_bff::config::{ApiVersion, Scope};
use engage_simulator::{
    DEFAULT_WEBHOOK_SECRET, Endpoint, Fault, VoucherSeed,
    fixtures::{ALVA, BO, DORA},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    admission::{broken, fail},
    fast_path::assert_same_by_both,
    harness::{Answer, READER, SHOP, TestApp, contract, let_requests_arrive, not_applicable_in},
    operators::operate,
};

const HISTORY: &str = "pointTransactions,redeemedVouchers,purchases";
const PARTS: &str = "points,promotions,vouchers";

/// Gives Bo an offer of each kind, a voucher, warnings and a care-of line.
fn enrich(app: &TestApp) {
    let soon = "2026-11-30T12:00:00Z";
    let kinds = [
        ("PERCENT", json!(15)),
        ("MONEY", json!({"amount": 100, "currency": "SEK"})),
        ("EXTERNALOFFER", json!("4711")),
        ("MANUAL", json!("Ask for the card.")),
        ("SWIPE", json!("x")),
    ];
    let bo = app.engage.contact(BO.id);
    let bo = kinds.iter().fold(bo, |bo, (kind, value)| {
        let channel = json!({"type": "ECOM", "valueType": kind, "value": value, "instruction": "For staff.",
            "localValues": [{"amount": 9.50, "currency": "EUR"}]});
        bo.add_promotion(json!({
            "expiresOn": soon, "heading": "Offer", "name": "offer", "externalId": "E1",
            "description": "For you.", "imageUrl": "https://example.com/1.png",
            "link": "https://example.com/1", "redemptionChannels": [channel],
        }))
    });
    bo.add_voucher(VoucherSeed::worth("10", "SEK").expires_on(soon))
        .warnings(json!([{"id": "w1", "message": "E-mail bounced"},
            {"id": "w2", "message": "Phone number unknown"}]))
        .attribute("careOf", json!("Alva"));
}

#[tokio::test]
async fn every_documented_member_is_answered_with_a_value() {
    if not_applicable_in(
        ApiVersion::V2,
        "the overview's points have neither a definition nor an expiry",
    ) {
        return;
    }
    let app = TestApp::with(|config| {
        config.engage.point_names = true;
        let reader = &mut config.auth.clients[2];
        reader.scopes.push(Scope::Batch);
        reader.requests_per_second = Some(1);
    })
    .await;
    enrich(&app);
    let query = |person: &str| {
        format!("contactId={person}&parts={PARTS},{HISTORY}&expiringWithin=365d&limit=1")
    };
    // The names of point definitions are known from the second request on.
    for person in [ALVA.id, BO.id, ALVA.id] {
        app.get(&query(person)).await.assert_ok();
        app.customers.purge_everything().await.expect("no tier");
    }
    // A second redeemed voucher makes a second page.
    let voucher = app.get(&query(ALVA.id)).await.at("/vouchers/0/id");
    app.engage
        .contact(ALVA.id)
        .redeem_voucher(voucher.as_str().expect("an id"));
    app.customers.purge_everything().await.expect("no tier");
    app.get(&query(ALVA.id)).await.assert_ok();
    // Problems with every member.
    app.get("email=x")
        .await
        .assert_problem(400, "InvalidEmailAddress");
    app.get(&format!("email={}", DORA.email))
        .await
        .assert_problem(409, "MultipleMatches");
    let beyond = app
        .request(&format!("/customer?contactId={}&view=full", ALVA.id))
        .header("x-api-key", SHOP);
    Answer::of(beyond).await.assert_problem(403, "Forbidden");
    // The first look-up gets its customer; a later one exceeds the client's rate.
    let lookups = vec![json!({"contactId": ALVA.id}); 5];
    let batch = json!({"lookups": lookups}).to_string();
    let batch = Answer::of(app.post_to("/customer/batch", READER).body(batch)).await;
    assert!(batch.text().contains("\"retryAfter\":"), "{}", batch.text());
    let schemas = ["Customer", "Problem", "BatchLine"];
    let never_seen = contract::never_seen(&contract::DATA, &schemas);
    assert_eq!(never_seen, Vec::<String>::new());
}

/// Requests what operators read about the cache.
async fn inspect(app: &TestApp) {
    for target in ["/readyz", "/cache/stats", "/cache/decisions"] {
        app.operations(target).await.assert_ok();
    }
    for identifier in [
        json!({"email": ALVA.email}),
        json!({"contactId": ALVA.id}),
        json!({"email": "unknown@example.com"}),
    ] {
        let body = identifier.to_string();
        let explanation = operate(app, Method::POST, "/cache/explain", &body).await;
        explanation.assert_ok();
    }
}

#[tokio::test]
async fn every_documented_member_for_operators_is_answered_with_a_value() {
    if not_applicable_in(ApiVersion::V2, "no history of points") {
        return;
    }
    let app = TestApp::with(|config| {
        config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
    })
    .await;
    let by_id = format!("contactId={}&parts={PARTS}", ALVA.id);
    let email = format!("email={}", ALVA.email);
    app.get(&email).await.assert_ok();
    app.get(&format!("{by_id},{HISTORY}")).await.assert_ok();
    app.get("email=unknown@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    inspect(&app).await;
    // Fences, and a feed that works.
    app.send_webhooks();
    app.engage.contact(ALVA.id).points("742.25");
    let delivered = || async { app.operations("/readyz").await.at("/webhooks/state") == "working" };
    while !delivered().await {
        let_requests_arrive().await;
    }
    inspect(&app).await;
    app.get(&by_id).await.assert_ok();
    inspect(&app).await;
    // Engage asks for a pause.
    let pause = Fault::TooMany {
        retry_after: Some("7".to_owned()),
    };
    app.engage.fault_times(Endpoint::Overview, pause, 1);
    let refused = app.get("email=someone@example.com").await;
    refused.assert_problem(503, "UpstreamUnavailable");
    inspect(&app).await;
    app.advance(Duration::from_secs(8));
    // Calls that fail, of parts and of contacts, until a breaker opens.
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("busy")));
    let repeating = app.run_clock();
    for part in PARTS.split(',').chain(["profile"]) {
        app.get(&format!("{by_id}&fresh={part}")).await;
    }
    fail(&app, broken(), 20).await;
    drop(repeating);
    operate(&app, Method::POST, "/reload", "").await.assert_ok();
    inspect(&app).await;
    let schemas = [
        "CacheStats",
        "Decisions",
        "Explanation",
        "Readiness",
        "Reloaded",
    ];
    let mut never_seen = contract::never_seen(&contract::OPERATIONS, &schemas);
    // The members about the shared tier are tested in tests/shared_announce.
    let of_tier = [
        "/Shared",
        "/sharedTier",
        "/RoundTrip/",
        "/Budget/",
        "/budget",
    ];
    never_seen.retain(|member| !of_tier.iter().any(|name| member.contains(name)));
    assert_eq!(never_seen, Vec::<String>::new());
}

#[tokio::test]
async fn guest_responses_are_as_documented() {
    let app = TestApp::spawn().await;
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("busy")));
    for parts in ["none", PARTS, &format!("{PARTS},{HISTORY}")] {
        let query = format!("contactId={}&parts={parts}&onUnavailable=guest", ALVA.id);
        let guest = app.get(&query).await;
        assert_eq!(guest.assert_ok().at("/contactId"), Value::Null);
    }
}

#[tokio::test]
async fn bytes_of_the_fast_path_are_as_documented() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    let etag = app.get_as(SHOP, &query).await.header("etag").to_owned();
    for more in [String::new(), format!("If-None-Match: {etag}\r\n")] {
        let request = format!(
            "GET /customer?{query} HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {SHOP}\r\n{more}\r\n"
        );
        // `assert_same_by_both` compares the responses with the document.
        let (response, is_taken) = assert_same_by_both(&app, request.as_bytes()).await;
        assert!(is_taken, "{response}");
    }
}
