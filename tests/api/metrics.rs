//! Metrics of parts, clients, problems, the call queue, alarms, invalidations and compression.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use serde_json::json;

use crate::{
    admission::metric,
    harness::{Answer, READER, SHOP, TILL, TestApp},
};

const SECOND: Duration = Duration::from_secs(1);
/// When every test starts, in seconds since 1970.
const START: f64 = 1_795_435_200.0;

fn by_id(more: &str) -> String {
    format!("contactId={}{more}", ALVA.id)
}

/// How often a part was served with this outcome.
async fn parts(app: &TestApp, part: &str, outcome: &str) -> f64 {
    let name = "engage_bff_parts_served_total";
    metric(
        app,
        &format!("{name}{{part=\"{part}\",outcome=\"{outcome}\"}}"),
    )
    .await
}

/// How often a client's request ended with this outcome.
async fn requests(app: &TestApp, client: &str, outcome: &str) -> f64 {
    let name = "engage_bff_client_requests_total";
    metric(
        app,
        &format!("{name}{{client=\"{client}\",outcome=\"{outcome}\"}}"),
    )
    .await
}

#[track_caller]
fn assert_is(value: f64, expected: f64) {
    assert!((value - expected).abs() < 0.001, "{value}, not {expected}");
}

#[tokio::test]
async fn each_part_is_counted_by_how_it_was_served() {
    let app = TestApp::spawn().await;
    app.get(&by_id("&parts=promotions")).await.assert_ok();
    assert_is(parts(&app, "promotions", "fetched").await, 1.0);
    assert_is(parts(&app, "vouchers", "fetched").await, 0.0);
    app.advance(7 * SECOND);
    app.get(&by_id("&parts=promotions")).await.assert_ok();
    assert_is(parts(&app, "promotions", "fresh").await, 1.0);
    let ages = "engage_bff_part_age_seconds_sum{part=\"promotions\"}";
    assert_is(metric(&app, ages).await, 7.0);
    let count = "engage_bff_part_age_seconds_count{part=\"promotions\"}";
    assert_is(metric(&app, count).await, 2.0);
    // Beyond every lifetime except the audiences'.
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    app.engage
        .fault(Endpoint::Contact, Fault::Status(500, json!("no")));
    app.engage
        .fault(Endpoint::Promotions, Fault::Status(500, json!("no")));
    app.advance(30 * 60 * SECOND);
    app.get(&by_id("&parts=promotions")).await.assert_ok();
    assert_is(parts(&app, "promotions", "stale_if_error").await, 1.0);
    assert_is(
        metric(&app, "engage_bff_customer_degraded_total").await,
        1.0,
    );
}

#[tokio::test]
async fn missing_part_is_counted_and_the_response_is_degraded() {
    let app = TestApp::spawn().await;
    app.engage
        .fault(Endpoint::PointAccounts, Fault::Status(500, json!("no")));
    let answer = app.get(&by_id("&fresh=points")).await;
    assert_eq!(answer.assert_ok().at("/points"), json!(null));
    assert_is(parts(&app, "points", "missing").await, 1.0);
    assert_is(
        metric(&app, "engage_bff_customer_degraded_total").await,
        1.0,
    );
}

#[tokio::test]
async fn guest_counts_every_part_as_missing() {
    let app = TestApp::spawn().await;
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    app.get(&by_id("&onUnavailable=guest")).await.assert_ok();
    for part in ["profile", "points", "promotions", "vouchers", "audiences"] {
        assert_is(parts(&app, part, "missing").await, 1.0);
    }
    assert_is(
        metric(&app, "engage_bff_customer_degraded_total").await,
        1.0,
    );
}

#[tokio::test]
async fn requests_of_each_client_are_counted_by_how_they_ended() {
    let app = TestApp::spawn().await;
    let answer = app.get_as(SHOP, &by_id("")).await;
    let etag = answer.assert_ok().header("etag").to_owned();
    let request = app.customer(SHOP, &by_id("")).header("if-none-match", etag);
    assert_eq!(Answer::of(request).await.status, 304);
    app.get_as(SHOP, "email=unknown%40example.com").await;
    app.get_as(SHOP, "email=").await;
    app.get_as(SHOP, &by_id("&view=full")).await;
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    app.get_as(SHOP, "email=bo.testsson%40example.com").await;
    app.get_as("no-such-key", &by_id("")).await;
    for (outcome, expected) in [
        ("answered", 1.0),
        ("not_modified", 1.0),
        ("not_found", 1.0),
        ("refused", 2.0),
        ("limited", 0.0),
        ("failed", 1.0),
    ] {
        let counted = requests(&app, "shop", outcome).await;
        assert!((counted - expected).abs() < 0.1, "{outcome}: {counted}");
        assert_is(requests(&app, "reader", outcome).await, 0.0);
    }
}

