//! Targets and hosts (RFC 9112, 3.2), and refusals of malformed heads. Raw sockets.

use std::time::Duration;

use engage_simulator::fixtures::ALVA;
use http::header::AUTHORIZATION;
use tokio::io::AsyncWriteExt;

use crate::{
    harness::{READER, TILL, TestApp, logs},
    issuer::Issuer,
    tokens::{of_alva, with_config},
    wire::{LIVEZ, answer, answers, connect, rest},
};

const PAGE: &str = "https://shop.example.com";

/// Sends the bytes and reads until the service closes the connection.
async fn exchange(app: &TestApp, request: &str) -> String {
    let mut stream = connect(app).await;
    stream.write_all(request.as_bytes()).await.expect("sent");
    rest(&mut stream).await
}

fn cached() -> String {
    format!("/customer?contactId={}", ALVA.id)
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{headers}X-Api-Key: {READER}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn absolute_target_is_accepted_like_a_path() {
    let app = TestApp::spawn().await;
    for target in [
        format!("http://shop.example.com{}", cached()),
        format!("HTTP://SHOP.example.com:8080{}", cached()),
        format!("https://shop.example.com{}", cached()),
        format!("http://[2001:db8::1]:80{}", cached()),
        "http://shop.example.com/livez".to_owned(),
    ] {
        // The target counts, whatever `Host` says (RFC 9112, 3.2.2).
        for host in ["shop.example.com", "other.example.com", "bff"] {
            let text = exchange(&app, &get(&target, &format!("Host: {host}\r\n"))).await;
            assert!(text.starts_with("HTTP/1.1 200 "), "{target}: {text}");
        }
    }
    for (target, status) in [
        ("http://shop.example.com/nowhere", 404),
        ("http://shop.example.com", 404),
        ("http://shop.example.com/customer", 400),
    ] {
        let text = exchange(&app, &get(target, "Host: bff\r\n")).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    }
}

#[tokio::test]
async fn other_forms_of_target_are_a_400() {
    let app = TestApp::spawn().await;
    for line in [
        "OPTIONS * HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT shop.example.com:443 HTTP/1.1",
        "GET shop.example.com:443 HTTP/1.1",
        "GET ftp://shop.example.com/livez HTTP/1.1",
        "GET http://user@shop.example.com/livez HTTP/1.1",
        "GET http://user:secret@shop.example.com/livez HTTP/1.1",
        "GET http://shop.example.com:port/livez HTTP/1.1",
        "GET http:///livez HTTP/1.1",
        "GET http://:80/livez HTTP/1.1",
    ] {
        let request = format!("{line}\r\nHost: bff\r\nConnection: close\r\n\r\n");
        let text = exchange(&app, &request).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{line}: {text}");
        assert!(text.contains("\"code\":\"InvalidParameter\""), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn invalid_host_is_a_400_and_any_valid_one_is_accepted() {
    let app = TestApp::spawn().await;
    exchange(&app, &get(&cached(), "Host: bff\r\n")).await;
    for host in [
        "",
        " ",
        "a b",
        "a, b",
        "user@a",
        "user:pw@a",
        "a:b",
        "a:-1",
        "a:65536",
        "a:1:2",
        ":80",
        "http://a",
        "a/",
        "a?b",
        "a#b",
        "[::1",
        "::1",
        "[::1]a",
        "[g::1]",
        "[::1]:x",
        "[]",
        "[1]",
        "a\\b",
        "a\"b",
        "<a>",
        "%zz",
        "%4",
        "[::1%eth0]",
        "a\u{e4}",
        "[fe80::1]:99999",
        "{a}",
        "a|b",
        "a^b",
        "a`b",
    ] {
        // By the fast path, by hyper, and with an absolute target.
        for target in [cached(), "/livez".to_owned(), "http://a/livez".to_owned()] {
            let text = exchange(&app, &get(&target, &format!("Host: {host}\r\n"))).await;
            assert!(text.starts_with("HTTP/1.1 400 "), "{host:?}: {text}");
            assert!(text.contains("\"code\":\"InvalidParameter\""), "{text}");
            assert_eq!(answers(&text), 1);
        }
    }
    for host in [
        "a",
        "A.example",
        "a.example:8080",
        "a.example:",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8080",
        "[::ffff:192.0.2.1]:65535",
        "xn--bcher-kva.example",
        "under_score.example.",
        "a-b~c!$&'()*+;=d",
        "%c3%a4.example",
    ] {
        for target in [cached(), "/livez".to_owned()] {
            let text = exchange(&app, &get(&target, &format!("Host: {host}\r\n"))).await;
            assert!(text.starts_with("HTTP/1.1 200 "), "{host:?}: {text}");
        }
    }
}

/// Requests that hyper's parser refuses, each with its status and code.
fn malformed() -> Vec<(String, u16, &'static str)> {
    let with = |headers: &str| format!("GET /livez HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let no_request = |request: &str| (request.to_owned(), 400, "InvalidParameter");
    let of_length = |length: &str| {
        let request = with(&format!("Content-Length: {length}\r\n"));
        (request, 400, "InvalidParameter")
    };
    let large = format!("X-Long: {}\r\n", "a".repeat(17_000));
    let fields = "X-Field: a\r\n".repeat(101);
    vec![
        no_request("nonsense\r\n\r\n"),
        no_request("GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
        no_request("GET /livez HTTP/3.0\r\nHost: a\r\n\r\n"),
        no_request("G\0T /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
        no_request("GET http://a:b:c/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        no_request(&with("X-Header: a\0b\r\n")),
        no_request(&with("no colon\r\n")),
        no_request(&with("X-Header : a\r\n")),
        of_length("-1"),
        of_length("5, 6"),
        of_length("99999999999999999999"),
        (with(&large), 431, "HeadTooLarge"),
        (with(&fields), 431, "HeadTooLarge"),
    ]
}

#[track_caller]
fn assert_full(text: &str, status: u16, code: &str) {
    assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    assert_eq!(answers(text), 1, "{text}");
    let lower = text.to_lowercase();
    for line in [
        "cache-control: private, no-store",
        "cdn-cache-control: no-store",
        "vary: accept-encoding, authorization, x-api-key",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "content-type: application/problem+json",
        "connection: close",
        "x-request-id: ",
        "date: ",
    ] {
        assert!(lower.contains(&format!("\r\n{line}")), "{line}: {text}");
    }
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let length = format!("content-length: {}", body.len());
    assert!(head.to_lowercase().contains(&length), "{text}");
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["code"], code);
    assert_eq!(problem["status"], status);
    assert!(!problem["detail"].as_str().expect("a text").is_empty());
}

#[tokio::test]
async fn malformed_head_is_refused_with_a_problem_like_any_other() {
    let app = TestApp::spawn().await;
    for (request, status, code) in malformed() {
        assert_full(&exchange(&app, &request).await, status, code);
        // The same after other requests, and in pieces.
        let mut stream = connect(&app).await;
        stream.write_all(LIVEZ.as_bytes()).await.expect("sent");
        answer(&mut stream).await;
        let (first, others) = request.split_at(10);
        stream.write_all(first.as_bytes()).await.expect("sent");
        stream.write_all(others.as_bytes()).await.expect("sent");
        assert_full(&rest(&mut stream).await, status, code);
        let lookup = format!(
            "POST /customer/lookup HTTP/1.1\r\nHost: a\r\nX-Api-Key: {TILL}\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        for before in [LIVEZ.to_owned(), lookup] {
            let text = exchange(&app, &format!("{before}{request}")).await;
            let last = text.rfind("HTTP/1.1 ").expect("two answers");
            assert!(last > 0, "{text}");
            assert_full(&text[last..], status, code);
        }
    }
    let counted = app.operations("/metrics").await;
    assert!(counted.text().contains("code=\"HeadTooLarge\""));
    // The limit of log events drops most of these; after a while it allows this one.
    app.advance(Duration::from_secs(60));
    let (request, status, code) = malformed().pop().expect("one");
    assert_full(&exchange(&app, &request).await, status, code);
    assert!(logs().contains("HeadTooLarge"));
    // The operations listener too.
    let mut stream = tokio::net::TcpStream::connect(app.operations)
        .await
        .expect("a connection");
    stream.write_all(b"nonsense\r\n\r\n").await.expect("sent");
    assert_full(&rest(&mut stream).await, 400, "InvalidParameter");
}

#[tokio::test]
async fn configured_origin_may_read_framing_refusals() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.server.cors_origins = vec![PAGE.to_owned()];
    })
    .await;
    let large = format!("Authorization: {}\r\n", "a".repeat(17_000));
    let token = issuer.sign(&of_alva());
    for (origin, is_allowed) in [
        (PAGE, true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        for request in [
            format!("GET /customer/me HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n{large}\r\n"),
            format!("GET /customer/me HTTP/1.1\r\nHost: a\r\norigin:{origin}\r\nno colon\r\n\r\n"),
            format!("GET /customer/me HTTP/1.1\r\nHost: a b\r\nOrigin: {origin}\r\n\r\n"),
            format!("OPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\r\n"),
            format!(
                "POST /customer/lookup HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\
                 Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
            ),
            format!(
                "POST /customer/lookup HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n\
                 Transfer-Encoding: gzip\r\n\r\nhello"
            ),
            format!(
                "POST /customer/lookup HTTP/1.0\r\nHost: a\r\nOrigin: {origin}\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ] {
            let text = exchange(&app, &request).await.to_lowercase();
            assert!(text.starts_with("http/1.1 4"), "{text}");
            assert!(text.contains("vary: accept-encoding, authorization, x-api-key, origin"));
            let allow = format!("access-control-allow-origin: {PAGE}\r\n");
            assert_eq!(text.contains(&allow), is_allowed, "{origin}: {text}");
            let exposed = text.contains("access-control-expose-headers: ");
            assert_eq!(exposed, is_allowed, "{text}");
            assert_eq!(
                text.matches("access-control-allow-origin").count(),
                usize::from(is_allowed)
            );
        }
        // A regular response has the field as often: once if the origin is allowed.
        let ask = app.request("/customer/me").header("origin", origin);
        let answer = ask.header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = crate::harness::Answer::of(answer).await;
        let allowed = answer.headers.get_all("access-control-allow-origin");
        assert_eq!(allowed.iter().count(), usize::from(is_allowed));
    }
}
