//! The outermost service of a listener: one request, one response, and what every request gets whatever its route.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    BoxError, Router,
    body::{Body, Bytes},
    response::IntoResponse,
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response, header, request::Parts};
use tower_service::Service;

use super::{
    AppState,
    client_metrics::ClientOutcome,
    connection_slots::RequestAdmission,
    cors::Cors,
    credentials::CurrentCredentials,
    customer,
    error::{self, ApiError, Code},
    framing, lingering_close,
    log_context::LogContext,
    operations::{self, OperationsState},
    peer::Peer,
    probe::Readiness,
    request_id,
    requests::{self, Answered, RequestMetrics},
    response_headers::{CACHE_STATUS, CommonFields, FixedFields},
    routes::{self, ListenerKind, RouteLabel},
};
use crate::{
    clock::{Clock, Now},
    customer::CacheStatus,
    domain::Digester,
    telemetry::Limit,
    traces::{RequestTrace, Tracer},
};

/// What the common part of a response needs to know about its request.
pub(super) struct RequestContext<'a> {
    pub(super) route: RouteLabel,
    /// The `Origin`, where origins are configured.
    pub(super) origin: Option<&'a [u8]>,
    pub(super) is_shopper: bool,
    pub(super) arrived: Now,
    pub(super) log: &'a LogContext,
}

/// Answers the requests of one listener.
#[derive(Clone)]
pub struct HttpService {
    router: Router,
    /// The state of the customer routes, which bypass the router; none at the operations listener.
    pub(super) customer_state: Option<AppState>,
    /// Whether hits and delivered webhooks are logged at info too (`LogRules::access_log`).
    pub(super) access_log: bool,
    /// Whether the fast path may be taken (`server.fast_path`): it audits nothing.
    pub(super) has_fast_path: bool,
    pub(super) listener: ListenerKind,
    pub(super) cors: Cors,
    /// The credentials whose rules say which hosts and origins a request may name; `None` at the data listener.
    operators: Option<CurrentCredentials>,
    pub(super) fixed_fields: Arc<FixedFields>,
    /// A replica that is not ready any more ends each connection with its next response.
    pub(super) readiness: Readiness,
    pub(super) requests: Arc<RequestMetrics>,
    pub(super) tracer: Tracer,
    /// Bounds the log events of callers without a valid credential.
    pub(super) unauthenticated_limit: Limit,
    /// Bounds the log events of connections.
    pub(super) connection_limit: Limit,
    pub(super) clock: Clock,
}

/// `Retry-After` of requests that are turned away because every connection is busy.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

impl HttpService {
    /// The service of the data listener, for callers and for scripts of pages of these origins.
    pub fn new(
        state: AppState,
        cors_origins: &[HeaderValue],
        has_fast_path: bool,
        requests: Arc<RequestMetrics>,
        clock: Clock,
    ) -> Self {
        let cors = Cors::new(cors_origins);
        Self {
            readiness: state.readiness.clone(),
            customer_state: Some(state.clone()),
            has_fast_path: has_fast_path && !state.log_rules.audits_storefront,
            access_log: state.log_rules.access_log,
            router: routes::data_router(state, &cors),
            listener: ListenerKind::Data,
            fixed_fields: Arc::new(FixedFields::new(!cors.is_off())),
            cors,
            operators: None,
            requests,
            tracer: Tracer::default(),
            unauthenticated_limit: Limit::new("requests", clock.clone()),
            connection_limit: Limit::new("connections", clock.clone()),
            clock,
        }
    }

    /// The service of the operations listener.
    pub fn for_operations(
        state: OperationsState,
        requests: Arc<RequestMetrics>,
        clock: Clock,
    ) -> Self {
        Self {
            customer_state: None,
            has_fast_path: false,
            access_log: false,
            readiness: state.readiness.clone(),
            operators: Some(state.credentials.clone()),
            router: routes::operations_router(state),
            listener: ListenerKind::Operations,
            fixed_fields: Arc::new(FixedFields::new(false)),
            cors: Cors::default(),
            requests,
            tracer: Tracer::default(),
            unauthenticated_limit: Limit::new("requests to operations", clock.clone()),
            connection_limit: Limit::new("connections to operations", clock.clone()),
            clock,
        }
    }

    /// Records the spans of its requests.
    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The metrics of its responses.
    pub fn metrics(&self) -> &Arc<RequestMetrics> {
        &self.requests
    }

    /// Bounds the log events of connections that can't be accepted. It is apart from the limit of accepted connections,
    /// which their peers can use up.
    pub(super) fn accept_limit(&self) -> Limit {
        Limit::new("refused connections", self.clock.clone())
    }

    /// Logs a response. `limit` bounds what callers without a valid credential can cause.
    pub(super) fn log(&self, answered: &Answered<'_>, limit: Option<&Limit>) {
        requests::log(answered, self.access_log, self.digester(), limit);
    }

    /// Makes the digests of contacts in the log; none at the operations listener.
    fn digester(&self) -> Option<&Digester> {
        self.customer_state
            .as_ref()
            .map(|state| &state.rules.digester)
    }

    /// Logs how many events about requests and connections the limits dropped, at the end of the service.
    pub fn log_dropped_events(&self) {
        self.unauthenticated_limit.report();
        self.connection_limit.report();
    }