#[tokio::test]
async fn last_request_and_last_key_use_of_a_client_are_times() {
    let app = TestApp::spawn().await;
    let seen = |client: &str| {
        let name = "engage_bff_client_last_seen_timestamp_seconds";
        format!("{name}{{client=\"{client}\"}}")
    };
    let key = "engage_bff_client_key_last_used_timestamp_seconds{client=\"shop\",key=\"e5249de5\"}";
    assert_is(metric(&app, &seen("shop")).await, 0.0);
    app.advance(5 * SECOND);
    app.get_as(SHOP, &by_id("")).await.assert_ok();
    assert_is(metric(&app, &seen("shop")).await, START + 5.0);
    assert_is(metric(&app, key).await, START + 5.0);
    app.advance(5 * SECOND);
    // By the fast path.
    app.get_as(SHOP, &by_id("")).await.assert_ok();
    assert_is(metric(&app, &seen("shop")).await, START + 10.0);
    assert_is(metric(&app, key).await, START + 10.0);
    assert_is(metric(&app, &seen("reader")).await, 0.0);
}

#[tokio::test]
async fn tripped_guard_and_exceeded_rate_are_counted_apart() {
    let app = TestApp::with(|config| {
        config.auth.clients[2].unknown_per_minute = Some(2);
        config.auth.clients[1].requests_per_second = Some(1);
    })
    .await;
    let tripped = "engage_bff_client_guard_tripped{client=\"reader\"}";
    for name in ["a", "b", "c"] {
        app.get_as(READER, &format!("email={name}%40example.com"))
            .await;
    }
    assert_is(requests(&app, "reader", "not_found").await, 2.0);
    assert_is(requests(&app, "reader", "guarded").await, 1.0);
    assert_is(metric(&app, tripped).await, 1.0);
    let trips = "engage_bff_client_guard_trips_total{client=\"reader\"}";
    assert_is(metric(&app, trips).await, 1.0);
    app.advance(60 * SECOND);
    assert_is(metric(&app, tripped).await, 0.0);
    for _ in 0..2 {
        app.get_as(SHOP, &by_id("")).await;
    }
    assert_is(requests(&app, "shop", "limited").await, 1.0);
    assert_is(requests(&app, "reader", "limited").await, 0.0);
}

#[tokio::test]
async fn problems_are_timed_by_the_class_of_their_status() {
    let app = TestApp::spawn().await;
    app.get_as(TILL, "email=")
        .await
        .assert_problem(400, "InvalidParameter");
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    app.get(&by_id(""))
        .await
        .assert_problem(502, "UpstreamFailed");
    for class in ["4xx", "5xx"] {
        let line = format!("engage_bff_problem_duration_seconds_count{{class=\"{class}\"}}");
        assert_is(metric(&app, &line).await, 1.0);
    }
}

#[tokio::test]
async fn time_in_the_queue_is_that_of_calls_that_were_made() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 2.0;
        config.engage.burst = 1;
    })
    .await;
    let both = [
        by_id("&parts=none"),
        format!("contactId={}&parts=none", BO.id),
    ];
    let both = both.map(|query| app.spawn_get(&query));
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while metric(&app, "engage_bff_engage_queued").await < 0.5 {
        ticks.tick().await;
    }
    app.advance(SECOND / 2);
    for answer in both {
        answer.await.expect("an answer").assert_ok();
    }
    let waited = "engage_bff_engage_queue_duration_seconds_sum{group=\"overview\"}";
    assert_is(metric(&app, waited).await, 0.5);
    let calls = "engage_bff_engage_queue_duration_seconds_count{group=\"overview\"}";
    assert_is(metric(&app, calls).await, 2.0);
}

#[tokio::test]
async fn alarms_are_counted_by_their_message() {
    let app = TestApp::with(|config| {
        config.auth.clients[2].unknown_per_minute = Some(1);
    })
    .await;
    let alarm = "engage_bff_alarms_total{alarm=\"enumeration guard tripped\"}";
    let errors = "engage_bff_log_events_total{level=\"error\"}";
    let before = (metric(&app, alarm).await, metric(&app, errors).await);
    app.get_as(READER, "email=unknown%40example.com").await;
    assert_is(metric(&app, alarm).await, before.0 + 1.0);
    assert_is(metric(&app, errors).await, before.1 + 1.0);
    let infos = metric(&app, "engage_bff_log_events_total{level=\"info\"}").await;
    assert!(infos > 0.5, "{infos}");
}

#[tokio::test]
async fn invalidations_are_counted_by_their_cause_and_compression_by_bytes() {
    let app = TestApp::spawn().await;
    app.get(&by_id("")).await.assert_ok();
    let invalidated = |cause: &str| {
        let name = "engage_bff_cache_invalidations_total";
        format!("{name}{{cause=\"{cause}\"}}")
    };
    let body = json!({"contactId": ALVA.id}).to_string();
    let report = app.post_to("/customer/changed", TILL).body(body);
    assert_eq!(Answer::of(report).await.status, 204);
    assert_is(metric(&app, &invalidated("report")).await, 1.0);
    assert_is(metric(&app, &invalidated("purge")).await, 0.0);
    let id = engage_bff::domain::ContactId::parse(ALVA.id).expect("an id");
    app.customers.purge(id).await.expect("no shared tier");
    assert_is(metric(&app, &invalidated("purge")).await, 1.0);
    let input = metric(&app, "engage_bff_cache_compression_input_bytes_total").await;
    let output = metric(&app, "engage_bff_cache_compression_output_bytes_total").await;
    assert!(input > output && output > 0.0, "{input} {output}");
}
