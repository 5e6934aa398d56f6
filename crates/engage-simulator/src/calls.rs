//! What the simulator was asked: every call, counted and remembered.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::endpoint::Endpoint;

/// Older calls are forgotten beyond this many; the counts stay exact.
const REMEMBERED: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// One call, as it arrived and, later, as it was answered.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// What was called.
    pub endpoint: Endpoint,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query's pairs, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Which of the headers that Engage wants were there.
    pub headers: HeadersSeen,
    /// When it arrived, by the simulator's clock.
    pub at: Timestamp,
    /// The status it was answered with; `None` while it runs, and for a call without an answer.
    pub status: Option<u16>,
    /// Whether it still waits for its answer.
    pub in_flight: bool,
}

impl Call {
    /// The value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Which headers a call carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a plain answer about one header"
)]
pub struct HeadersSeen {
    /// `User-Agent`, of the form `Product/Version`.
    pub user_agent: bool,
    /// `Content-Type: application/json`.
    pub content_type: bool,
    /// `Accept`.
    pub accept: bool,
    /// `apikey`, with the right key.
    pub api_key: bool,
}

/// The record of all calls.
#[derive(Debug)]
pub(crate) struct Calls {
    book: Mutex<Book>,
    /// Told of every arrival.
    arrivals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Book {
    calls: VecDeque<Call>,
    /// The number of the first call that is still remembered; never falls, not even on a reset.
    first: u64,
    counts: HashMap<Endpoint, usize>,
    in_flight: usize,
    max_in_flight: usize,
    unexpected: Vec<String>,
}

/// A call that has not ended; dropped without an answer, the caller has hung up.
#[derive(Debug)]
pub(crate) struct RunningCall {
    calls: Arc<Calls>,
    number: u64,
}

impl Calls {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            book: Mutex::default(),
            arrivals: watch::Sender::new(0),
        })
    }

    /// Records an arrival.
    pub(crate) fn begin(self: &Arc<Self>, call: Call) -> RunningCall {
        let number = self.book().begin(call);
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
        RunningCall {
            calls: self.clone(),
            number,
        }
    }

    pub(crate) fn note_unexpected(&self, what: String) {
        self.book().unexpected.push(what);
    }

    pub(crate) fn unexpected(&self) -> Vec<String> {
        self.book().unexpected.clone()
    }

    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        let book = self.book();
        let covered = book
            .counts
            .iter()
            .filter(|(called, _)| endpoint.covers(**called));
        covered.map(|(_, count)| count).sum()
    }

    pub(crate) fn log(&self) -> Vec<Call> {
        self.book().calls.iter().cloned().collect()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.book().in_flight
    }

    pub(crate) fn max_in_flight(&self) -> usize {
        self.book().max_in_flight
    }

    /// Forgets everything but the calls that still run.
    pub(crate) fn reset(&self) {
        let mut book = self.book();
        book.first += book.calls.len() as u64;
        book.calls.clear();
        book.counts.clear();
        book.unexpected.clear();
        book.max_in_flight = book.in_flight;
    }

    /// Waits until `endpoint` has been called at least `n` times since the last reset.
    pub(crate) async fn wait_for(&self, endpoint: Endpoint, n: usize) {
        let mut arrivals = self.arrivals.subscribe();
        let enough = arrivals.wait_for(|_| self.count(endpoint) >= n);
        let waited = tokio::time::timeout(PATIENCE, enough).await.is_ok();
        assert!(
            waited,
            "waited {PATIENCE:?} for {n} calls to {endpoint:?}, saw {}; unexpected: {:?}; log: {:#?}",
            self.count(endpoint),
            self.unexpected(),
            self.log(),
        );
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn begin(&mut self, call: Call) -> u64 {
        *self.counts.entry(call.endpoint).or_default() += 1;
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        self.calls.push_back(call);
        let number = self.first + self.calls.len() as u64 - 1;
        if self.calls.len() > REMEMBERED {
            self.calls.pop_front();
            self.first += 1;
        }
        number
    }

    fn call(&mut self, number: u64) -> Option<&mut Call> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.calls.get_mut(index)
    }
}

impl RunningCall {
    /// Notes the status that the caller is about to get.
    pub(crate) fn answered(self, status: u16) {
        if let Some(call) = self.calls.book().call(self.number) {
            call.status = Some(status);
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let mut book = self.calls.book();
        book.in_flight -= 1;
        if let Some(call) = book.call(self.number) {
            call.in_flight = false;
        }
    }
}
