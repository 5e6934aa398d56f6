//! Metrics of answered requests, and their log events. Neither contains a URL, a body, or a header of the caller's
//! other than a well-formed request id and the trace id of a client with a key.
//!
//! Hits are frequent, so the series of every cache status is looked up at the start: a hit needs no look-up by label.

use std::time::Duration;

use http::StatusCode;
use tracing::Level;

use super::{error::Code, routes::RouteLabel};
use crate::{
    customer::CacheStatus,
    domain::{ContactId, Digester, RequestId, TraceId},
    metrics::{
        Counter, Counters, Histogram, Histograms, Registry, Source,
        catalogue::customers::{
            CUSTOMER_FAST_PATH, CUSTOMER_NOT_MODIFIED, CUSTOMER_REQUEST_DURATION, PROBLEM_DURATION,
            PROBLEMS_TOTAL,
        },
    },
    telemetry::Limit,
};

/// Metrics of answered requests.
#[derive(Debug)]
pub struct RequestMetrics {
    durations: Histograms,
    duration_of: [Histogram; CacheStatus::ALL.len()],
    not_modified: Counter,
    fast_path: Counter,
    problems: Counters,
    problem_durations: Histograms,
    /// The durations of problems with a 4xx, and with a 5xx.
    problem_duration_of: [Histogram; 2],
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let durations = Histograms::new(&CUSTOMER_REQUEST_DURATION);
        let problem_durations = Histograms::new(&PROBLEM_DURATION);
        Self {
            duration_of: durations.each(&[], CacheStatus::ALL.map(CacheStatus::as_str)),
            durations,
            problem_duration_of: problem_durations.each(&[], ["4xx", "5xx"]),
            problem_durations,
            not_modified: Counter::default(),
            fast_path: Counter::default(),
            problems: Counters::new(&PROBLEMS_TOTAL),
        }
    }
}

impl Source for RequestMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.durations.clone());
        registry.add_single(&CUSTOMER_NOT_MODIFIED, &self.not_modified);
        registry.add_single(&CUSTOMER_FAST_PATH, &self.fast_path);
        registry.add(self.problems.clone());
        registry.add(self.problem_durations.clone());
    }
}

impl RequestMetrics {
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
        if let Some(cache_status) = cache_status {
            self.duration_of[cache_status as usize].observe(took);
            if status == StatusCode::NOT_MODIFIED {
                self.not_modified.inc();
            }
        }
        if let Some(code) = code {
            self.problems.of(&[code.label(), status.as_str()]).inc();
            let class = usize::from(status.is_server_error());
            self.problem_duration_of[class].observe(took);
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
    /// The trace of the request, if it is recorded.
    pub(super) trace_id: Option<TraceId>,
}

impl Answered<'_> {
    /// Whether it is logged at debug: a probe, a scrape or a preflight, and without an access log a hit or a delivered
    /// webhook. Webhooks may arrive by the thousand, and have metrics of their own.
    fn is_quiet(&self, access_log: bool) -> bool {
        let is_hit = self.cache_status == Some(CacheStatus::Hit);
        let is_frequent = is_hit || (self.route.is_signed() && self.status.is_success());
        let is_preflight = self.route.is_preflight() && self.status.is_success();
        self.route.is_polled() || is_preflight || (is_frequent && !access_log)
    }
}

/// Logs a response. `limit` bounds what callers without a valid credential can cause.
pub(super) fn log(
    answered: &Answered<'_>,
    access_log: bool,
    digester: Option<&Digester>,
    limit: Option<&Limit>,
) {
    // An event below the log level must not use up the limit.
    let may = |is_enabled: bool| is_enabled && limit.is_none_or(Limit::allows);
    macro_rules! event {
        ($level:ident, $log:ident) => {
            if may(tracing::enabled!(Level::$level)) {
                let id = answered.contact.zip(digester);
                tracing::$log!(
                    request_id = answered.request_id.as_str(),
                    trace_id = answered.trace_id.map(tracing::field::display),
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
    if answered.is_quiet(access_log) {
        event!(DEBUG, debug);
    } else if answered.status.is_server_error() {
        event!(WARN, warn);
    } else {
        event!(INFO, info);
    }
}
