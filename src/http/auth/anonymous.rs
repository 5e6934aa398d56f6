//! Callers without a credential, where `auth.allow_anonymous` is set: programs on this machine, but no page of another
//! origin in a browser on it.

use std::sync::Arc;

use http::{HeaderValue, request::Parts};

use super::{
    super::{client_metrics::ClientMetrics, entry::EntryRules},
    client::ApiClient,
    refusal::AuthRefusal,
};
use crate::{clock::Clock, config};

/// The rights of such callers, and which of their requests are answered.
pub(super) struct Anonymous {
    client: Arc<ApiClient>,
    entry: EntryRules,
}

impl Anonymous {
    pub(super) fn new(
        server: &config::ServerConfig,
        metrics: &ClientMetrics,
        clock: &Clock,
    ) -> Result<Self, anyhow::Error> {
        let origins = server.cors_origins.iter();
        let origins = origins.map(|origin| HeaderValue::from_str(origin));
        Ok(Self {
            client: Arc::new(ApiClient::anonymous(metrics, clock)),
            entry: EntryRules::new(
                server.listen.ip(),
                &[],
                &origins.collect::<Result<Vec<_>, _>>()?,
            ),
        })
    }

    /// Refuses a request of a page of another origin, or to another host name.
    pub(super) fn admit(&self, request: &Parts) -> Result<Arc<ApiClient>, AuthRefusal> {
        let checked = self.entry.check(&request.headers, &request.uri);
        checked.map_err(AuthRefusal::Entry)?;
        Ok(Arc::clone(&self.client))
    }
}
