//! Learned aliases (`identifiers.unique`): a cached contact is found by the other identifiers that its profile shows,
//! without a call to Engage. Other identifiers do not lead to it.

use std::time::Duration;

use engage_bff::{
    config::CustomKeyField,
    domain::{IdentifierKind, Part},
};
use engage_simulator::{
    CustomKey, Endpoint,
    fixtures::{ALVA, BO, CIM, DORA, FixtureContact},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    alias_conflicts::alarms,
    harness::{Answer, TestApp, id, percent_encoded},
    operators::operate,
};

pub(crate) const KINDS: [IdentifierKind; 4] = [
    IdentifierKind::Email,
    IdentifierKind::MobilePhone,
    IdentifierKind::CustomKey,
    IdentifierKind::SocialSecurityNumber,
];

/// A service configured with these kinds as unique.
pub(crate) async fn with_unique(kinds: &[IdentifierKind]) -> TestApp {
    TestApp::with(|config| {
        config.identifiers.unique = kinds.to_vec();
        config.engage.custom_key = Some(CustomKeyField::MemberNumber);
    })
    .await
}

/// A service in which all kinds are unique, with this contact cached by its id.
pub(crate) async fn with_cached(contact: FixtureContact) -> TestApp {
    let app = with_unique(&KINDS).await;
    cache_by_id(&app, contact).await;
    app
}

/// Caches the contact by its id alone, and resets the log of calls.
pub(crate) async fn cache_by_id(app: &TestApp, contact: FixtureContact) {
    let by_id = json!({"contactId": contact.id, "parts": []});
    app.lookup(by_id).await.assert_ok();
    app.engage.reset_log();
}

pub(crate) async fn by(app: &TestApp, kind: &str, value: &str) -> Answer {
    app.lookup(json!({kind: value, "parts": []})).await
}

/// The identifiers of a contact, each by its kind.
pub(crate) fn identifiers(of: FixtureContact) -> [(&'static str, &'static str); 4] {
    [
        ("email", of.email),
        ("mobilePhone", of.phone),
        ("customKey", of.member_number),
        ("socialSecurityNumber", of.national_id),
    ]
}

/// Asserts that the look-up calls Engage. Returns the response.
pub(crate) async fn assert_calls_engage(app: &TestApp, kind: &str, value: &str) -> Answer {
    app.engage.reset_log();
    let answer = by(app, kind, value).await;
    assert!(app.engage.total_calls() > 0, "{kind}");
    answer
}

pub(crate) async fn invalidate_profile(app: &TestApp, contact: FixtureContact) {
    let invalidated = app
        .customers
        .invalidate(id(contact.id), Part::Profile.into());
    invalidated.await.expect("there is no shared tier");
}

#[tokio::test]
async fn other_identifiers_of_a_cached_contact_cost_no_call() {
    let app = with_cached(ALVA).await;
    for (kind, value) in identifiers(ALVA) {
        let answer = by(&app, kind, value).await;
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id, "{kind}");
        answer.assert_hit();
    }
    // Other spellings of the same value.
    for (kind, value) in [
        ("email", "ALVA.Testsson@Example.com"),
        ("mobilePhone", "070-174 06 05"),
        ("mobilePhone", "0046701740605"),
        ("socialSecurityNumber", "19850709-9805"),
        ("socialSecurityNumber", "850709-9805"),
    ] {
        by(&app, kind, value).await.assert_ok().assert_hit();
    }
    let query = format!("email={}&contactType=member", ALVA.email);
    assert_eq!(app.get(&query).await.assert_ok().at("/contactId"), ALVA.id);
    app.engage.reset_log();
    app.get(&query).await.assert_ok().assert_hit();
    assert_eq!(app.engage.calls(Endpoint::Overview), 0);
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 0);
}

#[tokio::test]
async fn identifiers_of_kinds_that_are_not_listed_cost_a_call() {
    let app = with_unique(&[]).await;
    cache_by_id(&app, ALVA).await;
    for (kind, value) in identifiers(ALVA) {
        assert_calls_engage(&app, kind, value).await.assert_ok();
    }
    for unique in KINDS {
        let app = with_unique(&[unique]).await;
        cache_by_id(&app, ALVA).await;
        for (kind, value) in identifiers(ALVA) {
            app.engage.reset_log();
            by(&app, kind, value).await.assert_ok();
            let calls = usize::from(kind != unique.as_str());
            assert_eq!(app.engage.total_calls(), calls, "{kind}");
        }
        // Only Engage knows of which kind such a value is.
        assert_calls_engage(&app, "any", ALVA.email)
            .await
            .assert_ok();
    }
}

