//! Request `Cache-Control` from callers with the `fresh` scope: `no-cache`, `max-age`, `only-if-cached`,
//! `stale-if-error=0`. From other callers it is ignored.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use serde_json::json;

use crate::harness::{Answer, COLD_CALLS, READER, TILL, TestApp};

const SECOND: Duration = Duration::from_secs(1);

fn alva() -> String {
    format!("email={}", ALVA.email)
}

fn busy() -> Fault {
    Fault::Status(500, json!({"message": "busy"}))
}

async fn as_reader(app: &TestApp, query: &str, cache_control: &str) -> Answer {
    let request = app.customer(READER, query);
    Answer::of(request.header("cache-control", cache_control)).await
}

#[tokio::test]
async fn no_cache_fetches_every_part_from_the_entity_endpoints() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(Duration::from_secs(600));
    app.get(&alva()).await.assert_ok();
    app.engage.contact(ALVA.id).points("1.25");
    app.engage.reset_log();
    let fresh = app.get_with(&alva(), "no-cache").await;
    fresh
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
    assert_eq!(fresh.at("/points/balance"), json!(1.25));
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    assert_eq!(app.engage.total_calls(), 5);
    assert_eq!(app.overview_calls(), 0);
}

#[tokio::test]
async fn no_cache_fetches_only_the_requested_parts() {
    let app = TestApp::spawn().await;
    let query = format!("{}&parts=none", alva());
    app.get(&query).await.assert_ok();
    app.engage.reset_log();
    app.get_with(&query, "no-cache").await.assert_ok();
    assert_eq!(app.engage.calls(Endpoint::Contact), 1);
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn max_age_bounds_the_age_of_the_answer() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.advance(20 * SECOND);
    app.get_with(&alva(), "max-age=20")
        .await
        .assert_ok()
        .assert_hit();
    app.engage.reset_log();
    let newer = app.get_with(&alva(), "max-age=19").await;
    newer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
    assert_eq!(newer.header("age"), "0");
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
    app.get_with(&alva(), "max-age=0")
        .await
        .assert_ok()
        .assert_hit();
}

#[tokio::test]
async fn record_fetched_for_the_request_satisfies_any_max_age() {
    let app = TestApp::spawn().await;
    let query = format!("{}&parts=none", alva());
    let hold = app.engage.hold(Endpoint::Overview);
    let request = app.customer(TILL, &query);
    let pending = tokio::spawn(Answer::of(request.header("cache-control", "max-age=1")));
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(2 * SECOND);
    hold.release();
    let answer = pending.await.expect("an answer");
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn cached_record_older_than_max_age_is_served_when_engage_fails() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.advance(20 * SECOND);
    app.engage.fault(Endpoint::All, busy());
    let cached = app.get_with(&alva(), "max-age=10").await;
    cached.assert_stale_if_error();
    assert_eq!(cached.at("/degraded"), json!([]));
    app.get_with(&alva(), "max-age=10, stale-if-error=0")
        .await
        .assert_problem(502, "UpstreamFailed");
}

#[tokio::test]
async fn stale_if_error_0_returns_the_error() {
    let app = TestApp::spawn().await;
    let query = format!("{}&parts=none", alva());
    app.get(&query).await.assert_ok();
    app.advance(90 * SECOND);
    app.engage.fault(Endpoint::All, busy());
    app.get_with(&query, "stale-if-error=0")
        .await
        .assert_problem(502, "UpstreamFailed");
    app.get(&query).await.assert_stale_if_error();
    // The failure is remembered, so no call is made.
    app.get_with(&query, "stale-if-error=0")
        .await
        .assert_problem(502, "UpstreamFailed");
    assert_eq!(app.overview_calls(), 2);
    app.engage.clear_faults();
    app.advance(30 * SECOND);
    app.get_with(&query, "stale-if-error=0").await.assert_ok();
}

#[tokio::test]
async fn stale_if_error_0_makes_a_failed_part_null() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.get(&alva()).await.assert_ok();
    app.advance(90 * SECOND);
    app.engage.fault(Endpoint::PointAccounts, busy());
    let answer = app.get_with(&alva(), "stale-if-error=0").await;
    assert_eq!(answer.assert_ok().at("/points"), json!(null));
    assert_eq!(answer.at("/degraded"), json!(["points"]));
}

#[tokio::test]
async fn only_if_cached_makes_no_upstream_call() {
    let app = TestApp::spawn().await;
    app.get_with(&alva(), "only-if-cached")
        .await
        .assert_problem(504, "NotCached");
    assert_eq!(app.engage.total_calls(), 0);
    app.get(&alva()).await.assert_ok();
    let calls = app.engage.total_calls();
    app.get_with(&alva(), "only-if-cached")
        .await
        .assert_ok()
        .assert_hit();
    app.advance(30 * SECOND);
    app.get_with(&alva(), "only-if-cached, max-age=10")
        .await
        .assert_problem(504, "NotCached");
    // Stale but within its window: served, and not refreshed.
    app.get_with(&alva(), "only-if-cached")
        .await
        .assert_ok()
        .assert_hit();
    app.advance(60 * SECOND);
    app.get_with(&alva(), "only-if-cached")
        .await
        .assert_problem(504, "NotCached");
    crate::harness::let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn only_if_cached_returns_504_for_an_uncached_part() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.get(&format!("{}&parts=none", alva())).await.assert_ok();
    app.get_with(&format!("{}&parts=points", alva()), "only-if-cached")
        .await
        .assert_problem(504, "NotCached");
    app.get_with(&format!("{}&parts=vouchers", alva()), "only-if-cached")
        .await
        .assert_ok()
        .assert_hit();
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn request_directives_are_ignored_without_the_fresh_scope() {
    let app = TestApp::spawn().await;
    as_reader(&app, &alva(), "only-if-cached")
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    app.advance(20 * SECOND);
    let calls = app.engage.total_calls();
    for directive in ["no-cache", "max-age=0", "no-cache, max-age=0"] {
        as_reader(&app, &alva(), directive)
            .await
            .assert_ok()
            .assert_hit();
    }
    assert_eq!(app.engage.total_calls(), calls);
    app.advance(70 * SECOND);
    app.engage.fault(Endpoint::All, busy());
    as_reader(&app, &alva(), "stale-if-error=0")
        .await
        .assert_stale_if_error();
}
