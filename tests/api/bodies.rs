//! Bodies as clients write them: spellings of charsets, the identity coding, byte order marks, trailers.

use engage_simulator::fixtures::ALVA;
use reqwest::{Method, header::HeaderValue};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{
    harness::{Answer, TILL, TestApp},
    wire::{LIVEZ, answer, connect},
};

fn body() -> String {
    json!({ "contactId": ALVA.id }).to_string()
}

/// A look-up and an operator's purge with these headers and this body.
async fn both(app: &TestApp, headers: &[(&'static str, &str)], body: &[u8]) -> [Answer; 2] {
    let lookup = app.post(TILL);
    let purge = app.operations_request("/cache/purge");
    let mut answers = Vec::new();
    for request in [lookup, purge] {
        let mut request = request.body(body.to_vec()).build().expect("a request");
        *request.method_mut() = Method::POST;
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a header value");
            request.headers_mut().insert(*name, value);
        }
        answers.push(app.execute(request).await);
    }
    answers.try_into().expect("two")
}

#[tokio::test]
async fn every_spelling_of_utf_8_is_accepted_and_no_other_charset() {
    let app = TestApp::spawn().await;
    for content_type in [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        "application/json; charset=utf8",
        "application/json; charset=UTF8",
        "application/json; Charset=\"utf-8\"",
        "application/json; charset=\"UTF8\"",
        "application/json ; charset=utf-8",
        "application/json;",
    ] {
        let answers = both(&app, &[("content-type", content_type)], body().as_bytes()).await;
        assert_eq!(answers[0].status, 200, "{content_type}");
        assert_eq!(answers[1].status, 204, "{content_type}");
    }
    for content_type in [
        "application/json; charset=iso-8859-1",
        "application/json; charset=\"utf-16\"",
        "application/json; charset=",
        "application/json; profile=\"a;b\"",
        "application/json; odata=verbose; charset=utf-8",
        "application/json; charset=utf-8; charset=latin1",
        "application/json; charset=\"utf-8",
        "application/json charset=utf-8",
        "application/json, application/json",
        "application/problem+json",
        "text/json",
        "",
    ] {
        for answer in both(&app, &[("content-type", content_type)], body().as_bytes()).await {
            answer.assert_problem(415, "UnsupportedMediaType");
            assert_eq!(answer.header("accept"), "application/json");
            assert_eq!(answer.header("accept-encoding"), "");
        }
    }
}

#[tokio::test]
async fn identity_coding_is_accepted_and_others_are_a_415() {
    let app = TestApp::spawn().await;
    let json = ("content-type", "application/json");
    for coding in ["identity", "Identity", "", "identity, identity"] {
        let headers = [json, ("content-encoding", coding)];
        let answers = both(&app, &headers, body().as_bytes()).await;
        assert_eq!(
            [answers[0].status, answers[1].status],
            [200, 204],
            "{coding:?}"
        );
    }
    for coding in [
        "gzip",
        "br",
        "identity, gzip",
        "identity;q=1",
        "\"identity\"",
    ] {
        let headers = [json, ("content-encoding", coding)];
        for answer in both(&app, &headers, body().as_bytes()).await {
            answer.assert_problem(415, "UnsupportedMediaType");
            assert_eq!(answer.header("accept-encoding"), "identity", "{coding}");
            assert_eq!(answer.header("accept"), "");
        }
    }
}

#[tokio::test]
async fn byte_order_mark_is_skipped() {
    let app = TestApp::spawn().await;
    let marked = [b"\xef\xbb\xbf", body().as_bytes()].concat();
    let json = ("content-type", "application/json");
    let answers = both(&app, &[json], &marked).await;
    assert_eq!([answers[0].status, answers[1].status], [200, 204]);
    let all = [&b"\xef\xbb\xbf"[..], b"{\"all\":true}"].concat();
    assert_eq!(both(&app, &[json], &all).await[1].status, 204);
    // Two marks, an incomplete mark, a mark without JSON and an empty body are refused.
    let twice = [&b"\xef\xbb\xbf"[..], &marked].concat();
    let half = [&b"\xef\xbb"[..], body().as_bytes()].concat();
    for body in [&twice[..], &half, b"\xef\xbb\xbf", b""] {
        for answer in both(&app, &[json], body).await {
            answer.assert_problem(400, "InvalidParameter");
        }
    }
    for (state, status) in [
        ("\u{feff}false", 204),
        ("\u{feff}true", 204),
        ("\u{feff}", 400),
    ] {
        let mut switch = app
            .operations_request("/cache/enabled")
            .build()
            .expect("one");
        *switch.method_mut() = Method::PUT;
        *switch.body_mut() = Some(state.into());
        assert_eq!(app.execute(switch).await.status, status, "{state}");
    }
}

#[tokio::test]
async fn oversize_body_is_a_413_with_the_current_title() {
    let app = TestApp::spawn().await;
    let large = " ".repeat(20_000);
    for answer in both(
        &app,
        &[("content-type", "application/json")],
        large.as_bytes(),
    )
    .await
    {
        answer.assert_problem(413, "PayloadTooLarge");
        assert_eq!(answer.at("/title"), "Content Too Large");
    }
}

#[tokio::test]
async fn chunk_extensions_and_trailers_are_accepted_and_broken_chunks_refused() {
    let app = TestApp::spawn().await;
    let body = body();
    let head = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut stream = connect(&app).await;
    let chunked = format!(
        "{head}{:x};name=value\r\n{body}\r\n0\r\nX-Trailer: a\r\nX-Api-Key: other\r\n\r\n{LIVEZ}",
        body.len()
    );
    stream.write_all(chunked.as_bytes()).await.expect("sent");
    for _ in 0..2 {
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    }
    let mut stream = connect(&app).await;
    let broken = format!("{head}zz\r\n{LIVEZ}");
    stream.write_all(broken.as_bytes()).await.expect("sent");
    let text = crate::wire::rest(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    let lower = text.to_lowercase();
    assert!(
        lower.contains("connection: close") && lower.contains("no-store"),
        "{text}"
    );
    assert_eq!(crate::wire::answers(&text), 1, "{text}");
}
