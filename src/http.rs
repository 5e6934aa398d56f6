//! The front door: the whole route table, and what every request gets whatever its route.
//!
//! There is no stack of layers, but one for scripts of other pages, where such are configured. What each request needs
//! is done in one pass by `HttpService::answer`: framing checked, request id found, panics caught, and the headers that
//! no answer may lack set with values prepared beforehand. Questions about customers, which is what callers ask all day,
//! go straight to their handler; the router has the other routes, and all of them where a layer stands before it.

mod audit;
mod auth;
mod codings;
mod conditions;
mod connection;
mod connection_slots;
mod connection_state;
mod cors;
mod customer;
mod directives;
mod entry;
mod error;
mod fast_path;
mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;
mod identified;
mod lingering_close;
mod listener;
mod lookup;
mod malformed_head;
mod operations;
mod params;
mod peer;
mod probe;
mod request_id;
mod requests;
mod response;
mod service;
mod timed_io;
mod unread_body;
mod webhook;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{FromRef, State},
    routing::{get, post},
};
use http::Request;

pub use self::{
    auth::Authenticator,
    connection_slots::{ConnectionCounters, ConnectionMetrics, PROBE_CONNECTIONS},
    error::{ApiError, Code},
    listener::{ConnectionLimits, Listener},
    lookup::LookupRules,
    operations::OperationsState,
    probe::Readiness,
    requests::RequestMetrics,
    service::HttpService,
    webhook::Webhooks,
};
use self::{
    cors::Cors, customer::Asked, identified::Identified, request_id::RequestId,
    response::CustomerResponse,
};
use crate::customer::CustomerService;

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
) -> Result<CustomerResponse, ApiError> {
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
