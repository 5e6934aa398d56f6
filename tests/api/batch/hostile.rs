//! Envelopes that no client would send, and elements that are not look-ups.

use engage_simulator::fixtures::ALVA;
use serde_json::{Value, json};

use super::{PATH, batch, lines, statuses};
use crate::harness::{Answer, TILL, TestApp};

async fn raw(app: &TestApp, body: &str) -> Answer {
    Answer::of(app.post_to(PATH, TILL).body(body.to_owned())).await
}

#[tokio::test]
async fn malformed_envelope_is_refused_as_a_whole() {
    let app = TestApp::spawn().await;
    let lookup = json!({"contactId": ALVA.id});
    let with = |name: &str, value: Value| {
        let mut body = json!({"lookups": [lookup.clone()]});
        body[name] = value;
        body.to_string()
    };
    let rows = [
        (String::new(), "the body is not a JSON object"),
        ("[]".to_owned(), "the body is not a JSON object"),
        (
            "{\"lookups\": [{}]".to_owned(),
            "the body is not a JSON object",
        ),
        (
            "{\"lookups\": [{}]} {}".to_owned(),
            "the body is not a JSON object",
        ),
        (
            "{\"lookups\": [{}], \"deadline\": NaN}".to_owned(),
            "the body is not a JSON object",
        ),
        ("{}".to_owned(), "lookups: "),
        (json!({"lookups": []}).to_string(), "lookups: "),
        (
            json!({"lookups": vec![&lookup; 101]}).to_string(),
            "lookups: ",
        ),
        (json!({"lookups": vec![1; 4000]}).to_string(), "lookups: "),
        (json!({"lookups": lookup}).to_string(), "lookups: "),
        (json!({"lookups": null}).to_string(), "lookups: "),
        (json!({"lookups": "all"}).to_string(), "lookups: "),
        (
            "{\"lookups\": [{}], \"lookups\": [{}]}".to_owned(),
            "lookups: repeated",
        ),
        (
            "{\"lookups\": [{}], \"lookup\\u0073\": [{}]}".to_owned(),
            "lookups: repeated",
        ),
        (
            "{\"lookups\": [{}], \"view\": \"full\", \"view\": \"storefront\"}".to_owned(),
            "view: repeated",
        ),
        (with("contactId", json!(ALVA.id)), "contactId: unknown"),
        (with("contactType", json!("Member")), "contactType: unknown"),
        (with("fresh", json!(["points"])), "fresh: unknown"),
        (
            with("expiringWithin", json!("14d")),
            "expiringWithin: unknown",
        ),
        (with("view", json!("all")), "view: "),
        (with("view", json!(["full"])), "view: "),
        (with("channel", json!("WEB")), "channel: "),
        (with("parts", json!("points")), "parts: "),
        (with("parts", json!(["profile"])), "parts: "),
        (with("parts", json!(["points", "points"])), "parts: "),
        (with("parts", json!([["points"]])), "parts: "),
        (with("deadline", json!("99ms")), "deadline: "),
        (with("deadline", json!("11s")), "deadline: "),
        (with("deadline", json!("-5s")), "deadline: "),
        (with("deadline", json!("")), "deadline: "),
        (with("deadline", json!("NaN")), "deadline: "),
        (with("deadline", json!("1e1s")), "deadline: "),
        (with("deadline", json!("1d")), "deadline: "),
        (with("deadline", json!(5)), "deadline: "),
        (with("deadline", json!(null)), "deadline: "),
        (with("deadline", json!({"seconds": 5})), "deadline: "),
        (with("deadline", json!("9".repeat(2000))), "deadline: "),
    ];
    for (body, detail) in rows {
        let answer = raw(&app, &body).await;
        answer.assert_problem(400, "InvalidParameter");
        let text = answer.at("/detail");
        let text = text.as_str().expect("a text");
        assert!(text.starts_with(detail), "{body}: {text}");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn wrong_media_types_codings_and_sizes_are_refused_as_elsewhere() {
    let app = TestApp::spawn().await;
    let body = json!({"lookups": [{"contactId": ALVA.id}]}).to_string();
    for (name, value) in [
        ("content-type", "application/x-ndjson"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
    ] {
        let request = app.post_to(PATH, TILL).header(name, value);
        let mut request = request.body(body.clone()).build().expect("a request");
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
        app.execute(request)
            .await
            .assert_problem(415, "UnsupportedMediaType");
    }
    let padded = body.replace("\"lookups\"", &format!("{}\"lookups\"", " ".repeat(17_000)));
    raw(&app, &padded)
        .await
        .assert_problem(413, "PayloadTooLarge");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn malformed_look_up_gets_its_own_line_and_others_continue() {
    let app = TestApp::spawn().await;
    let good = format!("{{\"contactId\": \"{}\"}}", ALVA.id);
    let long = format!("{{\"email\": \"{}@example.com\"}}", "a".repeat(2000));
    let deep = "[".repeat(500) + &"]".repeat(500);
    let deep_value = format!("{{\"email\": {deep}}}");
    let rows = [
        (&*good, 200, ""),
        (&*deep, 400, "InvalidParameter"),
        (&*deep_value, 400, "InvalidParameter"),
        ("1", 400, "InvalidParameter"),
        ("null", 400, "InvalidParameter"),
        ("\"text\"", 400, "InvalidParameter"),
        ("[]", 400, "InvalidParameter"),
        ("[{\"contactId\": \"x\"}]", 400, "InvalidParameter"),
        ("{}", 400, "MissingIdentifier"),
        ("{\"contactType\": \"Member\"}", 400, "MissingIdentifier"),
        ("{\"email\": [\"a@example.com\"]}", 400, "InvalidParameter"),
        ("{\"email\": {}}", 400, "InvalidParameter"),
        ("{\"email\": 5}", 400, "InvalidParameter"),
        (
            "{\"email\": \"a@example.com\", \"email\": \"b@example.com\"}",
            400,
            "InvalidParameter",
        ),
        (
            "{\"email\": \"a@example.com\", \"any\": \"b\"}",
            400,
            "AmbiguousIdentifier",
        ),
        (
            "{\"contactId\": \"1\", \"parts\": []}",
            400,
            "InvalidParameter",
        ),
        (
            "{\"contactId\": \"1\", \"view\": \"full\"}",
            400,
            "InvalidParameter",
        ),
        (
            "{\"contactId\": \"1\", \"fresh\": [\"points\"]}",
            400,
            "InvalidParameter",
        ),
        (
            "{\"contactId\": \"1\", \"\\u0000\\n\": 1}",
            400,
            "InvalidParameter",
        ),
        (&*long, 400, "InvalidParameter"),
        (&*good, 200, ""),
    ];
    let lookups: Vec<_> = rows.iter().map(|(lookup, ..)| *lookup).collect();
    let answer = raw(&app, &format!("{{\"lookups\": [{}]}}", lookups.join(","))).await;
    let mut lines = lines(&answer);
    lines.sort_by_key(|line| line["index"].as_u64());
    assert_eq!(lines.len(), rows.len());
    for ((lookup, status, code), line) in rows.iter().zip(&lines) {
        assert_eq!(line["status"], json!(status), "{lookup}: {line}");
        if *status != 200 {
            assert_eq!(line["problem"]["code"], json!(code), "{lookup}: {line}");
        }
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn hundred_look_ups_get_a_hundred_lines() {
    let app = TestApp::spawn().await;
    let lookups: Vec<_> = (0..100)
        .map(|number| json!({"contactId": format!("00000000-0000-4000-8000-{number:012x}")}))
        .collect();
    let lines = batch(&app, TILL, &json!({"lookups": lookups})).await;
    assert_eq!(statuses(&lines), [404; 100]);
    assert!(
        app.engage.max_in_flight() <= 8,
        "{}",
        app.engage.max_in_flight()
    );
}
