//! The operations listener: detailed probes, metrics, and the token, which everything else except the pages needs.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use serde_json::{Value, json};

use crate::harness::{Answer, TILL, TestApp};

#[tokio::test]
async fn readiness_warns_about_webhook_secrets_with_several_replicas() {
    let member_number = Some(engage_bff::config::CustomKeyField::MemberNumber);
    let app = TestApp::with(|config| config.engage.custom_key = member_number).await;
    let usual = app.operations("/readyz").await;
    assert_eq!(usual.at("/warnings"), serde_json::json!([]));
    let app = TestApp::with(|config| {
        config.engage.custom_key = member_number;
        config.engage.replicas = 2;
        config.webhooks.secrets = vec![engage_simulator::DEFAULT_WEBHOOK_SECRET.into()];
    })
    .await;
    let shared = app.operations("/readyz").await;
    shared.assert_ok();
    let warnings = shared.at("/warnings").clone();
    let first = warnings[0].as_str().expect("a text");
    assert!(
        first.starts_with("webhooks.secrets: are set while engage.replicas is more than 1; "),
        "{first}"
    );
    assert_eq!(warnings.as_array().map(Vec::len), Some(1), "{warnings}");
}

async fn with_token(token: &str) -> TestApp {
    TestApp::with(|config| config.operations.token = Some(token.into())).await
}

#[tokio::test]
async fn readiness_reports_breakers_pause_and_cache_size() {
    let app = TestApp::spawn().await;
    let idle = app.operations("/readyz").await;
    idle.assert_ok();
    assert_eq!(idle.at("/ready"), true);
    assert_eq!(idle.at("/cache/records"), 0);
    assert_eq!(idle.at("/engage/pausedForSeconds"), Value::Null);
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
    let fault = Fault::TooMany {
        retry_after: Some("7".to_owned()),
    };
    app.engage.fault(Endpoint::Overview, fault);
    app.get("email=bo.testsson%40example.com").await;
    let paused = app.operations("/readyz").await;
    paused.assert_ok();
    assert_eq!(paused.at("/cache/records"), 1);
    assert_eq!(paused.at("/engage/pausedForSeconds"), 7.0);
    let groups: Vec<_> = paused
        .at("/engage/breakers")
        .as_array()
        .expect("a list")
        .clone();
    let closed =
        |group: &str| json!({"group": group, "state": "closed", "refusesForSeconds": null});
    let all = [
        "overview",
        "contacts",
        "promotions",
        "vouchers",
        "points",
        "point_definitions",
        "point_transactions",
        "redeemed_vouchers",
        "purchases",
        "changes",
    ];
    assert_eq!(groups, all.map(closed));
    for secret in [ALVA.id, ALVA.email, "Alva"] {
        assert!(!paused.text().contains(secret), "{}", paused.text());
    }
}

#[tokio::test]
async fn metrics_count_upstream_calls_by_group_and_outcome() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
    app.engage
        .fault_times(Endpoint::Overview, Fault::Status(500, json!("no")), 1);
    app.get("email=bo.testsson%40example.com").await;
    let metrics = app.operations("/metrics").await;
    metrics.assert_ok();
    assert!(
        metrics
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    for line in [
        "engage_bff_engage_calls_total{group=\"overview\",outcome=\"ok\"} 1",
        "engage_bff_engage_calls_total{group=\"overview\",outcome=\"failed\"} 1",
        "engage_bff_engage_calls_total{group=\"points\",outcome=\"ok\"} 1",
        "engage_bff_engage_call_duration_seconds_count{group=\"overview\"} 2",
        "engage_bff_engage_breaker_state{group=\"overview\"} 0",
        "engage_bff_engage_in_flight 0",
        "engage_bff_cache_records 1",
    ] {
        let is_present = metrics.text().lines().any(|text| text == line);
        assert!(is_present, "no {line} in {}", metrics.text());
    }
}

#[tokio::test]
async fn operations_answers_have_no_store() {
    let app = with_token("an-operators-token").await;
    for target in ["/livez", "/readyz", "/metrics", "/nowhere"] {
        let answer = app.operations(target).await;
        assert_eq!(
            answer.header("cache-control"),
            "private, no-store",
            "{target}"
        );
        assert_eq!(
            answer.header("x-content-type-options"),
            "nosniff",
            "{target}"
        );
    }
}

#[tokio::test]
async fn configured_token_leaves_probes_and_metrics_open() {
    let app = with_token("an-operators-token").await;
    for target in ["/livez", "/readyz", "/metrics"] {
        app.operations(target).await.assert_ok();
    }
    let refused = app.operations("/nowhere").await;
    refused.assert_problem(401, "Unauthorized");
    assert!(refused.header("www-authenticate").starts_with("Bearer "));
    for authorization in [
        "Bearer wrong",
        "Bearer ",
        "an-operators-token",
        "Basic an-operators-token",
    ] {
        let request = app
            .operations_request("/nowhere")
            .header("authorization", authorization);
        Answer::of(request)
            .await
            .assert_problem(401, "Unauthorized");
    }
    let request = app
        .operations_request("/nowhere")
        .header("authorization", "Bearer an-operators-token");
    Answer::of(request).await.assert_problem(404, "NotFound");
}

#[tokio::test]
async fn data_and_operations_listeners_do_not_serve_each_others_routes() {
    let app = TestApp::spawn().await;
    let target = format!("/customer?contactId={}", ALVA.id);
    let request = app.operations_request(&target).header("x-api-key", TILL);
    // Sent without the usual check against an OpenAPI document.
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 404);
    let text = response.text().await.expect("a problem");
    assert!(text.contains(r#""code":"NotFound""#), "{text}");
    let request = app.request("/metrics").header("x-api-key", TILL);
    Answer::of(request).await.assert_problem(404, "NotFound");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn wrong_method_on_operations_is_405_with_allow() {
    let app = TestApp::spawn().await;
    let request = app
        .operations_request("/metrics")
        .build()
        .expect("a request");
    let mut request = request;
    *request.method_mut() = reqwest::Method::DELETE;
    let answer = app.execute(request).await;
    answer.assert_problem(405, "MethodNotAllowed");
    assert_eq!(answer.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn readiness_is_503_while_the_service_drains() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let pending = app.spawn_get(&format!("contactId={}", ALVA.id));
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.begin_shutdown();
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    let mut last = app.operations("/readyz").await;
    while last.status == 200 {
        ticks.tick().await;
        last = app.operations("/readyz").await;
    }
    assert_eq!(last.status, 503);
    assert_eq!(last.at("/ready"), false);
    hold.release();
    pending.await.expect("an answer").assert_ok();
}
