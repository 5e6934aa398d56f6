//! A purge by identifier while answers are in the air: it is final whatever they were asked by.

use std::time::Duration;

use engage_simulator::{Endpoint, people::ALVA};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    harness::{Answer, TILL, TestApp, arrive},
    operators::operate,
};

const LAG: Duration = Duration::from_secs(600);
const NEW_PROMOTION: &str = "7c20b000-1009-4b11-a001-b2d100b00009";

/// Everything that Alva can be looked up by.
fn ways() -> [Value; 7] {
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

/// A look-up under way in a task of its own.
fn ask(app: &TestApp, body: &Value) -> JoinHandle<Answer> {
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

/// The look-up is in the air while the contact changes and the purge is acknowledged.
async fn purged_in_the_air(way: &Value, purged: &Value) {
    let place = format!("asked by {way}, purged by {purged}");
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let hold = app.engage.hold(Endpoint::All);
    let waiting = ask(&app, way);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    change(&app);
    purge(&app, purged).await;
    let later = ask(&app, way);
    arrive().await;
    hold.release();
    assert_new(&waiting.await.expect("an answer"), &place);
    assert_new(&later.await.expect("an answer"), &place);
    for way in ways() {
        assert_new(&app.lookup(way).await, &place);
    }
}

#[tokio::test]
async fn a_purge_by_identifier_is_final_for_what_is_in_the_air() {
    for purged in &ways()[1..] {
        for way in ways() {
            purged_in_the_air(&way, purged).await;
        }
    }
}

#[tokio::test]
async fn a_contact_type_does_not_narrow_a_purge() {
    let purged = json!({"email": ALVA.email, "contactType": "Contact"});
    for way in ways() {
        purged_in_the_air(&way, &purged).await;
    }
}

#[tokio::test]
async fn a_purge_finds_a_hidden_identifier_under_another_contact_type() {
    let app = TestApp::spawn().await;
    let contact = app.engage.contact(ALVA.id);
    contact.attribute("memberNumber", Value::Null);
    let body = json!({"id": ALVA.id, "attributes": {"firstName": "Alva"}, "meta": {}});
    let hidden = engage_simulator::Fault::Body(body.to_string());
    app.engage
        .fault_times(Endpoint::Overview, hidden.clone(), 1);
    let way = json!({"email": ALVA.email, "parts": []});
    assert_eq!(
        app.lookup(way.clone())
            .await
            .assert_ok()
            .at("/profile/firstName"),
        "Alva"
    );
    change(&app);
    app.lookup(way.clone()).await.assert_hit();
    let purged = json!({"any": ALVA.email, "contactType": "Contact"});
    purge(&app, &purged).await;
    let answer = app.lookup(way).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
}

#[tokio::test]
async fn an_erased_contact_is_not_answered_again_by_what_was_in_the_air() {
    for way in ways() {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        let hold = app.engage.hold(Endpoint::All);
        let waiting = ask(&app, &way);
        app.engage.wait_for_calls(Endpoint::Overview, 1).await;
        app.engage.contact(ALVA.id).delete();
        purge(&app, &json!({"email": ALVA.email})).await;
        hold.release();
        let waiting = waiting.await.expect("an answer");
        waiting.assert_problem(404, "ContactNotFound");
        for way in ways() {
            let answer = app.lookup(way).await;
            answer.assert_problem(404, "ContactNotFound");
        }
    }
}

#[tokio::test]
async fn a_purge_is_final_for_entity_calls_in_the_air() {
    for fresh in [json!(["promotions"]), json!(["profile", "promotions"])] {
        for held in [Endpoint::Promotions, Endpoint::Contact, Endpoint::All] {
            let place = format!("{fresh} {held:?}");
            let app = TestApp::spawn().await;
            app.engage.set_overview_lag(LAG);
            // Invalidated and asked for nothing since: of what is cached no profile says whose it is.
            app.customers
                .invalidate(
                    crate::harness::id(ALVA.id),
                    engage_bff::domain::PartSet::ALL,
                )
                .await;
            let hold = app.engage.hold(held);
            let way = json!({"contactId": ALVA.id, "parts": ["promotions"], "fresh": fresh});
            let waiting = ask(&app, &way);
            let calls = if held == Endpoint::All { 1 } else { 2 };
            app.engage.wait_for_calls(Endpoint::All, calls).await;
            arrive().await;
            let alva = app.engage.contact(ALVA.id);
            alva.attribute("firstName", json!("Alvina"))
                .add_promotion(json!({"id": NEW_PROMOTION}));
            purge(&app, &json!({"mobilePhone": ALVA.phone})).await;
            hold.release();
            for answer in [waiting.await.expect("an answer"), app.lookup(way).await] {
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
async fn what_is_cached_without_a_profile_is_purged_with_it() {
    let app = TestApp::spawn().await;
    let way = json!({"mobilePhone": ALVA.phone});
    app.lookup(way.clone()).await.assert_ok();
    let profile = engage_bff::domain::Part::Profile;
    app.customers
        .invalidate(crate::harness::id(ALVA.id), profile.into())
        .await;
    app.engage
        .contact(ALVA.id)
        .email("alva.new@example.com")
        .add_promotion(json!({"id": NEW_PROMOTION}));
    purge(&app, &json!({"email": ALVA.email})).await;
    let promotions = app.lookup(way).await.assert_ok().at("/promotions");
    let mut promotions = promotions.as_array().expect("a list").iter();
    assert!(promotions.any(|promotion| promotion["id"] == NEW_PROMOTION));
}

#[tokio::test]
async fn a_purge_by_identifier_drops_no_other_contact() {
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
async fn what_was_cached_before_the_contact_bore_the_purged_identifier_is_gone_too() {
    let app = TestApp::spawn().await;
    let by_id = format!("contactId={}&parts=none", ALVA.id);
    app.get(&by_id).await.assert_ok();
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    let hold = app.engage.hold(Endpoint::Overview);
    let asked = app.ask("email=alva.new@example.com&parts=none");
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    purge(&app, &json!({"email": "alva.new@example.com"})).await;
    hold.release();
    asked.await.expect("an answer").assert_ok();
    app.engage.reset_log();
    let answer = app.get(&by_id).await;
    assert_eq!(
        answer.assert_ok().at("/profile/email"),
        "alva.new@example.com"
    );
}
