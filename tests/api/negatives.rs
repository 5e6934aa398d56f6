//! Negative answers: nobody, several, malformed. Remembered briefly, per identifier, and only where
//! Engage spoke of the identifier itself.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    people::{ALVA, BO, DORA},
};
use serde_json::json;

use crate::harness::{TestApp, arrive, escaped};

const NOBODY: &str = "email=nobody@example.com";

#[tokio::test]
async fn nobody_is_remembered_for_the_negative_lifetime_and_no_longer() {
    let app = TestApp::spawn().await;
    app.get(NOBODY).await.assert_problem(404, "ContactNotFound");
    app.advance(Duration::from_millis(29_900));
    app.get(NOBODY).await.assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), 1);
    app.advance(Duration::from_millis(100));
    app.get(NOBODY).await.assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn several_are_remembered_and_their_ids_not_told() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", DORA.email);
    for _ in 0..2 {
        let answer = app.get(&query).await;
        answer.assert_problem(409, "MultipleMatches");
        assert!(!answer.text().contains(DORA.id));
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn what_engage_refuses_as_malformed_is_remembered() {
    let app = TestApp::spawn().await;
    for code in [
        "InvalidEmailAddress",
        "InvalidPhoneNumber",
        "InvalidSocialSecurityNumber",
        "InvalidContactType",
        "InvalidContactId",
        "InvalidSearchQuery",
    ] {
        let query = format!("email={code}@example.com");
        let refusal = Fault::Status(400, json!({"errorCode": code, "message": "no"}));
        app.engage.fault_times(Endpoint::Overview, refusal, 1);
        app.engage.reset_log();
        app.get(&query).await.assert_problem(400, code);
        app.get(&query).await.assert_problem(400, code);
        assert_eq!(app.engage.total_calls(), 1, "{code}");
    }
}

#[tokio::test]
async fn an_unknown_400_of_engage_passes_its_code_on_until_its_back_off_ends() {
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
async fn each_identifier_and_contact_type_has_a_negative_answer_of_its_own() {
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
    assert_eq!(app.overviews(), 2);
    app.get("email=another.nobody@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(app.overviews(), 3);
}

#[tokio::test]
async fn an_unknown_contact_id_is_remembered_as_well() {
    let app = TestApp::spawn().await;
    let query = "contactId=00000000-0000-4000-8000-000000000000&parts=none";
    for _ in 0..2 {
        app.get(query).await.assert_problem(404, "ContactNotFound");
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn a_newcomer_is_found_at_once_when_negatives_are_ended() {
    let app = TestApp::spawn().await;
    app.get(NOBODY).await.assert_problem(404, "ContactNotFound");
    let id = app
        .engage
        .create(json!({"email": "nobody@example.com"}), "Member");
    app.get(NOBODY).await.assert_problem(404, "ContactNotFound");
    app.customers.drop_negatives().await;
    let found = app.get(NOBODY).await;
    assert_eq!(found.assert_ok().at("/contactId"), id.as_str());
}

#[tokio::test]
async fn a_conflict_that_was_solved_ends_with_the_negatives() {
    let app = TestApp::spawn().await;
    let query = format!("email={}", DORA.email);
    app.get(&query).await.assert_problem(409, "MultipleMatches");
    app.engage
        .contact(engage_simulator::people::DINA.id)
        .email("dina@example.com");
    app.customers.drop_negatives().await;
    let found = app.get(&query).await;
    assert_eq!(found.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn a_nobody_that_was_in_the_air_when_negatives_ended_is_neither_told_nor_remembered() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.ask(NOBODY);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let id = app
        .engage
        .create(json!({"email": "nobody@example.com"}), "Member");
    app.customers.drop_negatives().await;
    let later = app.ask(NOBODY);
    arrive().await;
    hold.release();
    for asked in [waiting, later] {
        let answer = asked.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/contactId"), id.as_str());
    }
    assert_eq!(app.overviews(), 2);
    app.get(NOBODY).await.assert_ok().assert_hit();
}

#[tokio::test]
async fn faults_are_no_negative_answers_and_end_with_their_back_off() {
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
    let calls = app.overviews();
    app.get(&query).await.assert_ok();
    assert_eq!(app.overviews(), calls + 1);
}

#[tokio::test]
async fn without_a_negative_lifetime_the_calls_own_answer_is_given() {
    let app = TestApp::with(|config| config.cache.negative_lifetime = Duration::ZERO).await;
    app.get(NOBODY).await.assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), 1);
    let shared = format!("email={}", DORA.email);
    app.get(&shared)
        .await
        .assert_problem(409, "MultipleMatches");
    assert_eq!(app.engage.total_calls(), 2);
    // A contact that does not show what it was found by: its name is not remembered either.
    app.engage
        .contact(ALVA.id)
        .also_found_by("email", ALVA.email)
        .also_found_by("mobilePhone", ALVA.phone)
        .attribute("email", json!(null))
        .attribute("mobilePhone", json!(null));
    for query in [
        format!("email={}&parts=none", ALVA.email),
        format!("mobilePhone={}&parts=none", escaped(ALVA.phone)),
    ] {
        for _ in 0..2 {
            app.engage.reset_log();
            let answer = app.get(&query).await;
            assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
            assert_eq!(app.engage.total_calls(), 1);
        }
    }
}