    /// Answers one request. A connection in the reserve, or whose request is ambiguous, is closed after the response.
    pub(super) async fn respond<B>(
        &self,
        request: Request<B>,
        peer: Peer,
        admission: RequestAdmission,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let arrived = self.clock.now();
        let version = request.version();
        let mut is_last = admission != RequestAdmission::Full;
        let request_id = request_id::of_headers(request.headers());
        let route = RouteLabel::of(self.listener, request.uri().path(), request.method());
        let is_shopper = request.headers().contains_key(header::AUTHORIZATION);
        let trace = self.begin_trace(route, &request, arrived);
        let log_context = Arc::new(LogContext::new(request_id, trace));
        let origin = if self.cors.is_off() {
            None
        } else {
            request.headers().get(header::ORIGIN).cloned()
        };
        let (mut response, cache_status) = match framing::check(&request) {
            Ok(()) if admission == RequestAdmission::None => {
                let refusal = ApiError::new(Code::Overloaded).retry_after(BUSY_RETRY_AFTER);
                (refusal.into_response(), None)
            }
            Ok(()) => catch_panic(self.route(request, peer, arrived, &log_context)).await,
            Err(error) => {
                // Where this request ends and the next begins is ambiguous.
                is_last = true;
                (error.into_response(), None)
            }
        };
        let context = RequestContext {
            route,
            origin: origin.as_ref().map(HeaderValue::as_bytes),
            is_shopper,
            arrived,
            log: &log_context,
        };
        self.finish(&mut response, cache_status, &context);
        if let Some(trace) = &log_context.trace {
            let code: Option<&Code> = response.extensions().get();
            let (status, code) = (response.status().as_u16(), code.map(Code::label));
            let responded = route.responded(status, code, cache_status);
            if let Some(span) = trace.end(&responded, self.clock.tick()) {
                self.tracer.record(span);
            }
        }
        if is_last || !self.readiness.is_ready() {
            lingering_close::announce_close(&mut response, version);
        }
        response
    }

    /// Begins the span of a request. `None` if traces are off, and for probes and scrapes.
    fn begin_trace<B>(
        &self,
        route: RouteLabel,
        request: &Request<B>,
        arrived: Now,
    ) -> Option<Arc<RequestTrace>> {
        if !self.tracer.is_on() || route.is_polled() {
            return None;
        }
        let mut given = request.headers().get_all(&TRACEPARENT).iter();
        // If there are several, none of them counts.
        let only = given.next().filter(|_| given.next().is_none());
        self.tracer.begin(only.map(HeaderValue::as_bytes), arrived)
    }

    /// Adds what every response has, whatever its route; counts and logs it.
    pub(super) fn finish(
        &self,
        response: &mut Response<Body>,
        cache_status: Option<CacheStatus>,
        context: &RequestContext<'_>,
    ) {
        let log = context.log;
        error::write_problem(response, &log.request_id);
        let took = self.clock.tick().since(context.arrived.tick);
        let common = CommonFields {
            fixed: &self.fixed_fields,
            is_timed: !context.is_shopper,
            cache_status,
            took,
            request_id: &log.request_id,
        };
        let headers = response.headers_mut();
        headers.reserve(8);
        if context.is_shopper {
            // It would disclose whether others requested the contact recently.
            headers.remove(&CACHE_STATUS.name);
        }
        common.write(headers);
        self.cors.allow(context.origin, headers);
        let code: Option<&Code> = response.extensions().get();
        let status = response.status();
        self.requests.count(status, code, cache_status, took);
        if let Some(counters) = log.counters() {
            let outcome = ClientOutcome::of(status, code, response.extensions().get());
            counters.count(outcome, context.arrived.wall);
        }
        let answered = Answered {
            route: context.route,
            status,
            code: code.map(Code::as_str),
            cache_status,
            request_id: &log.request_id,
            took,
            client: log.client(),
            contact: log.contact(),
            trace_id: log.trace_id(),
        };
        let limit = (!log.is_identified()).then_some(&self.unauthenticated_limit);
        self.log(&answered, limit);
    }

    async fn route<B>(
        &self,
        request: Request<B>,
        peer: Peer,
        arrived: Now,
        context: &Arc<LogContext>,
    ) -> (Response<Body>, Option<CacheStatus>)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        if let Some(credentials) = &self.operators
            && let entry = &credentials.now().operators.entry
            && let Err(refusal) =
                operations::check_entry(entry, &parts, &context.request_id, arrived.tick)
        {
            return (refusal.into_response(), None);
        }
        if let Some(state) = &self.customer_state
            && let Some(lookup) = routes::lookup_route(&parts.method, parts.uri.path())
        {
            let answer = customer::answer(state, lookup, &parts, body, arrived, context);
            return match answer.await {
                Ok(found) => (found.response, Some(found.cache_status)),
                Err(error) => (error.into_response(), None),
            };
        }
        let response = self.route_by_router(parts, Body::new(body), peer, context);
        (Box::pin(response).await, None)
    }

    async fn route_by_router(
        &self,
        mut parts: Parts,
        body: Body,
        peer: Peer,
        context: &Arc<LogContext>,
    ) -> Response<Body> {
        parts.extensions.insert(Arc::clone(context));
        parts.extensions.insert(peer);
        let mut router = self.router.clone();
        match Service::call(&mut router, Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(never) => {
                let never: Infallible = never;
                match never {}
            }
        }
    }
}

/// Turns a panic into a 500, so that it neither ends the connection nor discloses anything.
async fn catch_panic(
    response: impl Future<Output = (Response<Body>, Option<CacheStatus>)>,
) -> (Response<Body>, Option<CacheStatus>) {
    AssertUnwindSafe(response)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| (ApiError::new(Code::Internal).into_response(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panic_becomes_a_500_that_discloses_nothing() {
        let (mut response, _) = catch_panic(async { panic!("alva.testsson@example.com") }).await;
        let id = request_id::of_headers(&http::HeaderMap::new());
        error::write_problem(&mut response, &id);
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("text");
        assert!(
            text.contains("\"code\":\"Internal\"") && !text.contains("alva"),
            "{text}"
        );
    }
}
