//! The front door: the whole route table, and what every request gets whatever its route.
//!
//! There is no stack of layers, but one for scripts of other pages, where such are configured. What each request needs
//! is done in one pass by `FrontDoor::answer`: framing checked, request id found, panics caught, and the headers that
//! no answer may lack set with values prepared beforehand. Questions about customers, which is what callers ask all day,
//! go straight to their handler; the router has the other routes, and all of them where a layer stands before it.

mod audit;
mod auth;
mod codings;
mod conditions;
mod connection;
mod cors;
mod customer;
mod directives;
mod entry;
mod error;
mod fast_path;
mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head_watch;
mod identified;
mod linger;
mod listener;
mod lookup;
mod operations;
mod params;
mod peer;
mod probe;
mod reply;
mod request_id;
mod requests;
mod room;
mod timed_io;
mod unparsed;
mod unread;
mod webhook;

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{FromRef, State},
    response::IntoResponse,
    routing::{get, post},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Request, Response, header, request::Parts};
use tower_service::Service;

pub use self::{
    auth::Authenticator,
    error::{ApiError, Code},
    listener::{Limits, Listener},
    lookup::LookupRules,
    operations::OperationsState,
    probe::Readiness,
    requests::Requests,
    room::{Connections, Counts, PROBE_CONNECTIONS},
    webhook::Webhooks,
};
use self::{
    cors::Cors,
    customer::Asked,
    entry::EntryRules,
    identified::Identified,
    peer::Peer,
    reply::{Note, Reply},
    request_id::{REQUEST_ID, RequestId},
    requests::Route,
    room::Admission,
    unread::RequestBody,
};
use crate::{
    clock::{Clock, Now},
    config,
    customer::CustomerService,
    telemetry::Limit,
};

/// What the handlers need; cheap to clone.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// Answers questions about customers.
    pub customers: CustomerService,
    /// Knows the callers.
    pub authenticator: Arc<Authenticator>,
    /// How look-ups are read.
    pub rules: Arc<LookupRules>,
    /// Receives Engage's webhooks, where they have a secret.
    pub webhooks: Option<Arc<Webhooks>>,
    /// Whether this replica wants traffic.
    pub readiness: Readiness,
}

/// Every path that is served, and its methods. Anything else is a 401 without a credential and a 404
/// with one.
const ROUTES: [(&str, &str); 6] = [
    ("/customer", "GET, HEAD"),
    ("/customer/lookup", "POST"),
    ("/customer/me", "GET, HEAD"),
    ("/livez", "GET, HEAD"),
    ("/readyz", "GET, HEAD"),
    (WEBHOOKS, "POST"),
];

/// Where Engage's webhooks come in.
const WEBHOOKS: &str = "/webhooks/engage";

fn router(state: AppState, cors: &Cors) -> Router {
    let router = Router::new()
        .route("/customer", get(about_customer))
        .route("/customer/lookup", post(about_customer))
        .route("/customer/me", get(about_customer))
        .route("/livez", get(probe::live))
        .route("/readyz", get(probe::ready))
        .route(WEBHOOKS, post(webhook::receive))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::path_not_found)
        .with_state(state);
    if cors.is_off() {
        router
    } else {
        router.layer(cors.layer())
    }
}

/// A question about a customer that came through a layer.
async fn about_customer(
    State(state): State<AppState>,
    request: Request<Body>,
) -> Result<Reply, ApiError> {
    let (parts, body) = request.into_parts();
    let Some(asked) = Asked::of(&parts) else {
        return Err(ApiError::new(Code::NotFound));
    };
    let request_id = RequestId::among(&parts.extensions);
    let identified = Identified::among(&parts.extensions);
    let now = state.customers.clock().now();
    customer::answer(&state, asked, &parts, body, &request_id, now, &identified).await
}

/// Paths and their methods.
type Routes = [(&'static str, &'static str)];

/// The methods of a path.
fn allowed_methods(routes: &Routes, path: &str) -> Option<&'static str> {
    let (_, methods) = routes.iter().find(|(known, _)| is_of_route(known, path))?;
    Some(methods)
}

/// Whether the path is the route's, whose last piece may stand for any one piece.
fn is_of_route(route: &str, path: &str) -> bool {
    let is_any_piece = |stem: &str| {
        path.strip_prefix(stem)
            .is_some_and(|piece| !piece.is_empty() && !piece.contains('/'))
    };
    route == path
        || route
            .split_once('{')
            .is_some_and(|(stem, _)| is_any_piece(stem))
}

