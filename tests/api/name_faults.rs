//! Names that move while Engage fails, or while their bearer goes: one call tells it, and nobody is
//! asked for over and over.

use std::time::Duration;

use engage_bff::domain::Part;
use engage_simulator::{
    Endpoint, Fault,
    people::{ALVA, DORA},
};
use serde_json::json;

use crate::harness::{TestApp, id};

fn alvas_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

fn busy() -> Fault {
    Fault::Status(500, json!({"message": "busy"}))
}

/// Alva's e-mail address is known to the cache, the overview lags, and the address is Dora's now.
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
async fn a_look_up_of_a_moved_email_that_fails_is_told_and_not_repeated() {
    let app = moved().await;
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
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
async fn a_new_bearer_who_cannot_be_asked_whether_it_is_so_is_not_shown_and_not_asked_again() {
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
async fn a_fresh_profile_by_the_email_of_somebody_who_is_gone_is_that_of_its_new_bearer() {
    let app = moved().await;
    app.engage.contact(ALVA.id).delete();
    let query = format!("{}&fresh=profile", alvas_email());
    let answer = app.get(&query).await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
    assert_eq!(answer.at("/profile/email"), ALVA.email);
}

#[tokio::test]
async fn an_email_that_a_later_overview_shows_no_more_leads_to_nobody() {
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
async fn an_email_that_moves_back_leads_to_its_first_bearer_again() {
    let app = moved().await;
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    let answer = app.get(&alvas_email()).await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
    app.engage.contact(DORA.id).email("dora.new@example.com");
    app.engage.contact(ALVA.id).email(ALVA.email);
    for person in [ALVA, DORA] {
        app.customers
            .invalidate(id(person.id), Part::Profile.into())
            .await;
    }
    let answer = app.get(&alvas_email()).await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
}

/// Alva is held as she is now; her e-mail address was asked for so much earlier.
async fn name_of_age(age: Duration) -> TestApp {
    let app = TestApp::spawn().await;
    app.get(&alvas_email()).await.assert_ok();
    app.advance(age);
    let by_id = format!("contactId={}&parts=none", ALVA.id);
    app.get_with(&by_id, "max-age=1").await.assert_ok();
    app.engage.reset_log();
    app
}

#[tokio::test]
async fn a_stale_name_of_somebody_whose_profile_is_fresh_is_renewed_in_the_background() {
    let app = name_of_age(Duration::from_secs(61)).await;
    app.get(&alvas_email()).await.assert_ok().assert_hit();
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
}

#[tokio::test]
async fn a_stale_name_that_the_overview_may_not_tell_is_renewed_by_its_own_look_up() {
    let app = moved().await;
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
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
async fn a_name_that_cannot_be_renewed_is_followed_within_its_window_and_never_beyond() {
    for (age, within_window) in [(100, true), (3700, false)] {
        let app = name_of_age(Duration::from_secs(age)).await;
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
