//! The operations listener: probes with details, metrics, what the cache holds, purges, and the switch that takes the
//! cache out of use. For the people and machines that run the service; never behind the public load balancer.

pub(super) mod cache;
pub(super) mod held;

use std::sync::Arc;

use aws_lc_rs::constant_time;
use axum::{
    Json,
    extract::{FromRef, FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use prometheus_client::registry::Registry;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{
    Authenticator, audit,
    auth::TokenKeys,
    entry::{EntryRules, Refusal},
    error::{ApiError, Code},
    identified::Identified,
    lookup::LookupRules,
    probe::{self, Readiness},
    request_id::RequestId,
};
use crate::{
    clock::Tick,
    customer::{CustomerService, Feed},
};

/// How metrics are written.
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const CHALLENGE: &str = "Bearer realm=\"engage-bff operations\"";

/// What the operations listener needs; cheap to clone.
#[derive(Clone)]
pub struct OperationsState {
    /// Whether this replica wants traffic.
    pub readiness: Readiness,
    /// Knows whether tokens can be judged.
    pub authenticator: Arc<Authenticator>,
    /// Reads the state of calls to Engage.
    pub upstream: Arc<dyn Fn() -> UpstreamStatus + Send + Sync>,
    /// What is held.
    pub customers: CustomerService,
    /// What is counted.
    pub registry: Arc<Registry>,
    /// How identifiers are read.
    pub rules: Arc<LookupRules>,
    /// What everything but the probes and the metrics asks for, where it is set.
    pub token: Option<SecretString>,
    /// What of the configuration works and is seldom meant.
    pub warnings: Arc<[String]>,
}

/// The state of calls to Engage.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamStatus {
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait to be admitted.
    pub queued: usize,
    /// Seconds until a pause that Engage asked for (429) ends.
    pub paused_for_seconds: Option<f64>,
    /// The circuit breaker of each group of endpoints.
    pub breakers: Vec<BreakerStatus>,
}

/// The state of one circuit breaker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerStatus {
    /// The group of endpoints.
    pub group: &'static str,
    /// `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// Seconds until it admits a call.
    pub refuses_for_seconds: Option<f64>,
}

impl OperationsState {
    /// Does what looks at everything that is held where no request waits for it.
    async fn at_leisure<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CustomerService) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let customers = self.customers.clone();
        tokio::task::spawn_blocking(move || work(&customers))
            .await
            .map_err(|_| ApiError::new(Code::Internal))
    }
}

impl TokenKeys {
    /// In the details of readiness.
    fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Loaded => "loaded",
            Self::Starting | Self::NotLoaded => "not loaded",
        }
    }
}

impl FromRef<OperationsState> for Readiness {
    fn from_ref(state: &OperationsState) -> Self {
        state.readiness.clone()
    }
}

/// Refuses what a page of another site sends, whatever it asks for: `Host` must name this listener.
pub(super) fn let_in(
    entry: &EntryRules,
    request: &Parts,
    request_id: &RequestId,
    now: Tick,
) -> Result<(), ApiError> {
    let Err(refusal) = entry.check(&request.headers, &request.uri) else {
        return Ok(());
    };
    if entry.is_logged(now) {
        tracing::warn!(
            target: audit::TARGET,
            request_id = request_id.as_str(),
            why = refusal.as_str(),
            "operations request refused"
        );
    }
    let detail = match refusal {
        Refusal::Host => "Host names none of this listener's hosts: list it in operations.hosts.",
        Refusal::Page => {
            "Pages of other origins may not ask here. A proxy must pass Host on, and operations.hosts list it."
        }
    };
    Err(ApiError::because(Code::Forbidden, detail))
}

/// An operator: somebody who shows the token, or anybody where none is set.
pub(super) struct Operator {
    request_id: RequestId,
}

impl FromRequestParts<OperationsState> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &OperationsState,
    ) -> Result<Self, ApiError> {
        let operator = Operator {
            request_id: RequestId::among(&parts.extensions),
        };
        let identified = Identified::among(&parts.extensions);
        let Some(token) = &state.token else {
            identified.note();
            return Ok(operator);
        };
        let shown = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let is_it = shown.is_some_and(|shown| {
            let token = token.expose_secret().as_bytes();
            constant_time::verify_slices_are_equal(shown, token).is_ok()
        });
        if is_it {
            identified.note();
            Ok(operator)
        } else {
            Err(ApiError::new(Code::Unauthorized).challenge(CHALLENGE))
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Readyz {
    ready: bool,
    token_keys: &'static str,
    engage: UpstreamStatus,
    cache: Held,
    webhooks: Webhooks,
    warnings: Vec<String>,
}

/// The feed of webhooks.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Webhooks {
    state: &'static str,
    last_taken_seconds_ago: Option<f64>,
}

impl Webhooks {
    fn of(customers: &CustomerService) -> Self {
        let now = customers.clock().tick();
        let feed = customers.feed();
        let last = feed.and_then(Feed::last_heard);
        Self {
            state: feed.map_or("off", |feed| feed.status(now).as_str()),
            last_taken_seconds_ago: last.map(|last| now.since(last).as_secs_f64()),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    enabled: bool,
    records: u64,
    record_bytes: u64,
    names: u64,
    negatives: u64,
}

/// Readiness and what an operator wants to know beside it. Never false because Engage is down: held
/// answers can be served.
pub(super) async fn ready(State(state): State<OperationsState>) -> Response {
    let ready = probe::is_ready(&state.readiness, &state.authenticator);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let counts = state.customers.counts();
    let detail = Readyz {
        ready,
        token_keys: state.authenticator.token_keys().as_str(),
        engage: (state.upstream)(),
        cache: Held {
            enabled: state.customers.cache_is_on(),
            records: counts.records,
            record_bytes: counts.record_bytes,
            names: counts.aliases,
            negatives: counts.negatives,
        },
        webhooks: Webhooks::of(&state.customers),
        warnings: state.warnings.to_vec(),
    };
    (status, Json(detail)).into_response()
}

pub(super) async fn metrics(State(state): State<OperationsState>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => ApiError::new(Code::Internal).into_response(),
    }
}