#[tokio::test]
async fn custom_key_is_learned_in_its_own_spelling_from_its_attribute() {
    let app = TestApp::with(|config| {
        config.identifiers.unique = vec![IdentifierKind::CustomKey];
        config.engage.custom_key = Some(CustomKeyField::ExternalId);
    })
    .await;
    app.engage.custom_key(CustomKey::ExternalId);
    cache_by_id(&app, ALVA).await;
    by(&app, "customKey", ALVA.external_id)
        .await
        .assert_ok()
        .assert_hit();
    assert_eq!(app.engage.total_calls(), 0);
    assert_calls_engage(&app, "customKey", "shop-55501").await;
    assert_calls_engage(&app, "customKey", ALVA.member_number).await;
}

#[tokio::test]
async fn learned_alias_does_not_answer_for_another_contact_type() {
    let app = with_cached(ALVA).await;
    for (kind, value) in identifiers(ALVA) {
        let body = json!({kind: value, "contactType": "Contact", "parts": []});
        app.engage.reset_log();
        let answer = app.lookup(body).await;
        answer.assert_problem(404, "ContactNotFound");
        assert_eq!(app.engage.total_calls(), 1, "{kind}");
    }
    // A Contact and a Member with the same address are not in conflict.
    app.engage.contact(BO.id).email(ALVA.email);
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    cache_by_id(&app, BO).await;
    let body = json!({"email": ALVA.email, "contactType": "Contact", "parts": []});
    assert_eq!(app.lookup(body).await.assert_ok().at("/contactId"), BO.id);
    let alva = by(&app, "email", ALVA.email).await;
    assert_eq!(alva.assert_ok().at("/contactId"), ALVA.id);
    assert_eq!(app.engage.total_calls(), 0);
    assert_eq!(alarms(), 0);
}

#[tokio::test]
async fn nothing_is_learned_from_a_protected_contact() {
    for mark in [json!(true), json!("maybe"), json!({})] {
        let app = with_unique(&KINDS).await;
        app.engage.contact(ALVA.id).attribute("secrecyMarked", mark);
        cache_by_id(&app, ALVA).await;
        for (kind, value) in identifiers(ALVA) {
            assert_calls_engage(&app, kind, value).await.assert_ok();
        }
    }
    let app = with_cached(CIM).await;
    assert_calls_engage(&app, "email", CIM.email)
        .await
        .assert_ok();
}

#[tokio::test]
async fn contact_that_becomes_protected_loses_its_learned_aliases() {
    let app = with_cached(ALVA).await;
    app.engage
        .contact(ALVA.id)
        .attribute("secrecyMarked", json!(true));
    invalidate_profile(&app, ALVA).await;
    cache_by_id(&app, ALVA).await;
    for (kind, value) in identifiers(ALVA) {
        assert_calls_engage(&app, kind, value).await.assert_ok();
    }
}

#[tokio::test]
async fn nothing_is_learned_from_hidden_unreadable_or_ambiguous_fields() {
    for (kind, attribute, asked, shown) in [
        ("email", "email", ALVA.email, Value::Null),
        ("email", "email", ALVA.email, json!("alva at example.com")),
        (
            "email",
            "email",
            ALVA.email,
            json!(format!("{};a@example.com", ALVA.email)),
        ),
        (
            "mobilePhone",
            "mobilePhone",
            ALVA.phone,
            json!("0701740605"),
        ),
        (
            "mobilePhone",
            "mobilePhone",
            ALVA.phone,
            json!(["+46701740605"]),
        ),
        (
            "mobilePhone",
            "mobilePhone",
            ALVA.phone,
            json!("+46701740605, +46701740699"),
        ),
        (
            "socialSecurityNumber",
            "socialSecurityNumber",
            ALVA.national_id,
            json!("8507099805"),
        ),
        ("customKey", "memberNumber", ALVA.member_number, json!(true)),
        (
            "customKey",
            "memberNumber",
            ALVA.member_number,
            json!("1000\n01"),
        ),
    ] {
        let app = with_unique(&KINDS).await;
        app.engage.contact(ALVA.id).attribute(attribute, shown);
        cache_by_id(&app, ALVA).await;
        assert_calls_engage(&app, kind, asked).await;
        // The other identifiers are still learned.
        app.engage.reset_log();
        for (other, value) in identifiers(ALVA) {
            if other != kind {
                by(&app, other, value).await.assert_ok().assert_hit();
            }
        }
        assert_eq!(app.engage.total_calls(), 0, "{kind}");
    }
}

