//! Callers without a credential, where they are served: programs on this machine, and no pages of other sites in its
//! browser.

use std::sync::Arc;

use http::{HeaderValue, request::Parts};

use super::{
    super::{
        entry::{EntryRefusal, EntryRules},
        error::{ApiError, Code},
    },
    client::ApiClient,
};
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
    pub(super) fn admit(&self, request: &Parts) -> Result<Arc<ApiClient>, ApiError> {
        match self.entry.check(&request.headers, &request.uri) {
            Ok(()) => Ok(Arc::clone(&self.client)),
            Err(refusal) => {
                let detail = match refusal {
                    EntryRefusal::Host => {
                        "Without a credential Host must be localhost or a loopback address; or configure auth.clients."
                    }
                    EntryRefusal::Page => {
                        "Without a credential pages of other origins may not ask; configure auth.clients or auth.jwt."
                    }
                };
                Err(ApiError::with_detail(Code::Forbidden, detail))
            }
        }
    }
}
