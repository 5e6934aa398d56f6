//! Names (e-mail, phone, …) that change their bearer: they lead to the new one as soon as the cache
//! learns of it, though Engage's overview lags (P1).

use std::time::Duration;

use engage_bff::domain::Part;
use engage_simulator::{
    Endpoint,
    people::{ALVA, BO, CIM, DORA},
};
use serde_json::{Value, json};

use crate::harness::{TestApp, id};

const LAG: Duration = Duration::from_secs(600);

fn alvas_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

/// Alva's e-mail address is known to the cache, and the overview lags from now on.
async fn warm() -> TestApp {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let before = app.get(&alvas_email()).await;
    assert_eq!(before.assert_ok().at("/contactId"), ALVA.id);
    app
}

/// The address leads to Dora at once, and for as long as the overview lags.
async fn leads_to_dora(app: &TestApp, query: &str) {
    for _ in 0..10 {
        let answer = app.get(query).await;
        assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
        assert_eq!(answer.at("/profile/firstName"), "Dora");
        app.advance(Duration::from_secs(70));
    }
}

#[tokio::test]
async fn an_email_leads_to_its_new_bearer_at_once_when_the_old_one_took_another() {
    let app = warm().await;
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    leads_to_dora(&app, &alvas_email()).await;
    assert!(app.engage.calls(Endpoint::ContactIdLookup) >= 1);
}

