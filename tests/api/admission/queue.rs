//! Who is next when there are fewer calls than wishes, and who has to go.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, people::ALVA};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{ids, metric, of, queued};
use crate::harness::{Answer, READER, SHOP, TILL, TestApp, arrive};

const SECOND: Duration = Duration::from_secs(1);
/// Past the lifetime, within stale-while-revalidate.
const STALE: Duration = Duration::from_secs(60);
/// Beyond both.
const EXPIRED: Duration = Duration::from_secs(90);

/// One call at a time, and time enough for tests to look at the queue.
async fn one_slot() -> TestApp {
    TestApp::with(|config| config.engage.max_concurrency = 1).await
}

/// Rate and burst, and slots for everybody.
async fn budget(rate: f64, burst: u32) -> TestApp {
    TestApp::with(|config| {
        config.engage.requests_per_second = rate;
        config.engage.burst = burst;
    })
    .await
}

/// About whom Engage was asked since the log was reset, in order.
fn asked_about(app: &TestApp) -> Vec<String> {
    let log = app.engage.log();
    let about = |call: &engage_simulator::Call| {
        let id = call.parameter("contactId").map(str::to_owned);
        id.unwrap_or_else(|| call.path.split('/').nth(4).unwrap_or_default().to_owned())
    };
    log.iter().map(about).collect()
}

async fn all_ok(asked: Vec<JoinHandle<Answer>>) {
    for asked in asked {
        asked.await.expect("an answer").assert_ok();
    }
}

#[tokio::test]
async fn what_is_asked_for_fresh_goes_before_a_miss_and_a_miss_before_a_refresh() {
    let app = one_slot().await;
    let ids = ids(&app);
    let [stale, known, first, missed] = [0, 1, 2, 3].map(|index| ids[index].as_str());
    app.get(&of(stale)).await.assert_ok();
    app.advance(STALE);
    app.get(&of(known)).await.assert_ok();
    app.engage.reset_log();
    let hold = app.engage.hold(Endpoint::All);
    let mut asked = vec![app.ask(&of(first))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    // In the order opposite to that in which they go.
    app.get(&of(stale)).await.assert_ok().assert_hit();
    queued(&app, 1).await;
    asked.push(app.ask(&of(missed)));
    queued(&app, 2).await;
    let fresh = format!("contactId={known}&parts=promotions&fresh=promotions");
    asked.push(app.ask(&fresh));
    queued(&app, 3).await;
    for calls in 2..=4 {
        hold.release_one();
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    assert_eq!(asked_about(&app), [first, known, missed, stale]);
    assert_eq!(app.engage.log()[1].endpoint, Endpoint::Promotions);
    hold.release();
    all_ok(asked).await;
    assert_eq!(app.engage.max_in_flight(), 1);
}

#[tokio::test]
async fn clients_take_turns_so_that_a_flood_of_one_does_not_starve_the_others() {
    let app = one_slot().await;
    let ids = ids(&app);
    let hold = app.engage.hold(Endpoint::All);
    let mut asked = vec![app.ask(&of(&ids[0]))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    let flood = [TILL; 20].into_iter().chain([SHOP, SHOP, READER]);
    for (key, id) in flood.zip(&ids[1..]) {
        let waiting = asked.len();
        asked.push(app.ask_as(key, &of(id)));
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
    assert_eq!(asked_about(&app)[1..], expected);
    hold.release();
    all_ok(asked).await;
}

#[tokio::test]
async fn who_waits_for_what_a_refresh_was_queued_for_moves_it_up() {
    let app = one_slot().await;
    let ids = ids(&app);
    let [stale, first, missed] = [0, 1, 2].map(|index| ids[index].as_str());
    app.get(&of(stale)).await.assert_ok();
    app.advance(STALE);
    app.engage.reset_log();
    let hold = app.engage.hold(Endpoint::All);
    let mut asked = vec![app.ask(&of(first))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    app.get(&of(stale)).await.assert_ok().assert_hit();
    queued(&app, 1).await;
    asked.push(app.ask(&of(missed)));
    queued(&app, 2).await;
    // Whoever wants it no older than a second can't do with what is held.
    let request = app.customer(TILL, &of(stale));
    let request = request.header("cache-control", "max-age=1");
    asked.push(tokio::spawn(Answer::of(request)));
    arrive().await;
    for calls in 2..=3 {
        hold.release_one();
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    hold.release();
    all_ok(asked).await;
    assert_eq!(asked_about(&app), [first, stale, missed]);
}

#[tokio::test]
async fn a_full_queue_sends_away_at_once_whoever_is_least_urgent() {
    let app = budget(2.0, 1).await;
    let ids = ids(&app);
    let [held, first, second, third, fourth] = [0, 1, 2, 3, 4].map(|index| ids[index].as_str());
    app.get(&of(held)).await.assert_ok();
    app.advance(EXPIRED);
    // One call is there, and two get their turn within a second.
    app.get(&of(first)).await.assert_ok();
    let waiting = [second, third].map(|id| app.ask(&of(id)));
    queued(&app, 2).await;
    let refused = app.get(&of(fourth)).await;
    refused.assert_problem(503, "UpstreamUnavailable");
    assert_eq!(refused.header("retry-after"), "1");
    let stale = app.get(&of(held)).await;
    stale.assert_stale_if_error();
    assert_eq!(stale.at("/degraded"), json!(["profile"]));
    // Who asks for fresh takes a place; the newest of those who wait goes.
    let fresh = format!("contactId={first}&parts=promotions&fresh=promotions");
    let fresh = app.ask(&fresh);
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
    let line = "engage_bff_engage_refused_total{reason=\"over_budget\"}";
    assert!((metric(&app, line).await - 3.0).abs() < 0.5);
}

#[tokio::test]
async fn a_refresh_makes_room_for_whoever_waits() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 3.0;
        config.engage.max_concurrency = 1;
    })
    .await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    app.advance(STALE);
    let hold = app.engage.hold(Endpoint::All);
    let mut asked = vec![app.ask(&of(&ids[1]))];
    app.engage.wait_for_calls(Endpoint::All, 2).await;
    app.get(&of(&ids[0])).await.assert_ok().assert_hit();
    queued(&app, 1).await;
    for (waiting, id) in ids[2..4].iter().enumerate() {
        asked.push(app.ask(&of(id)));
        queued(&app, waiting + 2).await;
    }
    // The place is the refresh's, about which nobody is told.
    asked.push(app.ask(&of(&ids[4])));
    arrive().await;
    queued(&app, 3).await;
    let refused = app.get(&of(&ids[5])).await;
    refused.assert_problem(503, "Overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    hold.release();
    all_ok(asked).await;
    assert_eq!(asked_about(&app)[1..], ids[1..=4]);
}

#[tokio::test]
async fn a_refresh_ahead_is_made_at_once_or_not_at_all() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 2).await;
    let ids = ids(&app);
    app.get(&of(&ids[0])).await.assert_ok();
    // The last tenth of a lifetime of 54 to 60 s, whatever it was shortened by.
    app.advance(Duration::from_millis(53_990));
    let hold = app.engage.hold(Endpoint::All);
    let asked: Vec<_> = ids[1..3].iter().map(|id| app.ask(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 3).await;
    app.get(&of(&ids[0])).await.assert_ok().assert_hit();
    arrive().await;
    queued(&app, 0).await;
    assert_eq!(app.engage.total_calls(), 3);
    hold.release();
    all_ok(asked).await;
    let hit = app.get(&of(&ids[0])).await;
    assert!(hit.assert_ok().assert_hit().ttl() >= 0);
    app.engage.wait_for_calls(Endpoint::All, 4).await;
    assert_eq!(asked_about(&app)[3], ids[0]);
}

#[tokio::test]
async fn who_waits_for_a_slot_and_for_the_budget_gets_a_turn_as_soon_as_both_are_there() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 2.0;
        config.engage.burst = 1;
        config.engage.max_concurrency = 1;
    })
    .await;
    let ids = ids(&app);
    let hold = app.engage.hold(Endpoint::All);
    let first = app.ask(&of(&ids[0]));
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    let second = app.ask(&of(&ids[1]));
    queued(&app, 1).await;
    // The slot comes back before the next call may leave.
    app.advance(SECOND / 5);
    hold.release();
    first.await.expect("an answer").assert_ok();
    arrive().await;
    assert_eq!(app.engage.total_calls(), 1);
    app.advance(SECOND * 3 / 10);
    arrive().await;
    assert_eq!(app.engage.total_calls(), 2);
    second.await.expect("an answer").assert_ok();
}

