//! Harmless variations of Engage's answers, as another server, a newer version or a proxy might write them, with the
//! same meaning.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use engage_simulator::fixtures::{ALVA, BO};
use serde_json::json;

use super::rewriter::{Rewrite, Rewriter};
use crate::harness::TestApp;

const JSON: &str = "content-type: application/json\r\n";

/// The answer with a head of these lines and a content length.
fn with_head(lines: &'static str) -> Rewrite {
    Arc::new(move |status, body| (whole("HTTP/1.1", status, " OK", lines, body), false))
}

fn whole(version: &str, status: u16, reason: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{version} {status}{reason}\r\n{lines}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The answer with bytes before and after its body.
fn with_body(before: &'static [u8], after: &'static [u8]) -> Rewrite {
    Arc::new(move |status, body| {
        let body = [before, body, after].concat();
        (whole("HTTP/1.1", status, " OK", JSON, &body), false)
    })
}

/// The answer after other bytes.
fn after(bytes: &'static str) -> Rewrite {
    Arc::new(move |status, body| {
        let whole = whole("HTTP/1.1", status, " OK", JSON, body);
        ([bytes.as_bytes(), &whole].concat(), false)
    })
}

/// The answer in chunks, with additional header lines.
fn in_chunks(lines: &'static str, extension: &'static str, trailer: &'static str) -> Rewrite {
    Arc::new(move |status, body| {
        let head =
            format!("HTTP/1.1 {status} OK\r\n{JSON}{lines}transfer-encoding: chunked\r\n\r\n");
        let mut bytes = head.into_bytes();
        for chunk in body.chunks(1000) {
            bytes.extend(format!("{:X}{extension}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(format!("0\r\n{trailer}\r\n").into_bytes());
        (bytes, false)
    })
}

/// The answer, with the end of the connection as the end of its body.
fn to_the_end(version: &'static str, lines: &'static str) -> Rewrite {
    Arc::new(move |status, body| {
        let head = format!("{version} {status} OK\r\n{JSON}{lines}\r\n");
        ([head.as_bytes(), body].concat(), true)
    })
}

fn first_line(version: &'static str, reason: &'static str, lines: &'static str) -> Rewrite {
    Arc::new(move |status, body| {
        let ends = lines.contains("close") || version == "HTTP/1.0" && lines == JSON;
        (whole(version, status, reason, lines, body), ends)
    })
}

fn harmless() -> Vec<(&'static str, Rewrite)> {
    let mut all: Vec<(&str, Rewrite)> = [
        "content-type: application/json;charset=UTF8\r\n",
        "content-type: application/json ; charset=\"utf-8\"; version=3\r\n",
        "content-type: application/json; profile=\"a, b\"\r\n",
        "content-type: application/json;\r\n charset=utf-8\r\nx-folded: one\r\n\ttwo\r\n",
        "content-type: Application/JSON\r\n",
        "content-type:application/json;\r\n",
        "content-type: text/json; charset=utf-8\r\n",
        "content-type: application/vnd.voyado.v3+JSON\r\n",
        "content-type: application/json\r\ncontent-type: application/json\r\n",
        "content-type: application/json, application/json\r\n",
        "content-type:\r\n",
        "x-nothing: at all\r\n",
        "CONTENT-TYPE: application/json\r\nCACHE-CONTROL: no-store\r\n",
        "content-type: application/json\r\ncontent-encoding: identity\r\n",
        "content-type: application/json\r\nContent-Encoding: Identity\r\n",
        "content-type: application/json\r\ncontent-encoding:\r\n",
        "content-type: application/json\r\ncontent-encoding: identity, IDENTITY\r\n",
        "content-type: application/json\r\ncontent-encoding: , identity ,\r\n",
        "content-type: application/json\r\ncontent-encoding: identity\r\ncontent-encoding:  \r\n",
        "content-type: application/json\r\nset-cookie: a=b\r\nkeep-alive: timeout=5\r\nx-odd: \t \r\n",
        "content-type: application/json\r\nconnection: Keep-Alive\r\nx-server: sm\u{f6}r\r\n",
    ]
    .into_iter()
    .map(|lines| (lines, with_head(lines)))
    .collect();
    all.extend([
        ("a byte order mark", with_body("\u{feff}".as_bytes(), b"")),
        ("line ends after the body", with_body(b"", b"\r\n\n \t\n")),
        ("line ends before the body", with_body(b"\r\n ", b"")),
        (
            "a byte order mark and line ends",
            with_body("\u{feff}\r\n".as_bytes(), b"\n"),
        ),
        ("a 100 before", after("HTTP/1.1 100 Continue\r\n\r\n")),
        (
            "103 and 102 before",
            after(
                "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\nHTTP/1.1 102\r\n\r\n",
            ),
        ),
        ("an empty line before", after("\r\n")),
        ("chunks", in_chunks("", "", "")),
        (
            "extensions and a trailer",
            in_chunks("", ";a=\"b\"", "x-sum: 1\r\n"),
        ),
        (
            "chunks and a content length",
            in_chunks("content-length: 7\r\n", "", ""),
        ),
        ("no content length", to_the_end("HTTP/1.1", "")),
        (
            "no content length and connection: close",
            to_the_end("HTTP/1.1", "connection: close\r\n"),
        ),
        ("HTTP/1.0 without a length", to_the_end("HTTP/1.0", "")),
        ("HTTP/1.0", first_line("HTTP/1.0", " OK", JSON)),
        (
            "HTTP/1.0 with keep-alive",
            first_line(
                "HTTP/1.0",
                " OK",
                "content-type: application/json\r\nconnection: keep-alive\r\n",
            ),
        ),
        (
            "a close after each answer",
            first_line(
                "HTTP/1.1",
                " OK",
                "content-type: application/json\r\nConnection: Close\r\n",
            ),
        ),
        ("an empty reason", first_line("HTTP/1.1", " ", JSON)),
        ("no reason", first_line("HTTP/1.1", "", JSON)),
        (
            "another reason",
            first_line("HTTP/1.1", " Tr\u{e8}s bien", JSON),
        ),
        (
            "203 of a proxy",
            Arc::new(|status, body| {
                let status = if status == 200 { 203 } else { status };
                (whole("HTTP/1.1", status, " OK", JSON, body), false)
            }),
        ),
    ]);
    all
}

async fn behind(rewrite: Rewrite) -> (TestApp, Rewriter) {
    let rewriter = Rewriter::start(rewrite).await;
    let mut simulator = String::new();
    let app = TestApp::with(|config| {
        simulator = std::mem::replace(&mut config.engage.base_url, rewriter.base_url());
    })
    .await;
    rewriter.forward_to(simulator);
    (app, rewriter)
}

#[tokio::test]
async fn harmless_variations_are_accepted_at_every_endpoint() {
    for (what, rewrite) in harmless() {
        let (app, rewriter) = behind(rewrite).await;
        let query = format!("email={}&fresh=all", ALVA.email.replace('@', "%40"));
        let answer = app.get(&query).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_eq!(answer.at("/degraded"), json!([]), "{what}");
        assert_eq!(answer.at("/points/balance"), json!(317.5), "{what}");
        assert_eq!(answer.at("/profile/email"), ALVA.email, "{what}");
        let unknown = app.get("email=unknown%40example.com").await;
        unknown.assert_problem(404, "ContactNotFound");
        // The overview, the resolution and each entity endpoint.
        assert!(
            rewriter.heads().len() >= 6,
            "{what}: {:?}",
            rewriter.heads()
        );
    }
}

#[tokio::test]
async fn unrequested_content_codings_and_types_are_502() {
    for lines in [
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        "content-type: application/json\r\ncontent-encoding: identity, br\r\n",
        "content-type: application/json\r\ncontent-encoding: identity\r\ncontent-encoding: zstd\r\n",
        "content-type: application/json\r\ncontent-encoding: x-identity\r\n",
        "content-type: text/plain\r\n",
        "content-type: text/html, application/json\r\n",
        "content-type: application/jsonp\r\n",
    ] {
        let (app, _rewriter) = behind(with_head(lines)).await;
        let answer = app.get(&format!("contactId={}&parts=none", ALVA.id)).await;
        assert_eq!(answer.status, 502, "{lines}");
        answer.assert_problem(502, "UpstreamInvalid");
    }
}

#[tokio::test]
async fn request_answered_by_408_on_a_pooled_connection_is_repeated() {
    let answers = AtomicUsize::new(0);
    let (app, rewriter) = behind(Arc::new(move |status, body| {
        // Every second request is answered this way: the one on the pooled connection.
        if answers.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            let lines = "connection: close\r\n";
            return (whole("HTTP/1.1", 408, " Request Timeout", lines, b""), true);
        }
        (whole("HTTP/1.1", status, " OK", JSON, body), false)
    }))
    .await;
    for person in [&ALVA, &BO] {
        app.get(&format!("contactId={}&parts=none", person.id))
            .await
            .assert_ok();
    }
    assert_eq!(rewriter.heads().len(), 3);
}

#[tokio::test]
async fn upstream_calls_send_accept_encoding_identity() {
    let (app, rewriter) = behind(with_head(JSON)).await;
    app.get(&format!("contactId={}&fresh=all", ALVA.id))
        .await
        .assert_ok();
    for head in rewriter.heads() {
        let head = head.to_ascii_lowercase();
        assert!(head.contains("\r\naccept-encoding: identity\r\n"), "{head}");
    }
}