#[tokio::test]
async fn nothing_is_learned_without_a_readable_contact_type() {
    let app = with_unique(&KINDS).await;
    let attributes = json!({"email": "typeless@example.com"});
    let typeless = app.engage.create(attributes, "Not a type");
    app.lookup(json!({"contactId": typeless, "parts": []}))
        .await
        .assert_ok();
    assert_calls_engage(&app, "email", "typeless@example.com").await;
}

#[tokio::test]
async fn refreshed_profile_renews_its_learned_aliases() {
    let app = with_cached(ALVA).await;
    for _ in 0..5 {
        app.advance(Duration::from_secs(95));
        cache_by_id(&app, ALVA).await;
        by(&app, "email", ALVA.email).await.assert_ok().assert_hit();
        assert_eq!(app.engage.total_calls(), 0);
    }
    // Past the stale-while-revalidate window of its profile, a look-up by a learned alias calls Engage.
    app.advance(Duration::from_secs(95));
    assert_calls_engage(&app, "email", ALVA.email)
        .await
        .assert_ok();
    // A hit on a stale profile starts a refresh, as usual.
    app.advance(Duration::from_secs(65));
    app.engage.reset_log();
    let stale = by(&app, "mobilePhone", ALVA.phone).await;
    assert!(stale.assert_hit().ttl() < 0);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
}

#[tokio::test]
async fn fresh_profile_by_a_learned_alias_is_resolved() {
    let app = with_cached(ALVA).await;
    let fresh = json!({"email": ALVA.email, "parts": [], "fresh": ["profile"]});
    app.lookup(fresh.clone()).await.assert_ok();
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    // A duplicate that is not cached.
    app.engage.contact(DORA.id).email(ALVA.email);
    app.lookup(fresh)
        .await
        .assert_problem(409, "MultipleMatches");
}

#[tokio::test]
async fn max_age_and_only_if_cached_apply_to_learned_aliases() {
    let app = with_cached(ALVA).await;
    let query = format!("email={}&parts=none", percent_encoded(ALVA.email));
    app.get_with(&query, "only-if-cached").await.assert_ok();
    app.advance(Duration::from_secs(20));
    app.get_with(&query, "max-age=30")
        .await
        .assert_ok()
        .assert_hit();
    assert_eq!(app.engage.total_calls(), 0);
    app.get_with(&query, "max-age=10").await.assert_ok();
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn negative_entry_ends_when_a_profile_shows_the_identifier() {
    let app = with_unique(&KINDS).await;
    by(&app, "email", "alva.new@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    cache_by_id(&app, ALVA).await;
    let answer = by(&app, "email", "alva.new@example.com").await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn later_negative_entry_outweighs_an_older_profile() {
    let app = with_unique(&KINDS).await;
    let held = app.engage.hold(Endpoint::Overview);
    let by_id = app.spawn_get(&format!("contactId={}&parts=none", ALVA.id));
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    let by_email = app.spawn_get(&format!("email={}&parts=none", ALVA.email));
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    held.release();
    by_email
        .await
        .expect("an answer")
        .assert_problem(404, "ContactNotFound");
    by_id.await.expect("an answer").assert_ok();
    by(&app, "email", ALVA.email)
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn explanation_lists_learned_aliases() {
    let app = with_cached(ALVA).await;
    by(&app, "any", ALVA.email).await.assert_ok();
    let body = json!({"email": ALVA.email}).to_string();
    let answer = operate(&app, Method::POST, "/cache/explain", &body).await;
    let names = answer.assert_ok().at("/contacts/0/names");
    let names = names.as_array().expect("a list");
    assert_eq!(names.len(), 5);
    for name in names {
        assert_eq!(name["contactType"], "member");
        assert_eq!(name["assured"], true);
        assert_eq!(name["learned"], name["kind"] != "any");
    }
    assert_eq!(answer.at("/name/learned"), true);
}
