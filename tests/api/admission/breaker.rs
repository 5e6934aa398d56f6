//! Circuit breakers: a group of endpoints that mostly fails gets no calls for a few seconds, then one probe.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use serde_json::json;

use super::{breaker, broken, fail, fail_about, ids, metric, of, state};
use crate::{
    faults::busy,
    harness::{TestApp, let_requests_arrive, logs},
};

const SECOND: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE: Duration = Duration::from_secs(5);
const OPENINGS: &str = "engage_bff_engage_breaker_openings_total{group=\"overview\"}";
const REFUSED: &str = "engage_bff_engage_calls_not_made_total{reason=\"breaker_open\"}";

/// A service whose overview breaker was just opened by twenty failures.
async fn open() -> TestApp {
    let app = TestApp::spawn().await;
    fail(&app, broken(), 20).await;
    assert_eq!(state(&app).await, "open");
    app.engage.reset_log();
    app
}

#[tokio::test]
async fn ten_failures_in_twenty_calls_open_the_breaker() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    app.get(&format!("contactId={}&parts=none", ALVA.id))
        .await
        .assert_ok();
    app.advance(90 * SECOND);
    for id in &ids[..10] {
        app.get(&of(id)).await.assert_ok();
    }
    fail_about(&app, broken(), &ids[20..29]).await;
    assert_eq!(state(&app).await, "closed");
    fail_about(&app, broken(), &ids[29..30]).await;
    let (position, refuses_for) = breaker(&app, "overview").await;
    assert_eq!(position, "open");
    let refuses_for = refuses_for.expect("a time");
    assert!((4.0..=5.0).contains(&refuses_for), "{refuses_for}");

    let calls = app.engage.total_calls();
    for id in &ids[10..20] {
        let refused = app.get(&of(id)).await;
        refused.assert_problem(503, "UpstreamUnavailable");
        let wait: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((4..=5).contains(&wait), "{wait}");
    }
    let stale = app.get(&of(ALVA.id)).await;
    stale.assert_stale_if_error();
    assert_eq!(stale.at("/degraded"), json!(["profile"]));
    assert_eq!(app.engage.total_calls(), calls);
    assert!((metric(&app, OPENINGS).await - 1.0).abs() < 0.1);
    assert!((metric(&app, REFUSED).await - 11.0).abs() < 0.1);
    let line = "engage_bff_engage_breaker_state{group=\"overview\"}";
    assert!((metric(&app, line).await - 2.0).abs() < 0.1);
    assert_eq!(logs().matches("circuit breaker opened").count(), 1);
}

#[tokio::test]
async fn failures_older_than_ten_seconds_do_not_count() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    fail_about(&app, broken(), &ids[..19]).await;
    app.advance(10 * SECOND);
    fail_about(&app, broken(), &ids[19..38]).await;
    assert_eq!(state(&app).await, "closed");
    fail_about(&app, broken(), &ids[38..39]).await;
    assert_eq!(state(&app).await, "open");
}

#[tokio::test]
async fn breaker_without_calls_is_half_open_once_its_pause_is_over() {
    let app = open().await;
    app.advance(PAUSE);
    assert_eq!(
        breaker(&app, "overview").await,
        ("half_open".to_owned(), None)
    );
    let line = "engage_bff_engage_breaker_state{group=\"overview\"}";
    assert!((metric(&app, line).await - 1.0).abs() < 0.1);
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn one_successful_probe_after_the_pause_closes_the_breaker() {
    let app = open().await;
    let ids = ids(&app);
    app.advance(PAUSE);
    let hold = app.engage.hold(Endpoint::All);
    let pending: Vec<_> = ids[..10].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 1);
    assert_eq!(state(&app).await, "half_open");
    hold.release();
    let mut statuses = Vec::new();
    for pending in pending {
        let answer = pending.await.expect("an answer");
        if answer.status == 503 {
            answer.assert_problem(503, "UpstreamUnavailable");
            let wait: u64 = answer.header("retry-after").parse().expect("seconds");
            assert!((1..=5).contains(&wait), "{wait}");
        }
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[200].as_slice(), &[503; 9]].concat());
    assert_eq!(state(&app).await, "closed");
    for id in &ids[..10] {
        app.get(&of(id)).await.assert_ok();
    }
    assert_eq!(app.engage.total_calls(), 10);
}

