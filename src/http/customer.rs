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
    customer::{self, CustomerQuery, Found, view::View},
};

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
    let shape = lookup.shape;
    let query = customer_query(state, caller, lookup, directives, now);
    let found = find_customer(state, caller, &query, directives).await;
    let contact = found.as_ref().ok().map(|found| found.record.id);
    let outcome = found.and_then(|found| {
        caller.record_shown(found.record.id);
        let rendered = state.customers.render(&found, &shape)?;
        let verdict = found.verdict;
        response::customer(rendered, verdict, request)
    });
    if shape.view == View::Full {
        let digester = &state.rules.digester;
        audit::full_view(request_id, &query, contact, outcome.as_ref(), digester);
    }
    outcome
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
        if error == customer::Error::NotCached && !directives.only_if_cached {
            return guard_tripped();
        }
        ApiError::from(error)
    })?;
    caller.require_contact(found.record.id)?;
    Ok(found)
}

/// The refusal of a client whose enumeration guard is tripped, where the customer is not cached.
fn guard_tripped() -> ApiError {
    ApiError::with_detail(
        Code::RateLimited,
        "Too many unknown customers were looked up within a minute.",
    )
    .retry_after(Duration::from_secs(60))
}
