//! Stale-if-error: a stale record is served within its window when Engage fails, and the answer says so (P2); a refusal
//! of the identifier itself is never hidden by stale data.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, DORA},
};
use serde_json::{Value, json};

use crate::harness::{TestApp, let_requests_arrive, wait_until};

const SECOND: Duration = Duration::from_secs(1);
/// Past every lifetime and its stale-while-revalidate window, except the audiences'.
const EXPIRED: Duration = Duration::from_secs(90);

fn by_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

fn by_id() -> String {
    format!("contactId={}&parts=none", ALVA.id)
}

fn busy() -> Fault {
    Fault::Status(500, json!({"message": "busy"}))
}

#[tokio::test]
async fn every_fault_serves_stale_within_the_window_only() {
    for (fault, status, code) in [
        (busy(), 502, "UpstreamFailed"),
        (Fault::Status(503, json!("busy")), 502, "UpstreamFailed"),
        (Fault::Status(422, json!({})), 502, "UpstreamFailed"),
        (Fault::Status(404, json!("no route")), 502, "UpstreamFailed"),
        (Fault::Status(401, json!({})), 502, "UpstreamUnauthorized"),
        (Fault::Status(403, json!({})), 502, "UpstreamForbidden"),
        (Fault::ResetBeforeBody, 502, "UpstreamFailed"),
        (Fault::ResetMidBody, 502, "UpstreamFailed"),
        (Fault::TruncatedJson, 502, "UpstreamInvalid"),
        (Fault::Html502, 502, "UpstreamFailed"),
        (Fault::HtmlOk200, 502, "UpstreamInvalid"),
        (Fault::WrongContentType, 502, "UpstreamInvalid"),
        (Fault::Empty200, 502, "UpstreamInvalid"),
        (Fault::Body("{}".to_owned()), 502, "UpstreamInvalid"),
        (
            Fault::TooMany { retry_after: None },
            503,
            "UpstreamUnavailable",
        ),
    ] {
        let app = TestApp::spawn().await;
        let before = app.get(&by_email()).await;
        app.engage.fault(Endpoint::All, fault.clone());
        app.advance(EXPIRED);
        for query in [by_email(), by_id()] {
            let stale = app.get(&query).await;
            stale.assert_stale_if_error();
            assert!((-37..=-30).contains(&stale.ttl()), "{fault:?}");
            assert_eq!(stale.header("age"), "90", "{fault:?}");
            assert_eq!(stale.at("/profile"), before.at("/profile"), "{fault:?}");
            assert_eq!(stale.at("/degraded"), json!(["profile"]), "{fault:?}");
            assert_eq!(stale.at("/freshness"), before.at("/freshness"), "{fault:?}");
        }
        app.advance(3563 * SECOND);
        app.get(&by_email()).await.assert_stale_if_error();
        app.advance(7 * SECOND);
        for query in [by_email(), by_id()] {
            app.get(&query).await.assert_problem(status, code);
        }
        app.engage.clear_faults();
        app.advance(60 * SECOND);
        let healed = app.get(&by_email()).await;
        healed
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=stale; stored");
        assert_eq!(healed.at("/degraded"), json!([]));
    }
}

#[tokio::test]
async fn hanging_engage_serves_stale_after_stale_if_slow() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", ALVA.email);
    app.get(&query).await.assert_ok();
    app.engage.fault(Endpoint::All, Fault::Hang);
    app.advance(EXPIRED);
    let waiting = app.spawn_get(&query);
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    let_requests_arrive().await;
    app.advance(Duration::from_millis(299));
    let_requests_arrive().await;
    assert!(!waiting.is_finished());
    app.advance(Duration::from_millis(1));
    let stale = waiting.await.expect("an answer");
    stale.assert_stale_if_slow();
    assert_eq!(
        stale.at("/degraded"),
        json!(["profile", "promotions", "vouchers", "points"])
    );
    assert_eq!(stale.at("/points/balance"), json!(317.5));
    // Past the window nothing may be served.
    app.advance(3600 * SECOND);
    let_requests_arrive().await;
    // Several calls time out at once: all but the first wait for the trial of a new connection.
    app.advance(SECOND);
    let waiting = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 3).await;
    app.advance(Duration::from_millis(2500));
    let late = waiting.await.expect("an answer");
    late.assert_problem(504, "UpstreamTimeout");
}

#[tokio::test]
async fn failed_background_refresh_degrades_nothing_within_its_window() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    app.engage.fault(Endpoint::All, busy());
    app.advance(60 * SECOND);
    for _ in 0..3 {
        let stale = app.get(&by_email()).await;
        stale.assert_ok().assert_hit();
        assert!(!stale.header("cache-status").contains("detail"));
        assert_eq!(stale.at("/degraded"), json!([]));
        app.engage.wait_for_calls(Endpoint::Overview, 2).await;
        wait_until(|| app.customers.counts().failures == 1).await;
    }
    // The failed refresh is not repeated within its back-off.
    assert_eq!(app.overview_calls(), 2);
}

#[tokio::test]
async fn each_part_has_its_own_stale_window() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    app.engage.fault(Endpoint::All, busy());
    // Points are served for at most 3630 s after their fetch, the other parts for at least 3654 s.
    app.advance(3640 * SECOND);
    let answer = app.get(&query).await;
    answer.assert_stale_if_error();
    assert_eq!(answer.at("/points"), Value::Null);
    assert_eq!(answer.at("/freshness/points"), Value::Null);
    assert_eq!(answer.at("/profile/firstName"), "Alva");
    assert!(answer.at("/vouchers").is_array());
    assert_eq!(
        answer.at("/degraded"),
        json!(["profile", "audiences", "promotions", "vouchers", "points"])
    );
}

