//! The response as a stream: old clients, slow ones, those that disconnect, and a service that shuts down.

use std::time::Duration;

use engage_simulator::{Endpoint, fixtures::ALVA};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{PATH, Reader, by_id, counted};
use crate::{
    harness::{SHOP, TILL, TestApp, let_requests_arrive, wait_until},
    wire::{PATIENCE, answer, connect, customer, rest},
};

/// The bytes of a request.
fn request(version: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!(
        "POST {PATH} {version}\r\nHost: bff\r\nX-Api-Key: {TILL}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn client_of_http_1_0_gets_lines_without_chunks_until_the_close() {
    let app = TestApp::spawn().await;
    let body = json!({"lookups": [{"contactId": ALVA.id}, {"contactId": "1"}]});
    let mut stream = connect(&app).await;
    let request = request("HTTP/1.0", &body);
    stream.write_all(request.as_bytes()).await.expect("sent");
    let text = rest(&mut stream).await;
    let (head, lines) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("JSON");
    }
}

/// Reads until the last chunk of a response.
async fn chunked(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = async {
        while !text.ends_with(b"\r\n0\r\n\r\n") {
            text.push(stream.read_u8().await.expect("a response"));
        }
    };
    timeout(PATIENCE, read).await.expect("a response in time");
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn connection_is_kept_after_the_last_line() {
    let app = TestApp::spawn().await;
    let body = json!({"lookups": [{"contactId": ALVA.id}, {"contactId": "1"}]});
    let batch = request("HTTP/1.1", &body);
    let plain = customer("").replace(TILL, SHOP);
    let mut stream = connect(&app).await;
    // The next request is sent together with the batch, then after it. The last one takes the fast path.
    for requests in [batch.clone() + &plain, batch] {
        stream.write_all(requests.as_bytes()).await.expect("sent");
        let text = chunked(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        assert_eq!(text.matches("{\"index\":").count(), 2, "{text}");
        if requests.ends_with(&plain) {
            let text = answer(&mut stream).await;
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        }
    }
    let taken = app.fast_path_total();
    stream.write_all(plain.as_bytes()).await.expect("sent");
    let text = answer(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert_eq!(app.fast_path_total(), taken + 1);
}

#[tokio::test]
async fn disconnected_caller_ends_the_batch_and_its_calls_continue() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let ids = app.engage.contact_ids().split_off(5);
    let reader = Reader::open(&app, TILL, &json!({"lookups": by_id(&ids[..40])})).await;
    app.engage.wait_for_calls(Endpoint::Overview, 8).await;
    drop(reader);
    for _ in 0..100 {
        if counted(&app, "abandoned").await == 40 {
            break;
        }
        let_requests_arrive().await;
    }
    assert_eq!(counted(&app, "abandoned").await, 40);
    hold.release();
    wait_until(|| app.engage.in_flight() == 0).await;
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 8);
    app.get_until(&format!("contactId={}&parts=none", ids[0]), |answer| {
        answer.header("cache-status").contains("; hit")
    })
    .await;
}

#[tokio::test]
async fn stalled_reader_starts_no_call_and_is_disconnected() {
    let app =
        TestApp::with(|config| config.server.write_timeout = Duration::from_millis(300)).await;
    let ids = app.engage.contact_ids().split_off(5);
    // Lines of many kilobytes, so that the buffers of the sockets are soon full.
    for id in ids.iter().take(4) {
        let text = "x".repeat(250 << 10);
        app.engage.contact(id).attribute("longText", json!(text));
        app.get(&format!("contactId={id}&parts=none"))
            .await
            .assert_ok();
    }
    let calls = app.engage.total_calls();
    let mut lookups = Vec::new();
    for _ in 0..20 {
        lookups.extend(by_id(&ids[..4]));
    }
    lookups.extend(by_id(&ids[4..20]));
    let mut stream = connect(&app).await;
    let request = request("HTTP/1.1", &json!({"lookups": lookups, "deadline": "10s"}));
    stream.write_all(request.as_bytes()).await.expect("sent");
    for _ in 0..400 {
        if counted(&app, "abandoned").await > 0 {
            break;
        }
        let_requests_arrive().await;
    }
    let (held, abandoned) = (
        counted(&app, "held").await,
        counted(&app, "abandoned").await,
    );
    assert!(
        abandoned >= 16 && held + abandoned == 96,
        "{held} {abandoned}"
    );
    assert_eq!(app.engage.total_calls(), calls);
    drop(stream);
}

#[tokio::test]
async fn shutdown_lets_a_batch_finish() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let ids = app.engage.contact_ids().split_off(5);
    let mut reader = Reader::open(&app, TILL, &json!({"lookups": by_id(&ids[..12])})).await;
    app.engage.wait_for_calls(Endpoint::Overview, 8).await;
    app.begin_shutdown();
    let_requests_arrive().await;
    hold.release();
    for _ in 0..12 {
        let line = reader.next().await.expect("a line");
        assert_eq!(line["status"], json!(200), "{line}");
    }
    assert_eq!(reader.next().await, None);
    app.stop().await.expect("everything was finished");
}
