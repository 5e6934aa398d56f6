//! The front door: the whole route table, and what every request gets whatever its route.
//!
//! There is no stack of layers, but one for scripts of other pages, where such are configured. What each request needs is done in one pass by [`FrontDoor::answer`]:
//! framing checked, request id found, panics caught, and the headers that no answer may lack set with
//! values prepared beforehand.

mod auth;
mod customer;
mod directives;
mod error;
mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;
mod listener;
mod lookup;
mod operations;
mod params;
mod probe;
mod reply;
mod timed_io;

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::FromRef, routing::get, routing::post};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use tower_http::cors::CorsLayer;
use tower_service::Service;

pub use self::{
    auth::Authenticator,
    error::{ApiError, Code},
    listener::{Limits, Listener},
    lookup::LookupRules,
    operations::OperationsState,
    probe::Readiness,
};
use crate::{clock::Clock, customer::CustomerService};

/// What the handlers need; cheap to clone.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// Answers questions about customers.
    pub customers: CustomerService,
    /// Knows the callers.
    pub authenticator: Arc<Authenticator>,
    /// How look-ups are read.
    pub rules: Arc<LookupRules>,
    /// Whether this replica wants traffic.
    pub readiness: Readiness,
}

/// Every path that is served, and its methods. Anything else is a 401 without a credential and a 404
/// with one.
const ROUTES: [(&str, &str); 5] = [
    ("/customer", "GET, HEAD"),
    ("/customer/lookup", "POST"),
    ("/customer/me", "GET, HEAD"),
    ("/livez", "GET, HEAD"),
    ("/readyz", "GET, HEAD"),
];

fn router(state: AppState, cors_origins: &[HeaderValue]) -> Router {
    let router = Router::new()
        .route("/customer", get(customer::by_query))
        .route("/customer/lookup", post(customer::by_body))
        .route("/customer/me", get(customer::own))
        .route("/livez", get(probe::live))
        .route("/readyz", get(probe::ready))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::path_not_found)
        .with_state(state);
    if cors_origins.is_empty() {
        router
    } else {
        router.layer(cors(cors_origins))
    }
}

/// What scripts of those pages may send and read: a shopper's token, never a client's key, and no
/// credential that the browser adds by itself.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CACHE_CONTROL,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            REQUEST_ID,
        ])
        .expose_headers([header::AGE, header::ETAG, header::RETRY_AFTER, REQUEST_ID])
        .max_age(PREFLIGHT_LIFETIME)
}

/// Paths and their methods.
type Routes = [(&'static str, &'static str)];

/// The methods of a path.
fn allowed_methods(routes: &Routes, path: &str) -> Option<&'static str> {
    let (_, methods) = routes.iter().find(|(known, _)| *known == path)?;
    Some(methods)
}

/// Answers requests.
#[derive(Clone)]
pub struct FrontDoor {
    router: Router,
    routes: &'static Routes,
    varies_by_origin: bool,
    clock: Clock,
}

/// The id of a request, in its answer, its problem body and its log events.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's own where it is well-formed, else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let well_formed = |value: &&HeaderValue| {
            let is_allowed =
                |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            (1..=64).contains(&value.len()) && value.as_bytes().iter().all(is_allowed)
        };
        let own = headers.get(&REQUEST_ID).filter(well_formed);
        Self(own.cloned().unwrap_or_else(|| {
            // Only to tell requests apart, so no secure source of randomness is needed.
            let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_le_bytes()).into_uuid();
            HeaderValue::try_from(id.to_string()).expect("a UUID makes a header value")
        }))
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a browser may remember what a page may send.
const PREFLIGHT_LIFETIME: Duration = Duration::from_secs(600);

/// Where answers differ by the page that asks.
const VARY_BY_ORIGIN: HeaderValue =
    HeaderValue::from_static("Accept-Encoding, Authorization, X-Api-Key, Origin");

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

impl FrontDoor {
    /// The door for callers, and for scripts of the pages of these origins.
    pub fn new(state: AppState, cors_origins: &[HeaderValue], clock: Clock) -> Self {
        Self {
            router: router(state, cors_origins),
            routes: &ROUTES,
            varies_by_origin: !cors_origins.is_empty(),
            clock,
        }
    }

    /// The side door for operators.
    pub fn for_operations(state: OperationsState, clock: Clock) -> Self {
        Self {
            router: operations::router(state),
            routes: &operations::ROUTES,
            varies_by_origin: false,
            clock,
        }
    }

    /// One request, one answer.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let began = self.clock.now().tick;
        let request_id = RequestId::of(request.headers());
        let method = request.method().clone();
        let route = self
            .routes
            .iter()
            .map(|(path, _)| *path)
            .find(|path| *path == request.uri().path());
        // What the cache did and how long it took could tell a shopper of others.
        let is_shopper = request.headers().contains_key(header::AUTHORIZATION);
        let mut response = match framing::check(&request) {
            Ok(()) => catch_panic(self.route(request)).await,
            Err(error) => {
                let mut refusal = axum::response::IntoResponse::into_response(error);
                // Where one request ends and the next begins is in doubt.
                let close = HeaderValue::from_static("close");
                refusal.headers_mut().insert(header::CONNECTION, close);
                refusal
            }
        };
        error::write_problem(&mut response, &request_id);
        let headers = response.headers_mut();
        headers.reserve(8);
        for (name, value) in ALWAYS {
            headers.insert(name, value);
        }
        if self.varies_by_origin {
            headers.insert(header::VARY, VARY_BY_ORIGIN);
        }
        headers.insert(REQUEST_ID, request_id.0.clone());
        let took = self.clock.now().tick.since(began);
        if is_shopper {
            response.headers_mut().remove(reply::CACHE_STATUS);
        } else {
            reply::write_server_timing(&mut response, took);
        }
        log(&response, &method, route, &request_id, took);
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let mut router = self.router.clone();
        match Service::call(&mut router, request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => {
                let never: Infallible = never;
                match never {}
            }
        }
    }
}

/// A defect of ours must not take the connection down, nor say more than that it is one.
async fn catch_panic(answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| {
            axum::response::IntoResponse::into_response(ApiError::new(Code::Internal))
        })
}

/// One event for each request that was more than a hit. No URL, no body, no header of the caller's but
/// its well-formed request id.
fn log(
    response: &Response<Body>,
    method: &Method,
    route: Option<&'static str>,
    request_id: &RequestId,
    took: Duration,
) {
    let is_hit = response.extensions().get::<reply::WasHit>().is_some();
    let status = response.status().as_u16();
    let code = response.extensions().get::<Code>().map(Code::as_str);
    let duration_ms = took.as_secs_f64() * 1000.0;
    let route = route.unwrap_or("(unknown)");
    let request_id = request_id.as_str();
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST") => known,
        _ => "(other)",
    };
    if is_hit || matches!(route, "/livez" | "/readyz" | "/metrics") {
        tracing::debug!(request_id, method, route, status, duration_ms, "answered");
    } else if status >= 500 {
        tracing::warn!(
            request_id,
            method,
            route,
            status,
            code,
            duration_ms,
            "answered"
        );
    } else {
        tracing::info!(
            request_id,
            method,
            route,
            status,
            code,
            duration_ms,
            "answered"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_500_that_says_no_more_than_that() {
        let mut response = catch_panic(async { panic!("alva.testsson@example.com") }).await;
        let id = RequestId(HeaderValue::from_static("abc"));
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
