//! The look-ups of one batch, each answered as a request of its own would be: the same checks, limits, codes and audit
//! events. The differences: its calls come after those of interactive requests, a customer that is served stale from
//! the cache is not refreshed, candidates are never named, and a customer that is missing at the batch's deadline is a
//! 504 `NotCached`.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::line;
use crate::{
    clock::{Now, Tick},
    customer::{self, CustomerQuery, Found, Purpose, Shape},
    domain::{Lookup, RequestId},
    http::{
        audit,
        auth::{Caller, PendingLookUp},
        customer::{guard_tripped, problem},
        decisions::{Cause, Decision},
        deferred::BatchOutcome,
        error::{ApiError, Code},
        params::Params,
        state::AppState,
    },
    traces::RequestTrace,
};

/// What the look-ups of a batch have in common.
pub(super) struct Batch {
    pub(super) state: AppState,
    pub(super) caller: Caller,
    pub(super) shape: Shape,
    pub(super) deadline: Tick,
    pub(super) request_id: RequestId,
    pub(super) trace: Option<Arc<RequestTrace>>,
}

/// A look-up after the cache was checked for it.
pub(super) enum CheckedLookUp {
    /// Its line is known.
    Line(Bytes),
    /// It is not cached.
    Missing(Lookup),
}

impl Batch {
    /// The time of the service.
    pub(super) fn now(&self) -> Now {
        self.state.customers.clock().now()
    }

    /// Waits until this time.
    pub(super) async fn sleep_until(&self, at: Tick) {
        self.state.customers.clock().sleep_until(at).await;
    }

    /// Reads a look-up and answers it from memory, where that is possible. Stale data is not refreshed: a batch makes no
    /// more calls at once than its own bound.
    pub(super) async fn check_cache(&self, index: usize, raw: &[u8]) -> CheckedLookUp {
        let now = self.now();
        let lookup = match self.read(index, raw, now) {
            Ok(lookup) => lookup,
            Err(error) => return CheckedLookUp::Line(self.problem(index, &error)),
        };
        let query = CustomerQuery {
            only_if_cached: true,
            ..self.query(lookup, now)
        };
        match self.state.customers.find(&query).await {
            Err(customer::Error::NotCached) => CheckedLookUp::Missing(query.lookup),
            found => {
                if found.as_ref().is_err_and(customer::Error::is_not_found) {
                    self.caller.record_unknown(&query.lookup);
                }
                let found =
                    found.map_err(|error| of_identifier(problem(error, &query.lookup), &query));
                CheckedLookUp::Line(self.line(index, &query, found, true))
            }
        }
    }

    /// Answers a look-up that was not cached, at the deadline at the latest.
    pub(super) async fn fetch(
        &self,
        index: usize,
        lookup: Lookup,
        pending: PendingLookUp,
    ) -> Bytes {
        let query = self.query(lookup, self.now());
        let found = self.state.customers.find_deferred(query.clone()).await;
        pending.end(&found);
        let found = found.map_err(|error| of_identifier(late(error, &query.lookup), &query));
        self.line(index, &query, found, false)
    }

    /// Answers a look-up of a client whose enumeration guard is tripped: from the cache alone.
    pub(super) async fn find_cached(&self, index: usize, lookup: Lookup) -> Bytes {
        let query = CustomerQuery {
            only_if_cached: true,
            ..self.query(lookup, self.now())
        };
        let found = self.state.customers.find(&query).await;
        let found = found.map_err(|error| match error {
            customer::Error::NotCached => guard_tripped(),
            error => of_identifier(problem(error, &query.lookup), &query),
        });
        self.line(index, &query, found, true)
    }

    /// The line of a look-up that had no turn before the deadline.
    pub(super) fn give_up(&self, index: usize, lookup: Lookup) -> Bytes {
        let query = self.query(lookup, self.now());
        self.line(index, &query, Err(not_in_time()), false)
    }

    /// Counts a look-up against the client's rate and reads it. The first is counted with the request.
    fn read(&self, index: usize, raw: &[u8], now: Now) -> Result<Lookup, ApiError> {
        if index > 0 {
            self.caller.count_look_up(now.tick)?;
        }
        if raw.first() != Some(&b'{') {
            let detail = "the look-up is not a JSON object";
            return Err(ApiError::with_detail(Code::InvalidParameter, detail));
        }
        let params = Params::from_json(raw)?;
        self.state.rules.read_one_of_many(params, &self.caller, now)
    }

    fn query(&self, lookup: Lookup, now: Now) -> CustomerQuery {
        let (flow, requested) = (self.caller.flow(), self.shape.requested);
        let customers = &self.state.customers;
        CustomerQuery {
            request_id: Some(self.request_id),
            purpose: Purpose::Batch,
            trace: self.trace.clone(),
            ..customers.query(flow, lookup, requested, now, self.deadline)
        }
    }

    /// The line of a look-up that was read, with its audit event.
    fn line(
        &self,
        index: usize,
        query: &CustomerQuery,
        found: Result<Found, ApiError>,
        is_cached: bool,
    ) -> Bytes {
        let contact = found.as_ref().ok().map(|found| found.record.id);
        let cause = match &found {
            Ok(found) => Cause::of(Ok(found)),
            Err(error) => Cause::of_refusal(error),
        };
        let rendered = found.and_then(|found| {
            self.caller.require_contact(found.record.id)?;
            self.caller.record_shown(found.record.id);
            let customers = &self.state.customers;
            let rendered = customers.render(&found, &self.shape)?;
            customers.count_served(&found, None, query.now.tick);
            Ok((rendered, found.verdict.status))
        });
        let outcome = rendered
            .as_ref()
            .map(|(_, cache_status)| (StatusCode::OK, *cache_status));
        if let Some(cause) = cause {
            let decision = Decision::new(&self.request_id, query, contact, outcome, cause);
            self.state.decisions.record(decision);
        }
        let view = self.shape.view;
        audit::look_up(&self.state, view, &self.request_id, query, contact, outcome);
        match rendered {
            Ok((rendered, _)) => {
                self.state.deferred.count_look_ups(
                    if is_cached {
                        BatchOutcome::Cached
                    } else {
                        BatchOutcome::Fetched
                    },
                    1,
                );
                line::customer(index, &rendered.body)
            }
            Err(error) => self.problem(index, &error),
        }
    }

    fn problem(&self, index: usize, error: &ApiError) -> Bytes {
        self.state.deferred.count_look_ups(outcome(error), 1);
        line::problem(index, error, &self.request_id)
    }
}

fn not_in_time() -> ApiError {
    let detail = "The customer was not fetched by the batch's deadline.";
    ApiError::with_detail(Code::NotCached, detail)
}

/// Names the parameter, where Engage refuses the identifier.
fn of_identifier(error: ApiError, query: &CustomerQuery) -> ApiError {
    error.of_identifier(Some(query.lookup.identifier.kind().as_str()))
}

/// The problem of a look-up, which may have reached the batch's deadline.
fn late(error: customer::Error, lookup: &Lookup) -> ApiError {
    match error {
        customer::Error::TooLate => not_in_time(),
        customer::Error::Upstream(upstream) if upstream.is_for_lack_of_budget() => not_in_time(),
        error => problem(error, lookup),
    }
}

fn outcome(error: &ApiError) -> BatchOutcome {
    match error.code() {
        Code::ContactNotFound | Code::MultipleMatches => BatchOutcome::Unknown,
        Code::NotCached => BatchOutcome::Late,
        Code::RateLimited => BatchOutcome::Limited,
        code if code.status().is_client_error() => BatchOutcome::Refused,
        _ => BatchOutcome::Failed,
    }
}
