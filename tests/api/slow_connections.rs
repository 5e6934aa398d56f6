//! A thousand concurrent connections whose peers stop in the middle, and ten whose peers read nothing: other requests
//! are answered, and the time-outs end the connections. The only waits are the configured time-outs; how long hits take
//! is not measured.
//!
//! Both ends of each connection are in this process, so these tests need some 2,100 descriptors. That is more than the
//! soft limit of many shells; `ulimit -n 4096` is enough.

use std::{io, time::Duration};

use futures_util::future::join_all;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::{
    harness::{TILL, TestApp, wait_until},
    wire::{LIVEZ, PATIENCE, answer, answers, connect, customer, rest},
};

/// The number of slow peers.
const MANY: usize = 1000;
/// The number of peers that read nothing: each fills megabytes of the system's buffers before the service notices.
const NON_READERS: usize = 10;
/// The number of other requests made in the meantime.
const HITS: usize = 50;
/// Long enough to open all connections and make the other requests; short enough to wait for.
const HELD_FOR: Duration = Duration::from_secs(3);

/// Opens a connection and sends the beginning of a request.
async fn begin(app: &TestApp, start: &[u8]) -> TcpStream {
    let mut stream = connect(app).await;
    stream.write_all(start).await.expect("sent");
    stream
}

async fn begin_many(app: &TestApp, start: &[u8]) -> Vec<TcpStream> {
    let mut held = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        held.push(begin(app, start).await);
    }
    held
}

/// Asserts that other requests are answered from memory, on one connection and on new ones.
async fn others_are_answered(app: &TestApp) {
    let mut stream = connect(app).await;
    for _ in 0..HITS {
        let request = customer("");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        assert!(text.contains("cache-status: engage-bff; hit"), "{text}");
        let mut another = begin(app, LIVEZ.as_bytes()).await;
        assert!(answer(&mut another).await.starts_with("HTTP/1.1 200 "));
    }
}

/// Whether the service has not closed the connection yet.
fn is_open(stream: &TcpStream) -> bool {
    let ended = stream.try_read(&mut [0]);
    ended.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// The bytes that arrived on each connection until the service closed it.
async fn ends(held: Vec<TcpStream>) -> Vec<String> {
    join_all(
        held.into_iter()
            .map(|mut stream| async move { rest(&mut stream).await }),
    )
    .await
}

#[tokio::test]
async fn thousand_partial_heads_block_no_other_request_and_time_out() {
    let app = TestApp::with(|config| {
        config.server.header_timeout = HELD_FOR;
        config.server.idle_timeout = PATIENCE * 10;
    })
    .await;
    app.get(&cached()).await.assert_ok();
    let calls = app.engage.total_calls();
    let held = begin_many(&app, b"GET /customer HTTP/1.1\r\nHost: bff\r\nX-Api-").await;
    others_are_answered(&app).await;
    for end in ends(held).await {
        assert_eq!(answers(&end), 0, "{end}");
    }
    others_are_answered(&app).await;
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn thousand_partial_bodies_block_no_other_request_and_time_out() {
    let app = TestApp::spawn().await;
    app.get(&cached()).await.assert_ok();
    let calls = app.engage.total_calls();
    let start = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"contactId\":"
    );
    let held = begin_many(&app, start.as_bytes()).await;
    others_are_answered(&app).await;
    // The time-out of a body uses the injected clock, which stands still until the test moves it.
    assert!(held.iter().all(is_open));
    let ended = tokio::spawn(ends(held));
    wait_until(|| {
        app.advance(Duration::from_millis(250));
        ended.is_finished()
    })
    .await;
    for end in ended.await.expect("the answers") {
        assert!(end.starts_with("HTTP/1.1 400 "), "{end}");
        assert!(end.contains("did not arrive in time"), "{end}");
        assert_eq!(answers(&end), 1, "{end}");
    }
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn clients_that_read_nothing_block_no_other_request_and_are_disconnected() {
    let app = TestApp::with(|config| config.server.write_timeout = HELD_FOR).await;
    app.get(&cached()).await.assert_ok();
    let calls = app.engage.total_calls();
    let requests = customer("").repeat(20);
    let mut held = Vec::with_capacity(NON_READERS);
    for _ in 0..NON_READERS {
        held.push(begin(&app, requests.as_bytes()).await);
    }
    // The peer reads nothing, so the service eventually reads nothing more either.
    let floods = held.iter_mut().map(|stream| async {
        loop {
            if let Err(error) = stream.write_all(requests.as_bytes()).await {
                return error.kind();
            }
        }
    });
    let floods = timeout(PATIENCE * 4, join_all(floods));
    let (ended, ()) = tokio::join!(floods, others_are_answered(&app));
    let expected = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    for end in ended.expect("the service hangs up") {
        assert!(expected.contains(&end), "{end:?}");
    }
    others_are_answered(&app).await;
    assert_eq!(app.engage.total_calls(), calls);
}

/// The query for the cached customer.
fn cached() -> String {
    format!("contactId={}", engage_simulator::fixtures::ALVA.id)
}
