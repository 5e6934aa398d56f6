//! Counts and records every call.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::endpoint::Endpoint;

/// Maximum number of recorded calls; older ones are dropped, but still counted.
const MAX_LOGGED: usize = 100_000;
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// A recorded call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query's pairs, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Which of the headers that Engage requires were sent.
    pub headers: HeadersSeen,
    /// The `traceparent`, if one was sent.
    pub traceparent: Option<String>,
    /// Time of arrival, by the simulator's clock.
    pub at: Timestamp,
    /// Status of the response; `None` while the call is in flight, and without a response.
    pub status: Option<u16>,
    /// Whether the call is in flight.
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

/// Which headers a call had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "one flag per header")]
pub struct HeadersSeen {
    /// `User-Agent`, of the form `Product/Version`.
    pub user_agent: bool,
    /// `Content-Type: application/json`.
    pub content_type: bool,
    /// `Accept`.
    pub accept: bool,
    /// `apikey` with the right key.
    pub api_key: bool,
}

/// The record of all calls.
#[derive(Debug)]
pub(crate) struct Calls {
    log: Mutex<CallLog>,
    /// Notified of every arrival.
    arrivals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct CallLog {
    calls: VecDeque<Call>,
    /// Number of the first recorded call; never decreases, not even on a reset.
    first: u64,
    counts: HashMap<Endpoint, usize>,
    in_flight: usize,
    max_in_flight: usize,
    unexpected: Vec<String>,
}

/// A call in flight. If it is dropped before `answered`, no regular response was sent: the caller closed the
/// connection, or a fault cut it or sent raw bytes.
#[derive(Debug)]
pub(crate) struct RunningCall {
    calls: Arc<Calls>,
    number: u64,
}

impl Calls {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            log: Mutex::default(),
            arrivals: watch::Sender::new(0),
        })
    }

    /// Records an arrival.
    pub(crate) fn begin(self: &Arc<Self>, call: Call) -> RunningCall {
        let number = self.lock().begin(call);
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
        RunningCall {
            calls: self.clone(),
            number,
        }
    }

    pub(crate) fn record_unexpected(&self, what: String) {
        self.lock().unexpected.push(what);
    }

    pub(crate) fn unexpected(&self) -> Vec<String> {
        self.lock().unexpected.clone()
    }

    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        let log = self.lock();
        let covered = log
            .counts
            .iter()
            .filter(|(called, _)| endpoint.covers(**called));
        covered.map(|(_, count)| count).sum()
    }

    pub(crate) fn log(&self) -> Vec<Call> {
        self.lock().calls.iter().cloned().collect()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    pub(crate) fn max_in_flight(&self) -> usize {
        self.lock().max_in_flight
    }

    /// Forgets everything but the number of calls in flight.
    pub(crate) fn reset(&self) {
        let mut log = self.lock();
        log.first += log.calls.len() as u64;
        log.calls.clear();
        log.counts.clear();
        log.unexpected.clear();
        log.max_in_flight = log.in_flight;
    }

    /// Waits until `endpoint` has been called at least `n` times since the last reset.
    pub(crate) async fn wait_for(&self, endpoint: Endpoint, n: usize) {
        let mut arrivals = self.arrivals.subscribe();
        let enough = arrivals.wait_for(|_| self.count(endpoint) >= n);
        let waited = tokio::time::timeout(WAIT_TIMEOUT, enough).await.is_ok();
        assert!(
            waited,
            "waited {WAIT_TIMEOUT:?} for {n} calls to {endpoint:?}, saw {}; unexpected: {:?}; log: {:#?}",
            self.count(endpoint),
            self.unexpected(),
            self.log(),
        );
    }

    fn lock(&self) -> MutexGuard<'_, CallLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallLog {
    fn begin(&mut self, call: Call) -> u64 {
        *self.counts.entry(call.endpoint).or_default() += 1;
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        self.calls.push_back(call);
        let number = self.first + self.calls.len() as u64 - 1;
        if self.calls.len() > MAX_LOGGED {
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
    /// Records the status of the response.
    pub(crate) fn answered(self, status: u16) {
        if let Some(call) = self.calls.lock().call(self.number) {
            call.status = Some(status);
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let mut log = self.calls.lock();
        log.in_flight -= 1;
        if let Some(call) = log.call(self.number) {
            call.in_flight = false;
        }
    }
}
