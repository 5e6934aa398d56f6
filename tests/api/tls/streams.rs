//! HTTP/2: requests that Engage reports as unprocessed, and a connection that died silently.

use engage_simulator::fixtures::ALVA;

use super::{
    BOTH_VERSIONS, NEW_POOL, VALID_UNTIL, of,
    proxy::{CertificateAuthority, TlsProxy},
    trusting,
};
use crate::{harness::wait_until, upstream::relay::Relay};

async fn proxy(authority: &CertificateAuthority) -> TlsProxy {
    TlsProxy::bind(authority.issue("localhost", VALID_UNTIL, &BOTH_VERSIONS)).await
}

#[tokio::test]
async fn refused_stream_is_retried_at_once_without_credit() {
    let authority = CertificateAuthority::new();
    let mut proxy = proxy(&authority).await;
    let app = trusting(&authority, &mut proxy).await;
    for (calls, streams) in [(2, 1), (5, 2)] {
        proxy.refuse_next(streams);
        let pending = app.spawn_get(&of(&app.engage.contact_ids()[5 + streams]));
        wait_until(|| pending.is_finished()).await;
        pending.await.expect("an answer").assert_ok();
        assert_eq!(proxy.versions().len(), calls);
    }
    assert_eq!(app.engage.total_calls(), 2);
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn refused_streams_are_tried_three_times_with_or_without_credit() {
    let authority = CertificateAuthority::new();
    let mut proxy = proxy(&authority).await;
    let app = trusting(&authority, &mut proxy).await;
    proxy.refuse_streams(true);
    let _clock = app.run_clock();
    app.get(&of(ALVA.id))
        .await
        .assert_problem(502, "UpstreamFailed");
    assert_eq!(proxy.versions().len(), 3);
    proxy.refuse_streams(false);
    app.advance(NEW_POOL);
    for id in &app.engage.contact_ids()[5..15] {
        app.get(&of(id)).await.assert_ok();
    }
    proxy.refuse_streams(true);
    app.advance(NEW_POOL);
    let before = proxy.versions().len();
    app.get(&of(ALVA.id))
        .await
        .assert_problem(502, "UpstreamFailed");
    assert_eq!(proxy.versions().len() - before, 3);
}

#[tokio::test]
async fn goaway_before_processing_is_retried_on_a_new_connection() {
    let authority = CertificateAuthority::new();
    let mut proxy = proxy(&authority).await;
    let app = trusting(&authority, &mut proxy).await;
    proxy.go_away(1);
    let pending = app.spawn_get(&of(ALVA.id));
    wait_until(|| pending.is_finished()).await;
    pending.await.expect("an answer").assert_ok();
    assert_eq!((proxy.connections(), app.engage.total_calls()), (2, 1));
}

#[tokio::test]
async fn call_is_tried_three_times_if_every_connection_sends_goaway() {
    let authority = CertificateAuthority::new();
    let mut proxy = proxy(&authority).await;
    let app = trusting(&authority, &mut proxy).await;
    proxy.go_away(usize::MAX);
    let answer = app.get(&of(ALVA.id)).await;
    answer.assert_problem(502, "UpstreamFailed");
    assert_eq!(proxy.versions().len(), 3);
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn dead_http_2_connection_is_detected_by_keep_alive_not_timeout() {
    let authority = CertificateAuthority::new();
    let mut proxy = proxy(&authority).await;
    let mut relay = Relay::bind().await;
    let address = proxy.address();
    let mut simulator = String::new();
    let app = crate::harness::TestApp::with(|config| {
        let base_url = format!("https://localhost:{}", relay.port());
        simulator = std::mem::replace(&mut config.engage.base_url, base_url);
        config.engage.ca_file = Some(authority.file());
    })
    .await;
    proxy.serve(simulator);
    relay.serve(address);
    let ids = app.engage.contact_ids().split_off(5);
    app.get(&of(&ids[0])).await.assert_ok();
    relay.forget_connections();
    // The clock stands still: no timeout ends these calls.
    let pending: Vec<_> = ids[1..9].iter().map(|id| app.spawn_get(&of(id))).collect();
    for pending in pending {
        wait_until(|| pending.is_finished()).await;
        pending.await.expect("an answer").assert_ok();
    }
    assert_eq!(app.engage.total_calls(), 9);
    // Until one new connection is established, each of the eight calls opens its own.
    let connections = relay.connections();
    assert!(connections <= 9, "{connections}");
    app.get(&of(&ids[9])).await.assert_ok();
    assert_eq!(relay.connections(), connections);
}
