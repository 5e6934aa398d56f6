//! Hostile input: each request gets a 4xx, a closed connection or, if it is harmless, the usual response; it costs no
//! upstream call, is not reflected, and leaves the service working. Raw bytes, because a client library would correct
//! most of them.

mod bodies;
mod credentials;
mod encodings;
mod headers;
mod lookalikes;
mod methods;
mod paths;
mod pollution;
mod smuggling;

use std::collections::HashSet;

use engage_simulator::fixtures::ALVA;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{
    connections::with_short_head,
    harness::{TILL, TestApp},
    issuer::Issuer,
    tokens,
    wire::{answers, connect, customer, rest},
};

/// Part of most inputs; must not appear in any answer.
const MARK: &str = "zq9mark";
/// The minimum number of different inputs.
const LEAST: usize = 1000;
/// The number of concurrent requests for inputs that may each run into a timeout.
const AT_ONCE: usize = 50;

/// A request and its expected outcome.
struct Row {
    request: Vec<u8>,
    expected: Expected,
    /// Texts that must not be reflected, in addition to `MARK`.
    reflected: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// One answer from the service: a problem with this status and code.
    Problem(u16, &'static str),
    /// One 4xx answer, whatever its status and code.
    Refused,
    /// One answer: the customer, 304 or a 4xx.
    Harmless,
    /// One 4xx response or no response, and a closed connection.
    Closed,
}

impl Row {
    fn new(request: impl Into<Vec<u8>>, expected: Expected) -> Self {
        Self {
            request: request.into(),
            expected,
            reflected: Vec::new(),
        }
    }

    /// This spelling of the value must not be reflected.
    fn never(mut self, reflected: &str) -> Self {
        // Shorter texts occur anywhere by chance.
        if reflected.len() >= 4 {
            self.reflected.push(reflected.to_lowercase());
        }
        self
    }

    fn shown(&self) -> String {
        let start = &self.request[..self.request.len().min(2000)];
        start.escape_ascii().to_string()
    }

