//! The order of queued calls when there are more than the budget allows, and which of them are rejected.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{ids, metric, of, queued};
use crate::harness::{Answer, READER, SHOP, TILL, TestApp, let_requests_arrive};

const SECOND: Duration = Duration::from_secs(1);
/// Past the lifetime, within stale-while-revalidate.
const STALE: Duration = Duration::from_secs(60);
/// Beyond both.
const EXPIRED: Duration = Duration::from_secs(90);

/// One call at a time, so that tests can observe the queue.
async fn one_slot() -> TestApp {
    TestApp::with(|config| config.engage.max_concurrency = 1).await
}

/// This rate and burst, and a slot for every call.
async fn budget(rate: f64, burst: u32) -> TestApp {
    TestApp::with(|config| {
        config.engage.requests_per_second = rate;
        config.engage.burst = burst;
    })
    .await
}

/// The contact ids of the calls to Engage since the log was reset, in order.
fn requested_ids(app: &TestApp) -> Vec<String> {
    let log = app.engage.log();
    let about = |call: &engage_simulator::Call| {
        let id = call.parameter("contactId").map(str::to_owned);
        id.unwrap_or_else(|| call.path.split('/').nth(4).unwrap_or_default().to_owned())
    };
    log.iter().map(about).collect()
}

async fn all_ok(pending: Vec<JoinHandle<Answer>>) {
    for pending in pending {
        pending.await.expect("an answer").assert_ok();
    }
}

