//! The operations listener: probes with details, metrics, what the cache holds, purges, and the switch that takes the
//! cache out of use. For the people and machines that run the service; never behind the public load balancer.

pub(super) mod cache;
pub(super) mod explain;
pub(super) mod readiness;

use std::sync::Arc;

pub use self::readiness::{BreakerStatus, UpstreamStatus};
use aws_lc_rs::constant_time;
use axum::{
    extract::{FromRef, FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header, request::Parts};
use prometheus_client::registry::Registry;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Authenticator, audit,
    caller_identified::CallerIdentified,
    entry::{EntryRefusal, EntryRules},
    error::{ApiError, Code},
    lookup::LookupRules,
    probe::Readiness,
    request_id::RequestId,
};
use crate::{clock::Tick, customer::CustomerService};

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

impl OperationsState {
    /// Does what looks at everything that is held where no request waits for it.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CustomerService) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let customers = self.customers.clone();
        tokio::task::spawn_blocking(move || work(&customers))
            .await
            .map_err(|_| ApiError::new(Code::Internal))
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
        EntryRefusal::Host => {
            "Host names none of this listener's hosts: list it in operations.hosts."
        }
        EntryRefusal::Page => {
            "Pages of other origins may not ask here. A proxy must pass Host on, and operations.hosts list it."
        }
    };
    Err(ApiError::with_detail(Code::Forbidden, detail))
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
            request_id: RequestId::from_extensions(&parts.extensions),
        };
        let identified = CallerIdentified::from_extensions(&parts.extensions);
        let Some(token) = &state.token else {
            identified.set();
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
            identified.set();
            Ok(operator)
        } else {
            Err(ApiError::new(Code::Unauthorized).challenge(CHALLENGE))
        }
    }
}

pub(super) async fn metrics(State(state): State<OperationsState>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => ApiError::new(Code::Internal).into_response(),
    }
}
