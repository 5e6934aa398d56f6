//! Identifiers that move while Engage fails or while their contact is deleted: one call resolves the identifier, and a
//! failed call is not repeated.

use std::time::Duration;

use engage_bff::domain::Part;
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, DORA},
};
use serde_json::json;

use crate::harness::{TestApp, id};

fn alvas_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

fn busy() -> Fault {
    Fault::Status(500, json!({"message": "busy"}))
}

/// Alva's e-mail address is cached, the overview lags, and the address now belongs to Dora.
async fn moved() -> TestApp {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(Duration::from_secs(600));
    for query in [alvas_email(), format!("contactId={}&parts=none", DORA.id)] {
        app.get(&query).await.assert_ok();
    }
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app
}

#[tokio::test]
async fn failed_lookup_of_a_moved_email_is_502_and_not_repeated() {
    let app = moved().await;
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    app.engage.fault(Endpoint::ContactIdLookup, busy());
    app.get(&alvas_email())
        .await
        .assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    app.engage.clear_faults();
    app.advance(Duration::from_secs(30));
    let healed = app.get(&alvas_email()).await;
    assert_eq!(healed.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn new_owner_that_cannot_be_confirmed_is_502_and_not_repeated() {
    let app = moved().await;
    let alva = format!("contactId={}&parts=none&fresh=profile", ALVA.id);
    app.get(&alva).await.assert_ok();
    app.engage.reset_log();
    app.engage.fault(Endpoint::Contact, busy());
    app.get(&alvas_email())
        .await
        .assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    assert_eq!(app.engage.calls(Endpoint::Contact), 1);
    app.engage.clear_faults();
    app.advance(Duration::from_secs(30));
    let healed = app.get(&alvas_email()).await;
    assert_eq!(healed.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn fresh_profile_by_a_deleted_contacts_email_is_the_new_owners() {
    let app = moved().await;
    app.engage.contact(ALVA.id).delete();
    let query = format!("{}&fresh=profile", alvas_email());
    let answer = app.get(&query).await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
    assert_eq!(answer.at("/profile/email"), ALVA.email);
}

#[tokio::test]
async fn email_missing_in_a_later_overview_is_404() {
    let app = TestApp::spawn().await;
    app.get(&alvas_email()).await.assert_ok();
    app.engage.contact(ALVA.id).attribute("email", json!(null));
    app.get(&alvas_email()).await.assert_ok().assert_hit();
    app.advance(Duration::from_secs(2));
    let by_id = format!("contactId={}&parts=none", ALVA.id);
    let newer = app.get_with(&by_id, "max-age=1").await;
    assert_eq!(newer.assert_ok().at("/profile/email"), json!(null));
    app.get(&alvas_email())
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn email_that_moves_back_resolves_to_its_first_owner() {
    let app = moved().await;
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    let answer = app.get(&alvas_email()).await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
    app.engage.contact(DORA.id).email("dora.new@example.com");
    app.engage.contact(ALVA.id).email(ALVA.email);
    for person in [ALVA, DORA] {
        app.customers
            .invalidate(id(person.id), Part::Profile.into())
            .await
            .expect("there is no shared tier");
    }
    let answer = app.get(&alvas_email()).await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
}

/// Alva's record is current; her e-mail address was resolved this long ago.
async fn alias_of_age(age: Duration) -> TestApp {
    let app = TestApp::spawn().await;
    app.get(&alvas_email()).await.assert_ok();
    app.advance(age);
    let by_id = format!("contactId={}&parts=none", ALVA.id);
    app.get_with(&by_id, "max-age=1").await.assert_ok();
    app.engage.reset_log();
    app
}

#[tokio::test]
async fn stale_alias_of_a_fresh_profile_is_refreshed_in_the_background() {
    let app = alias_of_age(Duration::from_secs(61)).await;
    app.get(&alvas_email()).await.assert_ok().assert_hit();
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
}

#[tokio::test]
async fn stale_alias_during_overview_lag_is_refreshed_by_id_lookup() {
    let app = moved().await;
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    app.get(&alvas_email()).await.assert_ok();
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    app.advance(Duration::from_secs(61));
    let answer = app.get(&alvas_email()).await;
    assert_eq!(answer.assert_hit().at("/contactId"), DORA.id);
    app.engage
        .wait_for_calls(Endpoint::ContactIdLookup, 2)
        .await;
}

#[tokio::test]
async fn alias_that_cannot_be_refreshed_is_used_within_its_window_only() {
    for (age, within_window) in [(100, true), (3700, false)] {
        let app = alias_of_age(Duration::from_secs(age)).await;
        app.engage.fault(Endpoint::All, busy());
        app.get_with(&alvas_email(), "stale-if-error=0")
            .await
            .assert_problem(502, "UpstreamFailed");
        let answer = app.get(&alvas_email()).await;
        if within_window {
            answer.assert_stale_if_error();
        } else {
            answer.assert_problem(502, "UpstreamFailed");
        }
    }
}
