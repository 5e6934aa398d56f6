//! One request, one answer: what is done for every request, before and behind the routes.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::IntoResponse};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response, header, request::Parts};
use tower_service::Service;

use super::{
    AppState,
    caller_identified::CallerIdentified,
    connection_slots::RequestAdmission,
    cors::{self, Cors},
    customer,
    entry::EntryRules,
    error::{self, ApiError, Code},
    framing, lingering_close,
    operations::{self, OperationsState},
    peer::Peer,
    probe::Readiness,
    request_id::{REQUEST_ID, RequestId},
    requests::{self, RequestMetrics},
    response::{self, Note},
    routes::{self, ListenerKind, RouteLabel},
    unread_body::RequestBody,
};
use crate::{
    clock::{Clock, Now},
    config,
    telemetry::Limit,
};

/// What of a request matters to its answer, whatever that is.
pub(super) struct RequestContext<'a> {
    pub(super) route: RouteLabel,
    pub(super) request_id: RequestId,
    /// The page whose script asks, where pages are listed.
    pub(super) origin: Option<&'a [u8]>,
    pub(super) is_shopper: bool,
    pub(super) arrived: Now,
    /// Of the event that is logged; none where the caller is identified.
    pub(super) limit: Option<&'a Limit>,
}

/// Answers requests.
#[derive(Clone)]
pub struct HttpService {
    pub(super) router: Router,
    /// What questions about customers need, where they need not go through the router.
    pub(super) direct: Option<AppState>,
    pub(super) listener: ListenerKind,
    pub(super) cors: Cors,
    /// Which hosts and pages may ask for anything here.
    pub(super) entry: Option<Arc<EntryRules>>,
    /// The headers that no answer lacks, as they are written.
    pub(super) always: Arc<str>,
    /// Answers of a replica that wants no more requests end their connections.
    pub(super) readiness: Readiness,
    pub(super) requests: Arc<RequestMetrics>,
    /// For events of requests whose callers are not identified.
    pub(super) of_strangers: Limit,
    /// For events of connections.
    pub(super) of_connections: Limit,
    pub(super) clock: Clock,
}

/// When whoever found no room may try again.
const UNTIL_ROOM: Duration = Duration::from_secs(1);

