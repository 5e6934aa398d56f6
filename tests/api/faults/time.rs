//! Faults that take time: an Engage that is slow, hangs, or is not there at all.

use std::net::SocketAddr;

use engage_simulator::{
    Endpoint, Fault, Simulator,
    people::{ALVA, BO, CIM},
};
use serde_json::json;

use super::{EXPIRED, PATIENCE, SECOND, STALE_IF_SLOW, by_email, calls_under_way};
use crate::{
    admission::queued,
    harness::{TestApp, arrive, until},
};

#[tokio::test]
async fn a_slow_answer_is_too_late_for_the_caller_and_fills_the_cache() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let asked = app.ask(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(PATIENCE);
    let late = asked.await.expect("an answer");
    late.assert_problem(504, "UpstreamTimeout");
    assert_eq!(late.header("retry-after"), "");
    app.advance(SECOND);
    hold.release();
    until(|| app.customers.counts().records == 1).await;
    let hit = app.get(&by_email()).await;
    hit.assert_ok().assert_hit();
    // Its age counts from when Engage was asked.
    assert_eq!(hit.header("age"), "3");
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn of_a_slow_engage_held_data_is_shown_in_time_and_the_answer_kept() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    app.advance(EXPIRED);
    let hold = app.engage.hold(Endpoint::Overview);
    let asked = app.ask(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    app.advance(STALE_IF_SLOW);
    let stale = asked.await.expect("an answer");
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
async fn while_calls_hang_hits_wait_for_nothing() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    app.engage.fault(Endpoint::All, Fault::Hang);
    let ids = app.engage.contact_ids();
    let others: Vec<_> = ids.iter().filter(|id| *id != ALVA.id).take(40).collect();
    let asked: Vec<_> = others
        .iter()
        .map(|id| app.ask(&format!("contactId={id}&parts=none")))
        .collect();
    app.engage.wait_for_calls(Endpoint::Overview, 41).await;
    // The clock stands: whoever waited for anything would wait for ever.
    for _ in 0..100 {
        app.get(&query).await.assert_ok().assert_hit();
    }
    app.advance(PATIENCE);
    for asked in asked {
        let late = asked.await.expect("an answer");
        late.assert_problem(504, "UpstreamTimeout");
    }
}

#[tokio::test]
async fn a_call_that_hangs_gives_its_slot_back_at_the_time_out() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 1).await;
    app.engage.fault_times(Endpoint::Overview, Fault::Hang, 1);
    let hanging = app.ask(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(PATIENCE);
    let late = hanging.await.expect("an answer");
    late.assert_problem(504, "UpstreamTimeout");
    app.advance(7 * SECOND);
    let next = app.ask(&format!("contactId={}&parts=none", CIM.id));
    queued(&app, 1).await;
    assert_eq!(calls_under_way(&app).await, 1);
    // Ten seconds after it was made.
    app.advance(SECOND / 2);
    next.await.expect("an answer").assert_ok();
    assert_eq!(app.engage.max_in_flight(), 1);
    assert_eq!(calls_under_way(&app).await, 0);
    assert_eq!(app.engage.in_flight(), 0, "the connection was closed");
}

#[tokio::test]
async fn never_are_more_calls_under_way_than_slots_however_many_hang() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 4).await;
    app.engage.fault(Endpoint::All, Fault::Hang);
    let ids = app.engage.contact_ids();
    let asked: Vec<_> = ids
        .iter()
        .take(30)
        .map(|id| app.ask(&format!("contactId={id}&parts=none")))
        .collect();
    app.engage.wait_for_calls(Endpoint::Overview, 4).await;
    queued(&app, 26).await;
    // Those in the queue are told after a second, the four after their patience.
    app.advance(SECOND);
    queued(&app, 0).await;
    app.advance(2 * SECOND);
    let mut told = Vec::new();
    for asked in asked {
        told.push(asked.await.expect("an answer").status);
    }
    told.sort_unstable();
    assert_eq!(told, [[503; 26].as_slice(), &[504; 4]].concat());
    assert_eq!(app.engage.total_calls(), 4);
}

#[tokio::test]
async fn an_engage_that_refuses_connections_is_a_502_or_stale_and_is_found_again_at_once() {
    // Of an address of its own, so that nobody takes the port meanwhile.
    let home = SocketAddr::from(([127, 0, 0, 7], 0));
    let engage = start(home).await;
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
    let told = app.get(&cold).await;
    told.assert_problem(502, "UpstreamFailed");
    let ready = app.operations("/readyz").await;
    assert_eq!(ready.assert_ok().at("/ready"), true);

    let engage = start(address).await;
    app.get(&cold).await.assert_ok();
    let healed = app.get(&by_email()).await;
    healed
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
    assert_eq!(engage.total_calls(), 2);
    arrive().await;
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
