//! Faults that take time: a slow, hanging or unreachable Engage.

use std::net::SocketAddr;

use engage_simulator::{
    Endpoint, Fault, Simulator,
    fixtures::{ALVA, BO, CIM},
};
use serde_json::json;

use super::{EXPIRED, REQUEST_TIMEOUT, SECOND, STALE_IF_SLOW, by_email, calls_in_flight};
use crate::{
    admission::queued,
    harness::{TestApp, let_requests_arrive, wait_until},
};

#[tokio::test]
async fn answer_after_the_request_timeout_fills_the_cache() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let pending = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(REQUEST_TIMEOUT);
    let late = pending.await.expect("an answer");
    late.assert_problem(504, "UpstreamTimeout");
    assert_eq!(late.header("retry-after"), "");
    app.advance(SECOND);
    hold.release();
    wait_until(|| app.customers.counts().records == 1).await;
    let hit = app.get(&by_email()).await;
    hit.assert_ok().assert_hit();
    // The age counts from the start of the upstream call.
    assert_eq!(hit.header("age"), "3");
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn slow_engage_serves_stale_and_caches_the_late_answer() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    app.advance(EXPIRED);
    let hold = app.engage.hold(Endpoint::Overview);
    let pending = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    app.advance(STALE_IF_SLOW);
    let stale = pending.await.expect("an answer");
    stale.assert_stale_if_slow();
    assert_eq!(stale.at("/degraded"), json!(["profile"]));
    hold.release();
    let hit = app
        .get_until(&by_email(), |answer| {
            answer.header("cache-status").contains("hit; ttl=5")
        })
        .await;
    hit.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn hits_do_not_wait_for_hanging_calls() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    app.engage.fault(Endpoint::All, Fault::Hang);
    let ids = app.engage.contact_ids();
    let others: Vec<_> = ids.iter().filter(|id| *id != ALVA.id).take(40).collect();
    let pending: Vec<_> = others
        .iter()
        .map(|id| app.spawn_get(&format!("contactId={id}&parts=none")))
        .collect();
    app.engage.wait_for_calls(Endpoint::Overview, 41).await;
    // The clock stands still: a hit that waited for a call would never return.
    for _ in 0..100 {
        app.get(&query).await.assert_ok().assert_hit();
    }
    app.advance(REQUEST_TIMEOUT);
    for pending in pending {
        let late = pending.await.expect("an answer");
        late.assert_problem(504, "UpstreamTimeout");
    }
}

#[tokio::test]
async fn hanging_call_releases_its_slot_at_the_timeout() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 1).await;
    app.engage.fault_times(Endpoint::Overview, Fault::Hang, 1);
    let hanging = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(REQUEST_TIMEOUT);
    let late = hanging.await.expect("an answer");
    late.assert_problem(504, "UpstreamTimeout");
    app.advance(7 * SECOND);
    let next = app.spawn_get(&format!("contactId={}&parts=none", CIM.id));
    queued(&app, 1).await;
    assert_eq!(calls_in_flight(&app).await, 1);
    // Ten seconds after the call started.
    app.advance(SECOND / 2);
    next.await.expect("an answer").assert_ok();
    assert_eq!(app.engage.max_in_flight(), 1);
    assert_eq!(calls_in_flight(&app).await, 0);
    assert_eq!(app.engage.in_flight(), 0, "the connection was closed");
}

#[tokio::test]
async fn hanging_calls_never_exceed_max_concurrency() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 4).await;
    app.engage.fault(Endpoint::All, Fault::Hang);
    let ids = app.engage.contact_ids();
    let pending: Vec<_> = ids
        .iter()
        .take(30)
        .map(|id| app.spawn_get(&format!("contactId={id}&parts=none")))
        .collect();
    app.engage.wait_for_calls(Endpoint::Overview, 4).await;
    queued(&app, 26).await;
    // Queued requests are refused after a second, the four running ones at the request timeout.
    app.advance(SECOND);
    queued(&app, 0).await;
    app.advance(2 * SECOND);
    let mut statuses = Vec::new();
    for pending in pending {
        statuses.push(pending.await.expect("an answer").status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[503; 26].as_slice(), &[504; 4]].concat());
    assert_eq!(app.engage.total_calls(), 4);
}

#[tokio::test]
async fn refused_connection_is_502_or_stale_until_engage_is_back() {
    // An address of its own, so that no other process takes the port in between.
    let free_port = SocketAddr::from(([127, 0, 0, 7], 0));
    let engage = start(free_port).await;
    let address = engage.local_addr();
    let app = TestApp::with(|config| config.engage.base_url = format!("http://{address}")).await;
    app.get(&by_email()).await.assert_ok();
    engage.shutdown().await;
    app.get(&by_email()).await.assert_ok().assert_hit();
    app.advance(EXPIRED);
    let stale = app.get(&by_email()).await;
    stale.assert_stale_if_error();
    assert_eq!(stale.at("/degraded"), json!(["profile"]));
    let cold = format!("email={}&contactType=Contact&parts=none", BO.email);
    let answer = app.get(&cold).await;
    answer.assert_problem(502, "UpstreamFailed");
    let ready = app.operations("/readyz").await;
    assert_eq!(ready.assert_ok().at("/ready"), true);

    let engage = start(address).await;
    app.get(&cold).await.assert_ok();
    let recovered = app.get(&by_email()).await;
    recovered
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
    assert_eq!(engage.total_calls(), 2);
    let_requests_arrive().await;
}

async fn start(address: SocketAddr) -> Simulator {
    Simulator::builder()
        .seed(7)
        .contacts(50)
        .rate_limit(None)
        .listen(address)
        .start()
        .await
        .expect("the simulator starts")
}
