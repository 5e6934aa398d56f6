//! Reports that are refused, before anything is done.

use engage_bff::config::Scope;
use engage_simulator::{Endpoint, fixtures::ALVA};
use serde_json::{Value, json};

use super::{alvas_email, assert_taken, by_email, called, report, report_as, request, send};
use crate::harness::{Answer, READER, SHOP, TILL, TestApp};

/// Asserts that nothing has been invalidated.
async fn assert_no_effect(app: &TestApp) {
    let calls = app.engage.total_calls();
    app.get(&by_email()).await.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn hostile_bodies_are_refused_and_named() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    let id = ALVA.id;
    for (body, code, named) in [
        (json!({}), "MissingIdentifier", ""),
        (json!({"parts": ["points"]}), "MissingIdentifier", ""),
        (json!({"contactType": "Member"}), "MissingIdentifier", ""),
        (
            json!({"contactId": id, "email": ALVA.email}),
            "AmbiguousIdentifier",
            "",
        ),
        (json!({"contactId": "1"}), "InvalidContactId", "contactId"),
        (json!({"contactId": 1}), "InvalidParameter", "contactId"),
        (json!({"contactId": null}), "InvalidParameter", "contactId"),
        (json!({"contactId": [id]}), "InvalidParameter", "contactId"),
        (json!({"email": "alva"}), "InvalidEmailAddress", "email"),
        (
            json!({"contactId": id, "contactType": "?"}),
            "InvalidContactType",
            "contactType",
        ),
        (
            json!({"contactId": id, "view": "full"}),
            "InvalidParameter",
            "view",
        ),
        (
            json!({"contactId": id, "fresh": []}),
            "InvalidParameter",
            "fresh",
        ),
        (
            json!({"contactId": id, "Parts": []}),
            "InvalidParameter",
            "Parts",
        ),
    ] {
        let answer = report(&app, body.clone()).await;
        answer.assert_problem(400, code);
        let detail = answer.at("/detail");
        assert!(detail.as_str().expect("text").contains(named), "{detail}");
    }
    let repeated = r#"{"contactId":"X","parts":["points"],"parts":["points"]}"#;
    for (body, named) in [
        (repeated.replace('X', id), "parts"),
        (
            format!(r#"{{"contactId":"{id}","contactId":"{id}"}}"#),
            "contactId",
        ),
        ("[]".to_owned(), "the body"),
        ("{".to_owned(), "the body"),
        (String::new(), "the body"),
    ] {
        let request = request(&app, body).header("x-api-key", TILL);
        let answer = send(&app, request).await;
        answer.assert_problem(400, "InvalidParameter");
        let detail = answer.at("/detail");
        assert!(detail.as_str().expect("text").contains(named), "{detail}");
    }
    assert_no_effect(&app).await;
}

#[tokio::test]
async fn parts_are_each_named_once_and_audiences_never() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    for parts in [
        json!([]),
        json!(null),
        json!("points"),
        json!({}),
        json!(["all"]),
        json!(["none"]),
        json!(["Points"]),
        json!([""]),
        json!(["points", 1]),
        json!(["audiences"]),
        json!(["points", "audiences"]),
        json!(["points", "points"]),
    ] {
        let body = json!({"contactId": ALVA.id, "parts": parts});
        let answer = report(&app, body).await;
        answer.assert_problem(400, "InvalidParameter");
        let detail = answer.at("/detail");
        let detail = detail.as_str().expect("text");
        assert!(detail.starts_with("parts: "), "{detail}");
    }
    assert_no_effect(&app).await;
}

#[tokio::test]
async fn body_is_bounded_and_typed_as_that_of_a_lookup() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    let body = alvas_email().to_string();
    let large = format!(r#"{{"email":"{}"}}"#, "x".repeat(1 << 20));
    let with = |name: &'static str, value: &'static str, body: &str| {
        let mut request = request(&app, body).header("x-api-key", TILL).build();
        let request = request.as_mut().expect("a request");
        let value = value.parse().expect("a header's value");
        request.headers_mut().insert(name, value);
        *request.method_mut() = reqwest::Method::POST;
        app.execute(request.try_clone().expect("a request"))
    };
    let answer = with("content-type", "text/plain", &body).await;
    answer.assert_problem(415, "UnsupportedMediaType");
    assert_eq!(answer.header("accept"), "application/json");
    let answer = with("content-encoding", "gzip", &body).await;
    answer.assert_problem(415, "UnsupportedMediaType");
    let answer = with("accept", "*/*", &large).await;
    answer.assert_problem(413, "PayloadTooLarge");
    let answer = app.get_as(TILL, "").await;
    answer.assert_problem(400, "MissingIdentifier");
    let target = "/customer/changed?contactId=x";
    let in_url = app.request(target).header("x-api-key", TILL);
    let in_url = Answer::of(in_url).await;
    in_url.assert_problem(405, "MethodNotAllowed");
    assert_eq!(in_url.header("allow"), "POST");
    assert_no_effect(&app).await;
}

#[tokio::test]
async fn scope_is_denied_by_default() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    for key in [READER, SHOP] {
        let answer = report_as(&app, key, alvas_email()).await;
        answer.assert_problem(403, "Forbidden");
    }
    let answer = send(&app, request(&app, alvas_email().to_string())).await;
    answer.assert_problem(401, "Unauthorized");
    let answer = report_as(&app, "another-key", alvas_email()).await;
    answer.assert_problem(401, "Unauthorized");
    assert_no_effect(&app).await;
}

#[tokio::test]
async fn client_may_name_identifiers_of_its_kinds_only() {
    let app = TestApp::with(|config| {
        let shop = &mut config.auth.clients[1];
        assert_eq!(shop.id, "shop");
        shop.scopes.push(Scope::Changed);
    })
    .await;
    app.get(&by_email()).await.assert_ok();
    for body in [
        json!({"socialSecurityNumber": ALVA.national_id}),
        json!({"any": ALVA.email}),
    ] {
        let answer = report_as(&app, SHOP, body).await;
        answer.assert_problem(403, "Forbidden");
    }
    assert_no_effect(&app).await;
    app.engage.reset_log();
    assert_taken(&report_as(&app, SHOP, alvas_email()).await);
    app.get(&by_email()).await.assert_ok();
    assert_eq!(called(&app).len(), 4);
}

#[tokio::test]
async fn audiences_stay_as_they_are() {
    let app = TestApp::spawn().await;
    let before = app.get(&by_email()).await.assert_ok().at("/audiences");
    app.engage.contact(ALVA.id).audiences(json!([]));
    assert_taken(&report(&app, json!({"contactId": ALVA.id})).await);
    app.engage.reset_log();
    let after = app.get(&by_email()).await.assert_ok().at("/audiences");
    assert_eq!(after, before);
    assert_ne!(after, Value::Array(Vec::new()));
    assert_eq!(app.engage.calls(Endpoint::Overview), 0);
}
