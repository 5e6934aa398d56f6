//! HTTP/1.1 on the wire, over raw sockets: framing, slow and oversized bodies, HEAD, pipelining. `connections` covers
//! slow, idle and closed connections.

use std::time::Duration;

use engage_simulator::fixtures::ALVA;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    connections::with_short_head,
    harness::{TILL, TestApp, wait_until},
};

/// Longer than anything here takes: a test that waits for it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.address).await.expect("a connection")
}

/// Reads until the service closes the connection.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset counts as an end.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the service closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one answer with a body of the announced length.
pub(crate) async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = async {
        loop {
            answer.push(stream.read_u8().await.expect("an answer"));
            if answer.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap_or("0");
        let length = length.lines().next().and_then(|line| line.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.expect("a body");
        answer.extend(body);
    };
    timeout(PATIENCE, read).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends the bytes and reads until the service closes the connection.
async fn exchange(app: &TestApp, request: &[u8]) -> String {
    let mut stream = connect(app).await;
    // The service may close before it has read everything.
    let _ = stream.write_all(request).await;
    rest(&mut stream).await
}

pub(crate) fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

pub(crate) fn customer(more: &str) -> String {
    format!(
        "GET /customer?contactId={} HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\n{more}\r\n",
        ALVA.id
    )
}

pub(crate) const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub(crate) const LAST: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn requests_with_ambiguous_headers_are_400() {
    let app = TestApp::spawn().await;
    let close = "Connection: close\r\n";
    for request in [
        format!("GET /livez HTTP/1.1\r\n{close}\r\n"),
        format!("GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n{close}\r\n"),
        format!("GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n{close}\r\n"),
        format!("GET ftp://a/livez HTTP/1.1\r\nHost: a\r\n{close}\r\n"),
        format!("OPTIONS * HTTP/1.1\r\nHost: a\r\n{close}\r\n"),
        format!("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n{close}\r\n"),
        customer(&format!("X-Api-Key: {TILL}\r\n{close}")),
        customer(&format!("X-Api-Key: other\r\n{close}")),
        customer(&format!("Authorization: a\r\nAuthorization: b\r\n{close}")),
        customer(&format!("X-Request-Id: a\r\nX-Request-Id: b\r\n{close}")),
        customer(&format!("Content-Type: a\r\nContent-Type: b\r\n{close}")),
    ] {
        let text = exchange(&app, request.as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{request}: {text}");
        assert_eq!(answers(&text), 1, "{request}: {text}");
        assert!(text.contains("private, no-store"), "{text}");
        assert!(text.contains("\"code\":\"InvalidParameter\""), "{text}");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

/// Each body is followed by another request, which must not be answered.
#[tokio::test]
async fn ambiguously_framed_request_gets_at_most_one_answer() {
    let app = TestApp::with(with_short_head).await;
    let body = format!("{{\"contactId\":\"{}\"}}", ALVA.id);
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let post = |headers: &str, body: &str| {
        format!(
            "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\n\
             Content-Type: application/json\r\n{headers}\r\n{body}{LIVEZ}"
        )
    };
    for (headers, body) in [
        (
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            &chunked,
        ),
        (
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
            &chunked,
        ),
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n".to_owned(),
            &chunked,
        ),
        (
            format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
            &body,
        ),
        (format!("Content-Length: {length}, 0\r\n"), &body),
        (format!("Content-Length: +{length}\r\n"), &body),
        (format!("Content-Length: -{length}\r\n"), &body),
        (format!("Content-Length: 0x{length:x}\r\n"), &body),
        ("Content-Length: 99999999999999999999\r\n".to_owned(), &body),
        (format!("Content-Length : {length}\r\n"), &body),
        ("Transfer-Encoding : chunked\r\n".to_owned(), &chunked),
        ("Transfer-Encoding: gzip\r\n".to_owned(), &body),
        ("Transfer-Encoding: chunked, gzip\r\n".to_owned(), &chunked),
        ("Transfer-Encoding: xchunked\r\n".to_owned(), &chunked),
        ("Transfer-Encoding:\r\n chunked\r\n".to_owned(), &chunked),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            &"zz\r\n".to_owned(),
        ),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            &"fffffffffffffffff\r\n".to_owned(),
        ),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            &"2\r\n{}XX0\r\n\r\n".to_owned(),
        ),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            &"-1\r\n{}\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "X-Header: a\rb\r\nContent-Length: 2\r\n".to_owned(),
            &"{}".to_owned(),
        ),
        (
            "X-Header: a\0b\r\nContent-Length: 2\r\n".to_owned(),
            &"{}".to_owned(),
        ),
        (
            " Folded: a\r\nContent-Length: 2\r\n".to_owned(),
            &"{}".to_owned(),
        ),
    ] {
        let text = exchange(&app, post(&headers, body).as_bytes()).await;
        assert!(answers(&text) <= 1, "{headers:?}: {text}");
    }
}

