//! What the handlers of the data listener share.

use std::sync::Arc;

use axum::extract::FromRef;

use super::{
    credentials::CurrentCredentials, decisions::Decisions, deferred::DeferredWork,
    log_rules::LogRules, lookup::LookupRules, probe::Readiness, webhook::WebhookReceiver,
};
use crate::customer::CustomerService;

/// What the handlers of the data listener share; cheap to clone.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// The customer service.
    pub customers: CustomerService,
    /// The credentials that requests are checked against.
    pub credentials: CurrentCredentials,
    /// The rules by which look-ups are parsed.
    pub rules: Arc<LookupRules>,
    /// Which requests the log shows.
    pub log_rules: LogRules,
    /// Receives Engage's webhooks.
    pub webhooks: Arc<WebhookReceiver>,
    /// Bounds and counts deferred work.
    pub deferred: Arc<DeferredWork>,
    /// Keeps why look-ups were answered as they were.
    pub decisions: Arc<Decisions>,
    /// Whether this replica accepts traffic.
    pub readiness: Readiness,
}
