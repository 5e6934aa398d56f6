//! Callers without a credential, where they are served: programs on this machine, and no pages of other sites in its
//! browser.

use std::sync::Arc;

use http::{HeaderValue, request::Parts};

use super::{
    super::{
        entry::{EntryRules, Refusal},
        error::{ApiError, Code},
    },
    client::Client,
};
use crate::{clock::Clock, config};

/// Their rights, and which of their requests are answered.
pub(super) struct Anonymous {
    client: Arc<Client>,
    entry: EntryRules,
}

impl Anonymous {
    pub(super) fn new(server: &config::Server, clock: &Clock) -> Result<Self, anyhow::Error> {
        let origins = server.cors_origins.iter();
        let origins = origins.map(|origin| HeaderValue::from_str(origin));
        Ok(Self {
            client: Arc::new(Client::anonymous(clock)),
            entry: EntryRules::new(
                server.listen.ip(),
                &[],
                &origins.collect::<Result<Vec<_>, _>>()?,
            ),
        })
    }

    /// Refuses what a page of another origin sends, or sends by a name of its own.
    pub(super) fn let_in(&self, request: &Parts) -> Result<Arc<Client>, ApiError> {
        match self.entry.check(&request.headers, &request.uri) {
            Ok(()) => Ok(Arc::clone(&self.client)),
            Err(refusal) => {
                let detail = match refusal {
                    Refusal::Host => {
                        "Without a credential Host must be localhost or a loopback address; or configure auth.clients."
                    }
                    Refusal::Page => {
                        "Without a credential pages of other origins may not ask; configure auth.clients or auth.jwt."
                    }
                };
                Err(ApiError::because(Code::Forbidden, detail))
            }
        }
    }
}
