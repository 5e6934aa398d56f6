//! Negative entries: unknown contact, ambiguous identifier, malformed identifier. Cached briefly, per identifier, and
//! only if Engage refused the identifier itself.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, DORA},
};
use serde_json::json;

use crate::harness::{SHOP, TestApp, let_requests_arrive, percent_encoded};

const UNKNOWN: &str = "email=unknown@example.com";

#[tokio::test]
async fn unknown_contact_is_cached_for_the_negative_lifetime() {
    let app = TestApp::spawn().await;
    app.get(UNKNOWN)
        .await
        .assert_problem(404, "ContactNotFound");
    app.advance(Duration::from_millis(29_900));
    app.get(UNKNOWN)
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), 1);
    app.advance(Duration::from_millis(100));
    app.get(UNKNOWN)
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn ambiguous_identifier_is_cached_without_exposing_ids() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", DORA.email);
    for _ in 0..2 {
        let answer = app.get_as(SHOP, &query).await;
        answer.assert_problem(409, "MultipleMatches");
        assert!(!answer.text().contains(DORA.id));
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn malformed_identifier_refused_by_engage_is_cached() {
    let app = TestApp::spawn().await;
    for code in [
        "InvalidEmailAddress",
        "InvalidPhoneNumber",
        "InvalidSocialSecurityNumber",
        "InvalidContactType",
        "InvalidContactId",
        "InvalidSearchQuery",
    ] {
        // The caller sends a contact type, because a refused default type is the operator's mistake.
        let query = format!("email={code}@example.com&contactType=Member");
        let refusal = Fault::Status(400, json!({"errorCode": code, "message": "no"}));
        app.engage.fault_times(Endpoint::Overview, refusal, 1);
        app.engage.reset_log();
        app.get(&query).await.assert_problem(400, code);
        app.get(&query).await.assert_problem(400, code);
        assert_eq!(app.engage.total_calls(), 1, "{code}");
    }
}

#[tokio::test]
async fn unknown_400_keeps_its_code_until_the_back_off_ends() {
    let app = TestApp::spawn().await;
    let refusal = Fault::Status(400, json!({"errorCode": "NewRule", "message": "no"}));
    app.engage.fault_times(Endpoint::Overview, refusal, 1);
    let query = format!("email={}", ALVA.email);
    for _ in 0..2 {
        app.get(&query).await.assert_problem(400, "NewRule");
    }
    assert_eq!(app.engage.total_calls(), 1);
    app.advance(Duration::from_secs(30));
    app.get(&query).await.assert_ok();
}

#[tokio::test]
async fn negative_entries_are_per_identifier_and_contact_type() {
    let app = TestApp::spawn().await;
    let member = format!("email={}&contactType=Member", BO.email);
    let contact = format!("email={}&contactType=Contact", BO.email);
    app.get(&member)
        .await
        .assert_problem(404, "ContactNotFound");
    app.get(&contact).await.assert_ok();
    app.get(&member)
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(app.overview_calls(), 2);
    app.get("email=another.unknown@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(app.overview_calls(), 3);
}

#[tokio::test]
async fn unknown_contact_id_is_cached_as_negative() {
    let app = TestApp::spawn().await;
    let query = "contactId=00000000-0000-4000-8000-000000000000&parts=none";
    for _ in 0..2 {
        app.get(query).await.assert_problem(404, "ContactNotFound");
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn new_contact_is_found_after_negatives_are_dropped() {
    let app = TestApp::spawn().await;
    app.get(UNKNOWN)
        .await
        .assert_problem(404, "ContactNotFound");
    let id = app
        .engage
        .create(json!({"email": "unknown@example.com"}), "Member");
    app.get(UNKNOWN)
        .await
        .assert_problem(404, "ContactNotFound");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    let found = app.get(UNKNOWN).await;
    assert_eq!(found.assert_ok().at("/contactId"), id.as_str());
}

#[tokio::test]
async fn resolved_ambiguity_is_found_after_negatives_are_dropped() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", DORA.email);
    app.get(&query).await.assert_problem(409, "MultipleMatches");
    app.engage
        .contact(engage_simulator::fixtures::DINA.id)
        .email("dina@example.com");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    let found = app.get(&query).await;
    assert_eq!(found.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn negative_in_flight_is_discarded_when_negatives_are_dropped() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.spawn_get(UNKNOWN);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let id = app
        .engage
        .create(json!({"email": "unknown@example.com"}), "Member");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    let later = app.spawn_get(UNKNOWN);
    let_requests_arrive().await;
    hold.release();
    for pending in [waiting, later] {
        let answer = pending.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/contactId"), id.as_str());
    }
    assert_eq!(app.overview_calls(), 2);
    app.get(UNKNOWN).await.assert_ok().assert_hit();
}

#[tokio::test]
async fn faults_create_no_negative_entries() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", ALVA.email);
    for (fault, status, code) in [
        (
            Fault::Status(404, json!("Not Found")),
            502,
            "UpstreamFailed",
        ),
        (
            Fault::Status(404, json!({"message": "no route"})),
            502,
            "UpstreamFailed",
        ),
        (
            Fault::Status(404, json!({"errorCode": "RouteNotFound"})),
            502,
            "UpstreamFailed",
        ),
        (Fault::Status(422, json!({})), 502, "UpstreamFailed"),
        (Fault::Status(503, json!("busy")), 502, "UpstreamFailed"),
        (
            Fault::Status(500, json!({"errorCode": "InvalidSystemConfiguration"})),
            502,
            "InvalidSystemConfiguration",
        ),
        (
            Fault::Status(403, json!({"message": "no"})),
            502,
            "UpstreamForbidden",
        ),
        (
            Fault::Status(401, json!({"message": "no"})),
            502,
            "UpstreamUnauthorized",
        ),
        (Fault::Html502, 502, "UpstreamFailed"),
        (Fault::HtmlOk200, 502, "UpstreamInvalid"),
        (Fault::Empty200, 502, "UpstreamInvalid"),
        (Fault::WrongContentType, 502, "UpstreamInvalid"),
        (
            Fault::Body(r#"{"id":null}"#.to_owned()),
            502,
            "UpstreamInvalid",
        ),
        (Fault::Body("{}".to_owned()), 502, "UpstreamInvalid"),
        (
            Fault::WrongContact(BO.id.to_owned()),
            502,
            "IdentityMismatch",
        ),
    ] {
        app.engage.fault_times(Endpoint::Overview, fault.clone(), 1);
        let answer = app.get(&query).await;
        assert_eq!(answer.status, status, "{fault:?}: {}", answer.text());
        answer.assert_problem(status, code);
        assert_eq!(app.customers.counts().negatives, 0, "{fault:?}");
        // Longer than any back-off.
        app.advance(Duration::from_secs(600));
    }
    let calls = app.overview_calls();
    app.get(&query).await.assert_ok();
    assert_eq!(app.overview_calls(), calls + 1);
}

#[tokio::test]
async fn zero_negative_lifetime_caches_no_negative_and_no_unconfirmed_alias() {
    let app = TestApp::with(|config| config.cache.negative_lifetime = Duration::ZERO).await;
    for calls in 1..=2 {
        app.get(UNKNOWN)
            .await
            .assert_problem(404, "ContactNotFound");
        assert_eq!(app.engage.total_calls(), calls);
    }
    let shared = format!("email={}", DORA.email);
    for calls in 3..=4 {
        app.get_as(SHOP, &shared)
            .await
            .assert_problem(409, "MultipleMatches");
        assert_eq!(app.engage.total_calls(), calls);
    }
    // An alias is not cached either if the contact does not show the identifier.
    app.engage
        .contact(ALVA.id)
        .also_found_by("email", ALVA.email)
        .also_found_by("mobilePhone", ALVA.phone)
        .attribute("email", json!(null))
        .attribute("mobilePhone", json!(null));
    for query in [
        format!("email={}&parts=none", ALVA.email),
        format!("mobilePhone={}&parts=none", percent_encoded(ALVA.phone)),
    ] {
        for _ in 0..2 {
            app.engage.reset_log();
            let answer = app.get(&query).await;
            assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
            assert_eq!(app.engage.total_calls(), 1);
        }
    }
}
