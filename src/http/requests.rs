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
use crate::{
    customer::CacheStatus,
    domain::{ContactId, Digester, RequestId},
    telemetry::Limit,
};

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

/// A response, for its log event.
pub(super) struct Answered<'a> {
    pub(super) route: RouteLabel,
    pub(super) status: StatusCode,
    pub(super) code: Option<&'a str>,
    pub(super) cache_status: Option<CacheStatus>,
    pub(super) request_id: &'a RequestId,
    pub(super) took: Duration,
    /// The client, if the caller is known.
    pub(super) client: Option<&'a str>,
    /// The contact that it is about.
    pub(super) contact: Option<ContactId>,
}

impl Answered<'_> {
    /// Whether it is too frequent to be logged at info: a hit, a probe, a preflight or a delivered webhook. Webhooks may
    /// arrive by the thousand, and have metrics of their own.
    fn is_quiet(&self) -> bool {
        let is_hit = self.cache_status == Some(CacheStatus::Hit);
        let is_routine = self.route.is_signed() || self.route.is_preflight();
        is_hit || self.route.is_polled() || (is_routine && self.status.is_success())
    }
}

/// Logs a response. `limit` bounds what callers without a valid credential can cause.
pub(super) fn log(answered: &Answered<'_>, digester: Option<&Digester>, limit: Option<&Limit>) {
    // An event below the log level must not use up the limit.
    let may = |is_enabled: bool| is_enabled && limit.is_none_or(Limit::allows);
    macro_rules! event {
        ($level:ident, $log:ident) => {
            if may(tracing::enabled!(Level::$level)) {
                let id = answered.contact.zip(digester);
                tracing::$log!(
                    request_id = answered.request_id.as_str(),
                    client = answered.client,
                    method = answered.route.method(),
                    route = answered.route.path(),
                    status = answered.status.as_u16(),
                    code = answered.code,
                    contact = id.map(|(id, digester)| tracing::field::display(id.digest(digester))),
                    cache = answered.cache_status.map(CacheStatus::as_str),
                    duration_ms = answered.took.as_secs_f64() * 1000.0,
                    "answered"
                );
            }
        };
    }
    if answered.is_quiet() {
        event!(DEBUG, debug);
    } else if answered.status.is_server_error() {
        event!(WARN, warn);
    } else {
        event!(INFO, info);
    }
}
