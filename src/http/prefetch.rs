//! `POST /customer/prefetch`: caches a customer before it is requested. Every prefetch that may be made is answered
//! with the same 202, at once: the response discloses nothing about the contact. The look-up runs in a task of its own,
//! which ends within `server.request_timeout`; its calls come after those of interactive requests, and a shutdown does
//! not wait for it.

use axum::{
    body::Body,
    extract::{Request, State},
};
use http::StatusCode;

use super::{
    auth::{Caller, HeldBack},
    body::read_json_body,
    deferred::PrefetchOutcome,
    error::ApiError,
    log_context::LogContext,
    params::Params,
    state::AppState,
};
use crate::customer::{self, CacheStatus, CustomerQuery, Found, Purpose};

pub(super) async fn receive(
    State(state): State<AppState>,
    caller: Caller,
    request: Request<Body>,
) -> Result<StatusCode, ApiError> {
    let (head, body) = request.into_parts();
    let context = LogContext::from_extensions(&head.extensions);
    let customers = &state.customers;
    let body = read_json_body(&state.rules, customers.clock(), &head.headers, body).await?;
    let now = customers.clock().now();
    let params = Params::from_json(&body)?;
    let (lookup, prefer, requested) = state.rules.read_prefetch(params, &caller, now)?;
    let deadline = now.tick + state.rules.request_timeout;
    let query = CustomerQuery {
        request_id: Some(context.request_id),
        prefer,
        // Stale data does not satisfy a prefetch.
        stale_if_error: false,
        purpose: Purpose::Prefetch,
        trace: context.trace.clone(),
        ..customers.query(caller.flow(), lookup, requested, now, deadline)
    };
    if let Some(outcome) = start(&state, &caller, query) {
        state.deferred.count_prefetch(outcome);
    }
    Ok(StatusCode::ACCEPTED)
}

/// Starts the prefetch, or says why it is not needed or not made.
fn start(state: &AppState, caller: &Caller, query: CustomerQuery) -> Option<PrefetchOutcome> {
    let AppState {
        customers,
        deferred,
        ..
    } = state;
    if !customers.cache_is_on() {
        return Some(PrefetchOutcome::Dropped);
    }
    if customers.find_in_memory(&query, |_| Some(())).is_some() {
        return Some(PrefetchOutcome::Fresh);
    }
    let pending = match caller.begin_deferred(&query.lookup, query.now.tick) {
        Ok(pending) => pending,
        Err(HeldBack::Busy) => return Some(PrefetchOutcome::Dropped),
        Err(HeldBack::Tripped) => return Some(PrefetchOutcome::Guarded),
    };
    let Some(slot) = deferred.begin_prefetch(&query.flow) else {
        pending.withdraw();
        return Some(PrefetchOutcome::Dropped);
    };
    let state = state.clone();
    tokio::spawn(async move {
        let found = state.customers.find_deferred(query).await;
        let outcome = outcome(&found);
        pending.end(&found);
        state.deferred.count_prefetch(outcome);
        drop(slot);
    });
    None
}

fn outcome(found: &Result<Found, customer::Error>) -> PrefetchOutcome {
    match found {
        Ok(found) if found.verdict.collapsed => PrefetchOutcome::Joined,
        // Data that was stale and then fetched has the status of a hit.
        Ok(found) if found.verdict.status == CacheStatus::Hit && !found.verdict.stored => {
            PrefetchOutcome::Fresh
        }
        Ok(_) => PrefetchOutcome::Fetched,
        Err(error) if error.is_about_the_identifier() => PrefetchOutcome::Unknown,
        Err(_) => PrefetchOutcome::Failed,
    }
}
