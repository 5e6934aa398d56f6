//! Responses that do not wait for the request's body. A small body of known length is read after the response, and the
//! connection is kept; otherwise the response says `Connection: close`, and input is discarded for a while, so that no reset
//! destroys the response. Raw sockets.

use std::{net::SocketAddr, time::Duration};

use engage_bff::config::Config;
use engage_simulator::fixtures::ALVA;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness::{READER, SHOP, TILL, TestApp},
    wire::{LIVEZ, PATIENCE, answer, answers},
};

const TOKEN: &str = "a-token-for-operators";
const JSON: &str = "Content-Type: application/json\r\n";

/// A request whose response needs no byte of its body, at either listener.
struct Early {
    is_for_operators: bool,
    start: String,
    status: u16,
}

impl Early {
    fn data(status: u16, line: &str, headers: &str) -> Self {
        Self {
            is_for_operators: false,
            start: format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}"),
            status,
        }
    }

    fn operations(status: u16, line: &str, headers: &str) -> Self {
        Self {
            is_for_operators: true,
            ..Self::data(status, line, headers)
        }
    }

    async fn connect(&self, app: &TestApp) -> TcpStream {
        let address: SocketAddr = if self.is_for_operators {
            app.operations
        } else {
            app.address
        };
        TcpStream::connect(address).await.expect("a connection")
    }

    #[track_caller]
    fn check(&self, text: &str) {
        let is_it = text.starts_with(&format!("HTTP/1.1 {} ", self.status));
        assert!(is_it, "{}: {text}", self.start);
        assert!(text.contains("private, no-store"), "{text}");
        assert!(self.status < 400 || text.ends_with('}'), "{text}");
    }
}

/// Responses of both listeners that are sent before the body. The client `shop` is above its rate.
fn early() -> Vec<Early> {
    let key = |key: &str| format!("X-Api-Key: {key}\r\n");
    let operator = format!("Authorization: Bearer {TOKEN}\r\n");
    let json = |more: &str| format!("{JSON}{more}");
    let lookup = "POST /customer/lookup";
    let held = format!("GET /customer?contactId={}", ALVA.id);
    vec![
        Early::data(401, lookup, JSON),
        Early::data(401, lookup, &json(&key("unknown"))),
        Early::data(401, "POST /nowhere", JSON),
        Early::data(401, "PUT /customer", JSON),
        Early::data(404, "POST /nowhere", &json(&key(TILL))),
        Early::data(405, "PUT /customer", &json(&key(TILL))),
        Early::data(405, "DELETE /customer/lookup", &json(&key(TILL))),
        Early::data(
            415,
            lookup,
            &format!("Content-Type: text/plain\r\n{}", key(TILL)),
        ),
        Early::data(
            415,
            lookup,
            &json(&format!("Content-Encoding: gzip\r\n{}", key(TILL))),
        ),
        Early::data(429, lookup, &json(&key(SHOP))),
        Early::data(403, "GET /customer/me", &key(TILL)),
        Early::data(400, "GET /customer?email=x", &key(TILL)),
        Early::data(403, &format!("{held}&view=full"), &key(READER)),
        Early::data(200, &held, &key(TILL)),
        Early::data(200, "GET /livez", ""),
        Early::data(401, "POST /webhooks/engage", JSON),
        Early::operations(401, "POST /cache/purge", JSON),
        Early::operations(401, "POST /nowhere", JSON),
        Early::operations(404, "POST /nowhere", &json(&operator)),
        Early::operations(405, "POST /cache/stats", &json(&operator)),
        Early::operations(
            415,
            "POST /cache/purge",
            &format!("Content-Type: text/plain\r\n{operator}"),
        ),
        Early::operations(200, "GET /livez", ""),
        Early::operations(200, "GET /metrics", ""),
    ]
}

/// A service with an operator's token, and one client that is above its rate already.
async fn app(change: impl FnOnce(&mut Config)) -> TestApp {
    let app = TestApp::with(|config| {
        config.operations.token = Some(TOKEN.into());
        config.webhooks.secrets = vec!["whsec_VGhlIHNlY3JldCBvZiB0aGlzIHRlc3Qu".into()];
        for client in &mut config.auth.clients {
            if client.id == "shop" {
                client.requests_per_second = Some(1);
            }
        }
        change(config);
    })
    .await;
    let held = format!("contactId={}", ALVA.id);
    app.get(&held).await.assert_ok();
    while app.get_as(SHOP, &held).await.status != 429 {}
    app
}

