//! The fast path: a plain hit that arrives in one piece is answered from the connection's bytes, one that arrives in
//! pieces by hyper, and both responses are the same. The metric `customer_fast_path_total` shows which path was taken.

mod corpus;
mod documented;
mod limits;

use std::time::Duration;

use engage_bff::domain::IdentifierKind;
use engage_simulator::{Endpoint, fixtures::ALVA};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use self::corpus::{PARAMETERS, requests, value_of};
use crate::{
    harness::{SHOP, TILL, TestApp, percent_encoded},
    wire::{LIVEZ, PATIENCE, answer, answers, connect, rest},
};

const LAST: &str = "GET /livez HTTP/1.1\r\nHost: bff\r\nConnection: close\r\n\r\n";
/// How many requests are generated.
const REQUESTS: usize = 1000;

/// How the bytes of a request arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// At once: the fast path may answer.
    Whole,
    /// The first byte separately from the others: hyper answers.
    InPieces,
}

/// Sends the request, then one more that closes the connection. Returns everything received.
async fn exchange(app: &TestApp, request: &[u8], delivery: Delivery) -> String {
    let mut stream = connect(app).await;
    match delivery {
        Delivery::Whole => stream.write_all(request).await.expect("sent"),
        Delivery::InPieces => {
            let (first, others) = request.split_at(1);
            stream.write_all(first).await.expect("sent");
            // When another connection has been answered, the service has read the first piece.
            let mut other = connect(app).await;
            other.write_all(LIVEZ.as_bytes()).await.expect("sent");
            answer(&mut other).await;
            stream.write_all(others).await.expect("sent");
        }
    }
    let mut text = head(&mut stream).await;
    let is_bare = request.starts_with(b"HEAD") || text.starts_with("HTTP/1.1 304");
    let mut body = vec![0; if is_bare { 0 } else { length(&text) }];
    stream.read_exact(&mut body).await.expect("a body");
    text.push_str(&String::from_utf8_lossy(&body));
    // Whether the connection stays open must be the same, too.
    let _ = stream.write_all(LAST.as_bytes()).await;
    text.push_str(&rest(&mut stream).await);
    text
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a response"));
        }
    };
    timeout(PATIENCE, read).await.expect("a response in time");
    String::from_utf8(head).expect("a head in ASCII")
}

fn length(head: &str) -> usize {
    let length = head.split("content-length: ").nth(1).unwrap_or("0");
    length
        .lines()
        .next()
        .map_or(0, |line| line.parse().expect("a length"))
}

/// The text without the two allowed differences: `Date`, which hyper takes from the machine and the fast path from the
/// injected clock, and request ids that the service generated.
fn comparable(text: &str) -> String {
    let lines = text.split("\r\n");
    let lines = lines.filter(|line| !line.starts_with("date: "));
    lines.map(without_made_up_id).collect::<Vec<_>>().join("\n")
}

fn without_made_up_id(line: &str) -> String {
    match line.strip_prefix("x-request-id: ") {
        Some(id) if id.len() == 36 => "x-request-id: made up".to_owned(),
        _ => match line.split_once("\"requestId\":\"") {
            Some((before, after)) if after.find('"') == Some(36) => {
                format!("{before}\"requestId\":\"{}", &after[36..])
            }
            _ => line.to_owned(),
        },
    }
}

/// Sends the request in pieces, then whole, while the clock stands still. Asserts that the responses are the same and
/// that the fast path answered either only the second or neither. Returns the response and whether the fast path
/// answered.
pub(crate) async fn assert_same_by_both(app: &TestApp, request: &[u8]) -> (String, bool) {
    let before = app.fast_path_total();
    let by_hyper = exchange(app, request, Delivery::InPieces).await;
    assert_eq!(app.fast_path_total(), before, "hyper answers pieces");
    let whole = exchange(app, request, Delivery::Whole).await;
    let taken = app.fast_path_total() - before;
    assert!(taken <= 1, "{taken}");
    let request = String::from_utf8_lossy(request);
    documented::check(&request, &whole);
    let (by_hyper, whole) = (comparable(&by_hyper), comparable(&whole));
    assert_eq!(by_hyper, whole, "in pieces and whole, of:\n{request}");
    (whole, taken == 1)
}