#[tokio::test]
async fn garbage_bytes_close_only_their_connection() {
    let app = TestApp::with(with_short_head).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let fields = "X-Field: a\r\n".repeat(101);
    for request in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
        preface.as_bytes().to_vec(),
        b"GET /livez\r\n\r\n".to_vec(),
        b"GET /livez HTTP/3.0\r\nHost: a\r\n\r\n".to_vec(),
        b"GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"G\0T /livez HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        customer(&format!("X-Long: {}\r\n", "a".repeat(20_000))).into_bytes(),
        customer(&fields).into_bytes(),
        format!(
            "GET /customer?any={} HTTP/1.1\r\nHost: a\r\n\r\n",
            "a".repeat(70_000)
        )
        .into_bytes(),
        "a".repeat(1 << 20).into_bytes(),
    ] {
        let text = exchange(&app, &request).await;
        let refused = text.is_empty() || text.starts_with("HTTP/1.1 4");
        assert!(refused && answers(&text) <= 1, "{text}");
        let alive = exchange(&app, LAST.as_bytes()).await;
        assert!(alive.starts_with("HTTP/1.1 200 "), "{alive}");
    }
    let raw_bytes = b"GET /customer?email=\xc3\xa4@example.com HTTP/1.1\r\nHost: a\r\nX-Api-Key: \
                      test-till-key\r\nConnection: close\r\n\r\n";
    let text = exchange(&app, raw_bytes).await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn missing_body_is_400_after_the_body_timeout() {
    let app = TestApp::spawn().await;
    for framing in [
        "Content-Length: 100\r\n\r\n{",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ] {
        let mut stream = connect(&app).await;
        let request = format!(
            "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\n\
             Content-Type: application/json\r\n{framing}"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let pending = tokio::spawn(async move { rest(&mut stream).await });
        wait_until(|| {
            app.advance(Duration::from_millis(250));
            pending.is_finished()
        })
        .await;
        let text = pending.await.expect("an answer");
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        assert!(text.contains("did not arrive in time"), "{text}");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn oversized_body_is_refused_before_it_is_read() {
    let app = TestApp::spawn().await;
    let post = |framing: &str| {
        format!(
            "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\n\
             Content-Type: application/json\r\n{framing}"
        )
    };
    let announced = post("Content-Length: 1000000000000\r\n\r\n");
    let expecting = post("Content-Length: 1000000000000\r\nExpect: 100-continue\r\n\r\n");
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    let chunked = post(&format!("Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}"));
    for request in [announced, expecting, chunked] {
        let text = exchange(&app, request.as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
        assert_eq!(answers(&text), 1);
    }
    // Without a credential the response does not wait for the body.
    let unauthenticated =
        "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\nContent-Length: 100\r\n\r\n";
    let text = exchange(&app, unauthenticated.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn head_equals_get_without_the_body() {
    let app = TestApp::spawn().await;
    let get = exchange(&app, customer("Connection: close\r\n").as_bytes()).await;
    let (get_head, body) = get.split_once("\r\n\r\n").expect("a head");
    let head = customer("Connection: close\r\n").replace("GET ", "HEAD ");
    let head = exchange(&app, head.as_bytes()).await;
    let (head_head, nothing) = head.split_once("\r\n\r\n").expect("a head");
    assert_eq!(nothing, "");
    assert!(!body.is_empty());
    let value = |head: &str, name: &str| {
        let mut lines = head.lines();
        let line = lines
            .find_map(|line| line.strip_prefix(name))
            .map(str::to_owned);
        line.unwrap_or_else(|| panic!("no {name} in {head}"))
    };
    for name in [
        "HTTP/1.1 ",
        "etag: ",
        "content-type: ",
        "content-length: ",
        "vary: ",
    ] {
        assert_eq!(value(get_head, name), value(head_head, name), "{name}");
    }
    // This holds for errors and probes too, or the next answer would be misread.
    let heads = [
        "HEAD /customer HTTP/1.1\r\nHost: bff\r\n\r\n",
        "HEAD /nowhere HTTP/1.1\r\nHost: bff\r\n\r\n",
        "HEAD /livez HTTP/1.1\r\nHost: bff\r\n\r\n",
        "HEAD /readyz HTTP/1.1\r\nHost: bff\r\n\r\n",
    ];
    let text = exchange(&app, format!("{}{LAST}", heads.concat()).as_bytes()).await;
    let statuses: Vec<&str> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["401", "401", "200", "200", "200"], "{text}");
    assert!(!text.contains('{'), "{text}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = TestApp::spawn().await;
    let wrong = customer("").replace(ALVA.id, "nonsense");
    let requests = [
        customer(""),
        LIVEZ.to_owned(),
        wrong,
        customer(""),
        LAST.to_owned(),
    ];
    let text = exchange(&app, requests.concat().as_bytes()).await;
    let found: Vec<&str> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(found, ["200", "200", "400", "200", "200"], "{text}");
    assert_eq!(app.overview_calls(), 1);
}
