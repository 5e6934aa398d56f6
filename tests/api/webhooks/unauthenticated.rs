//! Forged and partial deliveries do not block Engage's deliveries; one of Engage's that arrives too slowly loses its
//! buffer and counts as missed.

use std::{fmt::Write as _, time::Duration};

use engage_bff::config::Config;
use reqwest::header::HeaderMap;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    ALVA, DEFAULT_WEBHOOK_SECRET, TestApp, assert_accepted, count, deliver, feed::state, signed,
    with_secret,
};
use crate::wire::{answer, connect};

/// Another secret.
const WRONG_SECRET: &str = "whsec_b3RoZXI=";

/// A small buffer: 256 bodies of 1 KiB, 64 of them per peer.
fn with_small_buffer(config: &mut Config) {
    with_secret(config);
    config.webhooks.max_body = bytesize::ByteSize::kib(1);
    config.server.body_timeout = Duration::from_secs(3600);
}

/// Sends a delivery's head and part of its body.
async fn begin(app: &TestApp, headers: &HeaderMap, length: usize, part: &str) -> TcpStream {
    let mut head =
        format!("POST /webhooks/engage HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        let value = value.to_str().expect("text");
        write!(head, "{name}: {value}\r\n").expect("writing to a String does not fail");
    }
    let mut stream = connect(app).await;
    let request = format!("{head}\r\n{part}");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

async fn begin_forged(app: &TestApp, many: usize, part: &str) -> Vec<TcpStream> {
    let mut forged = Vec::new();
    for number in 0..many {
        let headers = signed(WRONG_SECRET, &format!("msg_{number}"), 0, part);
        forged.push(begin(app, &headers, 1000, part).await);
    }
    forged
}

#[tokio::test]
async fn forged_deliveries_without_a_body_block_no_delivery() {
    let app = TestApp::with(with_secret).await;
    let forged = begin_forged(&app, 300, "").await;
    assert_accepted(&deliver(&app, "contact.updated", ALVA.id).await);
    drop(forged);
}

#[tokio::test]
async fn forged_deliveries_with_partial_bodies_block_no_delivery() {
    let app = TestApp::with(with_small_buffer).await;
    let forged = begin_forged(&app, 300, &"x".repeat(999)).await;
    for _ in 0..3 {
        assert_accepted(&deliver(&app, "contact.updated", ALVA.id).await);
    }
    assert_eq!(state(&app).await, "working");
    drop(forged);
}

#[tokio::test]
async fn delivery_without_buffer_space_is_503_and_counts_as_missed() {
    let app = TestApp::with(with_small_buffer).await;
    assert_accepted(&deliver(&app, "contact.created", ALVA.id).await);
    let mut slow = Vec::new();
    for number in 0..3 {
        let (_, body) = app.engage.webhook("contact.updated", ALVA.id);
        let id = format!("msg_slow_{number}");
        let headers = signed(DEFAULT_WEBHOOK_SECRET, &id, 0, &body);
        let (begun, rest) = body.split_at(10);
        let stream = begin(&app, &headers, body.len(), begun).await;
        slow.push((stream, rest.to_owned(), headers, body));
    }
    let forged = begin_forged(&app, 100, "x").await;
    // Deliveries on other connections are read after the partial bodies.
    assert_accepted(&deliver(&app, "contact.created", ALVA.id).await);
    for (mut stream, rest, headers, body) in slow {
        stream.write_all(rest.as_bytes()).await.expect("sent");
        let text = answer(&mut stream).await;
        assert!(
            text.starts_with("HTTP/1.1 503 ") && text.contains("Overloaded"),
            "{text}"
        );
        assert_accepted(&app.deliver(headers, body).await);
    }
    assert_eq!(count(&app, "(unread)", "overloaded").await, Some(3));
    assert_eq!(state(&app).await, "failing");
    drop(forged);
}