#[tokio::test]
async fn fresh_calls_go_before_misses_and_misses_before_refreshes() {
    let app = one_slot().await;
    let ids = ids(&app);
    let [stale, known, first, missed] = [0, 1, 2, 3].map(|index| ids[index].as_str());
    app.get(&of(stale)).await.assert_ok();
    app.advance(STALE);
    app.get(&of(known)).await.assert_ok();
    app.engage.reset_log();
    let hold = app.engage.hold(Endpoint::All);
    let mut pending = vec![app.spawn_get(&of(first))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    // The calls are queued in the reverse of the order in which they are made.
    app.get(&of(stale)).await.assert_ok().assert_hit();
    queued(&app, 1).await;
    pending.push(app.spawn_get(&of(missed)));
    queued(&app, 2).await;
    let fresh = format!("contactId={known}&parts=promotions&fresh=promotions");
    pending.push(app.spawn_get(&fresh));
    queued(&app, 3).await;
    for calls in 2..=4 {
        hold.release_one();
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    assert_eq!(requested_ids(&app), [first, known, missed, stale]);
    assert_eq!(app.engage.log()[1].endpoint, Endpoint::Promotions);
    hold.release();
    all_ok(pending).await;
    assert_eq!(app.engage.max_in_flight(), 1);
}

#[tokio::test]
async fn queued_calls_are_served_in_turns_by_client() {
    let app = one_slot().await;
    let ids = ids(&app);
    let hold = app.engage.hold(Endpoint::All);
    let mut pending = vec![app.spawn_get(&of(&ids[0]))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    let flood = [TILL; 20].into_iter().chain([SHOP, SHOP, READER]);
    for (key, id) in flood.zip(&ids[1..]) {
        let waiting = pending.len();
        pending.push(app.spawn_get_as(key, &of(id)));
        queued(&app, waiting).await;
    }
    for calls in 2..=24 {
        hold.release_one();
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    let of_till = (1..=20).map(|index| &ids[index]);
    let [shop, shops_next, reader] = [21, 22, 23].map(|index| &ids[index]);
    let mut expected: Vec<_> = of_till.collect();
    expected.insert(1, shop);
    expected.insert(2, reader);
    expected.insert(4, shops_next);
    let expected: Vec<String> = expected.into_iter().cloned().collect();
    assert_eq!(requested_ids(&app)[1..], expected);
    hold.release();
    all_ok(pending).await;
}

#[tokio::test]
async fn request_joining_a_queued_refresh_raises_its_priority() {
    let app = one_slot().await;
    let ids = ids(&app);
    let [stale, first, missed] = [0, 1, 2].map(|index| ids[index].as_str());
    app.get(&of(stale)).await.assert_ok();
    app.advance(STALE);
    app.engage.reset_log();
    let hold = app.engage.hold(Endpoint::All);
    let mut pending = vec![app.spawn_get(&of(first))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    app.get(&of(stale)).await.assert_ok().assert_hit();
    queued(&app, 1).await;
    pending.push(app.spawn_get(&of(missed)));
    queued(&app, 2).await;
    // The cached record is too old for `max-age=1`.
    let request = app.customer(TILL, &of(stale));
    let request = request.header("cache-control", "max-age=1");
    pending.push(tokio::spawn(Answer::of(request)));
    let_requests_arrive().await;
    for calls in 2..=3 {
        hold.release_one();
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    hold.release();
    all_ok(pending).await;
    assert_eq!(requested_ids(&app), [first, stale, missed]);
}

#[tokio::test]
async fn full_queue_rejects_the_least_urgent_call_at_once() {
    let app = budget(2.0, 1).await;
    let ids = ids(&app);
    let [cached, first, second, third, fourth] = [0, 1, 2, 3, 4].map(|index| ids[index].as_str());
    app.get(&of(cached)).await.assert_ok();
    app.advance(EXPIRED);
    // One call is available, and two more become available within a second.
    app.get(&of(first)).await.assert_ok();
    let waiting = [second, third].map(|id| app.spawn_get(&of(id)));
    queued(&app, 2).await;
    let refused = app.get(&of(fourth)).await;
    refused.assert_problem(503, "UpstreamUnavailable");
    assert_eq!(refused.header("retry-after"), "1");
    let stale = app.get(&of(cached)).await;
    stale.assert_stale_if_error();
    assert_eq!(stale.at("/degraded"), json!(["profile"]));
    // A fresh request takes a place; the newest queued miss is rejected.
    let fresh = format!("contactId={first}&parts=promotions&fresh=promotions");
    let fresh = app.spawn_get(&fresh);
    let [second, third] = waiting;
    let refused = third.await.expect("an answer");
    refused.assert_problem(503, "UpstreamUnavailable");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(app.engage.total_calls(), 2);
    app.advance(SECOND / 2);
    fresh.await.expect("an answer").assert_ok();
    app.advance(SECOND / 2);
    second.await.expect("an answer").assert_ok();
    assert_eq!(app.engage.total_calls(), 4);
    let line = "engage_bff_engage_calls_not_made_total{reason=\"over_budget\"}";
    assert!((metric(&app, line).await - 3.0).abs() < 0.5);
}

#[tokio::test]
async fn queued_refresh_is_dropped_for_a_waiting_request() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 3.0;
        config.engage.max_concurrency = 1;
    })
    .await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    app.advance(STALE);
    let hold = app.engage.hold(Endpoint::All);
    let mut pending = vec![app.spawn_get(&of(&ids[1]))];
    app.engage.wait_for_calls(Endpoint::All, 2).await;
    app.get(&of(&ids[0])).await.assert_ok().assert_hit();
    queued(&app, 1).await;
    for (waiting, id) in ids[2..4].iter().enumerate() {
        pending.push(app.spawn_get(&of(id)));
        queued(&app, waiting + 2).await;
    }
    // The rejected call is the refresh, for which no caller waits.
    pending.push(app.spawn_get(&of(&ids[4])));
    let_requests_arrive().await;
    queued(&app, 3).await;
    let refused = app.get(&of(&ids[5])).await;
    refused.assert_problem(503, "Overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    hold.release();
    all_ok(pending).await;
    assert_eq!(requested_ids(&app)[1..], ids[1..=4]);
}

#[tokio::test]
async fn refresh_ahead_is_skipped_when_no_slot_is_free() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 2).await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    // The lifetime is 54 to 60 s, so its last tenth has begun, for every draw up to 59.9999999 s.
    app.advance(Duration::from_secs(54) - Duration::from_nanos(1));
    let hold = app.engage.hold(Endpoint::All);
    let pending: Vec<_> = ids[1..3].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 3).await;
    app.get(&of(&ids[0])).await.assert_ok().assert_hit();
    let_requests_arrive().await;
    queued(&app, 0).await;
    assert_eq!(app.engage.total_calls(), 3);
    hold.release();
    all_ok(pending).await;
    let hit = app.get(&of(&ids[0])).await;
    assert!(hit.assert_ok().assert_hit().ttl() >= 0);
    app.engage.wait_for_calls(Endpoint::All, 4).await;
    assert_eq!(requested_ids(&app)[3], ids[0]);
}

#[tokio::test]
async fn queued_call_starts_once_both_slot_and_budget_are_available() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 2.0;
        config.engage.burst = 1;
        config.engage.max_concurrency = 1;
    })
    .await;
    let ids = ids(&app);
    let hold = app.engage.hold(Endpoint::All);
    let first = app.spawn_get(&of(&ids[0]));
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    let second = app.spawn_get(&of(&ids[1]));
    queued(&app, 1).await;
    // The slot is released before the budget allows the next call.
    app.advance(SECOND / 5);
    hold.release();
    first.await.expect("an answer").assert_ok();
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 1);
    app.advance(SECOND * 3 / 10);
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 2);
    second.await.expect("an answer").assert_ok();
}

