//! Client of the Engage API: operations, admission control, transport and parsing. No other module calls Engage's paths
//! or parses their responses.

mod admission;
mod call_metrics;
mod client;
mod connections;
mod error;
mod exchange;
mod failure_log;
mod group;
mod point_names;
mod probe;
mod resolver;
mod transport;
mod unreadable_log;
mod wire;

pub use self::{
    admission::{
        Admission, AdmissionRequest, AdmissionSnapshot, BreakerState, CallLimits, Permit,
        SharedBudgetSnapshot, TokenCounts, TokenGrant, TokenRequest,
    },
    call_metrics::CallMetrics,
    client::{ContactChanges, EngageClient, KnownPoints, longest_call, overview_parts},
    connections::Connections,
    error::Error,
    exchange::{Exchange, RequestOptions, ResponseFuture},
    failure_log::{Cause, FailedCall, FailureLog},
    group::Group,
    probe::{PointDefinitions, Probe},
    transport::NewConnections,
    wire::{Changes, Reader},
};
