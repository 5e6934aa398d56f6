//! Purge by identifier while calls are in flight: it is final, whichever identifier they used.

use std::time::Duration;

use engage_simulator::{Endpoint, fixtures::ALVA};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    harness::{Answer, TILL, TestApp, let_requests_arrive},
    operators::operate,
};

const LAG: Duration = Duration::from_secs(600);
const NEW_PROMOTION: &str = "7c20b000-1009-4b11-a001-b2d100b00009";

/// Lookups that find Alva, by every kind of identifier.
fn lookups() -> [Value; 7] {
    [
        json!({"contactId": ALVA.id}),
        json!({"email": ALVA.email}),
        json!({"mobilePhone": ALVA.phone}),
        json!({"socialSecurityNumber": ALVA.national_id}),
        json!({"customKey": ALVA.member_number}),
        json!({"any": ALVA.phone}),
        json!({"any": ALVA.member_number}),
    ]
}

/// A lookup in a task of its own.
fn spawn_lookup(app: &TestApp, body: &Value) -> JoinHandle<Answer> {
    tokio::spawn(Answer::of(app.post(TILL).body(body.to_string())))
}

async fn purge(app: &TestApp, body: &Value) {
    let answer = operate(app, Method::POST, "/cache/purge", &body.to_string()).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
}

fn change(app: &TestApp) {
    app.engage
        .contact(ALVA.id)
        .points("742.25")
        .attribute("firstName", json!("Alvina"));
}

#[track_caller]
fn assert_new(answer: &Answer, place: &str) {
    answer.assert_ok();
    assert_eq!(answer.at("/profile/firstName"), "Alvina", "{place}");
    assert_eq!(answer.at("/points/balance"), json!(742.25), "{place}");
    assert_eq!(answer.at("/degraded"), json!([]), "{place}");
}

/// The contact changes and the purge is acknowledged while the lookup is in flight.
async fn assert_purge_in_flight(lookup: &Value, purged: &Value) {
    let place = format!("looked up by {lookup}, purged by {purged}");
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let hold = app.engage.hold(Endpoint::All);
    let waiting = spawn_lookup(&app, lookup);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    change(&app);
    purge(&app, purged).await;
    let later = spawn_lookup(&app, lookup);
    let_requests_arrive().await;
    hold.release();
    assert_new(&waiting.await.expect("an answer"), &place);
    assert_new(&later.await.expect("an answer"), &place);
    for lookup in lookups() {
        assert_new(&app.lookup(lookup).await, &place);
    }
}

#[tokio::test]
async fn purge_by_identifier_discards_lookups_in_flight() {
    for purged in &lookups()[1..] {
        for lookup in lookups() {
            assert_purge_in_flight(&lookup, purged).await;
        }
    }
}

#[tokio::test]
async fn contact_type_does_not_narrow_a_purge() {
    let purged = json!({"email": ALVA.email, "contactType": "Contact"});
    for lookup in lookups() {
        assert_purge_in_flight(&lookup, &purged).await;
    }
}

#[tokio::test]
async fn purge_finds_a_hidden_identifier_under_another_contact_type() {
    let app = TestApp::spawn().await;
    let contact = app.engage.contact(ALVA.id);
    contact.attribute("memberNumber", Value::Null);
    let body = json!({"id": ALVA.id, "attributes": {"firstName": "Alva"}, "meta": {}});
    let hidden = engage_simulator::Fault::Body(body.to_string());
    app.engage
        .fault_times(Endpoint::Overview, hidden.clone(), 1);
    let lookup = json!({"email": ALVA.email, "parts": []});
    assert_eq!(
        app.lookup(lookup.clone())
            .await
            .assert_ok()
            .at("/profile/firstName"),
        "Alva"
    );
    change(&app);
    app.lookup(lookup.clone()).await.assert_hit();
    let purged = json!({"any": ALVA.email, "contactType": "Contact"});
    purge(&app, &purged).await;
    let answer = app.lookup(lookup).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
}

#[tokio::test]
async fn erased_contact_is_not_restored_by_a_lookup_in_flight() {
    for lookup in lookups() {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        let hold = app.engage.hold(Endpoint::All);
        let waiting = spawn_lookup(&app, &lookup);
        app.engage.wait_for_calls(Endpoint::Overview, 1).await;
        app.engage.contact(ALVA.id).delete();
        purge(&app, &json!({"email": ALVA.email})).await;
        hold.release();
        let waiting = waiting.await.expect("an answer");
        waiting.assert_problem(404, "ContactNotFound");
        for lookup in lookups() {
            let answer = app.lookup(lookup).await;
            answer.assert_problem(404, "ContactNotFound");
        }
    }
}

