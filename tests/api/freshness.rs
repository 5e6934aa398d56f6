//! Freshness: lifetimes, stale-while-revalidate, and the values of `Cache-Status`, `Age` and `freshness` (P2).

use std::time::Duration;

use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, DORA},
};
use serde_json::json;

use crate::harness::{
    Answer, COLD_CALLS, OVERVIEW_HAS_POINTS, POINTS_CALLS, TestApp, let_requests_arrive,
};

const SECOND: Duration = Duration::from_secs(1);

fn profile() -> String {
    format!("contactId={}&parts=none", ALVA.id)
}

fn points() -> String {
    format!("contactId={}&parts=points", ALVA.id)
}

fn as_of(answer: &Answer, part: &str) -> String {
    let as_of = answer.at(&format!("/freshness/{part}/asOf"));
    as_of.as_str().expect("a time").to_owned()
}

#[tokio::test]
async fn each_part_is_fresh_for_its_lifetime_then_stale() {
    for (part, parts, lifetime) in [
        ("profile", "none", 60),
        ("promotions", "promotions", 60),
        ("vouchers", "vouchers", 60),
        ("points", "points", 30),
    ] {
        let app = TestApp::spawn().await;
        let query = format!("contactId={}&parts={parts}", ALVA.id);
        let lifetime = Duration::from_secs(lifetime);
        app.get(&query).await.assert_ok();
        let calls = app.engage.total_calls();
        // A hit in the last tenth of the lifetime refreshes ahead; this one comes before it.
        app.advance(lifetime.mul_f64(0.8));
        app.get(&query).await.assert_ok().assert_hit();
        let_requests_arrive().await;
        assert_eq!(app.engage.total_calls(), calls, "{part}");
        let hold = app.engage.hold(Endpoint::All);
        app.advance(lifetime.mul_f64(0.09));
        let fresh = app.get(&query).await;
        fresh.assert_ok().assert_hit();
        assert!((0..=7).contains(&fresh.ttl()), "{part}: {}", fresh.ttl());
        app.advance(lifetime.mul_f64(0.11));
        let stale = app.get(&query).await;
        stale.assert_ok().assert_hit();
        assert!((-7..=0).contains(&stale.ttl()), "{part}: {}", stale.ttl());
        assert_eq!(as_of(&stale, part), "2026-11-23T12:00:00.000Z");
        app.engage.wait_for_calls(Endpoint::All, calls + 1).await;
        let_requests_arrive().await;
        assert_eq!(app.engage.total_calls(), calls + 1, "{part}");
        hold.release();
    }
}

#[tokio::test]
async fn audiences_have_their_own_lifetime() {
    let app = TestApp::with(|config| {
        config.cache.audiences_lifetime = Duration::from_secs(20);
    })
    .await;
    app.get(&profile()).await.assert_ok();
    app.advance(16 * SECOND);
    assert!(app.get(&profile()).await.assert_hit().ttl() >= 2);
    let_requests_arrive().await;
    assert_eq!(app.overview_calls(), 1);
    app.advance(4 * SECOND);
    assert!(app.get(&profile()).await.assert_hit().ttl() <= 0);
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
}

#[tokio::test]
async fn stale_entry_is_served_while_one_refresh_runs() {
    let app = TestApp::spawn().await;
    app.get(&profile()).await.assert_ok();
    app.advance(66 * SECOND);
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    let hold = app.engage.hold(Endpoint::Overview);
    for _ in 0..10 {
        let stale = app.get(&profile()).await;
        stale.assert_ok().assert_hit();
        assert!((-13..=-6).contains(&stale.ttl()), "{}", stale.ttl());
        assert_eq!(stale.at("/profile/firstName"), "Alva");
        assert_eq!(stale.header("age"), "66");
        assert_eq!(stale.at("/degraded"), json!([]));
        assert!(!stale.header("cache-status").contains("detail"));
    }
    let_requests_arrive().await;
    assert_eq!(app.overview_calls(), 2);
    hold.release();
    let refreshed = app
        .get_until(&profile(), |answer| answer.header("age") == "0")
        .await;
    refreshed.assert_ok().assert_hit();
    assert_eq!(refreshed.at("/profile/firstName"), "Alvina");
    assert_eq!(as_of(&refreshed, "profile"), "2026-11-23T12:01:06.000Z");
    assert_eq!(app.overview_calls(), 2);
}

