//! Metrics of answered requests, and their log events. Neither contains a URL, a body, or a header of the caller's
//! other than a well-formed request id.
//!
//! Hits are frequent, so the series of every cache status is created at the start: a request needs no look-up by label.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tracing::Level;

use super::{error::Code, routes::RouteLabel};
use crate::{customer::CacheStatus, domain::RequestId, telemetry::Limit};

/// The bounds of the duration buckets, in seconds, from a hit over a call to Engage to a caller's time-out.
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

/// Metrics of answered requests.
#[derive(Debug)]
pub struct RequestMetrics {
    by_cache_status: [Histogram; CacheStatus::ALL.len()],
    durations: Family<CacheLabel, Histogram, fn() -> Histogram>,
    not_modified: Counter,
    fast_path: Counter,
    refusals: Family<CodeLabel, Counter>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let durations = Family::new_with_constructor(histogram);
        let of = |status: CacheStatus| {
            let labels = CacheLabel {
                cache: status.as_str(),
            };
            durations.get_or_create(&labels).clone()
        };
        Self {
            by_cache_status: CacheStatus::ALL.map(of),
            durations: durations.clone(),
            not_modified: Counter::default(),
            fast_path: Counter::default(),
            refusals: Family::default(),
        }
    }
}

impl RequestMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "customer_request_duration_seconds",
            "Duration of responses about customers, by what the cache did",
            self.durations.clone(),
        );
        registry.register(
            "customer_not_modified",
            "Responses about customers that were a 304",
            self.not_modified.clone(),
        );
        registry.register(
            "customer_fast_path",
            "Responses about customers that the fast path wrote, without hyper",
            self.fast_path.clone(),
        );
        registry.register(
            "refusals",
            "Requests answered with a problem, by its code",
            self.refusals.clone(),
        );
    }

    /// How many responses the fast path wrote.
    pub fn fast_path_total(&self) -> u64 {
        self.fast_path.get()
    }

    /// Counts a response of the fast path, which [`count`](Self::count) counts as well.
    pub(super) fn count_fast_path(&self) {
        self.fast_path.inc();
    }

    /// Counts a response.
    pub(super) fn count(
        &self,
        status: StatusCode,
        code: Option<&Code>,
        cache_status: Option<CacheStatus>,
        took: Duration,
    ) {
        let status = status.as_u16();
        if let Some(cache_status) = cache_status {
            self.by_cache_status[cache_status as usize].observe(took.as_secs_f64());
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

/// Logs a response; a hit, a probe or a delivered webhook at debug. `limit` bounds what callers without a valid
/// credential can cause.
pub(super) fn log(
    route: RouteLabel,
    status: StatusCode,
    code: Option<&str>,
    cache_status: Option<CacheStatus>,
    request_id: &RequestId,
    took: Duration,
    limit: Option<&Limit>,
) {
    let status = status.as_u16();
    // Webhooks may arrive by the thousand, and have metrics of their own.
    let is_webhook = route.is_signed() && status < 300;
    let is_hit = cache_status == Some(CacheStatus::Hit);
    let is_quiet = is_hit || is_webhook || route.is_polled();
    let duration_ms = took.as_secs_f64() * 1000.0;
    let method = route.method();
    let route = route.path();
    let request_id = request_id.as_str();
    // An event below the log level must not use up the limit.
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
