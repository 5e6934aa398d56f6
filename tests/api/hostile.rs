//! What nobody means well: each input is answered with a clear 4xx or a closed connection, costs no call
//! to Engage, comes back nowhere, and leaves the service answering. Raw bytes, for a client library would
//! mend most of them before they are sent.

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

use engage_simulator::people::ALVA;
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

/// Stands in most inputs, and must stand in no answer.
const MARK: &str = "zq9mark";
/// How many different inputs there are at least.
const LEAST: usize = 1000;
/// How many are under way at once where each may have to wait for its time-out.
const AT_ONCE: usize = 50;

/// A request and what is right to do about it.
struct Row {
    request: Vec<u8>,
    expected: Expected,
    /// What must not come back, beside the mark.
    typed: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// One answer of ours: a problem with this status and code.
    Problem(u16, &'static str),
    /// One answer, a 4xx: ours, or the bare one of a head that can't be parsed.
    Refused,
    /// One answer: the customer, that nothing has changed, or a 4xx.
    Harmless,
    /// One 4xx or none, and the connection is closed.
    Closed,
}

impl Row {
    fn new(request: impl Into<Vec<u8>>, expected: Expected) -> Self {
        Self {
            request: request.into(),
            expected,
            typed: Vec::new(),
        }
    }

    /// The value must not come back, in this spelling.
    fn never(mut self, typed: &str) -> Self {
        // Shorter ones are found in any text.
        if typed.len() >= 4 {
            self.typed.push(typed.to_lowercase());
        }
        self
    }

    fn shown(&self) -> String {
        let start = &self.request[..self.request.len().min(2000)];
        start.escape_ascii().to_string()
    }

    fn judge(&self, text: &str) {
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
        // What hyper refuses by itself is bare.
        if matches!(self.expected, Expected::Problem(..)) {
            assert!(
                text.contains("cache-control: private, no-store"),
                "{shown}: {text}"
            );
        }
        let text = without_request_id(&text.to_lowercase());
        let typed = self.typed.iter().map(String::as_str).chain([MARK]);
        for typed in typed {
            assert!(!text.contains(typed), "{typed}: {shown}: {text}");
        }
    }
}

/// The request's id is drawn at random, and may hold any four digits.
fn without_request_id(text: &str) -> String {
    let id = text
        .split_once("x-request-id: ")
        .and_then(|(_, rest)| rest.lines().next());
    id.map_or_else(|| text.to_owned(), |id| text.replace(id, ""))
}

/// A request without a body, whose answer is the last on its connection.
fn bare(method: &str, target: &str, headers: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: bff\r\n{headers}Connection: close\r\n\r\n")
}

/// The till's key as a header line.
fn key() -> String {
    format!("X-Api-Key: {TILL}\r\n")
}

/// The till's `GET /customer`.
fn get(query: &str) -> String {
    bare("GET", &format!("/customer?{query}"), &key())
}

/// The till's `POST /customer/lookup`.
fn post(body: &[u8]) -> Vec<u8> {
    post_with("Content-Type: application/json\r\n", body)
}

/// The same with these header lines for the body's form.
fn post_with(headers: &str, body: &[u8]) -> Vec<u8> {
    let key = key();
    let length = body.len();
    let head = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\n{key}{headers}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The till's `POST /customer/lookup` of a JSON value.
fn post_json(body: &Value) -> Vec<u8> {
    post(body.to_string().as_bytes())
}

async fn exchange(app: &TestApp, request: &[u8]) -> String {
    let mut stream = connect(app).await;
    // The service may hang up before it has read all of it.
    let _ = stream.write_all(request).await;
    rest(&mut stream).await
}

async fn is_well(app: &TestApp) -> bool {
    let good = customer("Connection: close\r\n");
    let text = exchange(app, good.as_bytes()).await;
    text.starts_with("HTTP/1.1 200 ")
}

/// Sends the rows one by one; after each the service answers as before.
async fn survives(app: &TestApp, rows: &[Row]) {
    assert!(is_well(app).await, "the customer is held from now on");
    let calls = app.engage.total_calls();
    for row in rows {
        row.judge(&exchange(app, &row.request).await);
        assert!(is_well(app).await, "after {}", row.shown());
        assert_eq!(app.engage.total_calls(), calls, "{}", row.shown());
    }
}

/// The same for rows that a service may answer by hanging up only.
async fn survives_together(app: &TestApp, rows: &[Row]) {
    assert!(is_well(app).await, "the customer is held from now on");
    let calls = app.engage.total_calls();
    let ended = stream::iter(rows)
        .map(|row| async { row.judge(&exchange(app, &row.request).await) })
        .buffer_unordered(AT_ONCE);
    ended.collect::<Vec<()>>().await;
    assert!(is_well(app).await);
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
    a_value_that_is_wrongly_encoded_is_refused: encodings::rows();
    a_name_given_twice_or_otherwise_is_refused: pollution::rows();
    a_letter_that_only_looks_like_another_is_not_taken_for_it: lookalikes::rows();
    a_body_that_is_no_lookup_is_refused: bodies::rows();
    a_method_that_a_path_does_not_have_is_refused: methods::rows();
    a_path_that_is_nearly_one_of_ours_is_none: paths::rows();
    a_key_that_is_not_exactly_one_of_ours_is_none: credentials::keys();
    a_header_that_says_nonsense_breaks_nothing: headers::rows();
}

#[tokio::test]
async fn a_token_that_is_no_token_is_refused() {
    let issuer = Issuer::new();
    let app = tokens::with_config(&issuer, |_| {}).await;
    survives(&app, &credentials::tokens(&issuer)).await;
}

#[tokio::test]
async fn no_request_hides_in_another() {
    let app = TestApp::with(with_short_head).await;
    survives_together(&app, &smuggling::rows()).await;
}

#[test]
fn there_are_enough_inputs_and_no_two_are_the_same() {
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

/// The customer whom the service holds, as a query.
fn held() -> String {
    format!("contactId={}", ALVA.id)
}
