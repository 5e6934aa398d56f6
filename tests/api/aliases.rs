//! Identifiers (e-mail, phone, …) that move to another contact: they resolve to the new owner as soon as the cache
//! learns of the move, even if Engage's overview lags (P1).

use std::time::Duration;

use engage_bff::domain::Part;
use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO, CIM, DORA},
};
use serde_json::{Value, json};

use crate::harness::{TestApp, id};

const LAG: Duration = Duration::from_secs(600);

fn alvas_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

/// Alva's e-mail address is cached, and the overview lags from now on.
async fn warm() -> TestApp {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let before = app.get(&alvas_email()).await;
    assert_eq!(before.assert_ok().at("/contactId"), ALVA.id);
    app
}

/// Asserts that the query resolves to Dora at once, and for as long as the overview lags.
async fn resolves_to_dora(app: &TestApp, query: &str) {
    for _ in 0..10 {
        let answer = app.get(query).await;
        assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
        assert_eq!(answer.at("/profile/firstName"), "Dora");
        app.advance(Duration::from_secs(70));
    }
}

#[tokio::test]
async fn email_resolves_to_its_new_owner_after_the_old_one_changed_it() {
    let app = warm().await;
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    resolves_to_dora(&app, &alvas_email()).await;
    assert!(app.engage.calls(Endpoint::ContactIdLookup) >= 1);
}

