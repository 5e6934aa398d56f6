//! An overview above the size limit: the entity endpoints provide what they can, and the rest is `null` and listed in
//! `degraded`.

use std::time::Duration;

use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use serde_json::{Value, json};

use crate::harness::{TestApp, events};

const SECOND: Duration = Duration::from_secs(1);

/// Larger than `engage.max_response_size`.
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
async fn oversized_overview_is_replaced_by_entity_endpoints() {
    for query in queries() {
        let app = TestApp::spawn().await;
        let whole = app.get(&query).await;
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        app.engage.fault(Endpoint::Overview, too_large());
        let answer = app.get(&query).await;
        assert_eq!(
            answer.assert_ok().at("/degraded"),
            json!(["audiences"]),
            "{query}"
        );
        assert_eq!(answer.at("/audiences"), Value::Null);
        // In v2 the overview contains one balance only, and the endpoint returns every account.
        for part in ["/profile", "/vouchers", "/promotions", "/points/balance"] {
            assert_eq!(answer.at(part), whole.at(part), "{query} {part}");
        }
    }
}

#[tokio::test]
async fn parts_none_is_served_despite_an_oversized_overview() {
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
async fn wrong_contact_type_is_404_despite_an_oversized_overview() {
    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::Overview, too_large());
    app.get(&format!("contactId={}&contactType=Contact", ALVA.id))
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn oversized_overview_is_called_once_per_back_off() {
    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::Overview, too_large());
    let query = format!("contactId={}", ALVA.id);
    let alarms = || events("engage response unreadable").len();
    let before = alarms();
    for _ in 0..20 {
        app.get(&query).await.assert_ok();
        app.advance(SECOND);
    }
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(alarms() - before, 1);
    app.engage.clear_faults();
    // Parts that expire meanwhile come from the entity endpoints, also in the background.
    for _ in 0..20 {
        app.advance(30 * SECOND);
        let answer = app.get(&query).await;
        answer.assert_ok();
    }
    // In the end the overview fits.
    let healed = app
        .get_until(&query, |answer| answer.at("/degraded") == json!([]))
        .await;
    assert!(healed.at("/audiences").is_array());
}

#[tokio::test]
async fn oversized_answers_everywhere_are_502() {
    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::All, too_large());
    for query in [
        format!("contactId={}", ALVA.id),
        format!("email={}", ALVA.email),
    ] {
        app.get(&query).await.assert_problem(502, "UpstreamInvalid");
    }
}
