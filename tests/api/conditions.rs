//! Preconditions (RFC 9110, 13) and content codings (12.5.3), by the fast path and by hyper.

use engage_simulator::fixtures::ALVA;
use reqwest::{Method, RequestBuilder};

use crate::harness::{Answer, READER, TILL, TestApp};

fn query() -> String {
    format!("contactId={}", ALVA.id)
}

/// The same look-up as `GET`, which the fast path may answer, or as `POST`; the client has the storefront view.
fn ask(app: &TestApp, method: &Method) -> RequestBuilder {
    if *method == Method::POST {
        app.post(READER)
            .body(format!("{{\"contactId\":\"{}\"}}", ALVA.id))
    } else {
        let mut request = app.customer(READER, &query()).build().expect("a request");
        *request.method_mut() = method.clone();
        RequestBuilder::from_parts(reqwest::Client::builder().build().expect("one"), request)
    }
}

async fn with(app: &TestApp, method: &Method, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = ask(app, method);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request).await
}

/// The entity tags of the uncompressed and the compressed response.
async fn etags(app: &TestApp) -> (String, String) {
    let headers = [("accept-encoding", "gzip")];
    let plain = with(app, &Method::GET, &[]).await;
    let plain = plain.assert_ok().header("etag").to_owned();
    // The response is compressed in the background.
    crate::harness::wait_until(|| true).await;
    loop {
        let gzip = with(app, &Method::GET, &headers).await;
        if gzip.header("content-encoding") == "gzip" {
            return (plain, gzip.header("etag").to_owned());
        }
    }
}

#[tokio::test]
async fn current_copy_is_a_304_for_get_and_a_412_for_post() {
    let app = TestApp::spawn().await;
    let (plain, gzip) = etags(&app).await;
    let weak = format!("W/{plain}");
    let listed = format!("\"other\" ,{gzip}, \"third\"");
    for copy in [&plain, &gzip, &weak, &listed, "*"] {
        let headers = [("if-none-match", copy)];
        for method in [Method::GET, Method::HEAD] {
            let answer = with(&app, &method, &headers).await;
            assert_eq!(answer.status, 304, "{method} {copy}");
            assert!(answer.body.is_empty());
        }
        let answer = with(&app, &Method::POST, &headers).await;
        answer.assert_problem(412, "PreconditionFailed");
        assert!(answer.header("cache-control").contains("no-store"));
    }
    for other in ["\"other\"", "", "nonsense"] {
        for method in [Method::GET, Method::POST] {
            let answer = with(&app, &method, &[("if-none-match", other)]).await;
            answer.assert_ok();
        }
    }
}

#[tokio::test]
async fn if_match_is_compared_strongly_and_evaluated_first() {
    let app = TestApp::spawn().await;
    let (plain, gzip) = etags(&app).await;
    let weak = format!("W/{plain}");
    let listed = format!("\"other\", {plain}");
    for method in [Method::GET, Method::HEAD, Method::POST] {
        for (wanted, status) in [
            (&*plain, 200),
            (&gzip, 200),
            (&listed, 200),
            ("*", 200),
            (&weak, 412),
            ("\"other\"", 412),
            ("", 412),
            ("nonsense", 412),
            ("\u{e4}", 412),
        ] {
            let answer = with(&app, &method, &[("if-match", wanted)]).await;
            assert_eq!(answer.status, status, "{method} {wanted}");
            if status == 412 && method != Method::HEAD {
                answer.assert_problem(412, "PreconditionFailed");
            }
        }
        let both = [("if-match", &*plain), ("if-none-match", "\"other\"")];
        assert_eq!(with(&app, &method, &both).await.status, 200, "{method}");
        let first = [("if-match", "\"other\""), ("if-none-match", &*plain)];
        assert_eq!(with(&app, &method, &first).await.status, 412, "{method}");
        let second = [("if-match", &*plain), ("if-none-match", &*plain)];
        let expected = if method == Method::POST { 412 } else { 304 };
        let answer = with(&app, &method, &second).await;
        assert_eq!(answer.status, expected, "{method}");
    }
    // Preconditions apply only if the response would have been a 200 (RFC 9110, 13.2.1).
    for (query, status) in [
        ("email=unknown@example.com", 404),
        ("email=shared@example.com", 409),
        ("email=x", 400),
    ] {
        for header in ["if-match", "if-none-match"] {
            let answer = Answer::of(app.customer(TILL, query).header(header, "*")).await;
            assert_eq!(answer.status, status, "{header} {query}");
        }
    }
}