#[tokio::test]
async fn failed_part_leaves_the_others_complete() {
    for (fault, hangs) in [
        (busy(), false),
        (Fault::ResetMidBody, false),
        (Fault::HtmlOk200, false),
        (Fault::Body(r#"{"items":"many"}"#.to_owned()), false),
        (Fault::Hang, true),
    ] {
        let app = TestApp::spawn().await;
        app.fetch_points_separately(ALVA.id).await;
        app.engage.fault(Endpoint::PointAccounts, fault.clone());
        let query = format!("email={}", ALVA.email);
        let pending = app.spawn_get(&query);
        app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
        if hangs {
            app.advance(Duration::from_millis(2500));
        }
        let answer = pending.await.expect("an answer");
        answer
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=miss; stored");
        assert_eq!(answer.at("/points"), Value::Null, "{fault:?}");
        assert_eq!(answer.at("/degraded"), json!(["points"]), "{fault:?}");
        assert_eq!(answer.at("/profile/firstName"), "Alva");
        assert_eq!(answer.at("/vouchers").as_array().map(Vec::len), Some(2));
        // A failed part is fetched again after its back-off.
        app.engage.clear_faults();
        app.advance(30 * SECOND);
        let healed = app.get(&query).await;
        assert_eq!(healed.assert_ok().at("/points/balance"), json!(317.5));
        assert_eq!(healed.at("/degraded"), json!([]));
        assert_eq!(app.overview_calls(), 1);
    }
}

#[tokio::test]
async fn unknown_and_ambiguous_are_never_answered_stale() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    app.engage.contact(DORA.id).email(ALVA.email);
    app.advance(EXPIRED);
    app.get(&by_email())
        .await
        .assert_problem(409, "MultipleMatches");

    for query in [by_email(), by_id()] {
        let app = TestApp::spawn().await;
        app.get(&query).await.assert_ok();
        app.engage.contact(ALVA.id).delete();
        app.advance(EXPIRED);
        app.get(&query).await.assert_problem(404, "ContactNotFound");
        app.get(&query).await.assert_problem(404, "ContactNotFound");
    }
}

#[tokio::test]
async fn refresh_with_404_ends_the_stale_answers() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    app.engage.contact(ALVA.id).delete();
    app.advance(60 * SECOND);
    app.get(&by_email()).await.assert_ok().assert_hit();
    let gone = app
        .get_until(&by_email(), |answer| answer.status != 200)
        .await;
    gone.assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn identity_mismatch_is_not_hidden_by_stale_data() {
    for query in [by_email(), by_id()] {
        let app = TestApp::spawn().await;
        app.get(&query).await.assert_ok();
        app.engage
            .fault(Endpoint::All, Fault::WrongContact(BO.id.to_owned()));
        app.advance(EXPIRED);
        let answer = app.get(&query).await;
        answer.assert_problem(502, "IdentityMismatch");
        assert!(!answer.text().contains(BO.email));
        app.engage.clear_faults();
        app.get(&query)
            .await
            .assert_problem(502, "IdentityMismatch");
        app.advance(30 * SECOND);
        assert_eq!(app.get(&query).await.assert_ok().at("/contactId"), ALVA.id);
    }
}

#[tokio::test]
async fn points_of_another_contact_are_not_replaced_by_stale_points() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.engage.contact(BO.id).points("5");
    let query = format!("contactId={}&parts=points", ALVA.id);
    app.get(&query).await.assert_ok();
    app.engage.fault(
        Endpoint::PointAccounts,
        Fault::WrongContact(BO.id.to_owned()),
    );
    app.advance(EXPIRED);
    let answer = app.get(&query).await;
    assert_eq!(answer.assert_ok().at("/points"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["points"]));
}

#[tokio::test]
async fn points_of_a_deleted_contact_are_never_served_stale() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    // The overview lags behind the deletion.
    app.engage.set_overview_lag(Duration::from_secs(600));
    let query = format!("contactId={}&parts=points", ALVA.id);
    app.get(&query).await.assert_ok();
    app.engage.contact(ALVA.id).delete();
    app.advance(EXPIRED);
    let answer = app.get(&query).await;
    if answer.status == 200 {
        assert_eq!(answer.at("/points"), Value::Null);
        assert_eq!(answer.at("/degraded"), json!(["points"]));
    } else {
        answer.assert_problem(404, "ContactNotFound");
    }
}

#[tokio::test]
async fn a_429_pauses_all_calls_and_serves_stale() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    app.advance(EXPIRED);
    let too_many = Fault::TooMany {
        retry_after: Some("5".to_owned()),
    };
    app.engage.fault_times(Endpoint::All, too_many, 1);
    app.get(&by_email()).await.assert_stale_if_error();
    let calls = app.engage.total_calls();
    app.advance(4 * SECOND);
    app.get(&by_email()).await.assert_stale_if_error();
    let cold = app.get(&format!("contactId={}", BO.id)).await;
    cold.assert_problem(503, "UpstreamUnavailable");
    assert_eq!(cold.header("retry-after"), "1");
    assert_eq!(app.engage.total_calls(), calls);
    app.advance(SECOND);
    // At first the calls are sent one by one.
    let _clock = app.run_clock();
    app.get(&by_email())
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
    app.get(&format!("contactId={}", BO.id)).await.assert_ok();
}