    fn check(&self, text: &str) {
        let shown = self.shown();
        let status: u16 = text
            .strip_prefix("HTTP/1.1 ")
            .and_then(|text| text.get(..3)?.parse().ok())
            .unwrap_or(0);
        let is_right = match self.expected {
            Expected::Problem(wanted, code) => {
                status == wanted && text.contains(&format!("\"code\":\"{code}\""))
            }
            Expected::Refused => (400..500).contains(&status),
            Expected::Harmless => matches!(status, 200 | 304 | 400..=499),
            Expected::Closed => text.is_empty() || (400..500).contains(&status),
        };
        assert!(is_right, "{:?}: {shown}: {text}", self.expected);
        let most = usize::from(!text.is_empty());
        assert_eq!(answers(text), most, "{shown}: {text}");
        // Every problem has the common header fields.
        if matches!(self.expected, Expected::Problem(..)) {
            assert!(
                text.contains("cache-control: private, no-store"),
                "{shown}: {text}"
            );
        }
        let text = without_request_id(&text.to_lowercase());
        let reflected = self.reflected.iter().map(String::as_str).chain([MARK]);
        for reflected in reflected {
            assert!(!text.contains(reflected), "{reflected}: {shown}: {text}");
        }
    }
}

/// The request id is random and may contain any four digits.
fn without_request_id(text: &str) -> String {
    let id = text
        .split_once("x-request-id: ")
        .and_then(|(_, rest)| rest.lines().next());
    id.map_or_else(|| text.to_owned(), |id| text.replace(id, ""))
}

/// A request without a body that closes its connection.
fn bare(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: bff\r\n{headers}Connection: close\r\n\r\n")
}

/// The till's key as a header line.
fn key() -> String {
    format!("X-Api-Key: {TILL}\r\n")
}

/// `GET /customer` as the till.
fn get(query: &str) -> String {
    bare("GET", &format!("/customer?{query}"), &key())
}

/// `POST /customer/lookup` as the till.
fn post(body: &[u8]) -> Vec<u8> {
    post_with("Content-Type: application/json\r\n", body)
}

/// Like `post`, with these header lines for the body.
fn post_with(headers: &str, body: &[u8]) -> Vec<u8> {
    let key = key();
    let length = body.len();
    let head = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\n{key}{headers}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// `POST /customer/lookup` of a JSON value as the till.
fn post_json(body: &Value) -> Vec<u8> {
    post(body.to_string().as_bytes())
}

async fn exchange(app: &TestApp, request: &[u8]) -> String {
    let mut stream = connect(app).await;
    // The service may close before it has read everything.
    let _ = stream.write_all(request).await;
    rest(&mut stream).await
}

async fn is_healthy(app: &TestApp) -> bool {
    let good = customer("Connection: close\r\n");
    let text = exchange(app, good.as_bytes()).await;
    text.starts_with("HTTP/1.1 200 ")
}

/// Sends the rows in sequence; after each the service still works.
async fn survives(app: &TestApp, rows: &[Row]) {
    assert!(is_healthy(app).await, "the customer is cached from now on");
    let calls = app.engage.total_calls();
    for row in rows {
        row.check(&exchange(app, &row.request).await);
        assert!(is_healthy(app).await, "after {}", row.shown());
        assert_eq!(app.engage.total_calls(), calls, "{}", row.shown());
    }
}

/// Like `survives`, but concurrently, and the service is checked only before and after all rows: for rows that may run
/// into a time-out.
async fn survives_together(app: &TestApp, rows: &[Row]) {
    assert!(is_healthy(app).await, "the customer is cached from now on");
    let calls = app.engage.total_calls();
    let ended = stream::iter(rows)
        .map(|row| async { row.check(&exchange(app, &row.request).await) })
        .buffer_unordered(AT_ONCE);
    ended.collect::<Vec<()>>().await;
    assert!(is_healthy(app).await);
    assert_eq!(app.engage.total_calls(), calls);
}

macro_rules! survived {
    ($($name:ident: $rows:expr;)+) => {$(
        #[tokio::test]
        async fn $name() {
            survives(&TestApp::spawn().await, &$rows).await;
        }
    )+};
}

survived! {
    badly_encoded_values_are_refused: encodings::rows();
    repeated_and_polluted_parameters_are_refused: pollution::rows();
    homoglyphs_are_refused: lookalikes::rows();
    bodies_that_are_no_lookup_are_refused: bodies::rows();
    methods_not_allowed_for_a_path_are_refused: methods::rows();
    paths_close_to_a_route_are_404_or_401: paths::rows();
    keys_that_do_not_match_exactly_are_refused: credentials::keys();
    nonsense_headers_are_harmless_or_refused: headers::rows();
}

#[tokio::test]
async fn malformed_tokens_are_refused() {
    let issuer = Issuer::new();
    let app = tokens::with_config(&issuer, |_| {}).await;
    survives(&app, &credentials::tokens(&issuer)).await;
}

#[tokio::test]
async fn smuggled_requests_are_not_answered() {
    let app = TestApp::with(with_short_head).await;
    survives_together(&app, &smuggling::rows()).await;
}

#[test]
fn a_thousand_distinct_hostile_inputs_are_tested() {
    let issuer = Issuer::new();
    let groups = [
        encodings::rows(),
        pollution::rows(),
        lookalikes::rows(),
        bodies::rows(),
        methods::rows(),
        paths::rows(),
        credentials::keys(),
        credentials::tokens(&issuer),
        headers::rows(),
        smuggling::rows(),
    ];
    let mut different = HashSet::new();
    for row in groups.into_iter().flatten() {
        let shown = row.shown();
        assert!(different.insert(row.request), "twice: {shown}");
    }
    assert!(different.len() >= LEAST, "{} inputs", different.len());
}

/// A query for the cached customer.
fn cached() -> String {
    format!("contactId={}", ALVA.id)
}
