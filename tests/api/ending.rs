//! Shutdown as callers see it: the delay, and responses that are the last of their connections.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::{
    fast_path::assert_same_by_both,
    harness::{Answer, SHOP, TestApp, let_requests_arrive, wait_until},
    wire::{LIVEZ, PATIENCE, answer, answers, connect, customer, rest},
};

const DELAY: Duration = Duration::from_secs(60);

/// A service with a shutdown delay, which lasts until the test advances the clock by it.
async fn delayed() -> TestApp {
    let app = TestApp::with(|config| {
        config.server.shutdown_delay = DELAY;
        config.server.idle_timeout = PATIENCE * 10;
    })
    .await;
    let query = format!("contactId={}", engage_simulator::fixtures::ALVA.id);
    app.get_as(SHOP, &query).await.assert_ok();
    app
}

async fn begin_shutdown(app: &TestApp) {
    app.begin_shutdown();
    let_requests_arrive().await;
}

fn plain() -> String {
    customer("").replace(crate::harness::TILL, SHOP)
}

#[tokio::test]
async fn service_answers_during_the_shutdown_delay_and_is_not_ready() {
    let app = delayed().await;
    let mut idle = connect(&app).await;
    idle.write_all(LIVEZ.as_bytes()).await.expect("sent");
    answer(&mut idle).await;
    begin_shutdown(&app).await;
    let ready = LIVEZ.replace("livez", "readyz");
    for (request, status) in [
        (ready, "503"),
        (LIVEZ.to_owned(), "200"),
        (customer(""), "200"),
        (plain(), "200"),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        let text = rest(&mut stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
    }
    assert_eq!(app.operations("/readyz").await.status, 503);
    app.advance(DELAY / 2);
    // A kept connection is answered once more.
    idle.write_all(plain().as_bytes()).await.expect("sent");
    let text = rest(&mut idle).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.contains("connection: close\r\n"), "{text}");
    app.advance(DELAY);
    let address = app.address;
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            let_requests_arrive().await;
        }
    };
    timeout(PATIENCE, refused)
        .await
        .expect("it stops listening");
    app.stop().await.expect("everything was finished");
}

#[tokio::test]
async fn last_response_is_the_same_by_both_paths() {
    let app = delayed().await;
    let query = format!("contactId={}", engage_simulator::fixtures::ALVA.id);
    let compressed = app.customer(SHOP, &query).header("accept-encoding", "gzip");
    Answer::of(compressed).await.assert_ok();
    begin_shutdown(&app).await;
    for more in ["", "If-None-Match: *\r\n", "Accept-Encoding: gzip\r\n"] {
        let request = plain().replace("\r\n\r\n", &format!("\r\n{more}\r\n"));
        let (_, is_taken) = assert_same_by_both(&app, request.as_bytes()).await;
        assert!(is_taken, "{more}");
    }
}

#[tokio::test]
async fn only_the_first_of_pipelined_requests_is_answered_while_stopping() {
    let app = delayed().await;
    begin_shutdown(&app).await;
    for request in [plain(), LIVEZ.to_owned()] {
        let mut stream = connect(&app).await;
        let together = request.repeat(3);
        stream.write_all(together.as_bytes()).await.expect("sent");
        let text = rest(&mut stream).await;
        assert_eq!(answers(&text), 1, "{text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
    }
}

#[tokio::test]
async fn http_1_0_keep_alive_connection_closes_too() {
    let app = delayed().await;
    begin_shutdown(&app).await;
    let request = plain().replace("HTTP/1.1", "HTTP/1.0");
    let request = request.replace("Host: bff", "Host: bff\r\nConnection: keep-alive");
    let mut stream = connect(&app).await;
    stream.write_all(request.as_bytes()).await.expect("sent");
    let text = rest(&mut stream).await;
    assert!(text.starts_with("HTTP/1.0 200 "), "{text}");
    assert!(!text.contains("keep-alive"), "{text}");
}

#[tokio::test]
async fn request_begun_before_the_drain_is_answered() {
    let app = TestApp::spawn().await;
    let request = customer("");
    let (start, end) = request.split_at(30);
    let mut begun = connect(&app).await;
    begun.write_all(start.as_bytes()).await.expect("sent");
    let mut idle = connect(&app).await;
    let_requests_arrive().await;
    app.begin_shutdown();
    // When the idle connection is closed, the other would be closed too if it counted as idle.
    assert_eq!(rest(&mut idle).await, "");
    begun.write_all(end.as_bytes()).await.expect("sent");
    let text = rest(&mut begun).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.contains("connection: close\r\n"), "{text}");
    let operations = app.operations;
    app.stop().await.expect("everything was finished");
    wait_until(|| std::net::TcpStream::connect(operations).is_err()).await;
}