/// Reads everything until the service closes the connection. A reset is a failure.
async fn whole(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    let read = read.expect("the service hangs up");
    let text = String::from_utf8_lossy(&text).into_owned();
    read.unwrap_or_else(|error| panic!("{error} after {text:?}"));
    text
}

fn says_close(text: &str) -> bool {
    text.to_lowercase().contains("\r\nconnection: close\r\n")
}

#[tokio::test]
async fn small_body_is_read_after_the_response_and_the_connection_kept() {
    let app = app(|_| {}).await;
    for early in early() {
        let mut stream = early.connect(&app).await;
        let head = format!("{}Content-Length: 5\r\n\r\n", early.start);
        for _ in 0..2 {
            stream.write_all(head.as_bytes()).await.expect("sent");
            // The response arrives before the body is sent.
            let text = answer(&mut stream).await;
            early.check(&text);
            assert!(!says_close(&text), "{text}");
            stream.write_all(b"he").await.expect("sent");
            stream.write_all(b"llo").await.expect("sent");
        }
        // In one piece, followed by the next request.
        let both = format!("{head}hello{LIVEZ}");
        stream.write_all(both.as_bytes()).await.expect("sent");
        early.check(&answer(&mut stream).await);
        let next = answer(&mut stream).await;
        assert!(next.starts_with("HTTP/1.1 200 "), "{}: {next}", early.start);
    }
}

#[tokio::test]
async fn body_at_the_size_limit_is_read_after_the_response() {
    let app = app(|config| config.webhooks.secrets.clear()).await;
    let size = 16 * 1024;
    let lookup = Early::data(401, "POST /customer/lookup", JSON);
    let webhook = Early::data(404, "POST /webhooks/engage", JSON);
    for (early, size) in [(lookup, size), (webhook, 16 * size)] {
        let mut stream = early.connect(&app).await;
        let head = format!("{}Content-Length: {size}\r\n\r\n", early.start);
        stream.write_all(head.as_bytes()).await.expect("sent");
        let text = answer(&mut stream).await;
        early.check(&text);
        assert!(!says_close(&text), "{text}");
        stream.write_all(&vec![b' '; size]).await.expect("sent");
        stream.write_all(LIVEZ.as_bytes()).await.expect("sent");
        let next = answer(&mut stream).await;
        assert!(next.starts_with("HTTP/1.1 200 "), "{next}");
    }
}

#[tokio::test]
async fn response_to_an_oversize_body_arrives_complete_and_announces_the_close() {
    let app = app(|_| {}).await;
    let large = vec![b' '; 1 << 20];
    let chunk = [b"100000\r\n", &large[..], b"\r\n"].concat();
    let mut all = early();
    // Bodies that are too long by their `Content-Length` or by their chunks.
    for key in [TILL, READER] {
        let headers = format!("{JSON}X-Api-Key: {key}\r\n");
        all.push(Early::data(413, "POST /customer/lookup", &headers));
    }
    let operator = format!("{JSON}Authorization: Bearer {TOKEN}\r\n");
    all.push(Early::operations(413, "POST /cache/purge", &operator));
    for early in all {
        for (framing, piece) in [
            ("Content-Length: 8388608\r\n\r\n", &large),
            ("Transfer-Encoding: chunked\r\n\r\n", &chunk),
        ] {
            let mut stream = early.connect(&app).await;
            let head = format!("{}{framing}", early.start);
            stream.write_all(head.as_bytes()).await.expect("sent");
            // Like many clients, the test reads nothing before it has written everything.
            for _ in 0..8 {
                let sent = stream.write_all(piece).await;
                sent.unwrap_or_else(|error| panic!("{error}: {head}"));
            }
            let text = whole(&mut stream).await;
            early.check(&text);
            assert!(says_close(&text), "{text}");
            assert_eq!(answers(&text), 1, "{text}");
        }
    }
}