#[tokio::test]
async fn an_email_leads_to_its_new_bearer_at_once_when_the_old_one_has_none_any_more() {
    let app = warm().await;
    app.engage.move_email(ALVA.id, DORA.id);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    leads_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn an_email_leads_at_once_to_a_new_bearer_who_had_none_before() {
    let app = TestApp::spawn().await;
    app.engage.contact(DORA.id).attribute("email", Value::Null);
    app.advance(LAG);
    app.engage.set_overview_lag(LAG);
    app.get(&alvas_email()).await.assert_ok();
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    leads_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn an_email_leads_to_its_new_bearer_when_both_were_invalidated() {
    let app = warm().await;
    app.engage.move_email(ALVA.id, DORA.id);
    app.customers
        .invalidate(id(DORA.id), Part::Profile.into())
        .await;
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    app.customers.drop_negatives().await;
    leads_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn an_email_leads_to_its_new_bearer_who_is_held_already() {
    let app = warm().await;
    let dora = format!("contactId={}&parts=none", DORA.id);
    app.get(&dora).await.assert_ok();
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    leads_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn two_who_swap_their_emails_answer_for_each_others() {
    let app = warm().await;
    app.engage.contact(DORA.id).email("dora@example.com");
    app.advance(LAG);
    let doras_email = "email=dora@example.com&parts=none";
    let dora = app.get(doras_email).await;
    assert_eq!(dora.assert_ok().at("/contactId"), DORA.id);
    app.get(&alvas_email()).await.assert_ok();
    app.engage.contact(ALVA.id).email("dora@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    for person in [ALVA, DORA] {
        app.customers
            .invalidate(id(person.id), Part::Profile.into())
            .await;
    }
    app.customers.drop_negatives().await;
    for _ in 0..3 {
        let alva = app.get(doras_email).await;
        assert_eq!(alva.assert_ok().at("/contactId"), ALVA.id);
        leads_to_dora(&app, &alvas_email()).await;
    }
}

#[tokio::test]
async fn an_email_that_moves_while_its_look_up_is_in_the_air_leads_to_its_new_bearer() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.ask(&alvas_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    hold.release();
    let waiting = waiting.await.expect("an answer");
    assert_eq!(waiting.assert_ok().at("/contactId"), DORA.id);
    leads_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn a_profile_read_fresh_tells_the_cache_that_an_email_has_moved() {
    for takes_another in [true, false] {
        let app = warm().await;
        app.engage.move_email(ALVA.id, DORA.id);
        if takes_another {
            app.engage.contact(ALVA.id).email("alva.new@example.com");
        }
        let fresh = format!("contactId={}&parts=none&fresh=profile", ALVA.id);
        app.get(&fresh).await.assert_ok();
        leads_to_dora(&app, &alvas_email()).await;
    }
}

#[tokio::test]
async fn a_fresh_look_up_by_a_moved_email_answers_about_its_bearer_now() {
    for takes_another in [true, false] {
        let app = warm().await;
        app.engage.move_email(ALVA.id, DORA.id);
        if takes_another {
            app.engage.contact(ALVA.id).email("alva.new@example.com");
        }
        let fresh = format!("{}&fresh=profile", alvas_email());
        let answer = app.get(&fresh).await;
        assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
        assert_eq!(answer.at("/profile/email"), ALVA.email);
        leads_to_dora(&app, &alvas_email()).await;
    }
}

#[tokio::test]
async fn phones_and_custom_keys_move_like_emails() {
    for (parameter, value, attribute) in [
        ("mobilePhone", ALVA.phone, "mobilePhone"),
        ("customKey", ALVA.member_number, "memberNumber"),
    ] {
        let app = TestApp::with(|config| {
            config.engage.custom_key = Some(engage_bff::config::CustomKey::MemberNumber);
        })
        .await;
        app.engage.set_overview_lag(LAG);
        let query = format!("{parameter}={}&parts=none", value.replace('+', "%2B"));
        let before = app.get(&query).await;
        assert_eq!(before.assert_ok().at("/contactId"), ALVA.id);
        let other = value.replace('1', "9");
        app.engage
            .contact(ALVA.id)
            .attribute(attribute, json!(other));
        app.engage
            .contact(DORA.id)
            .attribute(attribute, json!(value));
        app.customers
            .invalidate(id(ALVA.id), Part::Profile.into())
            .await;
        leads_to_dora(&app, &query).await;
    }
}

#[tokio::test]
async fn a_national_id_moves_like_an_email() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let body = json!({"socialSecurityNumber": ALVA.national_id, "parts": []});
    let before = app.lookup(body.clone()).await;
    assert_eq!(before.assert_ok().at("/contactId"), ALVA.id);
    app.engage
        .contact(ALVA.id)
        .attribute("socialSecurityNumber", json!("198507699802"));
    app.engage
        .contact(DORA.id)
        .attribute("socialSecurityNumber", json!(ALVA.national_id));
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    let after = app.lookup(body).await;
    assert_eq!(after.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn an_email_that_was_given_up_leads_to_nobody() {
    for takes_another in [true, false] {
        let app = warm().await;
        let email = if takes_another {
            json!("alva.new@example.com")
        } else {
            Value::Null
        };
        app.engage.contact(ALVA.id).attribute("email", email);
        app.customers
            .invalidate(id(ALVA.id), Part::Profile.into())
            .await;
        for _ in 0..3 {
            app.get(&alvas_email())
                .await
                .assert_problem(404, "ContactNotFound");
            app.advance(Duration::from_secs(70));
        }
    }
}

#[tokio::test]
async fn an_email_that_the_refilled_profile_still_bears_stands_and_costs_no_look_up() {
    let app = warm().await;
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await;
    app.engage.reset_log();
    let answer = app.get(&alvas_email()).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    assert_eq!(app.engage.calls(Endpoint::Contact), 1);
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn two_who_come_to_share_an_email_end_in_a_409_once_the_cache_learns_of_it() {
    let app = TestApp::spawn().await;
    app.get(&alvas_email()).await.assert_ok();
    app.engage.contact(DORA.id).email(ALVA.email);
    app.advance(Duration::from_secs(48));
    let held = app.get(&alvas_email()).await;
    assert_eq!(held.assert_hit().at("/contactId"), ALVA.id);
    app.advance(Duration::from_secs(42));
    for _ in 0..2 {
        app.get(&alvas_email())
            .await
            .assert_problem(409, "MultipleMatches");
    }
    // By her id she is answered as before.
    let by_id = format!("contactId={}&parts=none", ALVA.id);
    app.get(&by_id).await.assert_ok();
}

#[tokio::test]
async fn the_contact_type_belongs_to_the_key() {
    let app = TestApp::spawn().await;
    let as_contact = format!("email={}&contactType=Contact&parts=none", ALVA.email);
    app.get(&alvas_email()).await.assert_ok();
    app.get(&as_contact)
        .await
        .assert_problem(404, "ContactNotFound");
    app.get(&alvas_email()).await.assert_ok().assert_hit();
    let bo = format!("email={}&contactType=cOnTaCt&parts=none", BO.email);
    assert_eq!(app.get(&bo).await.assert_ok().at("/contactId"), BO.id);
    // The same address may belong to a Member and to a Contact.
    app.engage.contact(BO.id).email(ALVA.email);
    app.customers.drop_negatives().await;
    let found = app.get(&as_contact).await;
    assert_eq!(found.assert_ok().at("/contactId"), BO.id);
    let found = app.get(&alvas_email()).await;
    assert_eq!(found.assert_hit().at("/contactId"), ALVA.id);
}

#[tokio::test]
async fn a_contact_id_of_another_contact_type_is_a_404_whatever_is_held() {
    let app = TestApp::spawn().await;
    let plain = format!("contactId={}&parts=none", ALVA.id);
    app.get(&plain).await.assert_ok();
    app.get(&format!("{plain}&contactType=Contact"))
        .await
        .assert_problem(404, "ContactNotFound");
    let typed = format!("{plain}&contactType=member");
    app.get(&typed).await.assert_ok();
    app.get(&typed).await.assert_ok().assert_hit();
    // The default contact type is not applied to contact ids.
    let bo = app.get(&format!("contactId={}", BO.id)).await;
    assert_eq!(bo.assert_ok().at("/contactType"), "Contact");
}

#[tokio::test]
async fn a_contact_id_whose_type_changed_no_longer_answers_for_the_old_type() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let typed = format!("contactId={}&contactType=Member&parts=none", CIM.id);
    app.get(&typed).await.assert_ok();
    app.engage.contact(CIM.id).contact_type("Contact");
    app.customers
        .invalidate(id(CIM.id), Part::Profile.into())
        .await;
    for _ in 0..3 {
        app.get(&typed).await.assert_problem(404, "ContactNotFound");
        app.advance(Duration::from_secs(70));
    }
}

#[tokio::test]
async fn a_name_that_the_contact_does_not_show_is_asked_for_anew_after_the_negative_lifetime() {
    let app = TestApp::spawn().await;
    // The tenant hides e-mail addresses: nothing proves the name, nothing contradicts it.
    let hidden = json!({"id": ALVA.id, "attributes": {"firstName": "Alva"}});
    let hidden = engage_simulator::Fault::Body(hidden.to_string());
    app.engage.fault(Endpoint::Overview, hidden);
    app.get(&alvas_email()).await.assert_ok();
    app.advance(Duration::from_secs(24));
    app.get(&alvas_email()).await.assert_ok().assert_hit();
    assert_eq!(app.overviews(), 1);
    app.advance(Duration::from_secs(36));
    app.get(&alvas_email()).await.assert_ok();
    assert_eq!(app.overviews(), 2);
}
