//! What the handlers of the data listener share.

use std::sync::Arc;

use axum::extract::FromRef;

use super::{auth::Authenticator, lookup::LookupRules, probe::Readiness, webhook::WebhookReceiver};
use crate::customer::CustomerService;

/// What the handlers of the data listener share; cheap to clone.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// Answers questions about customers.
    pub customers: CustomerService,
    /// Knows the callers.
    pub authenticator: Arc<Authenticator>,
    /// How look-ups are read.
    pub rules: Arc<LookupRules>,
    /// Receives Engage's webhooks, where they have a secret.
    pub webhooks: Option<Arc<WebhookReceiver>>,
    /// Whether this replica wants traffic.
    pub readiness: Readiness,
}
