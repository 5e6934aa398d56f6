//! Retries: one more attempt if it may help, for at most one call in ten.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use serde_json::json;

use super::{broken, ids, metric, of, state};
use crate::harness::{TestApp, let_requests_arrive, wait_until};

const RETRIES: &str = "engage_bff_engage_retries_total{group=\"overview\"}";

/// A service with credit for this many retries.
async fn with_credit(retries: usize) -> TestApp {
    let app = TestApp::spawn().await;
    let query = of(ALVA.id);
    for _ in 0..10 * retries {
        app.get_with(&query, "no-cache").await;
    }
    // The breakers forget these calls.
    app.advance(Duration::from_secs(10));
    app.engage.reset_log();
    app
}

fn status(status: u16) -> Fault {
    Fault::Status(status, json!("no"))
}

#[tokio::test]
async fn broken_call_is_retried_once_after_ten_successful_calls() {
    for fault in [Fault::Html502, status(502), status(503), status(504)] {
        let app = TestApp::spawn().await;
        let ids = ids(&app);
        for id in &ids[..10] {
            app.get(&of(id)).await.assert_ok();
        }
        app.engage.fault_times(Endpoint::All, fault.clone(), 1);
        let pending = app.spawn_get(&of(ALVA.id));
        app.engage.wait_for_calls(Endpoint::All, 11).await;
        let_requests_arrive().await;
        // Not at once: after at least 50 ms and at most 200 ms.
        app.advance(Duration::from_millis(49));
        let_requests_arrive().await;
        assert_eq!(app.engage.total_calls(), 11, "{fault:?}");
        app.advance(Duration::from_millis(151));
        pending.await.expect("an answer").assert_ok();
        assert_eq!(app.engage.total_calls(), 12, "{fault:?}");
        assert!((metric(&app, RETRIES).await - 1.0).abs() < 0.1);

        // The credit is used up.
        app.engage.fault_times(Endpoint::All, fault.clone(), 1);
        let answer = app.get(&of(&ids[10])).await;
        answer.assert_problem(502, "UpstreamFailed");
        assert_eq!(app.engage.total_calls(), 13, "{fault:?}");
    }
}

#[tokio::test]
async fn failed_retry_returns_502() {
    let app = TestApp::spawn().await;
    for id in &ids(&app)[..10] {
        app.get(&of(id)).await.assert_ok();
    }
    app.engage.fault(Endpoint::All, status(503));
    let _clock = app.run_clock();
    let answer = app.get(&of(ALVA.id)).await;
    answer.assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.total_calls(), 12);
}

#[tokio::test]
async fn no_retry_is_made_without_budget() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 0.1;
        config.engage.burst = 11;
    })
    .await;
    for id in &ids(&app)[..10] {
        app.get(&of(id)).await.assert_ok();
    }
    app.engage.fault(Endpoint::All, status(503));
    let _clock = app.run_clock();
    let answer = app.get(&of(ALVA.id)).await;
    answer.assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.total_calls(), 11);
}

#[tokio::test]
async fn retries_add_at_most_a_tenth_to_the_calls() {
    let app = TestApp::spawn().await;
    let _clock = app.run_clock();
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
        // No cached record may be served any more.
        app.advance(Duration::from_secs(3700));
    }
    let calls = app.engage.total_calls();
    assert!(lookups >= 360, "{lookups}");
    assert!(
        calls * 10 <= lookups * 11,
        "{calls} calls for {lookups} lookups"
    );
    assert!(
        calls * 100 >= lookups * 105,
        "{calls} calls for {lookups} lookups"
    );
    assert_eq!(state(&app).await, "closed");
}

#[tokio::test]
async fn retries_stop_when_failures_open_the_breaker() {
    let app = with_credit(10).await;
    let _clock = app.run_clock();
    app.engage.fault(Endpoint::All, status(503));
    for (lookups, id) in ids(&app).iter().enumerate().take(50) {
        app.get(&of(id)).await;
        let calls = app.engage.total_calls();
        // At most ten retries were saved up, and an open breaker stops them.
        let sent = lookups + 1;
        assert!(
            calls <= sent + 10 + sent / 10,
            "{calls} calls for {sent} lookups"
        );
    }
    let calls = app.engage.total_calls();
    // Twenty failing contacts open the breaker, however often each was tried.
    assert!((30..=32).contains(&calls), "{calls}");
}

#[tokio::test]
async fn waiting_retry_is_dropped_when_the_breaker_opens() {
    let app = with_credit(10).await;
    let hold = app.engage.hold(Endpoint::All);
    app.engage.fault(Endpoint::All, status(503));
    let pending: Vec<_> = ids(&app)[..30]
        .iter()
        .map(|id| app.spawn_get(&of(id)))
        .collect();
    app.engage.wait_for_calls(Endpoint::All, 30).await;
    hold.release();
    wait_until(|| app.engage.in_flight() == 0).await;
    while state(&app).await != "open" {
        tokio::task::yield_now().await;
    }
    let _clock = app.run_clock();
    for pending in pending {
        let answer = pending.await.expect("an answer");
        answer.assert_problem(502, "UpstreamFailed");
    }
    assert_eq!(app.engage.total_calls(), 30);
}

#[tokio::test]
async fn errors_that_a_retry_cannot_fix_are_not_retried() {
    let app = with_credit(10).await;
    let _clock = app.run_clock();
    let ids = ids(&app);
    let too_many = Fault::TooMany { retry_after: None };
    let faults = [
        broken(),
        Fault::ResetMidBody,
        Fault::TruncatedJson,
        status(401),
        too_many,
        Fault::Hang,
    ];
    for (fault, id) in faults.into_iter().zip(&ids) {
        app.engage.reset_log();
        app.engage.fault(Endpoint::All, fault.clone());
        assert_ne!(app.get(&of(id)).await.status, 200, "{fault:?}");
        app.advance(Duration::from_secs(20));
        wait_until(|| app.engage.in_flight() == 0).await;
        let_requests_arrive().await;
        assert_eq!(app.engage.total_calls(), 1, "{fault:?}");
    }
    assert!(metric(&app, RETRIES).await < 0.1);
}