/// On every answer, errors too: no cache in front of us may ever keep a customer.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    ),
    (
        HeaderName::from_static("cdn-cache-control"),
        HeaderValue::from_static("no-store"),
    ),
    (
        header::VARY,
        HeaderValue::from_static("Accept-Encoding, Authorization, X-Api-Key"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// Those, as they are written.
fn always() -> Arc<str> {
    let line = |(name, value): &(HeaderName, HeaderValue)| {
        let value = value.to_str().expect("these are texts");
        format!("{name}: {value}\r\n")
    };
    ALWAYS.iter().map(line).collect::<String>().into()
}

impl HttpService {
    /// The door for callers, and for scripts of the pages of these origins.
    pub fn new(
        state: AppState,
        cors_origins: &[HeaderValue],
        requests: Arc<RequestMetrics>,
        clock: Clock,
    ) -> Self {
        let cors = Cors::new(cors_origins);
        Self {
            readiness: state.readiness.clone(),
            direct: cors.is_off().then(|| state.clone()),
            router: routes::data_router(state, &cors),
            listener: ListenerKind::Data,
            cors,
            entry: None,
            always: always(),
            requests,
            of_strangers: Limit::new("requests", clock.clone()),
            of_connections: Limit::new("connections", clock.clone()),
            clock,
        }
    }

    /// The side door for operators, where requests may name the address and these hosts.
    pub fn for_operations(
        state: OperationsState,
        config: &config::Operations,
        requests: Arc<RequestMetrics>,
        clock: Clock,
    ) -> Self {
        let entry = EntryRules::new(config.listen.ip(), &config.hosts, &[]);
        Self {
            direct: None,
            readiness: state.readiness.clone(),
            router: routes::operations_router(state),
            listener: ListenerKind::Operations,
            cors: Cors::default(),
            entry: Some(Arc::new(entry)),
            always: always(),
            requests,
            of_strangers: Limit::new("requests to operations", clock.clone()),
            of_connections: Limit::new("connections to operations", clock.clone()),
            clock,
        }
    }

    /// For events of connections that can't be accepted: apart from the others, which come from whoever is connected.
    pub(super) fn of_refused_connections(&self) -> Limit {
        Limit::new("refused connections", self.clock.clone())
    }

    /// Logs what was left out of the log, for the end of the service.
    pub fn tell_left_out(&self) {
        self.of_strangers.tell();
        self.of_connections.tell();
    }

    /// One request, one answer. On a connection for which there is no room it is the only one.
    pub(super) async fn answer(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
        admission: RequestAdmission,
    ) -> Response<Body> {
        let arrived = self.clock.now();
        let version = request.version();
        let mut is_last = admission != RequestAdmission::Full;
        let request_id = RequestId::from_headers(request.headers());
        let route = RouteLabel::of(self.listener, request.uri().path(), request.method());
        // What the cache did and how long it took could tell a shopper of others.
        let is_shopper = request.headers().contains_key(header::AUTHORIZATION);
        let identified = CallerIdentified::default();
        let origin = if self.cors.is_off() {
            None
        } else {
            request.headers().get(header::ORIGIN).cloned()
        };
        let (mut response, note) = match framing::check(&request) {
            Ok(()) if admission == RequestAdmission::None => {
                let refusal = ApiError::new(Code::Overloaded).retry_after(UNTIL_ROOM);
                (refusal.into_response(), None)
            }
            Ok(()) => {
                catch_panic(self.route(request, peer, &request_id, arrived, &identified)).await
            }
            Err(error) => {
                // Where one request ends and the next begins is in doubt.
                is_last = true;
                (error.into_response(), None)
            }
        };
        let asked = RequestContext {
            route,
            request_id,
            origin: origin.as_ref().map(HeaderValue::as_bytes),
            is_shopper,
            arrived,
            limit: (!identified.is_set()).then_some(&self.of_strangers),
        };
        self.finish(&mut response, note, &asked);
        if is_last || !self.readiness.is_ready() {
            lingering_close::announce_close(&mut response, version);
        }
        response
    }

    /// What every answer gets, whatever it is an answer to.
    pub(super) fn finish(
        &self,
        response: &mut Response<Body>,
        note: Option<Note>,
        asked: &RequestContext<'_>,
    ) {
        error::write_problem(response, &asked.request_id);
        let headers = response.headers_mut();
        headers.reserve(8);
        for (name, value) in ALWAYS {
            headers.insert(name, value);
        }
        if !self.cors.is_off() {
            headers.insert(header::VARY, cors::VARY_BY_ORIGIN);
            self.cors.allow(asked.origin, headers);
        }
        let took = self.clock.tick().since(asked.arrived.tick);
        if asked.is_shopper {
            headers.remove(response::CACHE_STATUS);
        } else {
            let (name, value) = response::server_timing(note, took);
            headers.insert(name, value);
        }
        let code: Option<&Code> = response.extensions().get();
        let status = response.status();
        self.requests.count(status, code, note, took);
        let (code, request_id) = (code.map(Code::as_str), &asked.request_id);
        requests::log(
            asked.route,
            status,
            code,
            note,
            request_id,
            took,
            asked.limit,
        );
        response
            .headers_mut()
            .insert(REQUEST_ID, asked.request_id.into_value());
    }

    async fn route(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
        request_id: &RequestId,
        arrived: Now,
        identified: &CallerIdentified,
    ) -> (Response<Body>, Option<Note>) {
        let (parts, body) = request.into_parts();
        if let Some(entry) = &self.entry
            && let Err(refusal) = operations::let_in(entry, &parts, request_id, arrived.tick)
        {
            return (refusal.into_response(), None);
        }
        if let Some(state) = &self.direct
            && let Some(lookup) = routes::lookup_route(&parts.method, parts.uri.path())
        {
            let answer =
                customer::answer(state, lookup, &parts, body, request_id, arrived, identified);
            return match answer.await {
                Ok(reply) => (reply.response, Some(reply.note)),
                Err(error) => (error.into_response(), None),
            };
        }
        let by_router = self.route_by_router(parts, body, peer, request_id, identified);
        Box::pin(by_router).await
    }

    async fn route_by_router(
        &self,
        mut parts: Parts,
        body: RequestBody,
        peer: Peer,
        request_id: &RequestId,
        identified: &CallerIdentified,
    ) -> (Response<Body>, Option<Note>) {
        parts.extensions.insert(*request_id);
        let shared = Arc::<CallerIdentified>::default();
        parts.extensions.insert(Arc::clone(&shared));
        parts.extensions.insert(peer);
        let request = Request::from_parts(parts, Body::new(body));
        let mut router = self.router.clone();
        let answer = Service::call(&mut router, request).await;
        if shared.is_set() {
            identified.set();
        }
        match answer {
            Ok(mut response) => {
                let note = response.extensions_mut().remove();
                (response, note)
            }
            Err(never) => {
                let never: Infallible = never;
                match never {}
            }
        }
    }
}

/// A defect of ours must not take the connection down, nor say more than that it is one.
async fn catch_panic(
    answer: impl Future<Output = (Response<Body>, Option<Note>)>,
) -> (Response<Body>, Option<Note>) {
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| (ApiError::new(Code::Internal).into_response(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_500_that_says_no_more_than_that() {
        let (mut response, _) = catch_panic(async { panic!("alva.testsson@example.com") }).await;
        let id = RequestId::from_headers(&http::HeaderMap::new());
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