#[tokio::test]
async fn refused_expect_100_gets_the_refusal_and_no_100() {
    let app = app(|_| {}).await;
    for early in early() {
        for sends_the_body_anyway in [false, true] {
            let mut stream = early.connect(&app).await;
            let head = format!(
                "{}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
                early.start
            );
            stream.write_all(head.as_bytes()).await.expect("sent");
            if sends_the_body_anyway {
                stream.write_all(b"hello").await.expect("sent");
            }
            let text = whole(&mut stream).await;
            early.check(&text);
            // Whether the next bytes are a body or a request is ambiguous.
            assert!(says_close(&text), "{text}");
        }
    }
    let mut stream = TcpStream::connect(app.address).await.expect("a connection");
    let body = format!("{{\"contactId\":\"{}\"}}", ALVA.id);
    let head = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {TILL}\r\n{JSON}\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let interim = answer(&mut stream).await;
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    stream.write_all(body.as_bytes()).await.expect("sent");
    let text = answer(&mut stream).await;
    assert!(
        text.starts_with("HTTP/1.1 200 ") && !says_close(&text),
        "{text}"
    );
}

#[tokio::test]
async fn missing_body_closes_the_connection_after_the_body_timeout() {
    let app = app(|config| config.server.body_timeout = Duration::from_millis(200)).await;
    for early in early() {
        let mut stream = early.connect(&app).await;
        let head = format!("{}Content-Length: 5\r\n\r\nhell", early.start);
        stream.write_all(head.as_bytes()).await.expect("sent");
        early.check(&whole(&mut stream).await);
    }
}

#[tokio::test]
async fn body_that_timed_out_is_not_awaited_again() {
    let app = app(|config| config.server.body_timeout = PATIENCE * 10).await;
    let mut stream = TcpStream::connect(app.address).await.expect("a connection");
    let head = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {TILL}\r\n{JSON}\
         Content-Length: 5\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let ended = tokio::spawn(async move { whole(&mut stream).await });
    crate::harness::wait_until(|| {
        app.advance(PATIENCE);
        ended.is_finished()
    })
    .await;
    let text = ended.await.expect("an answer");
    assert!(
        text.starts_with("HTTP/1.1 400 ") && says_close(&text),
        "{text}"
    );
}

#[tokio::test]
async fn client_that_never_stops_sending_loses_the_connection() {
    let app = app(|config| config.server.body_timeout = Duration::from_millis(200)).await;
    let stranger = Early::data(401, "POST /customer/lookup", JSON);
    for framing in [
        "Content-Length: 1000000000000",
        "Transfer-Encoding: chunked",
    ] {
        let mut stream = stranger.connect(&app).await;
        let head = format!("{}{framing}\r\n\r\n", stranger.start);
        stream.write_all(head.as_bytes()).await.expect("sent");
        let piece = [b"1000\r\n", &[b' '; 0x1000][..], b"\r\n"].concat();
        let flood = async { while stream.write_all(&piece).await.is_ok() {} };
        timeout(PATIENCE, flood)
            .await
            .expect("the service hangs up");
    }
}

#[tokio::test]
async fn connection_kept_after_a_refusal_has_the_usual_idle_timeout() {
    let app = app(|config| {
        config.server.header_timeout = Duration::from_millis(100);
        config.server.idle_timeout = Duration::from_millis(800);
        config.server.body_timeout = PATIENCE * 10;
    })
    .await;
    let stranger = Early::data(401, "POST /customer/lookup", JSON);
    let mut stream = stranger.connect(&app).await;
    let head = format!("{}Content-Length: 5\r\n\r\n", stranger.start);
    stream.write_all(head.as_bytes()).await.expect("sent");
    answer(&mut stream).await;
    // The remainder of a body has the time-out of bodies; then the connection has the idle time-out.
    for piece in [&b"he"[..], b"llo"] {
        let early = timeout(Duration::from_millis(250), stream.read_u8()).await;
        assert!(early.is_err(), "hung up after {early:?}");
        stream.write_all(piece).await.expect("sent");
    }
    let early = timeout(Duration::from_millis(250), stream.read_u8()).await;
    assert!(early.is_err(), "hung up after {early:?}");
    assert_eq!(whole(&mut stream).await, "");
}
