//! The connection limit: which connection is closed for a new one, and which requests are answered if no connection is
//! idle.

use std::time::Duration;

use engage_simulator::{Endpoint, Hold};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness::{TestApp, let_requests_arrive},
    wire::{LIVEZ, PATIENCE, answer, connect, customer, rest},
};

/// Longer than a tick, the resolution of idle times.
const TICKS: Duration = Duration::from_millis(300);
/// The connections in the reserve.
const RESERVE: usize = 16;

async fn with_limit(limit: usize) -> TestApp {
    TestApp::with(|config| {
        config.server.max_connections = limit;
        config.server.header_timeout = PATIENCE * 10;
        config.server.idle_timeout = PATIENCE * 10;
    })
    .await
}

/// Sends a request and reads its response.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("sent");
    answer(stream).await
}

/// A connection that has had a response.
async fn kept(app: &TestApp) -> TcpStream {
    let mut stream = connect(app).await;
    assert!(ask(&mut stream, LIVEZ).await.starts_with("HTTP/1.1 200 "));
    stream
}

/// A connection whose request is waiting for Engage.
async fn busy(app: &TestApp, hold: &Hold) -> TcpStream {
    let mut stream = connect(app).await;
    let request = customer("");
    stream.write_all(request.as_bytes()).await.expect("sent");
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    assert_eq!(hold.waiting(), 1);
    stream
}

async fn assert_metric(app: &TestApp, line: &str) {
    let metrics = app.operations("/metrics").await;
    let is_there = metrics.text().lines().any(|found| found == line);
    assert!(is_there, "no {line} in {}", metrics.text());
}

#[tokio::test]
async fn longest_idle_connection_is_evicted_for_a_new_one() {
    let app = with_limit(3).await;
    let mut first = kept(&app).await;
    let mut second = kept(&app).await;
    let mut third = connect(&app).await;
    let early = timeout(TICKS, second.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    // After another request the first has been idle for a shorter time than the others.
    ask(&mut first, LIVEZ).await;
    let mut fourth = kept(&app).await;
    assert_eq!(rest(&mut second).await, "");
    // A connection that has never sent anything is evicted as well.
    let mut fifth = kept(&app).await;
    assert_eq!(rest(&mut third).await, "");
    for open in [&mut first, &mut fourth, &mut fifth] {
        let text = ask(open, &customer("")).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    }
    assert_metric(&app, "engage_bff_connections{listener=\"data\"} 3").await;
    let closed = "engage_bff_connections_closed_for_room_total{listener=\"data\"} 2";
    assert_metric(&app, closed).await;
    let none = "engage_bff_connections_closed_for_room_total{listener=\"operations\"} 0";
    assert_metric(&app, none).await;
}

#[tokio::test]
async fn only_probes_are_answered_where_no_connection_is_idle() {
    let app = with_limit(2).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let mut busy = busy(&app, &hold).await;
    // A connection on which a request has begun is not idle.
    let mut begun = connect(&app).await;
    let request = customer("");
    let (start, end) = request.split_at(1);
    begun.write_all(start.as_bytes()).await.expect("sent");
    let_requests_arrive().await;
    for probe in ["/livez", "/readyz"] {
        let mut another = connect(&app).await;
        let request = LIVEZ.replace("/livez", probe);
        another.write_all(request.as_bytes()).await.expect("sent");
        let text = rest(&mut another).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        assert!(text.contains("connection: close"), "{text}");
    }
    for request in [
        customer(""),
        "GET / HTTP/1.1\r\nHost: bff\r\n\r\n".to_owned(),
    ] {
        let mut another = connect(&app).await;
        another.write_all(request.as_bytes()).await.expect("sent");
        let text = rest(&mut another).await;
        assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
        assert!(text.contains("\"code\":\"Overloaded\""), "{text}");
        assert!(text.contains("retry-after: 1\r\n"), "{text}");
        assert!(text.contains("connection: close"), "{text}");
    }
    let away = "engage_bff_connections_turned_away_total{listener=\"data\"} 2";
    assert_metric(&app, away).await;
    hold.release();
    assert!(answer(&mut busy).await.starts_with("HTTP/1.1 200 "));
    begun.write_all(end.as_bytes()).await.expect("sent");
    assert!(answer(&mut begun).await.starts_with("HTTP/1.1 200 "));
    let closed = "engage_bff_connections_closed_for_room_total{listener=\"data\"} 0";
    assert_metric(&app, closed).await;
}

#[tokio::test]
async fn reserve_connection_is_admitted_once_a_slot_is_free() {
    let app = with_limit(1).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let mut busy = busy(&app, &hold).await;
    let mut patient = connect(&app).await;
    let_requests_arrive().await;
    hold.release();
    assert!(answer(&mut busy).await.starts_with("HTTP/1.1 200 "));
    let text = ask(&mut patient, &customer("")).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(!text.contains("connection: close"), "{text}");
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn silent_connections_do_not_delay_probes() {
    let app = with_limit(1).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let _busy = busy(&app, &hold).await;
    let mut silent = Vec::new();
    for _ in 0..RESERVE {
        silent.push(connect(&app).await);
    }
    // Idle connections that have had their response do not delay probes either.
    for _ in 0..RESERVE {
        let mut turned_away = connect(&app).await;
        let text = ask(&mut turned_away, &customer("")).await;
        assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
        silent.push(turned_away);
        let mut probe = connect(&app).await;
        assert!(ask(&mut probe, LIVEZ).await.starts_with("HTTP/1.1 200 "));
        silent.push(probe);
    }
}

#[tokio::test]
async fn partial_heads_delay_probes_less_than_the_header_timeout() {
    let app = with_limit(1).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let _busy = busy(&app, &hold).await;
    let mut halves = Vec::new();
    for _ in 0..RESERVE {
        let mut half = connect(&app).await;
        half.write_all(b"GET /livez HT").await.expect("sent");
        halves.push(half);
    }
    let mut waiting = connect(&app).await;
    waiting.write_all(LIVEZ.as_bytes()).await.expect("sent");
    let early = timeout(TICKS, waiting.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    // The configured time-out of heads is many times longer.
    let text = timeout(PATIENCE, answer(&mut waiting)).await;
    assert!(text.expect("an answer").starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn connections_that_are_closing_are_evicted() {
    let app = TestApp::with(|config| {
        config.server.max_connections = 2;
        config.server.body_timeout = PATIENCE * 10;
    })
    .await;
    let mut ended = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&app).await;
        let endless = "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\n\
                       Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
        let text = ask(&mut stream, endless).await;
        assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
        ended.push(stream);
    }
    let mut open = vec![kept(&app).await, kept(&app).await];
    let line = "engage_bff_connections{listener=\"data\"} 2";
    assert_metric(&app, line).await;
    for stream in &mut open {
        let text = ask(stream, &customer("")).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    }
}

#[tokio::test]
async fn operations_listener_evicts_idle_connections_at_its_own_limit() {
    let app = with_limit(1).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        let stream = TcpStream::connect(app.operations).await;
        idle.push(stream.expect("a connection"));
    }
    let evicted = timeout(PATIENCE, idle[0].read_u8()).await;
    assert!(evicted.expect("it is closed").is_err());
    for target in ["/livez", "/readyz", "/metrics"] {
        app.operations(target).await.assert_ok();
    }
    let kept = timeout(TICKS, idle[199].read_u8()).await;
    assert!(kept.is_err(), "{kept:?}");
}