#[tokio::test]
async fn rate_and_burst_are_divided_by_the_replicas() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 10.0;
        config.engage.burst = 10;
        config.engage.replicas = 5;
    })
    .await;
    let ids = ids(&app);
    let mut pending: Vec<_> = ids[..2].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 2).await;
    pending.extend(ids[2..4].iter().map(|id| app.spawn_get(&of(id))));
    queued(&app, 2).await;
    app.get(&of(&ids[4]))
        .await
        .assert_problem(503, "UpstreamUnavailable");
    for calls in 3..=4 {
        let_requests_arrive().await;
        assert_eq!(app.engage.total_calls(), calls - 1);
        app.advance(SECOND / 2);
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    all_ok(pending).await;
}

#[tokio::test]
async fn after_a_429_all_calls_pause_and_then_restart_slowly() {
    let app = budget(50.0, 10).await;
    let ids = ids(&app);
    let fault = Fault::TooMany {
        retry_after: Some("2".to_owned()),
    };
    app.get(&of(ALVA.id)).await.assert_ok();
    app.engage.fault_times(Endpoint::Overview, fault, 1);
    for key in [TILL, SHOP, READER] {
        let refused = app.get_as(key, &of(&ids[0])).await;
        refused.assert_problem(503, "UpstreamUnavailable");
        assert_eq!(refused.header("retry-after"), "2");
    }
    // Other endpoints too: Engage's limit applies to the API key.
    let fresh = format!("contactId={}&parts=points&fresh=points", ALVA.id);
    let without = app.get(&fresh).await;
    assert_eq!(without.assert_ok().at("/degraded"), json!(["points"]));
    assert_eq!(app.engage.total_calls(), 2);
    app.advance(2 * SECOND);
    let pending: Vec<_> = ids[1..5].iter().map(|id| app.spawn_get(&of(id))).collect();
    // Only one call of the burst of ten is made; the next follows 0.2 s later, not 0.02 s.
    app.engage.wait_for_calls(Endpoint::All, 3).await;
    queued(&app, 3).await;
    app.advance(SECOND / 10);
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 3);
    app.advance(SECOND / 10);
    app.engage.wait_for_calls(Endpoint::All, 4).await;
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 4);
    let clock = app.run_clock();
    all_ok(pending).await;
    drop(clock);
    // A while later the full burst is available again.
    app.advance(15 * SECOND);
    let pending: Vec<_> = ids[5..15].iter().map(|id| app.spawn_get(&of(id))).collect();
    all_ok(pending).await;
}
