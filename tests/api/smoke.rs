//! The main use case, once from end to end.

use std::time::Duration;

use engage_simulator::{Endpoint, fixtures::ALVA};
use serde_json::json;

use crate::harness::{POINTS_CALLS, TestApp};

#[tokio::test]
async fn second_identical_request_is_a_hit_without_upstream_calls() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", ALVA.email);
    let first = app.get(&query).await;
    first
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    let calls = app.engage.total_calls();
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), POINTS_CALLS);
    let second = app.get(&query).await;
    second.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), calls);
    assert_eq!(first.json(), second.json());
    assert_eq!(first.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn changed_points_appear_on_a_fresh_request_and_stay_cached() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(Duration::from_secs(300));
    let query = format!("contactId={}&parts=points", ALVA.id);
    let before = app.get(&query).await.at("/points/balance");
    app.engage.contact(ALVA.id).points("742.25");
    app.get(&query).await.assert_hit();
    assert_eq!(app.get(&query).await.at("/points/balance"), before);
    let fresh = app.get(&format!("{query}&fresh=points")).await;
    fresh
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
    assert_eq!(fresh.at("/points/balance"), json!(742.25));
    let plain = app.get(&query).await;
    plain.assert_hit();
    assert_eq!(plain.at("/points/balance"), json!(742.25));
}
