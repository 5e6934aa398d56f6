//! The rate of calls to Engage, changed while calls wait.

use std::time::Duration;

use engage_simulator::Endpoint;

use crate::{
    admission::{ids, metric, of},
    harness::{TestApp, let_requests_arrive},
};

const SECOND: Duration = Duration::from_secs(1);
const RATE: &str = "engage_bff_engage_budget_calls_per_second";
const BURST: &str = "engage_bff_engage_budget_burst";

/// A service that may make one call a second, and has made the first.
async fn slow() -> (TestApp, Vec<String>) {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 1.0;
        config.engage.burst = 1;
    })
    .await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    (app, ids)
}

async fn change(app: &TestApp, rate: f64, burst: u32) {
    let reloaded = app
        .reload(|config| {
            config.engage.requests_per_second = rate;
            config.engage.burst = burst;
        })
        .await
        .expect("a reload");
    assert!(reloaded.needs_restart.is_empty());
    assert!((metric(app, RATE).await - rate).abs() < 0.01);
    assert!((metric(app, BURST).await - f64::from(burst)).abs() < 0.01);
}

#[tokio::test]
async fn call_that_waits_is_made_within_the_new_rate() {
    let (app, ids) = slow().await;
    let waiting = app.spawn_get(&of(&ids[1]));
    let_requests_arrive().await;
    assert_eq!(app.engage.calls(Endpoint::Overview), 1);
    change(&app, 100.0, 10).await;
    // Earlier calls count against the burst: nine tokens are left, and the waiting call takes one of them at once.
    waiting.await.expect("an answer").assert_ok();
    for id in &ids[2..10] {
        app.get(&of(id)).await.assert_ok();
    }
    let waiting = app.spawn_get(&of(&ids[10]));
    let_requests_arrive().await;
    assert_eq!(app.engage.calls(Endpoint::Overview), 10);
    app.advance(SECOND / 100);
    waiting.await.expect("an answer").assert_ok();
}

#[tokio::test]
async fn lower_rate_holds_for_the_next_call() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    app.advance(SECOND);
    change(&app, 1.0, 1).await;
    app.get(&of(&ids[1])).await.assert_ok();
    let waiting = app.spawn_get(&of(&ids[2]));
    let_requests_arrive().await;
    assert_eq!(app.engage.calls(Endpoint::Overview), 2);
    app.advance(SECOND);
    waiting.await.expect("an answer").assert_ok();
    assert_eq!(app.engage.calls(Endpoint::Overview), 3);
}
