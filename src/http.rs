//! The front door: the whole route table, and what every request gets whatever its route.
//!
//! There is no stack of layers, but one for scripts of other pages, where such are configured. What each request needs
//! is done in one pass by `HttpService::answer`: framing checked, request id found, panics caught, and the headers that
//! no answer may lack set with values prepared beforehand. Questions about customers, which is what callers ask all day,
//! go straight to their handler; the router has the other routes, and all of them where a layer stands before it.

mod audit;
mod auth;
mod body;
mod caller_identified;
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
mod routes;
mod service;
mod state;
mod timed_io;
mod unread_body;
mod webhook;

pub use self::{
    auth::Authenticator,
    connection_slots::{ConnectionCounters, ConnectionMetrics, PROBE_CONNECTIONS},
    error::{ApiError, Code},
    listener::{ConnectionLimits, Listener},
    lookup::LookupRules,
    operations::{BreakerStatus, OperationsState, UpstreamStatus},
    probe::Readiness,
    requests::RequestMetrics,
    routes::{Access, ListenerKind, ROUTES, Route},
    service::HttpService,
    state::AppState,
    webhook::WebhookReceiver,
};