#[tokio::test]
async fn hit_shortly_before_expiry_refreshes_ahead_once() {
    let mut in_time = 0;
    for _ in 0..5 {
        let app = TestApp::spawn().await;
        app.get(&profile()).await.assert_ok();
        app.engage.reset_log();
        let hold = app.engage.hold(Endpoint::Overview);
        // The lifetime is 54 to 60 seconds; the last tenth has begun for nearly every draw.
        app.advance(Duration::from_millis(53_900));
        for _ in 0..5 {
            let fresh = app.get(&profile()).await;
            fresh.assert_ok().assert_hit();
            assert!(fresh.ttl() >= 0);
        }
        let_requests_arrive().await;
        assert!(app.overview_calls() <= 1);
        in_time += app.overview_calls();
        hold.release();
    }
    assert!(in_time >= 1);
}

#[tokio::test]
async fn stale_points_are_refreshed_by_one_call() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", ALVA.email);
    app.get(&query).await.assert_ok();
    app.engage.contact(ALVA.id).points("1.5");
    app.advance(30 * SECOND);
    let stale = app.get(&query).await;
    stale.assert_ok().assert_hit();
    assert_eq!(stale.at("/points/balance"), json!(317.5));
    let refreshed = app
        .get_until(&query, |answer| answer.at("/points/balance") == json!(1.5))
        .await;
    assert_eq!(as_of(&refreshed, "points"), "2026-11-23T12:00:30.000Z");
    let (profile, overviews) = if OVERVIEW_HAS_POINTS {
        ("2026-11-23T12:00:30.000Z", 2)
    } else {
        ("2026-11-23T12:00:00.000Z", 1)
    };
    assert_eq!(as_of(&refreshed, "profile"), profile);
    assert_eq!(app.overview_calls(), overviews);
    assert_eq!(app.engage.total_calls(), COLD_CALLS + 1);
}

#[tokio::test]
async fn expired_record_makes_all_requests_wait_for_one_call() {
    let app = TestApp::spawn().await;
    app.get(&profile()).await.assert_ok();
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.advance(90 * SECOND);
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = [(); 3].map(|()| app.spawn_get(&profile()));
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    let_requests_arrive().await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    hold.release();
    for waiting in waiting {
        let answer = waiting.await.expect("an answer");
        answer.assert_ok();
        let status = answer.header("cache-status");
        assert!(
            status.starts_with("engage-bff; fwd=stale; stored"),
            "{status}"
        );
        assert_eq!(answer.at("/profile/firstName"), "Alvina");
        assert_eq!(answer.header("age"), "0");
        assert_eq!(answer.at("/degraded"), json!([]));
    }
    assert_eq!(app.overview_calls(), 2);
}

#[tokio::test]
async fn zero_stale_window_refetches_at_the_end_of_the_lifetime() {
    let app = TestApp::with(|config| {
        config.cache.stale_while_revalidate = Duration::ZERO;
    })
    .await;
    app.get(&points()).await.assert_ok();
    app.advance(30 * SECOND);
    app.get(&points())
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2 * POINTS_CALLS);
    assert_eq!(app.engage.total_calls(), COLD_CALLS + 1);
}

#[tokio::test]
async fn expired_record_is_refilled_with_the_fewest_calls() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", ALVA.email);
    app.get(&query).await.assert_ok();
    app.advance(90 * SECOND);
    app.engage.reset_log();
    let answer = app.get(&query).await;
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
    assert_eq!(answer.header("age"), "0");
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), POINTS_CALLS);
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
}

