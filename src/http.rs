//! The HTTP interface of both listeners: connections, requests, routes and responses.
//!
//! The module `routes` lists every route. What each request needs is done in one pass by `HttpService::respond`, not in
//! layers: it checks the framing, sets the request id, answers after a panic, and adds the header fields of every
//! response. Customer look-ups bypass the router, and plain hits bypass hyper too (`fast_path`). The only layer answers
//! preflights, where origins are configured.

mod audit;
mod auth;
mod batch;
mod body;
mod changed;
mod client_metrics;
mod codings;
mod conditions;
mod connection;
mod connection_context;
mod connection_limits;
mod connection_slots;
mod connection_state;
mod cors;
mod credentials;
mod customer;
mod decisions;
mod deferred;
mod directives;
mod entry;
mod error;
mod fast_path;
mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;

mod json_members;
mod lingering_close;
mod listener;
mod log_context;
mod log_rules;
mod lookup;
mod malformed_head;
#[cfg(test)]
mod openapi;
mod operations;
mod params;
mod peer;
mod prefetch;
mod probe;
mod request_id;
mod requests;
mod response;
mod response_headers;
mod routes;
mod service;
mod state;
mod timed_io;
mod unread_body;
mod webhook;

pub use self::{
    auth::{Authenticator, PublishedKeys, TokenReport, check_token, read_published_keys},
    connection_limits::ConnectionLimits,
    connection_slots::{ConnectionCounters, ConnectionMetrics, PROBE_CONNECTIONS},
    credentials::{Credentials, CurrentCredentials, OperatorRules},
    decisions::Decisions,
    deferred::DeferredWork,
    error::{ApiError, Code},
    listener::Listener,
    log_rules::LogRules,
    lookup::LookupRules,
    operations::{
        BreakerStatus, BudgetStatus, Configuration, ConfigurationStatus, Events, OperationsState,
        PendingReload, Reloaded, UpstreamStatus,
    },
    probe::Readiness,
    requests::RequestMetrics,
    routes::{Access, ListenerKind, ROUTES, Route},
    service::HttpService,
    state::AppState,
    webhook::WebhookReceiver,
};
