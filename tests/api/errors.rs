//! Requests that the service refuses before they cost an upstream call, and the headers of every response.
//! `engage_errors` covers Engage's faults.

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, DORA},
};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, READER, TILL, TestApp};

fn alva() -> String {
    format!("contactId={}", ALVA.id)
}

#[tokio::test]
async fn invalid_input_is_refused_with_its_code_without_an_upstream_call() {
    let app = TestApp::spawn().await;
    for (body, code) in [
        (json!({}), "MissingIdentifier"),
        (json!({"contactType": "Member"}), "MissingIdentifier"),
        (
            json!({"email": "a@example.com", "any": "x"}),
            "AmbiguousIdentifier",
        ),
        (
            json!({"contactId": ALVA.id, "customKey": "1"}),
            "AmbiguousIdentifier",
        ),
        (
            json!({"email": ALVA.email, "fields": "all"}),
            "InvalidParameter",
        ),
        (json!({"email": "alva"}), "InvalidEmailAddress"),
        (json!({"email": "a@b@example.com"}), "InvalidEmailAddress"),
        (json!({"email": "a".repeat(300)}), "InvalidEmailAddress"),
        (json!({"mobilePhone": "phone"}), "InvalidPhoneNumber"),
        (json!({"mobilePhone": "12"}), "InvalidPhoneNumber"),
        (
            json!({"socialSecurityNumber": "198507099806"}),
            "InvalidSocialSecurityNumber",
        ),
        (
            json!({"socialSecurityNumber": "203007099805"}),
            "InvalidSocialSecurityNumber",
        ),
        (
            json!({"email": ALVA.email, "contactType": "a b"}),
            "InvalidContactType",
        ),
        (
            json!({"contactId": ALVA.id, "contactType": "x".repeat(65)}),
            "InvalidContactType",
        ),
        (json!({"contactId": "1"}), "InvalidContactId"),
        (
            json!({"contactId": format!("{{{}}}", ALVA.id)}),
            "InvalidContactId",
        ),
        (
            json!({"contactId": ALVA.id.replace('-', "")}),
            "InvalidContactId",
        ),
        (json!({"customKey": "   "}), "InvalidSearchQuery"),
        (json!({"customKey": "a\u{0}b"}), "InvalidSearchQuery"),
        (json!({"customKey": "1".repeat(101)}), "InvalidSearchQuery"),
        (json!({"any": " "}), "InvalidSearchQuery"),
    ] {
        let answer = app.lookup(body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        answer.assert_problem(400, code);
    }
    app.get("any=198507099805")
        .await
        .assert_problem(400, "NationalIdInUrl");
    app.get_as(READER, &format!("{}&view=full", alva()))
        .await
        .assert_problem(403, "Forbidden");
    let unknown = app.get_as("unknown", &alva()).await;
    unknown.assert_problem(401, "Unauthorized");
    assert!(unknown.header("www-authenticate").starts_with("ApiKey "));
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn contact_type_is_required_without_a_default() {
    let app = TestApp::with(|config| config.engage.default_contact_type = None).await;
    for kind in [
        "email",
        "mobilePhone",
        "customKey",
        "any",
        "socialSecurityNumber",
    ] {
        app.lookup(json!({kind: "x"}))
            .await
            .assert_problem(400, "MissingContactType");
    }
    assert_eq!(app.engage.total_calls(), 0);
    app.get(&alva()).await.assert_ok();
    app.get(&format!("email={}&contactType=Member", ALVA.email))
        .await
        .assert_ok();
}

#[tokio::test]
async fn oversized_and_non_json_bodies_are_refused_without_a_call() {
    let app = TestApp::spawn().await;
    let body = json!({"email": ALVA.email}).to_string();
    let large = format!("{body}{}", " ".repeat(16 * 1024));
    let answer = Answer::of(app.post(TILL).body(large)).await;
    answer.assert_problem(413, "PayloadTooLarge");
    let just_fits = format!("{body}{}", " ".repeat(16 * 1024 - body.len()));
    Answer::of(app.post(TILL).body(just_fits)).await.assert_ok();
    let calls = app.engage.total_calls();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=iso-8859-1",
        "application/jsonp",
        "application/json, text/plain",
        "",
    ] {
        let request = app.post(TILL).header("content-type", content_type);
        // `header` appends, and the harness has already set a content type.
        let mut request = request.body(body.clone()).build().expect("a request");
        let value = content_type.parse().expect("a header value");
        request.headers_mut().insert("content-type", value);
        let answer = app.execute(request).await;
        answer.assert_problem(415, "UnsupportedMediaType");
    }
    let request = app.post(TILL).header("content-encoding", "gzip");
    Answer::of(request.body(body))
        .await
        .assert_problem(415, "UnsupportedMediaType");
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn inexact_paths_are_404_with_a_credential_and_401_without() {
    let app = TestApp::spawn().await;
    for path in [
        "/",
        "/customer/",
        "//customer",
        "/customer//lookup",
        "/customer;x",
        "/customer;x.css",
        "/customer/x.css",
        "/customer.json",
        "/customer%2f",
        "/customer%2flookup",
        "/%63ustomer",
        "/Customer",
        "/customer/lookup/",
        "/customer/lookup.json",
        "/livez/",
        "/livez.css",
        "/readyz%00",
        "/metrics",
        "/cache/stats",
        "/openapi.json",
        "/.env",
        "/customers",
    ] {
        for target in [path.to_owned(), format!("{path}?{}", alva())] {
            Answer::of(app.request(&target))
                .await
                .assert_problem(401, "Unauthorized");
            Answer::of(app.request(&target).header("x-api-key", READER))
                .await
                .assert_problem(404, "NotFound");
        }
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn wrong_method_is_405_with_allow_only_for_authenticated_callers() {
    let app = TestApp::spawn().await;
    for (path, allow, wrong) in [
        ("/customer", "GET, HEAD", "POST"),
        ("/customer", "GET, HEAD", "PUT"),
        ("/customer", "GET, HEAD", "DELETE"),
        ("/customer", "GET, HEAD", "OPTIONS"),
        ("/customer", "GET, HEAD", "BREW"),
        ("/customer/lookup", "POST", "GET"),
        ("/customer/lookup", "POST", "HEAD"),
        ("/customer/lookup", "POST", "PATCH"),
        ("/livez", "GET, HEAD", "POST"),
        ("/readyz", "GET, HEAD", "DELETE"),
    ] {
        let wrong = Method::from_bytes(wrong.as_bytes()).expect("a method");
        let send = |key: Option<&str>| {
            let mut request = app.request(path).build().expect("a request");
            *request.method_mut() = wrong.clone();
            if let Some(key) = key {
                let key = key.parse().expect("a header value");
                request.headers_mut().insert("x-api-key", key);
            }
            app.execute(request)
        };
        let answer = send(Some(READER)).await;
        assert_eq!(answer.status, 405, "{wrong} {path}");
        assert_eq!(answer.header("allow"), allow);
        if wrong != Method::HEAD {
            answer.assert_problem(405, "MethodNotAllowed");
        }
        let unauthenticated = send(None).await;
        assert_eq!(unauthenticated.status, 401, "{wrong} {path}");
        assert_eq!(unauthenticated.header("allow"), "", "{wrong} {path}");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn every_answer_has_no_store_and_a_request_id() {
    let app = TestApp::spawn().await;
    let etag = app.get(&alva()).await.header("etag").to_owned();
    let not_modified = app.customer(TILL, &alva()).header("if-none-match", etag);
    let mut answers = vec![
        Answer::of(not_modified).await,
        app.get(&alva()).await,
        app.get("email=x").await,
        app.get_as("wrong", &alva()).await,
        app.get_as(READER, &format!("{}&view=full", alva())).await,
        app.get("email=unknown%40example.com").await,
        app.get(&format!("email={}", DORA.email)).await,
        app.lookup(json!({"email": " ".repeat(20_000)})).await,
        Answer::of(app.request("/nowhere").header("x-api-key", TILL)).await,
        Answer::of(app.request("/customer/lookup").header("x-api-key", TILL)).await,
        Answer::of(app.request("/livez")).await,
        Answer::of(app.request("/readyz")).await,
    ];
    app.engage.fault(Endpoint::Overview, Fault::Html502);
    answers.push(app.get(&format!("contactId={}", BO.id)).await);
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let expected = [
        304, 200, 400, 401, 403, 404, 409, 413, 404, 405, 200, 200, 502,
    ];
    assert_eq!(statuses, expected);
    for answer in answers {
        for (name, value) in [
            ("cache-control", "private, no-store"),
            ("cdn-cache-control", "no-store"),
            ("vary", "Accept-Encoding, Authorization, X-Api-Key"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {}", answer.status);
        }
        assert_eq!(answer.header("x-request-id").len(), 36);
        assert!(answer.header("server-timing").contains("total;dur="));
        assert!(!answer.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn only_well_formed_request_ids_are_reused() {
    let app = TestApp::spawn().await;
    let longest = "a".repeat(64);
    for id in ["abc-123_x.Y", "1", &longest] {
        let answer = Answer::of(app.request("/nowhere").header("x-request-id", id)).await;
        answer.assert_problem(401, "Unauthorized");
        assert_eq!(answer.header("x-request-id"), id);
    }
    let too_long = "a".repeat(65);
    for id in [
        "",
        "a b",
        "alva@example.com",
        "<script>",
        "\u{e5}",
        &too_long,
    ] {
        let answer = Answer::of(app.request("/nowhere").header("x-request-id", id)).await;
        answer.assert_problem(401, "Unauthorized");
        assert_eq!(answer.header("x-request-id").len(), 36, "{id}");
    }
}