fn by(identifier: &str, more: &str) -> String {
    format!("GET /customer?{identifier} HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {SHOP}\r\n{more}\r\n")
}

fn hit(more: &str) -> String {
    by(&format!("email={}", ALVA.email), more)
}

async fn etag(app: &TestApp) -> String {
    let first = exchange(app, hit("").as_bytes(), Delivery::Whole).await;
    let etag = first.split("etag: ").nth(1).expect("an ETag");
    etag.lines().next().expect("a line").to_owned()
}

#[tokio::test]
async fn generated_requests_get_the_same_response_by_both_paths() {
    let app = TestApp::spawn().await;
    let requests = requests(&etag(&app).await);
    let mut runner = TestRunner::deterministic();
    let mut taken = 0;
    for _ in 0..REQUESTS {
        let request = requests.new_tree(&mut runner).expect("a request").current();
        let bytes = request.text.as_bytes();
        // The first exchange fills the cache and starts compression, so that nothing changes between the two responses
        // that are compared.
        exchange(&app, bytes, Delivery::Whole).await;
        let (response, is_taken) = assert_same_by_both(&app, bytes).await;
        let status = &response[9..12];
        let is_hit =
            matches!(status, "200" | "304") && response.contains("cache-status: engage-bff; hit");
        // `prefer` is handled outside of the fast path.
        let is_choice = request.text.contains("&prefer=");
        let expected = request.is_plain && is_hit && !request.is_full_view && !is_choice;
        assert_eq!(is_taken, expected, "{}\n{response}", request.text);
        taken += usize::from(is_taken);
    }
    assert!(taken > REQUESTS / 10, "only {taken} took the fast path");
}

#[tokio::test]
async fn parameters_other_than_fresh_prefer_and_full_take_the_fast_path() {
    let app = TestApp::spawn().await;
    let by_kind = IdentifierKind::ALL.map(|kind| {
        let query = format!("{}={}", kind.as_str(), percent_encoded(value_of(kind)));
        // National ids are refused in URLs, and the client `shop` may not use `any`.
        let is_refused = matches!(
            kind,
            IdentifierKind::SocialSecurityNumber | IdentifierKind::Any
        );
        (query, !is_refused)
    });
    let by_parameter = PARAMETERS.iter().flat_map(|(name, values)| {
        values.iter().map(move |value| {
            let is_slow =
                matches!(*name, "fresh" | "prefer") || matches!(*value, "full" | "Contact");
            (format!("email={}&{name}={value}", ALVA.email), !is_slow)
        })
    });
    for (query, expected) in by_kind.into_iter().chain(by_parameter) {
        let request = by(&query, "");
        exchange(&app, request.as_bytes(), Delivery::Whole).await;
        let (response, is_taken) = assert_same_by_both(&app, request.as_bytes()).await;
        assert_eq!(is_taken, expected, "{query}: {response}");
        assert!(!response.contains("no such parameter"), "{query}");
    }
}

