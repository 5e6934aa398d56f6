//! Pooled connections that died silently, as behind a NAT or after a failover: detected once, and not confused with a
//! slow Engage.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault};

use super::{behind, ids, of, relay::Relay};
use crate::harness::{TestApp, let_requests_arrive, wait_until};

const SECOND: Duration = Duration::from_secs(1);

/// Requests all these contacts concurrently, so that as many connections are pooled afterwards.
pub(super) async fn fill_pool(app: &TestApp, ids: &[String]) {
    let before = app.engage.total_calls();
    let hold = app.engage.hold(Endpoint::All);
    let pending: Vec<_> = ids.iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage
        .wait_for_calls(Endpoint::All, before + ids.len())
        .await;
    hold.release();
    for pending in pending {
        pending.await.expect("an answer").assert_ok();
    }
}

#[tokio::test]
async fn dead_pooled_connections_cost_eight_requests_one_timeout() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.server.request_timeout = 30 * SECOND;
    })
    .await;
    let ids = ids(&app);
    fill_pool(&app, &ids[..8]).await;
    assert_eq!(relay.connections(), 8);
    relay.forget_connections();
    let first = app.spawn_get(&of(&ids[8]));
    let_requests_arrive().await;
    app.advance(SECOND);
    let others: Vec<_> = ids[9..16].iter().map(|id| app.spawn_get(&of(id))).collect();
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 8, "no call arrives");
    app.advance(9 * SECOND);
    // The first call times out.
    let answer = first.await.expect("an answer");
    answer.assert_problem(504, "UpstreamTimeout");
    // No other call starts, so one of the seven tries a new connection, and the others follow without waiting.
    app.advance(SECOND / 4);
    for other in others {
        wait_until(|| other.is_finished()).await;
        other.await.expect("an answer").assert_ok();
    }
    assert_eq!(app.engage.total_calls(), 15);
    assert!(relay.connections() <= 15, "{}", relay.connections());
    for id in &ids[16..24] {
        app.get(&of(id)).await.assert_ok();
    }
    assert_eq!(app.engage.total_calls(), 23);
    let log = crate::harness::logs();
    assert_eq!(log.matches("upstream connections silent").count(), 1);
}

#[tokio::test]
async fn concurrent_calls_on_dead_connections_all_succeed_but_one() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.server.request_timeout = 30 * SECOND;
    })
    .await;
    let ids = ids(&app);
    fill_pool(&app, &ids[..8]).await;
    relay.forget_connections();
    let pending: Vec<_> = ids[8..16].iter().map(|id| app.spawn_get(&of(id))).collect();
    let_requests_arrive().await;
    app.advance(10 * SECOND);
    let_requests_arrive().await;
    app.advance(SECOND / 4);
    let mut statuses = Vec::new();
    for pending in pending {
        wait_until(|| pending.is_finished()).await;
        statuses.push(pending.await.expect("an answer").status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 504]);
    assert_eq!(app.engage.total_calls(), 15);
}

#[tokio::test]
async fn new_call_serves_as_the_trial_of_a_new_connection() {
    let app = TestApp::with(|config| config.server.request_timeout = 30 * SECOND).await;
    let ids = ids(&app);
    fill_pool(&app, &ids[..4]).await;
    let hold = app.engage.hold(Endpoint::All);
    let first = app.spawn_get(&of(&ids[4]));
    app.engage.wait_for_calls(Endpoint::All, 5).await;
    app.advance(SECOND);
    let waiting: Vec<_> = ids[5..8].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 8).await;
    app.advance(9 * SECOND);
    assert_eq!(first.await.expect("an answer").status, 504);
    // Engage is only slow: it hangs on new connections too.
    let next = app.spawn_get(&of(&ids[8]));
    app.engage.wait_for_calls(Endpoint::All, 9).await;
    app.advance(SECOND / 2);
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 9);
    // Answers on the old connections are still accepted.
    hold.release();
    let mut statuses = Vec::new();
    for pending in waiting.into_iter().chain([next]) {
        statuses.push(pending.await.expect("an answer").status);
    }
    assert_eq!(statuses, [200; 4]);
    assert_eq!(app.engage.total_calls(), 9);
}