#[tokio::test]
async fn failed_probe_opens_the_breaker_for_another_pause() {
    let app = open().await;
    let ids = ids(&app);
    app.engage.fault(Endpoint::All, broken());
    for calls in 1..=12 {
        app.advance(PAUSE);
        app.get(&of(&ids[9 + calls]))
            .await
            .assert_problem(502, "UpstreamFailed");
        for id in &ids[..9] {
            app.get(&of(id))
                .await
                .assert_problem(503, "UpstreamUnavailable");
        }
        assert_eq!(app.engage.total_calls(), calls);
    }
    // A minute, 120 lookups, 12 calls. The breaker closes after the pause during which Engage recovered.
    app.engage.clear_faults();
    app.advance(PAUSE);
    app.get(&of(&ids[0])).await.assert_ok();
    app.get(&of(&ids[1])).await.assert_ok();
}

#[tokio::test]
async fn probe_with_429_is_repeated_and_404_closes_the_breaker() {
    let app = open().await;
    let ids = ids(&app);
    app.advance(PAUSE);
    let fault = Fault::TooMany {
        retry_after: Some("1".to_owned()),
    };
    app.engage.fault_times(Endpoint::All, fault, 1);
    app.get(&of(&ids[0]))
        .await
        .assert_problem(503, "UpstreamUnavailable");
    app.advance(SECOND);
    // A 404 is a response in time, so the probe succeeds.
    app.get("email=unknown%40example.com&parts=none")
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(state(&app).await, "closed");
    app.advance(SECOND);
    app.get(&of(&ids[0])).await.assert_ok();
}

#[tokio::test]
async fn hanging_calls_open_the_breaker_at_half_the_timeout() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    app.engage.fault(Endpoint::All, Fault::Hang);
    let pending: Vec<_> = ids[..20].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 20).await;
    app.advance(Duration::from_millis(4999));
    for pending in pending {
        pending
            .await
            .expect("an answer")
            .assert_problem(504, "UpstreamTimeout");
    }
    assert_eq!(state(&app).await, "closed");
    app.advance(Duration::from_millis(1));
    while state(&app).await != "open" {
        tokio::task::yield_now().await;
    }
    app.get(&of(&ids[20]))
        .await
        .assert_problem(503, "UpstreamUnavailable");
    assert_eq!(app.engage.total_calls(), 20);
    // Five seconds later the calls time out, one probe is sent, and Engage has recovered.
    app.engage.clear_faults();
    app.advance(PAUSE);
    app.get_until(&of(&ids[20]), |answer| answer.status == 200)
        .await;
    assert_eq!(state(&app).await, "closed");
}

#[tokio::test]
async fn refused_api_key_is_counted_apart_from_failures() {
    let refusal = Fault::Status(401, json!("Authorization has been denied."));
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    for [failed, refused] in ids[..16].as_chunks().0 {
        fail_about(&app, broken(), std::slice::from_ref(failed)).await;
        fail_about(&app, refusal.clone(), std::slice::from_ref(refused)).await;
        app.get_with(&of(ALVA.id), "no-cache").await.assert_ok();
    }
    // Two thirds of 24 calls failed, but for two different reasons.
    assert_eq!(state(&app).await, "closed");
    for fault in [refusal, Fault::Status(403, json!("Forbidden"))] {
        let app = TestApp::spawn().await;
        fail(&app, fault, 20).await;
        assert_eq!(state(&app).await, "open");
        app.get(&of(ALVA.id))
            .await
            .assert_problem(503, "UpstreamUnavailable");
        let cause = "API key not accepted";
        assert!(logs().contains(cause), "{}", logs());
    }
}

#[tokio::test]
async fn failing_points_endpoint_opens_only_its_own_breaker() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    app.engage.fault(Endpoint::PointAccounts, broken());
    for id in &ids[..30] {
        let answer = app.get(&format!("contactId={id}&fresh=points")).await;
        answer.assert_ok();
        assert_eq!(answer.at("/degraded"), json!(["points"]));
        assert!(answer.at("/vouchers").is_array());
    }
    assert_eq!(breaker(&app, "points").await.0, "open");
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 20);
    assert_eq!(app.overview_calls(), 30);
    for group in ["overview", "contacts", "promotions", "vouchers"] {
        assert_eq!(breaker(&app, group).await, ("closed".to_owned(), None));
    }
    app.engage.clear_faults();
    app.advance(PAUSE);
    let answer = app.get(&format!("contactId={}&fresh=points", ids[0])).await;
    assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
}

