//! The collector of traces: its checks, with faults of the connection and of the export.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::mpsc::{Receiver, channel},
    thread,
};

use super::{
    Online,
    tls::{Authority, in_days, proxy},
};
use crate::harness::{Engage, engage};

/// A collector that answers every message with this status. Returns its address, and a receiver of the head of each
/// message.
fn collector(status: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, heads) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
            // A connection that is closed at once checked only whether it can be opened.
            if head.is_empty() {
                continue;
            }
            let head = head.to_lowercase();
            let length = head.split_once("content-length: ").expect("a length").1;
            let length = length.lines().next().and_then(|text| text.parse().ok());
            let mut body = vec![0; length.expect("a number")];
            reader.read_exact(&mut body).expect("a whole body");
            // The test may have ended.
            let _ = sender.send(head);
            let rest = "connection: close\r\ncontent-length: 0\r\n\r\n";
            let _ = write!(stream, "HTTP/1.1 {status}\r\n{rest}");
        }
    });
    (address, heads)
}

fn with_collector_at(engage: &Engage, url: &str) -> Online {
    Online::new(&engage.simulator).with("TELEMETRY__OTLP_ENDPOINT", url)
}

#[test]
fn collector_that_takes_a_message_passes_every_check() {
    let engage = Engage::start();
    let (address, heads) = collector("200 OK");
    let checks = with_collector_at(&engage, &format!("http://{address}"))
        .with("TELEMETRY__OTLP_HEADERS", "Authorization=Bearer%20a-token")
        .check();
    checks
        .assert_only(&[])
        .assert("collector-connection", "ok", "connected to")
        .assert("collector-tls", "ok", "on this machine only")
        .assert("collector-export", "ok", "was accepted");
    let head = heads.recv().expect("a message");
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer a-token\r\n"), "{head}");
    assert!(heads.try_recv().is_err(), "one message is enough");
}

#[test]
fn collector_that_refuses_fails_with_what_to_change() {
    let engage = Engage::start();
    for (status, remedy) in [
        ("401 Unauthorized", "telemetry.otlp_headers"),
        ("404 Not Found", "without one it is /v1/traces"),
        ("415 Unsupported Media Type", "in protobuf"),
        ("503 Service Unavailable", "the collector's own log"),
    ] {
        let (address, _heads) = collector(status);
        let checks = with_collector_at(&engage, &format!("http://{address}")).check();
        checks
            .assert_only(&["collector-export"])
            .assert("collector-export", "failed", status);
        let given = checks.of("collector-export")["remedy"].to_string();
        assert!(given.contains(remedy), "{given}");
    }
}

#[test]
fn collector_of_an_unknown_name_fails_at_its_name() {
    let engage = Engage::start();
    let checks = with_collector_at(&engage, "https://collector.example.invalid").check();
    checks
        .assert_only(&["collector-name"])
        .assert("collector-name", "failed", "has no address")
        .assert_skipped(
            &["collector-connection", "collector-tls", "collector-export"],
            "collector-name",
        );
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_with_a_private_certificate_fails_with_what_to_change() {
    let engage = engage().await;
    let acceptor = Authority::new().acceptor("localhost", in_days(90));
    // What is behind the certificate does not matter.
    let url = proxy(acceptor, &engage).await;
    let online = Online::new(&engage).with("TELEMETRY__OTLP_ENDPOINT", &url);
    let checks = tokio::task::block_in_place(|| online.check());
    checks
        .assert_only(&["collector-tls"])
        .assert("collector-tls", "failed", "is not trusted")
        .assert_skipped(&["collector-export"], "collector-tls");
    let remedy = checks.of("collector-tls")["remedy"].to_string();
    assert!(remedy.contains("a public authority"), "{remedy}");
}

#[test]
fn collector_that_is_not_there_fails_at_its_connection() {
    let engage = Engage::start();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let checks = with_collector_at(&engage, &format!("http://{address}")).check();
    checks
        .assert_only(&["collector-connection"])
        .assert("collector-connection", "failed", "nothing listens there")
        .assert_skipped(
            &["collector-tls", "collector-export"],
            "collector-connection",
        );
}

#[test]
fn server_without_http_fails_at_the_message() {
    let engage = Engage::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().for_each(drop));
    let checks = with_collector_at(&engage, &format!("http://{address}")).check();
    checks.assert_only(&["collector-export"]).assert(
        "collector-export",
        "failed",
        "before an answer",
    );
    let remedy = checks.of("collector-export")["remedy"].to_string();
    assert!(remedy.contains("4318"), "{remedy}");
}
