//! Kept connections that died unnoticed, as behind a NAT that forgot them or after a fail-over: that is found out once,
//! and an Engage that is merely slow is not taken for it.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault};

use super::{behind, ids, of, relay::Relay};
use crate::harness::{TestApp, arrive, until};

const SECOND: Duration = Duration::from_secs(1);

/// Asks for so many contacts at once, so that as many connections are kept afterwards.
pub(super) async fn keep(app: &TestApp, ids: &[String]) {
    let before = app.engage.total_calls();
    let hold = app.engage.hold(Endpoint::All);
    let asked: Vec<_> = ids.iter().map(|id| app.ask(&of(id))).collect();
    app.engage
        .wait_for_calls(Endpoint::All, before + ids.len())
        .await;
    hold.release();
    for asked in asked {
        asked.await.expect("an answer").assert_ok();
    }
}

#[tokio::test]
async fn kept_connections_that_died_cost_eight_callers_one_time_out() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.server.request_timeout = 30 * SECOND;
    })
    .await;
    let ids = ids(&app);
    keep(&app, &ids[..8]).await;
    assert_eq!(relay.connections(), 8);
    relay.forget_connections();
    let first = app.ask(&of(&ids[8]));
    arrive().await;
    app.advance(SECOND);
    let others: Vec<_> = ids[9..16].iter().map(|id| app.ask(&of(id))).collect();
    arrive().await;
    assert_eq!(app.engage.total_calls(), 8, "nothing arrives");
    app.advance(9 * SECOND);
    // The first call's time is over.
    let told = first.await.expect("an answer");
    told.assert_problem(504, "UpstreamTimeout");
    // No call begins anyhow, so one of the seven tries the new connections, and the others follow without waiting.
    app.advance(SECOND / 4);
    for other in others {
        until(|| other.is_finished()).await;
        other.await.expect("an answer").assert_ok();
    }
    assert_eq!(app.engage.total_calls(), 15);
    assert!(relay.connections() <= 15, "{}", relay.connections());
    for id in &ids[16..24] {
        app.get(&of(id)).await.assert_ok();
    }
    assert_eq!(app.engage.total_calls(), 23);
    let log = crate::harness::logs();
    assert_eq!(log.matches("kept connections to engage").count(), 1);
}

#[tokio::test]
async fn of_calls_that_began_together_all_but_one_are_answered() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.server.request_timeout = 30 * SECOND;
    })
    .await;
    let ids = ids(&app);
    keep(&app, &ids[..8]).await;
    relay.forget_connections();
    let asked: Vec<_> = ids[8..16].iter().map(|id| app.ask(&of(id))).collect();
    arrive().await;
    app.advance(10 * SECOND);
    arrive().await;
    app.advance(SECOND / 4);
    let mut told = Vec::new();
    for asked in asked {
        until(|| asked.is_finished()).await;
        told.push(asked.await.expect("an answer").status);
    }
    told.sort_unstable();
    assert_eq!(told, [200, 200, 200, 200, 200, 200, 200, 504]);
    assert_eq!(app.engage.total_calls(), 15);
}

#[tokio::test]
async fn a_call_that_begins_anyhow_is_the_trial_and_no_other_is_made() {
    let app = TestApp::with(|config| config.server.request_timeout = 30 * SECOND).await;
    let ids = ids(&app);
    keep(&app, &ids[..4]).await;
    let hold = app.engage.hold(Endpoint::All);
    let first = app.ask(&of(&ids[4]));
    app.engage.wait_for_calls(Endpoint::All, 5).await;
    app.advance(SECOND);
    let waiting: Vec<_> = ids[5..8].iter().map(|id| app.ask(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 8).await;
    app.advance(9 * SECOND);
    assert_eq!(first.await.expect("an answer").status, 504);
    // Engage is slow, and nothing else: it hangs on new connections, too.
    let next = app.ask(&of(&ids[8]));
    app.engage.wait_for_calls(Endpoint::All, 9).await;
    app.advance(SECOND / 2);
    arrive().await;
    assert_eq!(app.engage.total_calls(), 9);
    // The answers to those that wait on the old connections are taken all the same.
    hold.release();
    for asked in waiting.into_iter().chain([next]) {
        assert!([200, 504].contains(&asked.await.expect("an answer").status));
    }
    let calls = app.engage.total_calls();
    assert!(calls <= 12, "{calls}");
}

#[tokio::test]
async fn connections_that_work_beside_the_dead_ones_do_not_hide_them() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.server.request_timeout = 30 * SECOND;
    })
    .await;
    let ids = ids(&app);
    keep(&app, &ids[..2]).await;
    relay.forget_connections();
    let dead: Vec<_> = ids[2..4].iter().map(|id| app.ask(&of(id))).collect();
    arrive().await;
    // Both kept ones are taken: this one is new.
    app.get(&of(&ids[4])).await.assert_ok();
    app.advance(10 * SECOND);
    arrive().await;
    let before = relay.connections();
    app.get(&of(&ids[5])).await.assert_ok();
    assert!(relay.connections() > before, "a new pool");
    let mut told = Vec::new();
    for dead in dead {
        until(|| dead.is_finished()).await;
        told.push(dead.await.expect("an answer").status);
    }
    told.sort_unstable();
    assert_eq!(told, [200, 504]);
}

#[tokio::test]
async fn an_engage_that_hangs_costs_one_call_more_and_no_new_connections_without_end() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    let ids = ids(&app);
    keep(&app, &ids[..8]).await;
    app.engage.fault(Endpoint::All, Fault::Hang);
    let mut asked = Vec::new();
    // Fewer than the breaker wants, over a minute, so that it is not what keeps the number low.
    for id in &ids[8..26] {
        asked.push(app.ask(&of(id)));
        arrive().await;
        app.advance(3 * SECOND);
    }
    for _ in 0..10 {
        app.advance(2 * SECOND);
        arrive().await;
    }
    for asked in asked {
        assert_eq!(asked.await.expect("an answer").status, 504);
    }
    let calls = app.engage.total_calls() - 8;
    assert!(calls <= 18 + 1, "{calls} calls for 18 look-ups");
    assert_eq!(app.engage.in_flight(), 0);
    app.engage.clear_faults();
    app.get(&of(&ids[30])).await.assert_ok();
}

#[tokio::test]
async fn an_engage_that_is_slow_and_answers_keeps_its_connections() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.server.request_timeout = 30 * SECOND;
    })
    .await;
    let ids = ids(&app);
    keep(&app, &ids[..4]).await;
    app.engage.fault_times(Endpoint::All, Fault::Hang, 1);
    let hanging = app.ask(&of(&ids[4]));
    app.engage.wait_for_calls(Endpoint::All, 5).await;
    app.advance(SECOND);
    let hold = app.engage.hold(Endpoint::All);
    let slow: Vec<_> = ids[5..7].iter().map(|id| app.ask(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 7).await;
    app.advance(4 * SECOND);
    // Kept connections answer while the other call waits.
    hold.release();
    for slow in slow {
        slow.await.expect("an answer").assert_ok();
    }
    let hold = app.engage.hold(Endpoint::All);
    let late = app.ask(&of(&ids[7]));
    app.engage.wait_for_calls(Endpoint::All, 8).await;
    app.advance(5 * SECOND);
    let told = hanging.await.expect("an answer");
    told.assert_problem(504, "UpstreamTimeout");
    arrive().await;
    hold.release();
    late.await.expect("an answer").assert_ok();
    app.get(&of(&ids[8])).await.assert_ok();
    assert_eq!(app.engage.total_calls(), 9);
    assert_eq!(relay.connections(), 4);
}