#[tokio::test]
async fn one_503_with_retry_after_pauses_its_contact_only() {
    for (retry_after, pause) in [("1", 1), ("3", 3), ("120", 5_u32)] {
        let app = TestApp::spawn().await;
        let ids = ids(&app);
        let fault = Fault::Raw(busy(retry_after).into());
        app.engage.fault_times(Endpoint::Overview, fault, 1);
        for _ in 0..3 {
            let answer = app.get(&of(&ids[0])).await;
            answer.assert_problem(503, "UpstreamUnavailable");
            assert_eq!(
                answer.header("retry-after"),
                pause.to_string(),
                "{retry_after}"
            );
        }
        assert_eq!(app.engage.total_calls(), 1, "{retry_after}");
        for id in &ids[1..] {
            app.get(&of(id)).await.assert_ok();
        }
        app.advance((pause - 1) * SECOND + Duration::from_millis(999));
        app.get(&of(&ids[0]))
            .await
            .assert_problem(503, "UpstreamUnavailable");
        app.advance(Duration::from_millis(1));
        app.get(&of(&ids[0])).await.assert_ok();
        assert!(metric(&app, OPENINGS).await < 0.1, "{retry_after}");
    }
}

#[tokio::test]
async fn repeated_503s_for_one_contact_refuse_no_other_contact() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    for id in &ids[1..] {
        let fault = Fault::Raw(busy("5").into());
        app.engage.fault_times(Endpoint::Overview, fault, 1);
        assert_ne!(app.get(&of(&ids[0])).await.status, 200);
        // No call was made if the contact is within its back-off.
        app.engage.clear_faults();
        app.get(&of(id)).await.assert_ok();
        app.advance(PAUSE);
    }
    assert!(metric(&app, REFUSED).await < 0.1);
}

#[tokio::test]
async fn repeated_503s_for_two_identifiers_of_one_contact_refuse_no_other() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    let by = [
        format!("email={}&parts=none", ALVA.email),
        format!("customKey={}&parts=none", ALVA.member_number),
    ];
    for (id, query) in ids.iter().zip(by.iter().cycle()) {
        let fault = Fault::Raw(busy("5").into());
        app.engage.fault_times(Endpoint::Overview, fault, 1);
        assert_ne!(app.get(query).await.status, 200);
        app.engage.clear_faults();
        app.get(&of(id)).await.assert_ok();
        app.advance(SECOND);
    }
    assert!(metric(&app, OPENINGS).await < 0.1);
}

#[tokio::test]
async fn two_contacts_503s_pause_the_group_for_at_most_five_seconds() {
    for (retry_after, pause) in [("1", 1), ("3", 3), ("5", 5), ("120", 5_u32)] {
        let app = TestApp::spawn().await;
        let ids = ids(&app);
        let fault = Fault::Raw(busy(retry_after).into());
        app.engage.fault_times(Endpoint::Overview, fault, 2);
        for id in &ids[..4] {
            let answer = app.get(&of(id)).await;
            answer.assert_problem(503, "UpstreamUnavailable");
            assert_eq!(
                answer.header("retry-after"),
                pause.to_string(),
                "{retry_after}"
            );
        }
        assert_eq!(app.engage.total_calls(), 2, "{retry_after}");
        assert_eq!(state(&app).await, "open");
        app.advance((pause - 1) * SECOND + Duration::from_millis(999));
        app.get(&of(&ids[2]))
            .await
            .assert_problem(503, "UpstreamUnavailable");
        app.advance(Duration::from_millis(1));
        app.get(&of(&ids[2])).await.assert_ok();
        assert_eq!(state(&app).await, "closed");
        assert!(
            (metric(&app, OPENINGS).await - 1.0).abs() < 0.1,
            "{retry_after}"
        );
    }
}

#[tokio::test]
async fn concurrent_503s_open_the_breaker_once_for_the_longest_retry_after() {
    let app = TestApp::spawn().await;
    let ids = ids(&app);
    let hold = app.engage.hold(Endpoint::All);
    for retry_after in ["4", "1"] {
        let fault = Fault::Raw(busy(retry_after).into());
        app.engage.fault_times(Endpoint::Overview, fault, 5);
    }
    let pending: Vec<_> = ids[..10].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 10).await;
    hold.release();
    for pending in pending {
        let answer = pending.await.expect("an answer");
        answer.assert_problem(503, "UpstreamUnavailable");
    }
    let open = ("open".to_owned(), Some(4.0));
    assert_eq!(breaker(&app, "overview").await, open);
    assert!((metric(&app, OPENINGS).await - 1.0).abs() < 0.1);
    assert_eq!(logs().matches("circuit breaker opened").count(), 1);
}
