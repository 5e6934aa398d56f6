//! An overview that is too large to be read has a bounded answer: the entity endpoints fill what they can, and what they
//! can't is `null` and named in `degraded`.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, people::ALVA};
use serde_json::{Value, json};

use crate::harness::{TestApp, logs};

const SECOND: Duration = Duration::from_secs(1);

/// More than is read of one answer.
fn too_large() -> Fault {
    Fault::Body(" ".repeat(2 << 20))
}

fn queries() -> [String; 5] {
    [
        format!("contactId={}", ALVA.id),
        format!("contactId={}&contactType=Member", ALVA.id),
        format!("email={}", ALVA.email),
        format!("mobilePhone={}", ALVA.phone.replace('+', "%2B")),
        format!("customKey={}", ALVA.member_number),
    ]
}

#[tokio::test]
async fn entity_endpoints_answer_for_an_overview_that_is_too_large() {
    for query in queries() {
        let app = TestApp::spawn().await;
        let whole = app.get(&query).await;
        app.customers.purge_everything().await;
        app.engage.fault(Endpoint::Overview, too_large());
        let answer = app.get(&query).await;
        assert_eq!(
            answer.assert_ok().at("/degraded"),
            json!(["audiences"]),
            "{query}"
        );
        assert_eq!(answer.at("/audiences"), Value::Null);
        // In v2 the overview tells one balance only, and the endpoint every account.
        for part in ["/profile", "/vouchers", "/promotions", "/points/balance"] {
            assert_eq!(answer.at(part), whole.at(part), "{query} {part}");
        }
    }
}

#[tokio::test]
async fn content_panels_are_answered_too() {
    for query in queries() {
        let app = TestApp::spawn().await;
        app.engage.fault(Endpoint::Overview, too_large());
        let answer = app.get(&format!("{query}&parts=none")).await;
        assert_eq!(
            answer.assert_ok().at("/degraded"),
            json!(["audiences"]),
            "{query}"
        );
        assert_eq!(answer.at("/profile/firstName"), "Alva");
    }
}

#[tokio::test]
async fn a_type_that_the_contact_is_not_is_a_404_all_the_same() {
    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::Overview, too_large());
    app.get(&format!("contactId={}&contactType=Contact", ALVA.id))
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn a_too_large_overview_is_tried_once_per_back_off_and_refused_to_no_other() {
    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::Overview, too_large());
    let query = format!("contactId={}", ALVA.id);
    let alarms = || logs().matches("engage needs an operator").count();
    let before = alarms();
    for _ in 0..20 {
        app.get(&query).await.assert_ok();
        app.advance(SECOND);
    }
    assert_eq!(app.overviews(), 1);
    assert_eq!(alarms() - before, 1);
    app.engage.clear_faults();
    // What expires meanwhile is filled from the entity endpoints, also in the background.
    for _ in 0..20 {
        app.advance(30 * SECOND);
        let answer = app.get(&query).await;
        answer.assert_ok();
    }
    // In the end it fits.
    let healed = app
        .get_until(&query, |answer| answer.at("/degraded") == json!([]))
        .await;
    assert!(healed.at("/audiences").is_array());
}

#[tokio::test]
async fn where_nothing_fits_the_failure_is_returned() {
    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::All, too_large());
    for query in [
        format!("contactId={}", ALVA.id),
        format!("email={}", ALVA.email),
    ] {
        app.get(&query).await.assert_problem(502, "UpstreamInvalid");
    }
}