#[tokio::test]
async fn not_modified_repeats_the_etag_of_the_callers_copy() {
    let app = TestApp::spawn().await;
    let (plain, gzip) = etags(&app).await;
    let weak = |tag: &str| format!("W/{tag}");
    for (copy, accepted, named) in [
        (plain.clone(), "gzip", &plain),
        (gzip.clone(), "gzip", &gzip),
        (plain.clone(), "identity", &plain),
        (gzip.clone(), "identity", &gzip),
        (weak(&gzip), "identity", &gzip),
        (weak(&plain), "gzip", &plain),
        (format!("\"other\", {plain}"), "gzip", &plain),
        (format!("{gzip}, \"other\""), "identity", &gzip),
        // If several match, or `*`, the 304 has the validator of the response that would have been sent.
        (format!("{plain}, {gzip}"), "gzip", &gzip),
        (format!("{gzip}, {plain}"), "identity", &plain),
        ("*".to_owned(), "gzip", &gzip),
        ("*".to_owned(), "identity", &plain),
    ] {
        let headers = [("if-none-match", &*copy), ("accept-encoding", accepted)];
        let answer = with(&app, &Method::GET, &headers).await;
        assert_eq!(answer.status, 304, "{copy}");
        assert_eq!(answer.header("etag"), named, "{copy}, {accepted}");
        // The same through hyper.
        let slow = [&headers[..], &[("cache-control", "max-age=100000")]].concat();
        let answer = with(&app, &Method::GET, &slow).await;
        assert_eq!(answer.header("etag"), named, "{copy}, {accepted}");
    }
}

#[tokio::test]
async fn preferred_coding_is_sent() {
    let app = TestApp::spawn().await;
    etags(&app).await;
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=1", "gzip"),
        ("gzip;Q=0.5", "gzip"),
        ("gzip ; q=0.001", "gzip"),
        ("gzip\t;\tq=1.000", "gzip"),
        ("br, gzip;q=0.1", "gzip"),
        ("deflate, , gzip,", "gzip"),
        ("*", "gzip"),
        ("*;q=0.5", "gzip"),
        ("br, *;q=0.1", "gzip"),
        ("gzip, identity", "gzip"),
        ("identity;q=0.5, gzip;q=1.0", "gzip"),
        ("identity;q=0, gzip;q=0.001", "gzip"),
        ("gzip, *;q=0", "gzip"),
        ("", ""),
        ("identity", ""),
        ("br", ""),
        ("gzip;q=0", ""),
        ("gzip;Q=0", ""),
        ("gzip;q=0.", ""),
        ("gzip;q=0.000", ""),
        ("gzip;q=0, *", ""),
        ("x-gzip;q=0, *;q=1", ""),
        ("*;q=0", ""),
        ("identity;q=1, gzip;q=0.5", ""),
        ("gzip;q=0.5, identity", ""),
        ("gzip;q=0.5, *;q=0.8", ""),
        ("identity;q=0.002, gzip;q=0.001", ""),
        // If no coding is acceptable, the uncompressed response is sent.
        ("identity;q=0", ""),
        ("identity;q=0, br", ""),
        // A malformed weight counts as zero.
        ("gzip;q=", ""),
        ("gzip;q=x", ""),
        ("gzip;q=2", ""),
        ("gzip;q=1.001", ""),
        ("gzip;q=-1", ""),
        ("gzip;q=0.5555", ""),
        ("gzip;q=inf", ""),
        ("gzip;q=1e-1", ""),
        ("gzip;level=9", ""),
        ("gzip;q=1;q=0", ""),
        ("gzipped", ""),
    ] {
        let headers = [("accept-encoding", accepted)];
        let answer = with(&app, &Method::GET, &headers).await;
        answer.assert_ok();
        assert_eq!(answer.header("content-encoding"), coding, "{accepted:?}");
        let is_of_gzip = answer.header("etag").ends_with("-gzip\"");
        assert_eq!(is_of_gzip, coding == "gzip", "{accepted:?}");
        let slow = [headers[0], ("cache-control", "max-age=100000")];
        let answer = with(&app, &Method::GET, &slow).await;
        assert_eq!(answer.header("content-encoding"), coding, "{accepted:?}");
    }
    for (lines, coding) in [
        (["gzip", "identity;q=0.5"], "gzip"),
        (["identity", "gzip;q=0.5"], ""),
        (["gzip;q=0", "*"], ""),
        (["br", "gzip"], "gzip"),
    ] {
        let headers = lines.map(|line| ("accept-encoding", line));
        let answer = with(&app, &Method::GET, &headers).await;
        assert_eq!(answer.header("content-encoding"), coding, "{lines:?}");
    }
}
