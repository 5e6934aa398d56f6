//! Requests whose reused connection closed before a response are repeated at once, within the budget and without retry
//! credit. Those on a new connection are not.

use std::time::Duration;

use engage_simulator::Endpoint;

use super::{behind, ids, of, pooled::fill_pool, relay::Relay};
use crate::harness::wait_until;

#[tokio::test]
async fn request_on_a_closed_pooled_connection_is_repeated_at_once() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    for (round, id) in ids[1..6].iter().enumerate() {
        relay.cut_reused(1);
        let pending = app.spawn_get(&of(id));
        wait_until(|| pending.is_finished()).await;
        pending.await.expect("an answer").assert_ok();
        assert_eq!(relay.cut(), round + 1);
        // The clock stood still, so nothing waited.
        assert_eq!(app.engage.calls(Endpoint::All), round + 2);
        // Long enough for connections to be pooled again.
        app.advance(Duration::from_secs(5));
    }
    let metrics = app.operations("/metrics").await;
    let repeats = "engage_bff_engage_retries_total{group=\"overview\"} 5";
    assert!(metrics.text().contains(repeats), "{}", metrics.text());
}

#[tokio::test]
async fn requests_on_repeatedly_closed_pooled_connections_are_repeated() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    let ids = ids(&app);
    fill_pool(&app, &ids[..4]).await;
    relay.cut_reused(usize::MAX);
    app.get(&of(&ids[4])).await.assert_ok();
    relay.cut_reused(0);
    fill_pool(&app, &ids[5..9]).await;
    // Connections opened just before and pooled since then are closed too.
    relay.cut_reused(usize::MAX);
    for (index, id) in ids[9..13].iter().enumerate() {
        app.get(&of(id)).await.assert_ok();
        assert_eq!(relay.cut(), 2, "after {index} others");
    }
    relay.cut_reused(0);
    app.advance(Duration::from_secs(5));
    let before = relay.connections();
    for id in &ids[13..16] {
        app.get(&of(id)).await.assert_ok();
    }
    assert_eq!(
        relay.connections(),
        before + 1,
        "connections are pooled again"
    );
}

#[tokio::test]
async fn request_on_a_closed_new_connection_is_not_repeated() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    relay.cut_all(true);
    let answer = app.get(&of(&ids(&app)[0])).await;
    answer.assert_problem(502, "UpstreamFailed");
    assert_eq!(relay.cut(), 1);
}

#[tokio::test]
async fn request_is_tried_at_most_twice_when_connections_close() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    relay.cut_all(true);
    let answer = app.get(&of(&ids[1])).await;
    answer.assert_problem(502, "UpstreamFailed");
    // Once on the pooled connection, once on a new one.
    assert_eq!(relay.cut(), 2);
    let answer = app.get(&of(&ids[2])).await;
    answer.assert_problem(502, "UpstreamFailed");
    assert_eq!(relay.cut(), 3, "no pooled connection is left");
}

#[tokio::test]
async fn repeat_counts_against_the_budget() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.engage.requests_per_second = 0.1;
        config.engage.burst = 2;
    })
    .await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    relay.cut_reused(1);
    // The second token is spent on the first attempt, and there is no third.
    let answer = app.get(&of(&ids[1])).await;
    answer.assert_problem(502, "UpstreamFailed");
    assert_eq!((relay.cut(), app.engage.total_calls()), (1, 1));
}
