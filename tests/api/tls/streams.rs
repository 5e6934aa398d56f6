//! HTTP/2: requests that Engage says it did not process, and a connection that died unnoticed.

use engage_simulator::people::ALVA;

use super::{
    BOTH, LATE, NEW_POOL,
    front::{Authority, Front},
    of, trusting,
};
use crate::{harness::until, upstream::relay::Relay};

async fn front(authority: &Authority) -> Front {
    Front::bind(authority.vouch_for("localhost", LATE, &BOTH)).await
}

#[tokio::test]
async fn a_stream_that_is_refused_is_asked_for_again_at_once_from_the_first_call_on() {
    let authority = Authority::new();
    let mut front = front(&authority).await;
    let app = trusting(&authority, &mut front).await;
    for (calls, streams) in [(2, 1), (5, 2)] {
        front.refuse_next(streams);
        let asked = app.ask(&of(&app.engage.contact_ids()[5 + streams]));
        until(|| asked.is_finished()).await;
        asked.await.expect("an answer").assert_ok();
        assert_eq!(front.versions().len(), calls);
    }
    assert_eq!(app.engage.total_calls(), 2);
    assert_eq!(front.connections(), 1);
}

#[tokio::test]
async fn streams_that_are_all_refused_are_tried_three_times_with_credit_or_without() {
    let authority = Authority::new();
    let mut front = front(&authority).await;
    let app = trusting(&authority, &mut front).await;
    front.refuse_streams(true);
    let _passing = app.let_time_pass();
    app.get(&of(ALVA.id))
        .await
        .assert_problem(502, "UpstreamFailed");
    assert_eq!(front.versions().len(), 3);
    front.refuse_streams(false);
    app.advance(NEW_POOL);
    for id in &app.engage.contact_ids()[5..15] {
        app.get(&of(id)).await.assert_ok();
    }
    front.refuse_streams(true);
    app.advance(NEW_POOL);
    let before = front.versions().len();
    app.get(&of(ALVA.id))
        .await
        .assert_problem(502, "UpstreamFailed");
    assert_eq!(front.versions().len() - before, 3);
}

#[tokio::test]
async fn a_connection_that_goes_away_costs_no_caller_anything_from_the_first_call_on() {
    let authority = Authority::new();
    let mut front = front(&authority).await;
    let app = trusting(&authority, &mut front).await;
    front.go_away(1);
    let asked = app.ask(&of(ALVA.id));
    until(|| asked.is_finished()).await;
    asked.await.expect("an answer").assert_ok();
    assert_eq!((front.connections(), app.engage.total_calls()), (2, 1));
}

#[tokio::test]
async fn an_engage_whose_connections_all_go_away_is_asked_three_times() {
    let authority = Authority::new();
    let mut front = front(&authority).await;
    let app = trusting(&authority, &mut front).await;
    front.go_away(usize::MAX);
    let told = app.get(&of(ALVA.id)).await;
    told.assert_problem(502, "UpstreamFailed");
    assert_eq!(front.versions().len(), 3);
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn a_dead_connection_of_http_2_is_noticed_by_its_silence_and_not_by_a_time_out() {
    let authority = Authority::new();
    let mut front = front(&authority).await;
    let mut relay = Relay::bind().await;
    let address = front.address();
    let mut simulator = String::new();
    let app = crate::harness::TestApp::with(|config| {
        let base_url = format!("https://localhost:{}", relay.port());
        simulator = std::mem::replace(&mut config.engage.base_url, base_url);
        config.engage.ca_file = Some(authority.file());
    })
    .await;
    front.serve(simulator);
    relay.serve(address);
    let ids = app.engage.contact_ids().split_off(5);
    app.get(&of(&ids[0])).await.assert_ok();
    relay.forget_connections();
    // The clock stands still: no time-out of ours ends these calls.
    let asked: Vec<_> = ids[1..9].iter().map(|id| app.ask(&of(id))).collect();
    for asked in asked {
        until(|| asked.is_finished()).await;
        asked.await.expect("an answer").assert_ok();
    }
    assert_eq!(app.engage.total_calls(), 9);
    // Until one of them stands, each of the eight makes its own.
    let connections = relay.connections();
    assert!(connections <= 9, "{connections}");
    app.get(&of(&ids[9])).await.assert_ok();
    assert_eq!(relay.connections(), connections);
}