#[tokio::test]
async fn hits_of_both_paths_are_the_same_while_they_age() {
    let app = TestApp::spawn().await;
    let etag = etag(&app).await;
    let requests = [
        hit(""),
        hit("Accept-Encoding: gzip\r\n"),
        hit(&format!("If-None-Match: {etag}\r\n")),
    ];
    // Starts compression.
    exchange(&app, requests[1].as_bytes(), Delivery::Whole).await;
    // Points are fresh for 30 s and stale for another 30 s. Nothing changes while the refresh is held back.
    for (step, is_stale) in [(0, false), (20, false), (20, true)] {
        app.advance(Duration::from_secs(step));
        let hold = app.engage.hold(Endpoint::All);
        for request in &requests {
            let (response, is_taken) = assert_same_by_both(&app, request.as_bytes()).await;
            assert!(is_taken, "{response}");
            assert_eq!(response.contains("; ttl=-"), is_stale, "{response}");
        }
        hold.release();
    }
    // Expired: a request waits for Engage, so only hyper answers it.
    app.get_until(&format!("email={}", ALVA.email), |answer| answer.ttl() > 0)
        .await;
    app.advance(Duration::from_secs(3600));
    let before = app.fast_path_total();
    let response = exchange(&app, requests[0].as_bytes(), Delivery::Whole).await;
    assert!(response.contains("; fwd=stale"), "{response}");
    assert_eq!(app.fast_path_total(), before);
    let (_, is_taken) = assert_same_by_both(&app, requests[0].as_bytes()).await;
    assert!(is_taken);
}

#[tokio::test]
async fn disabled_fast_path_is_never_taken_and_responses_are_the_same() {
    let on = TestApp::spawn().await;
    let off = TestApp::with(|config| config.server.fast_path = false).await;
    let etag = etag(&on).await;
    exchange(&off, hit("").as_bytes(), Delivery::Whole).await;
    for more in [
        String::new(),
        "Accept-Encoding: gzip\r\n".to_owned(),
        // The response has been compressed by now.
        "Accept-Encoding: gzip\r\n".to_owned(),
        format!("If-None-Match: {etag}\r\n"),
        "No-Colon\r\n".to_owned(),
    ] {
        let request = hit(&more);
        let of_on = exchange(&on, request.as_bytes(), Delivery::Whole).await;
        let of_off = exchange(&off, request.as_bytes(), Delivery::Whole).await;
        let (of_off, of_on) = (without_ttl(&of_off), without_ttl(&of_on));
        assert_eq!(of_off, of_on, "{more}");
    }
    assert_eq!(on.fast_path_total(), 4);
    assert_eq!(off.fast_path_total(), 0);
}

