//! What a program reads from a problem: the refused parameter, and whether the same request may succeed later.

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, DORA},
};
use serde_json::{Value, json};

use crate::harness::{Answer, READER, TILL, TestApp};

/// The member of the problem; `None` if it is absent.
fn member(answer: &Answer, name: &str) -> Option<Value> {
    assert!(answer.status >= 400, "{}", answer.text());
    answer.json().get(name).cloned()
}

#[tokio::test]
async fn problem_names_the_refused_parameter() {
    let app = TestApp::spawn().await;
    let alva = format!("contactId={}", ALVA.id);
    for (query, parameter) in [
        (format!("{alva}&nonsense=1"), Some("nonsense")),
        (format!("{alva}&view=x"), Some("view")),
        (format!("{alva}&view=full&view=full"), Some("view")),
        (format!("{alva}&parts="), Some("parts")),
        (format!("{alva}&parts=none&fresh=points"), Some("fresh")),
        (format!("{alva}&limit=3"), Some("limit")),
        (format!("{alva}&prefer=Member"), Some("prefer")),
        (format!("{alva}&contactType=a%20b"), Some("contactType")),
        (format!("{alva}&email=x"), Some("email")),
        ("email=x".to_owned(), Some("email")),
        ("email=a+b%40example.com".to_owned(), Some("email")),
        ("mobilePhone=1".to_owned(), Some("mobilePhone")),
        ("contactId=1".to_owned(), Some("contactId")),
        ("customKey=%20".to_owned(), Some("customKey")),
        ("any=198507099805".to_owned(), Some("any")),
        (
            "socialSecurityNumber=x".to_owned(),
            Some("socialSecurityNumber"),
        ),
        // A name that is not a plain word is not repeated.
        (format!("{alva}&alva%40example.com=1"), None),
        (format!("{alva}&%zz=1"), None),
        (String::new(), None),
    ] {
        let answer = app.get(&query).await;
        assert_eq!(answer.status, 400, "{query}");
        let named = member(&answer, "parameter");
        assert_eq!(named, parameter.map(Value::from), "{query}");
    }
    for (body, parameter) in [
        (json!({"any": "andr\u{e9}@example.com"}), Some("any")),
        (
            json!({"socialSecurityNumber": "198507099806"}),
            Some("socialSecurityNumber"),
        ),
        (json!({"contactId": ALVA.id, "limit": "x"}), Some("limit")),
        (json!([]), None),
    ] {
        let answer = app.lookup(body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        let named = member(&answer, "parameter");
        assert_eq!(named, parameter.map(Value::from), "{body}");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn value_that_engage_refuses_names_the_sent_parameter() {
    let app = TestApp::spawn().await;
    let refusal = json!({"errorCode": "InvalidEmailAddress"});
    app.engage
        .fault(Endpoint::Overview, Fault::Status(400, refusal));
    for (kind, body) in [
        ("any", json!({"any": BO.email})),
        ("email", json!({"email": BO.email})),
    ] {
        let answer = app.lookup(body.clone()).await;
        answer.assert_problem(400, "InvalidEmailAddress");
        assert_eq!(member(&answer, "parameter"), Some(kind.into()));
        let batch = json!({"lookups": [body]}).to_string();
        let batch = Answer::of(app.post_to("/customer/batch", TILL).body(batch)).await;
        assert_eq!(batch.at("/problem/parameter"), kind);
    }
}

#[tokio::test]
async fn hint_at_the_plus_sign_fits_the_place_of_the_number() {
    let app = TestApp::spawn().await;
    let in_url = app.get("mobilePhone=phone").await;
    in_url.assert_problem(400, "InvalidPhoneNumber");
    assert!(in_url.text().contains(" %2B46"), "{}", in_url.text());
    let in_body = app.lookup(json!({"mobilePhone": "phone"})).await;
    in_body.assert_problem(400, "InvalidPhoneNumber");
    assert!(in_body.text().contains(" +46"), "{}", in_body.text());
}

#[tokio::test]
async fn problem_says_whether_the_same_request_may_succeed_later() {
    let app = TestApp::with(|config| {
        config.auth.clients[2].requests_per_second = Some(1);
    })
    .await;
    let bo = format!("contactId={}", BO.id);
    for (query, status) in [
        ("email=x".to_owned(), 400),
        ("email=unknown%40example.com".to_owned(), 404),
        (format!("email={}", DORA.email), 409),
    ] {
        let answer = app.get(&query).await;
        assert_eq!(answer.status, status, "{query}");
        assert_eq!(member(&answer, "retryable"), Some(false.into()), "{query}");
    }
    let unauthorized = app.get_as("unknown", &bo).await;
    assert_eq!(member(&unauthorized, "retryable"), Some(false.into()));
    let mut limited = app.get_as(READER, "email=x").await;
    while limited.status != 429 {
        limited = app.get_as(READER, "email=x").await;
    }
    assert_eq!(member(&limited, "retryable"), Some(true.into()));
    assert_ne!(limited.header("retry-after"), "");
    for (fault, code, is_retryable) in [
        (Fault::Status(500, json!("busy")), "UpstreamFailed", true),
        (
            Fault::Status(401, json!("no")),
            "UpstreamUnauthorized",
            false,
        ),
        (
            Fault::WrongContact(ALVA.id.to_owned()),
            "IdentityMismatch",
            false,
        ),
    ] {
        let app = TestApp::spawn().await;
        app.engage.fault(Endpoint::Overview, fault);
        let answer = app.get(&bo).await;
        answer.assert_problem(502, code);
        assert_eq!(member(&answer, "retryable"), Some(is_retryable.into()));
        let batch = json!({"lookups": [{"contactId": BO.id}]}).to_string();
        let batch = Answer::of(app.post_to("/customer/batch", TILL).body(batch)).await;
        assert_eq!(batch.at("/problem/retryable"), is_retryable, "{code}");
    }
}