#[tokio::test]
async fn purge_discards_entity_calls_in_flight() {
    for fresh in [json!(["promotions"]), json!(["profile", "promotions"])] {
        for endpoint in [Endpoint::Promotions, Endpoint::Contact, Endpoint::All] {
            let place = format!("{fresh} {endpoint:?}");
            let app = TestApp::spawn().await;
            app.engage.set_overview_lag(LAG);
            // All of Alva's parts were invalidated and none has been fetched: no cached profile shows the identifiers.
            app.customers
                .invalidate(
                    crate::harness::id(ALVA.id),
                    engage_bff::domain::PartSet::ALL,
                )
                .await
                .expect("there is no shared tier");
            let hold = app.engage.hold(endpoint);
            let lookup = json!({"contactId": ALVA.id, "parts": ["promotions"], "fresh": fresh});
            let waiting = spawn_lookup(&app, &lookup);
            let calls = if endpoint == Endpoint::All { 1 } else { 2 };
            app.engage.wait_for_calls(Endpoint::All, calls).await;
            let_requests_arrive().await;
            let alva = app.engage.contact(ALVA.id);
            alva.attribute("firstName", json!("Alvina"))
                .add_promotion(json!({"id": NEW_PROMOTION}));
            purge(&app, &json!({"mobilePhone": ALVA.phone})).await;
            hold.release();
            for answer in [waiting.await.expect("an answer"), app.lookup(lookup).await] {
                answer.assert_ok();
                assert_eq!(answer.at("/profile/firstName"), "Alvina", "{place}");
                let promotions = answer.at("/promotions");
                let mut promotions = promotions.as_array().expect("a list").iter();
                let is_new = promotions.any(|promotion| promotion["id"] == NEW_PROMOTION);
                assert!(is_new, "{place}");
            }
        }
    }
}

#[tokio::test]
async fn parts_cached_without_a_profile_are_purged() {
    let app = TestApp::spawn().await;
    let lookup = json!({"mobilePhone": ALVA.phone});
    app.lookup(lookup.clone()).await.assert_ok();
    let profile = engage_bff::domain::Part::Profile;
    app.customers
        .invalidate(crate::harness::id(ALVA.id), profile.into())
        .await
        .expect("there is no shared tier");
    app.engage
        .contact(ALVA.id)
        .email("alva.new@example.com")
        .add_promotion(json!({"id": NEW_PROMOTION}));
    purge(&app, &json!({"email": ALVA.email})).await;
    let promotions = app.lookup(lookup).await.assert_ok().at("/promotions");
    let mut promotions = promotions.as_array().expect("a list").iter();
    assert!(promotions.any(|promotion| promotion["id"] == NEW_PROMOTION));
}

#[tokio::test]
async fn purge_by_identifier_drops_no_other_contact() {
    let app = TestApp::spawn().await;
    let others: Vec<_> = app
        .engage
        .contact_ids()
        .into_iter()
        .skip(10)
        .take(10)
        .collect();
    for id in &others {
        app.lookup(json!({"contactId": id})).await.assert_ok();
    }
    purge(&app, &json!({"email": ALVA.email})).await;
    for id in &others {
        app.lookup(json!({"contactId": id})).await.assert_hit();
    }
}

#[tokio::test]
async fn purge_drops_a_record_cached_before_it_had_the_identifier() {
    let app = TestApp::spawn().await;
    let by_id = format!("contactId={}&parts=none", ALVA.id);
    app.get(&by_id).await.assert_ok();
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    let hold = app.engage.hold(Endpoint::Overview);
    let pending = app.spawn_get("email=alva.new@example.com&parts=none");
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    purge(&app, &json!({"email": "alva.new@example.com"})).await;
    hold.release();
    pending.await.expect("an answer").assert_ok();
    app.engage.reset_log();
    let answer = app.get(&by_id).await;
    assert_eq!(
        answer.assert_ok().at("/profile/email"),
        "alva.new@example.com"
    );
}

/// Alva's e-mail address becomes one that can't be read.
fn make_email_unreadable(app: &TestApp) {
    let unreadable = json!("alva.n\u{f6}rdstr\u{f6}m@example.com");
    app.engage.contact(ALVA.id).attribute("email", unreadable);
}

#[tokio::test]
async fn purge_covers_a_contact_whose_identifier_of_that_kind_is_unreadable() {
    for (purged, is_covered) in [
        (json!({"email": ALVA.email}), true),
        (json!({"email": "another@example.com"}), true),
        (json!({"any": "another@example.com"}), true),
        (json!({"mobilePhone": "+46701740699"}), false),
        (json!({"customKey": "M-another"}), false),
    ] {
        let app = TestApp::spawn().await;
        make_email_unreadable(&app);
        let by_id = json!({"contactId": ALVA.id});
        app.lookup(by_id.clone()).await.assert_ok();
        app.lookup(by_id.clone()).await.assert_hit();
        change(&app);
        purge(&app, &purged).await;
        let answer = app.lookup(by_id).await;
        if is_covered {
            assert_new(&answer, &purged.to_string());
        } else {
            answer.assert_hit();
        }
    }
}

#[tokio::test]
async fn purge_discards_an_answer_in_flight_with_an_unreadable_identifier() {
    let app = TestApp::spawn().await;
    make_email_unreadable(&app);
    let by_id = json!({"contactId": ALVA.id});
    let hold = app.engage.hold(Endpoint::All);
    let waiting = spawn_lookup(&app, &by_id);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    change(&app);
    purge(&app, &json!({"email": ALVA.email})).await;
    hold.release();
    let place = "in flight";
    assert_new(&waiting.await.expect("an answer"), place);
    assert_new(&app.lookup(by_id).await, place);
}
