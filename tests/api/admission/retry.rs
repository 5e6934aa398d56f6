//! One more try where it may help, for one call in ten.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, people::ALVA};
use serde_json::json;

use super::{broken, ids, metric, of, state};
use crate::harness::{TestApp, arrive, until};

const RETRIES: &str = "engage_bff_engage_retries_total{group=\"overview\"}";

/// With credit for so many retries.
async fn with_credit(retries: usize) -> TestApp {
    let app = TestApp::spawn().await;
    let query = of(ALVA.id);
    for _ in 0..10 * retries {
        app.get_with(&query, "no-cache").await;
    }
    // The breakers remember none of it.
    app.advance(Duration::from_secs(10));
    app.engage.reset_log();
    app
}

fn status(status: u16) -> Fault {
    Fault::Status(status, json!("no"))
}

#[tokio::test]
async fn after_ten_good_calls_a_call_that_broke_is_made_once_more() {
    for fault in [Fault::Html502, status(502), status(503), status(504)] {
        let app = TestApp::spawn().await;
        let ids = ids(&app);
        for id in &ids[..10] {
            app.get(&of(id)).await.assert_ok();
        }
        app.engage.fault_times(Endpoint::All, fault.clone(), 1);
        let asked = app.ask(&of(ALVA.id));
        app.engage.wait_for_calls(Endpoint::All, 11).await;
        arrive().await;
        // Not at once: 50 ms later at the earliest, 200 ms at the latest.
        app.advance(Duration::from_millis(49));
        arrive().await;
        assert_eq!(app.engage.total_calls(), 11, "{fault:?}");
        app.advance(Duration::from_millis(151));
        asked.await.expect("an answer").assert_ok();
        assert_eq!(app.engage.total_calls(), 12, "{fault:?}");
        assert!((metric(&app, RETRIES).await - 1.0).abs() < 0.1);

        // The credit is spent.
        app.engage.fault_times(Endpoint::All, fault.clone(), 1);
        let told = app.get(&of(&ids[10])).await;
        told.assert_problem(502, "UpstreamFailed");
        assert_eq!(app.engage.total_calls(), 13, "{fault:?}");
    }
}

#[tokio::test]
async fn what_breaks_again_is_told() {
    let app = TestApp::spawn().await;
    for id in &ids(&app)[..10] {
        app.get(&of(id)).await.assert_ok();
    }
    app.engage.fault(Endpoint::All, status(503));
    let _passing = app.let_time_pass();
    let told = app.get(&of(ALVA.id)).await;
    told.assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.total_calls(), 12);
}

#[tokio::test]
async fn a_retry_waits_for_the_budget_too_and_is_left_out_where_there_is_none() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 0.1;
        config.engage.burst = 11;
    })
    .await;
    for id in &ids(&app)[..10] {
        app.get(&of(id)).await.assert_ok();
    }
    app.engage.fault(Endpoint::All, status(503));
    let _passing = app.let_time_pass();
    let told = app.get(&of(ALVA.id)).await;
    told.assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.total_calls(), 11);
}

#[tokio::test]
async fn four_hundred_look_ups_of_which_a_third_fail_cost_a_tenth_more_at_most() {
    let app = TestApp::spawn().await;
    let _passing = app.let_time_pass();
    let ids = ids(&app);
    let mut lookups = 0;
    for _ in 0..8 {
        for id in &ids {
            lookups += 1;
            if lookups % 3 == 0 {
                app.engage.fault_times(Endpoint::Overview, status(503), 1);
            }
            let status = app.get(&of(id)).await.status;
            assert!([200, 502].contains(&status), "{status}");
        }
        // Nothing that is held may be served any more.
        app.advance(Duration::from_secs(3700));
    }
    let calls = app.engage.total_calls();
    assert!(lookups >= 360, "{lookups}");
    assert!(
        calls * 10 <= lookups * 11,
        "{calls} calls for {lookups} look-ups"
    );
    assert!(
        calls * 100 >= lookups * 105,
        "{calls} calls for {lookups} look-ups"
    );
    assert_eq!(state(&app).await, "closed");
}

#[tokio::test]
async fn in_a_burst_of_failures_look_ups_cost_less_and_less() {
    let app = with_credit(10).await;
    let _passing = app.let_time_pass();
    app.engage.fault(Endpoint::All, status(503));
    for (lookups, id) in ids(&app).iter().enumerate().take(50) {
        app.get(&of(id)).await;
        let calls = app.engage.total_calls();
        // Ten retries at most were saved up, and none is made behind an open breaker.
        let asked = lookups + 1;
        assert!(
            calls <= asked + 10 + asked / 10,
            "{calls} calls for {lookups} look-ups"
        );
    }
    let calls = app.engage.total_calls();
    // Twenty contacts open it, however often each was tried.
    assert!((30..=32).contains(&calls), "{calls}");
}

#[tokio::test]
async fn who_waits_to_try_again_does_not_once_the_breaker_has_opened() {
    let app = with_credit(10).await;
    let hold = app.engage.hold(Endpoint::All);
    app.engage.fault(Endpoint::All, status(503));
    let asked: Vec<_> = ids(&app)[..30].iter().map(|id| app.ask(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 30).await;
    hold.release();
    until(|| app.engage.in_flight() == 0).await;
    while state(&app).await != "open" {
        tokio::task::yield_now().await;
    }
    let _passing = app.let_time_pass();
    for asked in asked {
        let told = asked.await.expect("an answer");
        told.assert_problem(502, "UpstreamFailed");
    }
    assert_eq!(app.engage.total_calls(), 30);
}

#[tokio::test]
async fn what_would_not_help_is_not_tried() {
    let app = with_credit(10).await;
    let _passing = app.let_time_pass();
    let ids = ids(&app);
    let too_many = Fault::TooMany { retry_after: None };
    let spare = [
        broken(),
        Fault::ResetMidBody,
        Fault::TruncatedJson,
        status(401),
        too_many,
        Fault::Hang,
    ];
    for (fault, id) in spare.into_iter().zip(&ids) {
        app.engage.reset_log();
        app.engage.fault(Endpoint::All, fault.clone());
        assert_ne!(app.get(&of(id)).await.status, 200, "{fault:?}");
        app.advance(Duration::from_secs(20));
        until(|| app.engage.in_flight() == 0).await;
        arrive().await;
        assert_eq!(app.engage.total_calls(), 1, "{fault:?}");
    }
    assert!(metric(&app, RETRIES).await < 0.1);
}