/// What of a request matters to its answer, whatever that is.
struct Asking<'a> {
    route: Route,
    request_id: RequestId,
    /// The page whose script asks, where pages are listed.
    origin: Option<&'a [u8]>,
    is_shopper: bool,
    arrived: Now,
    /// Of the event that is logged; none where the caller is identified.
    limit: Option<&'a Limit>,
}

/// Answers requests.
#[derive(Clone)]
pub struct FrontDoor {
    router: Router,
    /// What questions about customers need, where they need not go through the router.
    direct: Option<AppState>,
    routes: &'static Routes,
    cors: Cors,
    /// Which hosts and pages may ask for anything here.
    entry: Option<Arc<EntryRules>>,
    /// The headers that no answer lacks, as they are written.
    always: Arc<str>,
    /// Answers of a replica that wants no more requests end their connections.
    readiness: Readiness,
    requests: Arc<Requests>,
    /// For events of requests whose callers are not identified.
    of_strangers: Limit,
    /// For events of connections.
    of_connections: Limit,
    clock: Clock,
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

impl FrontDoor {
    /// The door for callers, and for scripts of the pages of these origins.
    pub fn new(
        state: AppState,
        cors_origins: &[HeaderValue],
        requests: Arc<Requests>,
        clock: Clock,
    ) -> Self {
        let cors = Cors::new(cors_origins);
        Self {
            readiness: state.readiness.clone(),
            direct: cors.is_off().then(|| state.clone()),
            router: router(state, &cors),
            routes: &ROUTES,
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
        requests: Arc<Requests>,
        clock: Clock,
    ) -> Self {
        let entry = EntryRules::new(config.listen.ip(), &config.hosts, &[]);
        Self {
            direct: None,
            readiness: state.readiness.clone(),
            router: operations::router(state),
            routes: &operations::ROUTES,
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
    fn of_refused_connections(&self) -> Limit {
        Limit::new("refused connections", self.clock.clone())
    }

    /// Logs what was left out of the log, for the end of the service.
    pub fn tell_left_out(&self) {
        self.of_strangers.tell();
        self.of_connections.tell();
    }

    /// One request, one answer. On a connection for which there is no room it is the only one.
    async fn answer(
        &self,
        request: Request<RequestBody>,
        peer: Peer,
        admission: Admission,
    ) -> Response<Body> {
        let arrived = self.clock.now();
        let version = request.version();
        let mut is_last = admission != Admission::Full;
        let request_id = RequestId::of(request.headers());
        let route = Route::of(self.routes, request.uri().path(), request.method());
        // What the cache did and how long it took could tell a shopper of others.
        let is_shopper = request.headers().contains_key(header::AUTHORIZATION);
        let identified = Identified::default();
        let origin = if self.cors.is_off() {
            None
        } else {
            request.headers().get(header::ORIGIN).cloned()
        };
        let (mut response, note) = match framing::check(&request) {
            Ok(()) if admission == Admission::None => {
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
        let asked = Asking {
            route,
            request_id,
            origin: origin.as_ref().map(HeaderValue::as_bytes),
            is_shopper,
            arrived,
            limit: (!identified.is_noted()).then_some(&self.of_strangers),
        };
        self.finish(&mut response, note, &asked);
        if is_last || !self.readiness.is_ready() {
            linger::announce_close(&mut response, version);
        }
        response
    }

    /// What every answer gets, whatever it is an answer to.
    fn finish(&self, response: &mut Response<Body>, note: Option<Note>, asked: &Asking<'_>) {
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
            headers.remove(reply::CACHE_STATUS);
        } else {
            let (name, value) = reply::server_timing(note, took);
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
        identified: &Identified,
    ) -> (Response<Body>, Option<Note>) {
        let (parts, body) = request.into_parts();
        if let Some(entry) = &self.entry
            && let Err(refusal) = operations::let_in(entry, &parts, request_id, arrived.tick)
        {
            return (refusal.into_response(), None);
        }
        if let Some(state) = &self.direct
            && let Some(asked) = Asked::of(&parts)
        {
            let answer =
                customer::answer(state, asked, &parts, body, request_id, arrived, identified);
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
        identified: &Identified,
    ) -> (Response<Body>, Option<Note>) {
        parts.extensions.insert(*request_id);
        let shared = Arc::<Identified>::default();
        parts.extensions.insert(Arc::clone(&shared));
        if parts.uri.path() == WEBHOOKS {
            parts.extensions.insert(peer);
        }
        let request = Request::from_parts(parts, Body::new(body));
        let mut router = self.router.clone();
        let answer = Service::call(&mut router, request).await;
        if shared.is_noted() {
            identified.note();
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
        let id = RequestId::of(&http::HeaderMap::new());
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
