//! The operations listener: the console, readiness with details, metrics, the content of the cache and its latest decisions,
//! purges, and the switch that turns the cache off. For operators and their tools; never behind the public load balancer.

mod by_name;
pub(super) mod cache;
pub(super) mod console;
pub(super) mod decisions;
pub(super) mod events;
pub(super) mod explain;
pub(super) mod readiness;
pub(super) mod reference;
pub(super) mod reload;
#[cfg(test)]
pub(super) mod schemas;

use std::sync::Arc;

use aws_lc_rs::constant_time;
use axum::{
    extract::{FromRef, FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header, request::Parts};
use secrecy::ExposeSecret;

pub use self::{
    events::Events,
    readiness::{BreakerStatus, BudgetStatus, UpstreamStatus},
    reload::{Configuration, ConfigurationStatus, PendingReload, Reloaded},
};
use super::{
    audit,
    credentials::CurrentCredentials,
    decisions::Decisions,
    entry::{EntryRefusal, EntryRules},
    error::{ApiError, Code},
    log_context::LogContext,
    lookup::LookupRules,
    probe::Readiness,
};
use crate::{clock::Tick, customer::CustomerService, domain::RequestId, metrics::Registry};

/// The media type of metrics.
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const CHALLENGE: &str = "Bearer realm=\"engage-bff operations\"";

/// What the handlers of the operations listener share; cheap to clone.
#[derive(Clone)]
pub struct OperationsState {
    /// Whether this replica accepts traffic.
    pub readiness: Readiness,
    /// The credentials that requests are checked against.
    pub credentials: CurrentCredentials,
    /// Reads the state of calls to Engage.
    pub upstream: Arc<dyn Fn() -> UpstreamStatus + Send + Sync>,
    /// The customer service with its cache.
    pub customers: CustomerService,
    /// The metrics.
    pub registry: Arc<Registry>,
    /// The metrics and the readiness as events, for operators who watch.
    pub events: Arc<Events>,
    /// The cache's latest decisions.
    pub decisions: Arc<Decisions>,
    /// The rules by which identifiers are parsed.
    pub rules: Arc<LookupRules>,
    /// The configuration in force.
    pub configuration: Arc<dyn Configuration>,
}

impl OperationsState {
    /// Runs work that may take long, such as a scan of the whole cache, outside the async workers.
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

/// Refuses requests whose `Host` is not this listener, whatever the route, and requests of pages of other origins,
/// except one that opens the console.
pub(super) fn check_entry(
    entry: &EntryRules,
    request: &Parts,
    request_id: &RequestId,
    now: Tick,
) -> Result<(), ApiError> {
    let Err(refusal) = entry.check(&request.headers, &request.uri) else {
        return Ok(());
    };
    // A link on another site may lead to the console, whose page contains no data. The rest it requests by itself.
    if refusal == EntryRefusal::Page && console::is_opened_by(request) {
        return Ok(());
    }
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
            "Host is not one of this listener's hosts. List it in operations.hosts."
        }
        EntryRefusal::Page => {
            "Pages of other origins are refused. A proxy must forward Host, and operations.hosts must list it."
        }
    };
    Err(ApiError::with_detail(Code::Forbidden, detail))
}

/// An authenticated operator: the request has the token, or none is set.
pub(super) struct Operator {
    request_id: RequestId,
}

impl FromRequestParts<OperationsState> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &OperationsState,
    ) -> Result<Self, ApiError> {
        let context = LogContext::from_extensions(&parts.extensions);
        let operator = Operator {
            request_id: context.request_id,
        };
        let credentials = state.credentials.to_keep();
        let Some(token) = &credentials.operators.token else {
            context.identify();
            return Ok(operator);
        };
        let sent = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let is_valid = sent.is_some_and(|sent| {
            let token = token.expose_secret().as_bytes();
            constant_time::verify_slices_are_equal(sent, token).is_ok()
        });
        if is_valid {
            context.identify();
            Ok(operator)
        } else {
            Err(ApiError::new(Code::Unauthorized).challenge(CHALLENGE))
        }
    }
}

/// The metrics, encoded outside the async workers: counting entries and descriptors takes a while.
pub(super) async fn metrics(State(state): State<OperationsState>) -> Result<Response, ApiError> {
    let registry = Arc::clone(&state.registry);
    let text = state.run_blocking(move |_| registry.encode()).await?;
    let text = text.map_err(|_| ApiError::new(Code::Internal))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