/// Lifetimes are spread at random, so two services differ by their `ttl`.
fn without_ttl(text: &str) -> String {
    let text = comparable(text);
    let Some((before, after)) = text.split_once("; ttl=") else {
        return text;
    };
    format!(
        "{before}{}",
        after.trim_start_matches(|c: char| c.is_ascii_digit())
    )
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_by_either_path() {
    let app = TestApp::spawn().await;
    let known = hit("X-Request-Id: known\r\n");
    let unknown = |name: &str| {
        format!(
            "GET /customer?email={name}@example.com HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\nX-Request-Id: {name}\r\n\r\n"
        )
    };
    let body = format!(r#"{{"email":"{}"}}"#, ALVA.email);
    let posted = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\nX-Request-Id: posted\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(&app, known.as_bytes(), Delivery::Whole).await;
    let all = [
        known.clone(),
        unknown("a"),
        known.clone(),
        posted,
        known.clone(),
        unknown("b"),
        known.clone(),
    ];
    let ids = ["known", "a", "known", "posted", "known", "b", "known"];
    let text = all.concat();
    // The text is cut at many places, so that pieces end and begin within heads, within the body, and between requests.
    for cut in (1..text.len()).step_by(7) {
        let before = app.fast_path_total();
        let mut stream = connect(&app).await;
        stream.write_all(known.as_bytes()).await.expect("sent");
        answer(&mut stream).await;
        assert_eq!(app.fast_path_total(), before + 1, "cut at {cut}");
        let (first, second) = text.split_at(cut);
        stream.write_all(first.as_bytes()).await.expect("sent");
        let whole_in_first = (1..=all.len())
            .filter(|n| all[..*n].concat().len() <= cut)
            .count();
        let mut seen = Vec::new();
        for _ in 0..whole_in_first {
            seen.push(id_of(&answer(&mut stream).await));
        }
        stream.write_all(second.as_bytes()).await.expect("sent");
        for _ in whole_in_first..all.len() {
            seen.push(id_of(&answer(&mut stream).await));
        }
        assert_eq!(seen, ids, "cut at {cut}");
        // hyper has finished, so the fast path is taken again.
        let before = app.fast_path_total();
        stream.write_all(known.as_bytes()).await.expect("sent");
        answer(&mut stream).await;
        assert_eq!(app.fast_path_total(), before + 1, "cut at {cut}");
        stream.write_all(LAST.as_bytes()).await.expect("sent");
        assert_eq!(answers(&rest(&mut stream).await), 1, "cut at {cut}");
    }
}

fn id_of(response: &str) -> String {
    let id = response.split("x-request-id: ").nth(1).expect("an id");
    id.lines().next().expect("a line").to_owned()
}

#[tokio::test]
async fn each_request_counts_once_against_the_clients_rate_by_either_path() {
    use Delivery::{InPieces, Whole};
    for deliveries in [[Whole, Whole], [Whole, InPieces], [InPieces, Whole]] {
        let app = TestApp::with(|config| {
            let shop = config
                .auth
                .clients
                .iter_mut()
                .find(|client| client.id == "shop");
            shop.expect("the shop").requests_per_second = Some(6);
        })
        .await;
        let mut statuses = Vec::new();
        for delivery in deliveries.into_iter().cycle().take(8) {
            let text = exchange(&app, hit("").as_bytes(), delivery).await;
            statuses.push(text[9..12].to_owned());
        }
        assert_eq!(
            statuses,
            ["200", "200", "200", "200", "200", "200", "429", "429"],
            "{deliveries:?}"
        );
    }
}

#[tokio::test]
async fn responses_of_both_paths_are_in_the_same_metrics() {
    const TAKEN: &str = "engage_bff_customer_fast_path_total";
    let app = TestApp::spawn().await;
    exchange(&app, hit("").as_bytes(), Delivery::Whole).await;
    let before = app.operations("/metrics").await.text().to_owned();
    exchange(&app, hit("").as_bytes(), Delivery::InPieces).await;
    let between = app.operations("/metrics").await.text().to_owned();
    exchange(&app, hit("").as_bytes(), Delivery::Whole).await;
    let after = app.operations("/metrics").await.text().to_owned();
    let mut by_hyper = increases(&before, &between);
    let mut whole = increases(&between, &after);
    let taken = whole.iter().position(|(name, _)| name == TAKEN);
    let (_, by) = whole.remove(taken.expect("the fast path"));
    assert_eq!(by.to_string(), "1");
    assert!(by_hyper.iter().all(|(name, _)| name != TAKEN));
    // Leaves out the request that is sent after the first piece, and its log event.
    for increases in [&mut by_hyper, &mut whole] {
        increases.retain(|(name, _)| !name.contains("/livez") && !name.contains("log_events"));
    }
    assert!(whole.iter().any(|(name, _)| name.contains("customer")));
    assert_eq!(whole, by_hyper);
}

/// The series that changed, and by how much, without sums, buckets and process metrics.
fn increases(before: &str, after: &str) -> Vec<(String, f64)> {
    let read = |text: &str| -> Vec<(String, f64)> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        pairs
            .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
            .collect()
    };
    let is_steady = |name: &str| {
        !name.contains("_sum") && !name.contains("_bucket") && !name.contains("process_")
    };
    let before = read(before);
    let was = |name: &str| {
        let found = before.iter().find(|(known, _)| known == name);
        found.map_or(0.0, |(_, value)| *value)
    };
    let increases = read(after).into_iter().map(|(name, value)| {
        let by = value - was(&name);
        (name, by)
    });
    increases
        .filter(|(name, by)| is_steady(name) && *by != 0.0)
        .collect()
}
