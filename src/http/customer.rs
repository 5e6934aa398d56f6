//! Customer look-ups: `GET /customer`, `GET /customer/me` and `POST /customer/lookup`. Parses the look-up, asks the
//! customer service, renders the response.

use std::time::Duration;

use http::request::Parts;
use http_body::Body;

use super::{
    audit,
    auth::Caller,
    body::read_json_body,
    caller_identified::CallerIdentified,
    directives::Directives,
    error::{ApiError, Code},
    lookup::{ParamLocation, ParsedLookup},
    params::Params,
    request_id::RequestId,
    response::{self, CustomerResponse},
    state::AppState,
};
use crate::{
    clock::Now,
    config::Scope,
    customer::{
        self, CustomerQuery, Found, HistoryQuery, Purpose,
        view::{Shape, View},
    },
};

/// More invalidations of one contact than are plausible while a request waits for its history.
const MAX_ROUNDS: usize = 4;

/// The route of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookupRoute {
    /// `GET /customer`.
    ByQuery,
    /// `POST /customer/lookup`.
    ByBody,
    /// `GET /customer/me`.
    Own,
}

/// Answers a look-up. Futures that a hit does not need are boxed, which keeps those of hits small.
pub(super) async fn answer<B>(
    state: &AppState,
    route: LookupRoute,
    request: &Parts,
    body: B,
    request_id: &RequestId,
    arrived: Now,
    identified: &CallerIdentified,
) -> Result<CustomerResponse, ApiError>
where
    B: Body,
    B::Error: Into<axum::BoxError>,
{
    let caller = state
        .authenticator
        .identify(request, arrived.tick, identified)
        .await?;
    let query = || Params::from_query(request.uri.query().unwrap_or_default());
    let directives = if caller.has(Scope::Fresh) {
        Directives::from_headers(&request.headers)
    } else {
        Directives::default()
    };
    let rules = &state.rules;
    let (lookup, now) = match route {
        LookupRoute::ByQuery => {
            let lookup = rules.read(query()?, ParamLocation::Url, &caller, &directives, arrived)?;
            (lookup, arrived)
        }
        LookupRoute::Own => (rules.read_own(query()?, &caller, &directives)?, arrived),
        LookupRoute::ByBody => {
            let clock = state.customers.clock();
            let body = Box::pin(read_json_body(rules, clock, &request.headers, body)).await?;
            let now = clock.now();
            let params = Params::from_json(&body)?;
            let lookup = rules.read(params, ParamLocation::Body, &caller, &directives, now)?;
            (lookup, now)
        }
    };
    find(
        state,
        &caller,
        lookup,
        &directives,
        request,
        request_id,
        now,
    )
    .await
}

async fn find(
    state: &AppState,
    caller: &Caller,
    lookup: ParsedLookup,
    directives: &Directives,
    request: &Parts,
    request_id: &RequestId,
    now: Now,
) -> Result<CustomerResponse, ApiError> {
    let (shape, history) = (lookup.shape, lookup.history);
    let query = customer_query(state, caller, lookup, directives, now);
    let found = find_customer(state, caller, &query, directives).await;
    let contact = found.as_ref().ok().map(|found| found.record.id);
    let outcome = match (found, &history) {
        (Ok(found), None) => respond(state, caller, &found, &shape, request),
        (Ok(found), Some(history)) => {
            let with_history = respond_with_history(
                state,
                caller,
                (&query, history),
                found,
                &shape,
                directives,
                request,
            );
            Box::pin(with_history).await
        }
        (Err(error), _) => Err(error),
    };
    if shape.view == View::Full {
        let digester = &state.rules.digester;
        let audited = outcome
            .as_ref()
            .map(|found| (found.response.status(), found.cache_status));
        audit::full_view(request_id, &query, contact, audited, digester);
    }
    outcome
}

fn respond(
    state: &AppState,
    caller: &Caller,
    found: &Found,
    shape: &Shape,
    request: &Parts,
) -> Result<CustomerResponse, ApiError> {
    caller.record_shown(found.record.id);
    let rendered = state.customers.render(found, shape)?;
    response::customer(rendered, found.verdict, request)
}

/// The same with the contact's history, which a part that can't be had does not fail. An invalidation during the calls for
/// the history takes effect on everything else too.
async fn respond_with_history(
    state: &AppState,
    caller: &Caller,
    (query, wanted): (&CustomerQuery, &HistoryQuery),
    mut found: Found,
    shape: &Shape,
    directives: &Directives,
    request: &Parts,
) -> Result<CustomerResponse, ApiError> {
    let customers = &state.customers;
    let (mut since, mut verdict) = (query.arrival, found.verdict);
    for _ in 0..MAX_ROUNDS {
        let id = found.record.id;
        let history = customers.find_history(query, wanted, id).await;
        let history = history.map_err(|error| not_found(error, directives))?;
        verdict = history.verdict(verdict);
        if !customers.is_overtaken(query, id, &history, since) {
            caller.record_shown(id);
            let rendered = customers.render_with_history(&found, &history, shape)?;
            return response::customer(rendered, verdict, request);
        }
        since = customers.arrival();
        found = find_customer(state, caller, query, directives).await?;
        verdict = verdict.worst(found.verdict);
    }
    Err(customer::Error::TooLate.into())
}

/// The query to the customer service.
pub(super) fn customer_query(
    state: &AppState,
    caller: &Caller,
    lookup: ParsedLookup,
    directives: &Directives,
    now: Now,
) -> CustomerQuery {
    CustomerQuery {
        flow: caller.flow(),
        lookup: lookup.lookup,
        asked: lookup.shape.asked,
        fresh: lookup.fresh,
        now,
        arrival: state.customers.arrival(),
        max_age: directives.max_age,
        only_if_cached: directives.only_if_cached || caller.is_guard_tripped(now.tick),
        stale_if_error: !directives.no_stale_if_error,
        deadline: now.tick + state.rules.patience,
        purpose: Purpose::Person,
    }
}

async fn find_customer(
    state: &AppState,
    caller: &Caller,
    query: &CustomerQuery,
    directives: &Directives,
) -> Result<Found, ApiError> {
    let found = state.customers.find(query).await.map_err(|error| {
        if error.is_not_found() {
            caller.record_unknown(&query.lookup);
        }
        not_found(error, directives)
    })?;
    caller.require_contact(found.record.id)?;
    Ok(found)
}

fn not_found(error: customer::Error, directives: &Directives) -> ApiError {
    if error == customer::Error::NotCached && !directives.only_if_cached {
        return guard_tripped();
    }
    ApiError::from(error)
}

/// Whether it is not known, or not known any more, that the contact exists: it is unknown, or the call still runs, and the
/// next request may find what it finds.
pub(super) fn is_unsettled(error: &customer::Error) -> bool {
    error.is_not_found() || *error == customer::Error::TooLate
}

/// The refusal of a client whose enumeration guard is tripped, where the customer is not cached.
pub(super) fn guard_tripped() -> ApiError {
    ApiError::with_detail(
        Code::RateLimited,
        "Too many unknown customers were looked up within a minute.",
    )
    .retry_after(Duration::from_secs(60))
}