#[tokio::test]
async fn replicas_share_rate_and_burst() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 10.0;
        config.engage.burst = 10;
        config.engage.replicas = 5;
    })
    .await;
    let ids = ids(&app);
    let mut asked: Vec<_> = ids[..2].iter().map(|id| app.ask(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 2).await;
    asked.extend(ids[2..4].iter().map(|id| app.ask(&of(id))));
    queued(&app, 2).await;
    app.get(&of(&ids[4]))
        .await
        .assert_problem(503, "UpstreamUnavailable");
    for calls in 3..=4 {
        arrive().await;
        assert_eq!(app.engage.total_calls(), calls - 1);
        app.advance(SECOND / 2);
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    all_ok(asked).await;
}

#[tokio::test]
async fn after_a_429_everybody_waits_and_then_calls_come_one_by_one() {
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
    // Other endpoints too: the key is what Engage limits.
    let fresh = format!("contactId={}&parts=points&fresh=points", ALVA.id);
    let without = app.get(&fresh).await;
    assert_eq!(without.assert_ok().at("/degraded"), json!(["points"]));
    assert_eq!(app.engage.total_calls(), 2);
    app.advance(2 * SECOND);
    let asked: Vec<_> = ids[1..5].iter().map(|id| app.ask(&of(id))).collect();
    // Of the burst of ten one; the next comes 0.2 s later, not 0.02 s.
    app.engage.wait_for_calls(Endpoint::All, 3).await;
    queued(&app, 3).await;
    app.advance(SECOND / 10);
    arrive().await;
    assert_eq!(app.engage.total_calls(), 3);
    app.advance(SECOND / 10);
    app.engage.wait_for_calls(Endpoint::All, 4).await;
    arrive().await;
    assert_eq!(app.engage.total_calls(), 4);
    let passing = app.let_time_pass();
    all_ok(asked).await;
    drop(passing);
    // A while later all is as before.
    app.advance(15 * SECOND);
    let asked: Vec<_> = ids[5..15].iter().map(|id| app.ask(&of(id))).collect();
    all_ok(asked).await;
}