#[tokio::test]
async fn email_resolves_to_its_new_owner_after_the_old_one_lost_it() {
    let app = warm().await;
    app.engage.move_email(ALVA.id, DORA.id);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    resolves_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn email_resolves_to_a_new_owner_without_a_previous_email() {
    let app = TestApp::spawn().await;
    app.engage.contact(DORA.id).attribute("email", Value::Null);
    app.advance(LAG);
    app.engage.set_overview_lag(LAG);
    app.get(&alvas_email()).await.assert_ok();
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    resolves_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn email_resolves_to_its_new_owner_when_both_were_invalidated() {
    let app = warm().await;
    app.engage.move_email(ALVA.id, DORA.id);
    app.customers
        .invalidate(id(DORA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    resolves_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn email_resolves_to_a_new_owner_that_is_already_cached() {
    let app = warm().await;
    let dora = format!("contactId={}&parts=none", DORA.id);
    app.get(&dora).await.assert_ok();
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    resolves_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn swapped_emails_resolve_to_the_other_contact() {
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
            .await
            .expect("there is no shared tier");
    }
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    for _ in 0..3 {
        let alva = app.get(doras_email).await;
        assert_eq!(alva.assert_ok().at("/contactId"), ALVA.id);
        resolves_to_dora(&app, &alvas_email()).await;
    }
}

#[tokio::test]
async fn email_that_moves_during_its_lookup_resolves_to_the_new_owner() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.spawn_get(&alvas_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    app.engage.contact(DORA.id).email(ALVA.email);
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    hold.release();
    let waiting = waiting.await.expect("an answer");
    assert_eq!(waiting.assert_ok().at("/contactId"), DORA.id);
    resolves_to_dora(&app, &alvas_email()).await;
}

#[tokio::test]
async fn fresh_profile_without_the_email_drops_the_alias() {
    for takes_another in [true, false] {
        let app = warm().await;
        app.engage.move_email(ALVA.id, DORA.id);
        if takes_another {
            app.engage.contact(ALVA.id).email("alva.new@example.com");
        }
        let fresh = format!("contactId={}&parts=none&fresh=profile", ALVA.id);
        app.get(&fresh).await.assert_ok();
        resolves_to_dora(&app, &alvas_email()).await;
    }
}

#[tokio::test]
async fn fresh_lookup_by_a_moved_email_returns_the_new_owner() {
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
        resolves_to_dora(&app, &alvas_email()).await;
    }
}

#[tokio::test]
async fn email_that_moved_after_its_resolution_resolves_to_the_new_owner() {
    let app = TestApp::spawn().await;
    let fresh = format!("{}&fresh=profile", alvas_email());
    app.get(&fresh).await.assert_ok();
    app.engage.move_email(ALVA.id, DORA.id);
    app.advance(Duration::from_secs(91));
    app.engage.reset_log();
    let answer = app.get(&alvas_email()).await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
    // The overview, which may be outdated; the resolution; the overview of the new owner.
    assert!(app.engage.total_calls() <= 3);
}

#[tokio::test]
async fn moved_phones_and_custom_keys_resolve_to_the_new_owner() {
    for (parameter, value, attribute) in [
        ("mobilePhone", ALVA.phone, "mobilePhone"),
        ("customKey", ALVA.member_number, "memberNumber"),
    ] {
        let app = TestApp::with(|config| {
            config.engage.custom_key = Some(engage_bff::config::CustomKeyField::MemberNumber);
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
            .await
            .expect("there is no shared tier");
        resolves_to_dora(&app, &query).await;
    }
}

#[tokio::test]
async fn moved_national_id_resolves_to_the_new_owner() {
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
        .await
        .expect("there is no shared tier");
    let after = app.lookup(body).await;
    assert_eq!(after.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn email_without_an_owner_is_404() {
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
            .await
            .expect("there is no shared tier");
        for _ in 0..3 {
            app.get(&alvas_email())
                .await
                .assert_problem(404, "ContactNotFound");
            app.advance(Duration::from_secs(70));
        }
    }
}

#[tokio::test]
async fn alias_confirmed_by_the_refilled_profile_costs_no_lookup() {
    let app = warm().await;
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    app.engage.reset_log();
    let answer = app.get(&alvas_email()).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    assert_eq!(app.engage.calls(Endpoint::Contact), 1);
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn email_shared_by_two_contacts_becomes_409_after_expiry() {
    let app = TestApp::spawn().await;
    app.get(&alvas_email()).await.assert_ok();
    app.engage.contact(DORA.id).email(ALVA.email);
    app.advance(Duration::from_secs(48));
    let cached = app.get(&alvas_email()).await;
    assert_eq!(cached.assert_hit().at("/contactId"), ALVA.id);
    app.advance(Duration::from_secs(42));
    for _ in 0..2 {
        app.get(&alvas_email())
            .await
            .assert_problem(409, "MultipleMatches");
    }
    // By her contact id she is served as before.
    let by_id = format!("contactId={}&parts=none", ALVA.id);
    app.get(&by_id).await.assert_ok();
}

#[tokio::test]
async fn same_email_under_two_contact_types_is_two_aliases() {
    let app = TestApp::spawn().await;
    let as_contact = format!("email={}&contactType=Contact&parts=none", ALVA.email);
    app.get(&alvas_email()).await.assert_ok();
    app.get(&as_contact)
        .await
        .assert_problem(404, "ContactNotFound");
    app.get(&alvas_email()).await.assert_ok().assert_hit();
    let bo = format!("email={}&contactType=cOnTaCt&parts=none", BO.email);
    assert_eq!(app.get(&bo).await.assert_ok().at("/contactId"), BO.id);
    // A Member and a Contact may have the same address.
    app.engage.contact(BO.id).email(ALVA.email);
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    let found = app.get(&as_contact).await;
    assert_eq!(found.assert_ok().at("/contactId"), BO.id);
    let found = app.get(&alvas_email()).await;
    assert_eq!(found.assert_hit().at("/contactId"), ALVA.id);
}

#[tokio::test]
async fn contact_id_with_another_contact_type_is_404_despite_a_cached_record() {
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
async fn contact_id_with_its_former_contact_type_is_404() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let typed = format!("contactId={}&contactType=Member&parts=none", CIM.id);
    app.get(&typed).await.assert_ok();
    app.engage.contact(CIM.id).contact_type("Contact");
    app.customers
        .invalidate(id(CIM.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    for _ in 0..3 {
        app.get(&typed).await.assert_problem(404, "ContactNotFound");
        app.advance(Duration::from_secs(70));
    }
}

#[tokio::test]
async fn unconfirmed_alias_is_refetched_after_the_negative_lifetime() {
    let app = TestApp::spawn().await;
    // The tenant hides e-mail addresses: the alias is neither confirmed nor contradicted.
    let hidden = json!({"id": ALVA.id, "attributes": {"firstName": "Alva"}});
    let hidden = engage_simulator::Fault::Body(hidden.to_string());
    app.engage.fault(Endpoint::Overview, hidden);
    app.get(&alvas_email()).await.assert_ok();
    app.advance(Duration::from_secs(24));
    app.get(&alvas_email()).await.assert_ok().assert_hit();
    assert_eq!(app.overview_calls(), 1);
    // A confirmed alias would live for at least 54 s.
    app.advance(Duration::from_secs(7));
    let answer = app.get(&alvas_email()).await;
    answer.assert_ok();
    assert_eq!(app.overview_calls(), 2);
    // The answer to that call is served.
    let as_of = answer.at("/freshness/profile/asOf");
    assert_eq!(as_of, "2026-11-23T12:00:31.000Z");
}