#[tokio::test]
async fn moved_email_without_webhook_resolves_to_its_new_owner_after_expiry() {
    let app = TestApp::spawn().await;
    let query = format!("email={}&parts=none", ALVA.email);
    app.get(&query).await.assert_ok();
    app.engage.move_email(ALVA.id, DORA.id);
    app.advance(48 * SECOND);
    assert_eq!(app.get(&query).await.assert_hit().at("/contactId"), ALVA.id);
    app.advance(42 * SECOND);
    let moved = app.get(&query).await;
    assert_eq!(moved.assert_ok().at("/contactId"), DORA.id);
    assert_eq!(moved.at("/profile/email"), ALVA.email);
}

#[tokio::test]
async fn stale_alias_is_refreshed_in_the_background() {
    let app = TestApp::spawn().await;
    let query = format!("email={}&parts=none", ALVA.email);
    app.get(&query).await.assert_ok();
    app.engage.move_email(ALVA.id, DORA.id);
    app.advance(60 * SECOND);
    assert_eq!(app.get(&query).await.assert_hit().at("/contactId"), ALVA.id);
    let moved = app
        .get_until(&query, |answer| answer.at("/contactId") == DORA.id)
        .await;
    moved.assert_ok();
}

#[tokio::test]
async fn age_is_of_the_oldest_part_and_ttl_of_the_shortest() {
    let app = TestApp::spawn().await;
    app.get(&points()).await.assert_ok();
    app.advance(20 * SECOND);
    let fresh = app.get(&format!("{}&fresh=points", points())).await;
    assert_eq!(fresh.assert_ok().header("age"), "20");
    assert_eq!(as_of(&fresh, "profile"), "2026-11-23T12:00:00.000Z");
    assert_eq!(as_of(&fresh, "points"), "2026-11-23T12:00:20.000Z");
    let hit = app.get(&points()).await;
    hit.assert_hit();
    assert_eq!(hit.header("age"), "20");
    // The points' 27 to 30 seconds end before the profile's remaining 34 to 40.
    assert!((26..=30).contains(&hit.ttl()), "{}", hit.ttl());
}

#[tokio::test]
async fn age_counts_from_the_start_of_the_upstream_call() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let pending = app.spawn_get(&profile());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.advance(2 * SECOND);
    hold.release();
    let answer = pending.await.expect("an answer");
    assert_eq!(answer.assert_ok().header("age"), "2");
    assert_eq!(as_of(&answer, "profile"), "2026-11-23T12:00:00.000Z");
}

#[tokio::test]
async fn cache_status_reports_the_worst_part() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.get(&profile())
        .await
        .assert_cache_status("engage-bff; fwd=miss; stored");
    app.get(&points())
        .await
        .assert_cache_status("engage-bff; fwd=miss; stored");
    app.get(&points()).await.assert_hit();

    // Expired points next to a fresh profile.
    app.advance(60 * SECOND);
    app.get(&profile()).await;
    app.get_until(&profile(), |answer| answer.header("age") == "0")
        .await;
    app.get(&points())
        .await
        .assert_cache_status("engage-bff; fwd=stale; stored");

    // An expired profile next to missing points, then next to points requested fresh.
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.get(&profile()).await.assert_ok();
    app.advance(90 * SECOND);
    app.get(&points())
        .await
        .assert_cache_status("engage-bff; fwd=miss; stored");
    app.advance(90 * SECOND);
    app.get(&format!("{}&fresh=points", points()))
        .await
        .assert_cache_status("engage-bff; fwd=request; stored");
}

#[tokio::test]
async fn joined_request_is_marked_collapsed() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get(&profile());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let second = app.spawn_get(&profile());
    let_requests_arrive().await;
    hold.release();
    let first = first.await.expect("an answer");
    first.assert_cache_status("engage-bff; fwd=miss; stored");
    let second = second.await.expect("an answer");
    second.assert_cache_status("engage-bff; fwd=miss; stored; collapsed");
}
