//! Callers without a credential, where they are served: programs on this machine, and no pages of other sites in its
//! browser.

use std::sync::Arc;

use http::{HeaderValue, request::Parts};

use super::{super::entry::EntryRules, client::ApiClient, refusal::AuthRefusal};
use crate::{clock::Clock, config};

/// Their rights, and which of their requests are answered.
pub(super) struct Anonymous {
    client: Arc<ApiClient>,
    entry: EntryRules,
}

impl Anonymous {
    pub(super) fn new(server: &config::Server, clock: &Clock) -> Result<Self, anyhow::Error> {
        let origins = server.cors_origins.iter();
        let origins = origins.map(|origin| HeaderValue::from_str(origin));
        Ok(Self {
            client: Arc::new(ApiClient::anonymous(clock)),
            entry: EntryRules::new(
                server.listen.ip(),
                &[],
                &origins.collect::<Result<Vec<_>, _>>()?,
            ),
        })
    }

    /// Refuses what a page of another origin sends, or sends by a name of its own.
    pub(super) fn admit(&self, request: &Parts) -> Result<Arc<ApiClient>, AuthRefusal> {
        let checked = self.entry.check(&request.headers, &request.uri);
        checked.map_err(AuthRefusal::Entry)?;
        Ok(Arc::clone(&self.client))
    }
}
