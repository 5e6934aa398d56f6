//! `POST /reload`: reads the configuration again and puts it in force, as SIGHUP does, for operators without a shell.

use std::pin::Pin;

use axum::{Json, extract::State};
use serde::Serialize;

use super::{OperationsState, Operator};
use crate::{
    config::Mistakes,
    http::{
        audit,
        error::{ApiError, Code},
    },
};

/// The configuration in force, as operators see and replace it.
pub trait Configuration: Send + Sync {
    /// Reads the configuration again and puts in force what can change while the service runs. If there is any mistake
    /// nothing changes.
    fn reload(&self) -> PendingReload<'_>;

    /// The state, for operators.
    fn status(&self) -> ConfigurationStatus;
}

/// A reload under way.
pub type PendingReload<'a> = Pin<Box<dyn Future<Output = Result<Reloaded, Mistakes>> + Send + 'a>>;

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Reloaded))]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// The keys whose values changed.
    pub changed: Vec<String>,
    /// The keys whose new values need a restart: the old ones stay in force.
    pub needs_restart: Vec<String>,
}

/// The state of the configuration.
#[derive(Clone, Debug, Default)]
pub struct ConfigurationStatus {
    /// Settings that are valid and rarely intended.
    pub warnings: Vec<String>,
    /// The last reload.
    pub reload: ReloadStatus,
}

/// The last reload.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LastReload))]
#[serde(rename_all = "camelCase")]
pub struct ReloadStatus {
    /// When it ended (RFC 3339); `null` if there was none.
    pub at: Option<String>,
    /// Whether it failed, so that an earlier configuration is in force.
    pub failed: bool,
    /// The keys that need a restart, as of the last reload that succeeded.
    pub needs_restart: Vec<String>,
}

/// Answers with what changed, or with every mistake.
pub(in crate::http) async fn reload(
    operator: Operator,
    State(state): State<OperationsState>,
) -> Result<Json<Reloaded>, ApiError> {
    let request_id = operator.request_id.as_str();
    tracing::warn!(target: audit::TARGET, request_id, "configuration reload requested by operator");
    let reloaded = state.configuration.reload().await;
    reloaded
        .map(Json)
        .map_err(|mistakes| ApiError::with_detail(Code::InvalidConfiguration, mistakes.to_string()))
}
