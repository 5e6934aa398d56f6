//! What is told of each request when it has been answered: counts for `/metrics`, and one log event. No URL, no body,
//! no header of the caller's but its well-formed request id.
//!
//! Hits are many, so each count stands ready: nothing is looked up by a label while a caller waits.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tracing::Level;

use super::{error::Code, request_id::RequestId, response::Note, routes::RouteLabel};
use crate::telemetry::Limit;

/// The bounds of the duration buckets, in seconds: a hit, a call to Engage, a caller's patience.
const SECONDS: [f64; 12] = [
    0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CacheLabel {
    cache: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
    status: u16,
}

/// Counts answers, and writes the log of them.
#[derive(Debug)]
pub struct RequestMetrics {
    by_note: [Histogram; Note::ALL.len()],
    durations: Family<CacheLabel, Histogram, fn() -> Histogram>,
    not_modified: Counter,
    refusals: Family<CodeLabel, Counter>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let durations = Family::new_with_constructor(histogram);
        let of = |note: Note| {
            let labels = CacheLabel {
                cache: note.as_str(),
            };
            durations.get_or_create(&labels).clone()
        };
        Self {
            by_note: Note::ALL.map(of),
            durations: durations.clone(),
            not_modified: Counter::default(),
            refusals: Family::default(),
        }
    }
}

impl RequestMetrics {
    /// Makes the counts known to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "customer_request_duration_seconds",
            "How long answers about customers took, by what the cache did",
            self.durations.clone(),
        );
        registry.register(
            "customer_not_modified",
            "Answers about customers that the caller had already",
            self.not_modified.clone(),
        );
        registry.register(
            "refusals",
            "Requests that were answered with a problem, by its code",
            self.refusals.clone(),
        );
    }

    /// Counts an answer.
    pub(super) fn count(
        &self,
        status: StatusCode,
        code: Option<&Code>,
        note: Option<Note>,
        took: Duration,
    ) {
        let status = status.as_u16();
        if let Some(note) = note {
            self.by_note[note as usize].observe(took.as_secs_f64());
            if status == 304 {
                self.not_modified.inc();
            }
        }
        if let Some(code) = code {
            let code = code.label();
            self.refusals
                .get_or_create(&CodeLabel { code, status })
                .inc();
        }
    }
}

/// One event for each request that was more than a hit; within the limit, where there is one.
pub(super) fn log(
    route: RouteLabel,
    status: StatusCode,
    code: Option<&str>,
    note: Option<Note>,
    request_id: &RequestId,
    took: Duration,
    limit: Option<&Limit>,
) {
    let status = status.as_u16();
    // Webhooks may come by the thousand, and are counted.
    let is_news = route.is_signed() && status < 300;
    let is_quiet = note == Some(Note::Hit) || is_news || route.is_polled();
    let duration_ms = took.as_secs_f64() * 1000.0;
    let method = route.method();
    let route = route.path();
    let request_id = request_id.as_str();
    // Only what would be logged counts.
    let may = |is_enabled: bool| is_enabled && limit.is_none_or(Limit::allows);
    if is_quiet {
        if may(tracing::enabled!(Level::DEBUG)) {
            tracing::debug!(request_id, method, route, status, duration_ms, "answered");
        }
    } else if status >= 500 {
        if may(tracing::enabled!(Level::WARN)) {
            tracing::warn!(
                request_id,
                method,
                route,
                status,
                code,
                duration_ms,
                "answered"
            );
        }
    } else if may(tracing::enabled!(Level::INFO)) {
        tracing::info!(
            request_id,
            method,
            route,
            status,
            code,
            duration_ms,
            "answered"
        );
    }
}
