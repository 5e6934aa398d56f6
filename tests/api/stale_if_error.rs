//! What is held stands in where Engage fails, within its window and never beyond, and the answer says
//! so (P2); what Engage said of the identifier itself is never covered up.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    people::{ALVA, BO, DORA},
};
use serde_json::{Value, json};

use crate::harness::{TestApp, arrive, until};

const SECOND: Duration = Duration::from_secs(1);
/// Beyond every lifetime and its stale-while-revalidate window.
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
async fn whatever_way_engage_fails_what_is_held_stands_in_within_the_window() {
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
async fn while_engage_hangs_stale_data_stands_in_after_stale_if_slow() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", ALVA.email);
    app.get(&query).await.assert_ok();
    app.engage.fault(Endpoint::All, Fault::Hang);
    app.advance(EXPIRED);
    let waiting = app.ask(&query);
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    arrive().await;
    app.advance(Duration::from_millis(299));
    arrive().await;
    assert!(!waiting.is_finished());
    app.advance(Duration::from_millis(1));
    let stale = waiting.await.expect("an answer");
    stale.assert_stale_if_slow();
    assert_eq!(
        stale.at("/degraded"),
        json!(["profile", "promotions", "vouchers", "points"])
    );
    assert_eq!(stale.at("/points/balance"), json!(317.5));
    // Beyond the window there is nothing to show.
    app.advance(3600 * SECOND);
    arrive().await;
    // Several calls' time is over at once: all but the first wait for the trial of a new connection.
    app.advance(SECOND);
    let waiting = app.ask(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 3).await;
    app.advance(Duration::from_millis(2500));
    let late = waiting.await.expect("an answer");
    late.assert_problem(504, "UpstreamTimeout");
}

#[tokio::test]
async fn within_the_first_window_a_failing_refresh_degrades_nothing() {
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
        until(|| app.customers.counts().failures == 1).await;
    }
    // It failed, and is not tried again within its back-off.
    assert_eq!(app.overviews(), 2);
}

#[tokio::test]
async fn each_part_has_a_window_of_its_own() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    app.engage.fault(Endpoint::All, busy());
    // Points end 3630 s after they were asked for at the latest, the others 3654 s at the earliest.
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
async fn a_part_that_fails_leaves_the_others_whole() {
    for (fault, hangs) in [
        (busy(), false),
        (Fault::ResetMidBody, false),
        (Fault::HtmlOk200, false),
        (Fault::Body(r#"{"items":"many"}"#.to_owned()), false),
        (Fault::Hang, true),
    ] {
        let app = TestApp::spawn().await;
        app.points_alone(ALVA.id).await;
        app.engage.fault(Endpoint::PointAccounts, fault.clone());
        let query = format!("email={}", ALVA.email);
        let asked = app.ask(&query);
        app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
        if hangs {
            app.advance(Duration::from_millis(2500));
        }
        let answer = asked.await.expect("an answer");
        answer
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=miss; stored");
        assert_eq!(answer.at("/points"), Value::Null, "{fault:?}");
        assert_eq!(answer.at("/degraded"), json!(["points"]), "{fault:?}");
        assert_eq!(answer.at("/profile/firstName"), "Alva");
        assert_eq!(answer.at("/vouchers").as_array().map(Vec::len), Some(2));
        // A part that could not be had is asked for again once its back-off has passed.
        app.engage.clear_faults();
        app.advance(30 * SECOND);
        let healed = app.get(&query).await;
        assert_eq!(healed.assert_ok().at("/points/balance"), json!(317.5));
        assert_eq!(healed.at("/degraded"), json!([]));
        assert_eq!(app.overviews(), 1);
    }
}

#[tokio::test]
async fn nobody_and_several_are_never_answered_stale() {
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
async fn a_refresh_that_finds_nobody_ends_the_stale_answers() {
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
async fn an_answer_about_somebody_else_is_never_covered_up_by_a_stale_one() {
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
async fn points_of_somebody_else_are_never_covered_up_by_stale_ones() {
    let app = TestApp::spawn().await;
    app.points_alone(ALVA.id).await;
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
async fn points_of_a_contact_that_is_gone_are_never_served_stale() {
    let app = TestApp::spawn().await;
    app.points_alone(ALVA.id).await;
    // The overview does not know yet.
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
async fn a_429_pauses_all_calls_and_stale_is_served_meanwhile() {
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
    // At first the calls come one by one.
    let _passing = app.let_time_pass();
    app.get(&by_email())
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
    app.get(&format!("contactId={}", BO.id)).await.assert_ok();
}
