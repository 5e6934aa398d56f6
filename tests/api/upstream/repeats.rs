//! What was certainly not processed is asked once more at once, from a process's first call on: no credit is needed,
//! and the clock stands still while a caller waits.

use std::time::Duration;

use engage_simulator::Endpoint;

use super::{behind, ids, kept::keep, of, relay::Relay};
use crate::harness::until;

#[tokio::test]
async fn a_kept_connection_that_ends_before_an_answer_costs_no_caller_anything() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    for (round, id) in ids[1..6].iter().enumerate() {
        relay.cut_kept(1);
        let asked = app.ask(&of(id));
        until(|| asked.is_finished()).await;
        asked.await.expect("an answer").assert_ok();
        assert_eq!(relay.cut(), round + 1);
        // The clock stood still all the while: nothing was waited for.
        assert_eq!(app.engage.calls(Endpoint::All), round + 2);
        // Long enough for connections to be kept again.
        app.advance(Duration::from_secs(5));
    }
    let metrics = app.operations("/metrics").await;
    let repeats = "engage_bff_engage_retries_total{group=\"overview\"} 5";
    assert!(metrics.text().contains(repeats), "{}", metrics.text());
}

#[tokio::test]
async fn kept_connections_that_all_end_again_cost_no_caller_anything() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    let ids = ids(&app);
    keep(&app, &ids[..4]).await;
    relay.cut_kept(usize::MAX);
    app.get(&of(&ids[4])).await.assert_ok();
    relay.cut_kept(0);
    keep(&app, &ids[5..9]).await;
    // New connections were made just before, and those that are kept since then end likewise.
    relay.cut_kept(usize::MAX);
    for (asked, id) in ids[9..13].iter().enumerate() {
        app.get(&of(id)).await.assert_ok();
        assert_eq!(relay.cut(), 2, "after {asked} others");
    }
    relay.cut_kept(0);
    app.advance(Duration::from_secs(5));
    let before = relay.connections();
    for id in &ids[13..16] {
        app.get(&of(id)).await.assert_ok();
    }
    assert_eq!(relay.connections(), before + 1, "they are kept again");
}

#[tokio::test]
async fn a_new_connection_that_ends_before_an_answer_is_no_reason_to_ask_again() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    relay.cut_all(true);
    let told = app.get(&of(&ids(&app)[0])).await;
    told.assert_problem(502, "UpstreamFailed");
    assert_eq!(relay.cut(), 1);
}

#[tokio::test]
async fn connections_that_all_end_are_not_tried_for_ever() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    relay.cut_all(true);
    let told = app.get(&of(&ids[1])).await;
    told.assert_problem(502, "UpstreamFailed");
    // Once on the kept one, once on a new one.
    assert_eq!(relay.cut(), 2);
    let told = app.get(&of(&ids[2])).await;
    told.assert_problem(502, "UpstreamFailed");
    assert_eq!(relay.cut(), 3, "there is no kept one any more");
}

#[tokio::test]
async fn a_repeat_takes_its_part_of_the_budget() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.engage.requests_per_second = 0.1;
        config.engage.burst = 2;
    })
    .await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    relay.cut_kept(1);
    // The second token is for the first attempt, and there is no third.
    let told = app.get(&of(&ids[1])).await;
    told.assert_problem(502, "UpstreamFailed");
    assert_eq!((relay.cut(), app.engage.total_calls()), (1, 1));
}
