//! `cache.stale_if_slow`: while everything asked for is cached within its stale windows, no caller waits longer than that
//! for a refresh.

use std::time::Duration;

use engage_simulator::{Endpoint, people::ALVA};
use serde_json::json;

use crate::harness::{Answer, TestApp, arrive};

const SECOND: Duration = Duration::from_secs(1);
const STALE_IF_SLOW: Duration = Duration::from_millis(300);
/// Beyond every lifetime and its stale-while-revalidate window, but for the audiences.
const EXPIRED: Duration = Duration::from_secs(90);

fn alva() -> String {
    format!("contactId={}", ALVA.id)
}

/// With Alva cached and expired.
async fn expired() -> TestApp {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.get(&format!("email={}", ALVA.email)).await.assert_ok();
    app.advance(EXPIRED);
    app.engage.reset_log();
    app
}

#[tokio::test]
async fn a_slow_refresh_is_not_waited_for_and_fills_the_cache() {
    for query in [alva(), format!("email={}", ALVA.email)] {
        let app = expired().await;
        let hold = app.engage.hold(Endpoint::All);
        let asked = app.ask(&query);
        app.engage.wait_for_calls(Endpoint::Overview, 1).await;
        app.advance(Duration::from_millis(299));
        arrive().await;
        assert!(!asked.is_finished());
        app.advance(Duration::from_millis(1));
        let stale = asked.await.expect("an answer");
        stale.assert_stale_if_slow();
        assert!(stale.ttl() <= -30, "{}", stale.ttl());
        let expired = json!(["profile", "promotions", "vouchers", "points"]);
        assert_eq!(stale.at("/degraded"), expired);
        assert_eq!(stale.at("/points/balance"), json!(317.5));
        let calls = app.engage.total_calls();
        hold.release();
        let filled = app
            .get_until(&query, |answer| {
                answer.at("/degraded") == json!([]) && answer.header("cache-status").contains("hit")
            })
            .await;
        filled.assert_ok().assert_hit();
        assert_eq!(app.engage.total_calls(), calls);
    }
}

#[tokio::test]
async fn a_refresh_in_time_is_waited_for() {
    let app = expired().await;
    let hold = app.engage.hold(Endpoint::All);
    let asked = app.ask(&alva());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(Duration::from_millis(299));
    hold.release();
    let answer = asked.await.expect("an answer");
    assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
    assert!(answer.header("cache-status").contains("fwd=stale"));
}

#[tokio::test]
async fn a_caller_that_accepts_nothing_stale_waits_for_its_whole_time() {
    for (suffix, cache_control) in [
        ("&fresh=points", ""),
        ("", "no-cache"),
        ("", "max-age=80"),
        ("", "stale-if-error=0"),
    ] {
        let app = expired().await;
        let hold = app.engage.hold(Endpoint::All);
        let request = app.customer(crate::harness::TILL, &format!("{}{suffix}", alva()));
        let request = if cache_control.is_empty() {
            request
        } else {
            request.header("cache-control", cache_control)
        };
        let asked = tokio::spawn(Answer::of(request));
        app.engage.wait_for_calls(Endpoint::All, 1).await;
        app.advance(2 * SECOND);
        arrive().await;
        assert!(!asked.is_finished(), "{suffix} {cache_control}");
        hold.release();
        let answer = asked.await.expect("an answer");
        assert_eq!(
            answer.assert_ok().at("/degraded"),
            json!([]),
            "{cache_control}"
        );
    }
}

#[tokio::test]
async fn a_caller_that_accepts_that_age_does_not_wait() {
    let app = expired().await;
    let _hold = app.engage.hold(Endpoint::All);
    let request = app.customer(crate::harness::TILL, &alva());
    let asked = tokio::spawn(Answer::of(request.header("cache-control", "max-age=120")));
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    app.advance(STALE_IF_SLOW);
    asked.await.expect("an answer").assert_stale_if_slow();
}

#[tokio::test]
async fn what_is_not_cached_is_waited_for() {
    let app = TestApp::spawn().await;
    app.get(&format!("{}&parts=none", alva())).await.assert_ok();
    app.advance(EXPIRED);
    app.customers
        .invalidate(
            crate::harness::id(ALVA.id),
            engage_bff::domain::Part::Points.into(),
        )
        .await;
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let asked = app.ask(&alva());
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    app.advance(2 * SECOND);
    arrive().await;
    assert!(!asked.is_finished());
    hold.release();
    assert_eq!(asked.await.expect("an answer").at("/degraded"), json!([]));
}

#[tokio::test]
async fn with_zero_no_caller_waits_for_a_refresh() {
    let app = TestApp::with(|config| config.cache.stale_if_slow = Duration::ZERO).await;
    app.get(&alva()).await.assert_ok();
    app.advance(EXPIRED);
    let _hold = app.engage.hold(Endpoint::All);
    app.get(&alva()).await.assert_stale_if_slow();
}
