//! If everything requested is cached within its stale windows, a request that accepts stale data waits for a refresh no
//! longer than `cache.stale_if_slow`.

use std::time::Duration;

use engage_simulator::{Endpoint, fixtures::ALVA};
use serde_json::json;

use crate::harness::{Answer, TestApp, let_requests_arrive};

const SECOND: Duration = Duration::from_secs(1);
const STALE_IF_SLOW: Duration = Duration::from_millis(300);
/// Past every lifetime and its stale-while-revalidate window, except the audiences'.
const EXPIRED: Duration = Duration::from_secs(90);

fn alva() -> String {
    format!("contactId={}", ALVA.id)
}

/// A service with an expired record of Alva.
async fn expired() -> TestApp {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.get(&format!("email={}", ALVA.email)).await.assert_ok();
    app.advance(EXPIRED);
    app.engage.reset_log();
    app
}

#[tokio::test]
async fn slow_refresh_serves_stale_and_fills_the_cache() {
    for query in [alva(), format!("email={}", ALVA.email)] {
        let app = expired().await;
        let hold = app.engage.hold(Endpoint::All);
        let pending = app.spawn_get(&query);
        app.engage.wait_for_calls(Endpoint::Overview, 1).await;
        app.advance(Duration::from_millis(299));
        let_requests_arrive().await;
        assert!(!pending.is_finished());
        app.advance(Duration::from_millis(1));
        let stale = pending.await.expect("an answer");
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
async fn refresh_within_the_limit_is_awaited() {
    let app = expired().await;
    let hold = app.engage.hold(Endpoint::All);
    let pending = app.spawn_get(&alva());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(Duration::from_millis(299));
    hold.release();
    let answer = pending.await.expect("an answer");
    assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
    assert!(answer.header("cache-status").contains("fwd=stale"));
}

#[tokio::test]
async fn request_that_accepts_no_stale_data_waits_for_the_refresh() {
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
        let pending = tokio::spawn(Answer::of(request));
        app.engage.wait_for_calls(Endpoint::All, 1).await;
        app.advance(2 * SECOND);
        let_requests_arrive().await;
        assert!(!pending.is_finished(), "{suffix} {cache_control}");
        hold.release();
        let answer = pending.await.expect("an answer");
        assert_eq!(
            answer.assert_ok().at("/degraded"),
            json!([]),
            "{cache_control}"
        );
    }
}

#[tokio::test]
async fn request_with_sufficient_max_age_gets_stale_data() {
    let app = expired().await;
    let _hold = app.engage.hold(Endpoint::All);
    let request = app.customer(crate::harness::TILL, &alva());
    let pending = tokio::spawn(Answer::of(request.header("cache-control", "max-age=120")));
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    app.advance(STALE_IF_SLOW);
    pending.await.expect("an answer").assert_stale_if_slow();
}

#[tokio::test]
async fn uncached_part_is_awaited() {
    let app = TestApp::spawn().await;
    app.get(&format!("{}&parts=none", alva())).await.assert_ok();
    app.advance(EXPIRED);
    app.customers
        .invalidate(
            crate::harness::id(ALVA.id),
            engage_bff::domain::Part::Points.into(),
        )
        .await
        .expect("there is no shared tier");
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let pending = app.spawn_get(&alva());
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    app.advance(2 * SECOND);
    let_requests_arrive().await;
    assert!(!pending.is_finished());
    hold.release();
    assert_eq!(pending.await.expect("an answer").at("/degraded"), json!([]));
}

#[tokio::test]
async fn zero_stale_if_slow_serves_stale_at_once() {
    let app = TestApp::with(|config| config.cache.stale_if_slow = Duration::ZERO).await;
    app.get(&alva()).await.assert_ok();
    app.advance(EXPIRED);
    let _hold = app.engage.hold(Endpoint::All);
    app.get(&alva()).await.assert_stale_if_slow();
}
