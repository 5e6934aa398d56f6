//! The fast path: a plain `GET /customer` that the cache can serve is answered from the connection's bytes, without
//! hyper.
//!
//! Authentication, parameters, look-up, selection and header fields are the regular path's own code. Only the reading
//! of the head and the writing of the bytes are different, and both must match hyper's byte for byte. Every other
//! request (not plain, not a hit, refused) is passed to hyper, untouched.
//!
//! The reason is processor time: hyper and its header maps take more than half of a hit's instructions. The decision,
//! its figures and its risks are in docs/decisions/0004-fast-path.md; `server.fast_path = false` switches it off.

mod head;
mod hyper_backlog;
mod pending_response;
mod stream;

use std::{panic::AssertUnwindSafe, sync::Arc};

use http::Method;

#[cfg(fuzzing)]
pub(super) use self::hyper_backlog::assert_independent_of_cuts;
pub(super) use self::stream::FastPath;
use self::{head::PlainRequest, pending_response::PendingResponse};
use super::{
    auth::{Authenticator, Caller, LastKey},
    client_metrics::ClientOutcome,
    codings::prefers_gzip,
    customer::customer_query,
    decisions::{Cause, Decision},
    directives::Directives,
    lookup::{LookupRules, ParamLocation, ParsedLookup},
    params::Params,
    requests::Answered,
    response::SelectedResponse,
    response_headers::CommonFields,
    routes::{CUSTOMER, RouteLabel},
    service::HttpService,
    state::AppState,
};
use crate::{
    clock::Now,
    customer::{CacheStatus, view::View},
    domain::{ContactId, RequestId},
    traces::RequestTrace,
};

impl HttpService {
    /// Writes the response to a plain request that is a hit. Otherwise returns `false`; nothing was written and nothing
    /// was counted.
    fn respond_from_memory(
        &self,
        request: &PlainRequest<'_>,
        last_key: &mut LastKey,
        pending: &mut PendingResponse,
    ) -> bool {
        let Some(state) = &self.customer_state else {
            return false;
        };
        let needs_cors = request.has_origin && !self.cors.is_off();
        if !self.has_fast_path || needs_cors {
            return false;
        }
        let arrived = self.clock.now();
        let request_id = RequestId::from_bytes(request.request_id);
        // A panic here falls through; the regular path panics again and answers 500.
        let trace = self.tracer.begin_recorded(request.traceparent, arrived);
        let selected = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let trace = trace.as_ref();
            select(state, request, &request_id, last_key, arrived, trace)
        }));
        let Ok(Some((selected, contact))) = selected else {
            return false;
        };
        let took = self.clock.tick().since(arrived.tick);
        let route = RouteLabel::of(self.listener, CUSTOMER, &Method::GET);
        let (status, cache_status) = (selected.status(), Some(selected.cache_status()));
        self.requests.count(status, None, cache_status, took);
        self.requests.count_fast_path();
        let answered = Answered {
            route,
            status,
            code: None,
            cache_status,
            request_id: &request_id,
            took,
            client: last_key.client(),
            contact: Some(contact),
            trace_id: trace.as_deref().and_then(RequestTrace::recorded_id),
        };
        self.log(&answered, None);
        if let Some(trace) = trace {
            let responded = route.responded(status.as_u16(), None, cache_status);
            if let Some(span) = trace.end(&responded, arrived.tick + took) {
                self.tracer.record(span);
            }
        }
        let common = CommonFields {
            fixed: &self.fixed_fields,
            is_timed: true,
            cache_status,
            took,
            request_id: &request_id,
        };
        let is_last = !self.readiness.is_ready();
        pending.write(selected, &common, arrived.wall, is_last);
        true
    }
}

/// The response to a plain request, and the contact that it is about, if it is a hit that the caller may see.
fn select(
    state: &AppState,
    request: &PlainRequest<'_>,
    request_id: &RequestId,
    last_key: &mut LastKey,
    arrived: Now,
    trace: Option<&Arc<RequestTrace>>,
) -> Option<(SelectedResponse, ContactId)> {
    let AppState {
        credentials,
        rules,
        customers,
        ..
    } = state;
    let credentials = credentials.now();
    let mut caller = identify(&credentials.authenticator, request, last_key)?;
    let lookup = read_lookup(rules, request, &caller, arrived)?;
    let shape = lookup.shape;
    let directives = Directives::default();
    let mut query = customer_query(state, &caller, lookup, &directives, None, arrived);
    if let Some(trace) = trace {
        trace.identified(&query.flow.client, true);
        query.trace = Some(Arc::clone(trace));
    }
    customers.find_in_memory(&query, |found| {
        if found.verdict.status != CacheStatus::Hit {
            return None;
        }
        let rendered = customers.render_at(found, &shape, arrived).ok()?;
        // The last check, since a request that counts against the client's rate must be answered here.
        caller.admit(arrived.tick).ok()?;
        caller.record_shown(found.record.id);
        customers.count_served(found, None, arrived.tick);
        if let Some(trace) = trace {
            trace.found(|| found.record.id.digest(&rules.digester), found.degraded);
        }
        let selected = SelectedResponse::select(
            rendered,
            found.verdict,
            prefers_gzip(request.accept_encoding.into_iter()),
            request.if_none_match.into_iter(),
        );
        if let Some(cause) = Cause::of(Ok(found)) {
            let contact = Some(found.record.id);
            let outcome = Ok((selected.status(), selected.cache_status()));
            let decision = Decision::new(request_id, &query, contact, outcome, cause);
            state.decisions.record(decision);
        }
        if let Some(client) = caller.counters() {
            let outcome = ClientOutcome::of(selected.status(), None, None);
            client.count(outcome, arrived.wall);
        }
        last_key.note_use(arrived.wall);
        Some((selected, found.record.id))
    })
}

/// The caller, if it can be answered here: it has a key, and its default view is the storefront view.
fn identify(
    authenticator: &Authenticator,
    request: &PlainRequest<'_>,
    last_key: &mut LastKey,
) -> Option<Caller> {
    // Without a key, `Host` and `Origin` decide whether the caller is admitted: the regular path checks them.
    let caller = authenticator.identify_by_key(request.key?, last_key).ok()?;
    // Every response in the full view is audited.
    (caller.view() == View::Storefront).then_some(caller)
}

/// The look-up of a plain request, if it can be answered here: in the storefront view, without fresh parts or history.
fn read_lookup(
    rules: &LookupRules,
    request: &PlainRequest<'_>,
    caller: &Caller,
    arrived: Now,
) -> Option<ParsedLookup> {
    let params = Params::from_query(request.query).ok()?;
    let lookup = rules
        .read(
            params,
            ParamLocation::Url,
            caller,
            &Directives::default(),
            arrived,
        )
        .ok()?;
    let is_storefront = lookup.shape.view == View::Storefront;
    (is_storefront && lookup.fresh.is_empty() && lookup.history.is_none()).then_some(lookup)
}
