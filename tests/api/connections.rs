//! Connections that are slow, idle, or read nothing, and the shutdown. Raw sockets, and waits in real time: the
//! configured time-outs, or a few times as long.

use std::{io, time::Duration};

use engage_bff::config::Config;
use engage_simulator::{Endpoint, fixtures::ALVA};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness::TestApp,
    wire::{LIVEZ, PATIENCE, answer, answers, connect, customer, rest},
};

/// A time-out short enough for a test to wait for.
const SHORT: Duration = Duration::from_millis(200);

/// A short time-out for heads, a long one for idling.
pub(crate) fn with_short_head(config: &mut Config) {
    config.server.header_timeout = SHORT;
    config.server.idle_timeout = PATIENCE * 10;
}

#[tokio::test]
async fn partial_head_closes_the_connection_after_the_header_timeout() {
    let app = TestApp::with(with_short_head).await;
    let mut stream = connect(&app).await;
    stream.write_all(b"GET /livez HT").await.expect("sent");
    assert_eq!(answers(&rest(&mut stream).await), 0);
    // The same after a response.
    let mut stream = connect(&app).await;
    stream.write_all(LIVEZ.as_bytes()).await.expect("sent");
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    stream.write_all(b"G").await.expect("sent");
    assert_eq!(answers(&rest(&mut stream).await), 0);
}

#[tokio::test]
async fn partial_head_after_a_complete_request_has_the_same_timeout() {
    let app = TestApp::with(with_short_head).await;
    let mut stream = connect(&app).await;
    let request = format!("{LIVEZ}GET /livez HT");
    stream.write_all(request.as_bytes()).await.expect("sent");
    assert_eq!(answers(&rest(&mut stream).await), 1);
}

#[tokio::test]
async fn last_response_arrives_while_the_client_is_still_sending() {
    let app = TestApp::spawn().await;
    for request in [
        customer("Connection: close\r\n"),
        // hyper refuses it and closes.
        "GET /livez HTTP/9.9\r\n\r\n".to_owned(),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        let first = stream.read_u8().await.expect("an answer");
        stream.write_all(&vec![b'a'; 100_000]).await.expect("sent");
        let mut text = Vec::from([first]);
        let read = timeout(PATIENCE, stream.read_to_end(&mut text)).await;
        read.expect("the service hangs up").expect("no reset");
        assert!(text.starts_with(b"HTTP/1.1 "), "{text:?}");
    }
}

#[tokio::test]
async fn slowly_sent_head_does_not_extend_the_header_timeout() {
    let app = TestApp::with(with_short_head).await;
    let mut stream = connect(&app).await;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: ")
        .await
        .expect("sent");
    let (mut reading, mut writing) = stream.split();
    let mut ticks = tokio::time::interval(SHORT / 10);
    let dribble = async {
        loop {
            ticks.tick().await;
            if writing.write_all(b"a").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut end = Vec::new();
    let ended = timeout(PATIENCE, async {
        tokio::select! {
            end = reading.read_to_end(&mut end) => { let _ = end; },
            () = dribble => {},
        }
    });
    ended.await.expect("the service hangs up");
    assert_eq!(end, b"");
}

#[tokio::test]
async fn idle_connection_closes_after_the_idle_timeout_not_the_header_timeout() {
    let app = TestApp::with(with_short_head).await;
    let mut stream = connect(&app).await;
    for request in [LIVEZ.to_owned(), customer(""), LIVEZ.to_owned()] {
        stream.write_all(request.as_bytes()).await.expect("sent");
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        let hung_up = timeout(SHORT * 3, stream.read_u8()).await;
        assert!(hung_up.is_err(), "hung up after {hung_up:?}");
    }
    let app = TestApp::with(|config| config.server.idle_timeout = SHORT).await;
    let mut stream = connect(&app).await;
    stream.write_all(LIVEZ.as_bytes()).await.expect("sent");
    assert_eq!(answers(&rest(&mut stream).await), 1);
    let mut silent = connect(&app).await;
    assert_eq!(rest(&mut silent).await, "");
}

#[tokio::test]
async fn slow_engage_call_does_not_trigger_connection_timeouts() {
    let app = TestApp::with(|config| {
        config.server.header_timeout = SHORT;
        config.server.idle_timeout = SHORT;
        config.server.write_timeout = SHORT;
    })
    .await;
    let hold = app.engage.hold(Endpoint::Overview);
    let mut stream = connect(&app).await;
    stream
        .write_all(customer("").as_bytes())
        .await
        .expect("sent");
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let early = timeout(SHORT * 3, stream.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    hold.release();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn client_that_reads_nothing_loses_the_connection() {
    let app = TestApp::with(|config| config.server.write_timeout = SHORT).await;
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
    let mut stream = connect(&app).await;
    let request = customer("").repeat(100);
    let flood = async {
        loop {
            // The client reads nothing, so the service eventually stops reading.
            if let Err(error) = stream.write_all(request.as_bytes()).await {
                return error.kind();
            }
        }
    };
    let end = timeout(PATIENCE, flood)
        .await
        .expect("the service hangs up");
    let expected = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    assert!(expected.contains(&end), "{end:?}");
}

#[tokio::test]
async fn shutdown_finishes_requests_under_way_and_accepts_no_others() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let mut idle = connect(&app).await;
    idle.write_all(LIVEZ.as_bytes()).await.expect("sent");
    answer(&mut idle).await;
    let mut busy = connect(&app).await;
    busy.write_all(customer("").as_bytes()).await.expect("sent");
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.begin_shutdown();
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(app.address).await.is_err());
    hold.release();
    let text = rest(&mut busy).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.to_lowercase().contains("connection: close"), "{text}");
    app.stop().await.expect("everything was finished");
}

#[tokio::test]
async fn shutdown_ends_after_its_grace() {
    let app = TestApp::with(|config| config.server.shutdown_grace = SHORT).await;
    let _hold = app.engage.hold(Endpoint::Overview);
    let mut busy = connect(&app).await;
    busy.write_all(customer("").as_bytes()).await.expect("sent");
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let stopped = timeout(PATIENCE, app.stop()).await;
    assert!(stopped.expect("it stops").is_err());
}