#[tokio::test]
async fn attempt_ends_a_second_after_its_timeout_at_the_latest() {
    let app = TestApp::with(|config| {
        config.server.request_timeout = 30 * SECOND;
        config.engage.timeout = 10 * SECOND;
    })
    .await;
    let ids = ids(&app);
    fill_pool(&app, &ids[..3]).await;
    app.engage.fault(Endpoint::All, Fault::Hang);
    let pending: Vec<_> = ids[3..6].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 6).await;
    let finished = || {
        pending
            .iter()
            .filter(|pending| pending.is_finished())
            .count()
    };
    app.advance(10 * SECOND);
    // One attempt ends with the time-out, and so replaces the pool; another is repeated on the new one.
    wait_until(|| finished() == 1).await;
    app.advance(SECOND / 4);
    app.engage.wait_for_calls(Endpoint::All, 7).await;
    // The third waits for the result of that trial.
    app.advance(Duration::from_millis(749));
    let_requests_arrive().await;
    assert_eq!(finished(), 1);
    app.advance(Duration::from_millis(1));
    wait_until(|| finished() == 2).await;
}

#[tokio::test]
async fn working_connection_does_not_hide_dead_ones() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.server.request_timeout = 30 * SECOND;
    })
    .await;
    let ids = ids(&app);
    fill_pool(&app, &ids[..2]).await;
    relay.forget_connections();
    let dead: Vec<_> = ids[2..4].iter().map(|id| app.spawn_get(&of(id))).collect();
    let_requests_arrive().await;
    // Both pooled connections are busy, so this call opens a new one.
    app.get(&of(&ids[4])).await.assert_ok();
    app.advance(10 * SECOND);
    let_requests_arrive().await;
    let before = relay.connections();
    app.get(&of(&ids[5])).await.assert_ok();
    assert!(relay.connections() > before, "a new pool");
    let mut statuses = Vec::new();
    for dead in dead {
        wait_until(|| dead.is_finished()).await;
        statuses.push(dead.await.expect("an answer").status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 504]);
}

#[tokio::test]
async fn hanging_engage_costs_one_extra_call_at_most() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |_| {}).await;
    let ids = ids(&app);
    fill_pool(&app, &ids[..8]).await;
    app.engage.fault(Endpoint::All, Fault::Hang);
    let mut pending = Vec::new();
    // Fewer than the breaker needs, over a minute, so that the breaker does not limit the number.
    for id in &ids[8..26] {
        pending.push(app.spawn_get(&of(id)));
        let_requests_arrive().await;
        app.advance(3 * SECOND);
    }
    for _ in 0..10 {
        app.advance(2 * SECOND);
        let_requests_arrive().await;
    }
    for pending in pending {
        assert_eq!(pending.await.expect("an answer").status, 504);
    }
    let calls = app.engage.total_calls() - 8;
    assert!(calls <= 18 + 1, "{calls} calls for 18 lookups");
    assert_eq!(app.engage.in_flight(), 0);
    app.engage.clear_faults();
    app.get(&of(&ids[30])).await.assert_ok();
}

#[tokio::test]
async fn slow_engage_that_answers_keeps_its_connections() {
    let mut relay = Relay::bind().await;
    let app = behind(&mut relay, |config| {
        config.server.request_timeout = 30 * SECOND;
    })
    .await;
    let ids = ids(&app);
    fill_pool(&app, &ids[..4]).await;
    app.engage.fault_times(Endpoint::All, Fault::Hang, 1);
    let hanging = app.spawn_get(&of(&ids[4]));
    app.engage.wait_for_calls(Endpoint::All, 5).await;
    app.advance(SECOND);
    let hold = app.engage.hold(Endpoint::All);
    let slow: Vec<_> = ids[5..7].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 7).await;
    app.advance(4 * SECOND);
    // Pooled connections answer while the other call waits.
    hold.release();
    for slow in slow {
        slow.await.expect("an answer").assert_ok();
    }
    let hold = app.engage.hold(Endpoint::All);
    let late = app.spawn_get(&of(&ids[7]));
    app.engage.wait_for_calls(Endpoint::All, 8).await;
    app.advance(5 * SECOND);
    let answer = hanging.await.expect("an answer");
    answer.assert_problem(504, "UpstreamTimeout");
    let_requests_arrive().await;
    hold.release();
    late.await.expect("an answer").assert_ok();
    app.get(&of(&ids[8])).await.assert_ok();
    assert_eq!(app.engage.total_calls(), 9);
    assert_eq!(relay.connections(), 4);
}
