//! The credentials that requests are checked against, as one value that a reload replaces as a whole: clients' keys and
//! the token issuer, the secrets of webhooks, the operators' token and hosts. A request is checked against the
//! credentials that are in force when it arrives, even if they are replaced while it runs.

use std::{net::IpAddr, sync::Arc};

use arc_swap::{ArcSwap, Guard};
use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use secrecy::SecretString;
use tokio::sync::Notify;

use super::{
    auth::{Authenticator, Caller},
    entry::EntryRules,
    error::ApiError,
    log_context::LogContext,
};
use crate::{config, webhook::WebhookReader};

/// The credentials that requests are checked against.
pub struct Credentials {
    /// Clients' keys and the token issuer.
    pub authenticator: Authenticator,
    /// Verifies webhooks; `None` if no secret is configured, in which case no webhook is accepted.
    pub webhooks: Option<WebhookReader>,
    /// What requests to the operations listener must show.
    pub operators: OperatorRules,
}

/// What requests to the operations listener must show.
pub struct OperatorRules {
    /// The token, if one is set. Every route requires it except probes, metrics and the console's files.
    pub(super) token: Option<SecretString>,
    /// The hosts and origins that requests may name.
    pub(super) entry: EntryRules,
}

impl OperatorRules {
    /// The rules of a listener at this address.
    pub fn new(listen: IpAddr, config: &config::OperationsConfig) -> Self {
        Self {
            token: config.token.clone(),
            entry: EntryRules::new(listen, &config.hosts, &[]),
        }
    }
}

/// The credentials in force. Clones share them.
#[derive(Clone)]
pub struct CurrentCredentials(Arc<Current>);

struct Current {
    credentials: ArcSwap<Credentials>,
    /// Notified when the credentials were replaced.
    replaced: Notify,
}

impl CurrentCredentials {
    /// Begins with these credentials in force.
    pub fn new(credentials: Credentials) -> Self {
        Self(Arc::new(Current {
            credentials: ArcSwap::from_pointee(credentials),
            replaced: Notify::new(),
        }))
    }

    /// The credentials in force, for a moment: cheaper than [`to_keep`](Self::to_keep), and not to be held across an
    /// await.
    pub(super) fn now(&self) -> Guard<Arc<Credentials>> {
        self.0.credentials.load()
    }

    /// The credentials in force, for as long as a request takes.
    pub fn to_keep(&self) -> Arc<Credentials> {
        self.0.credentials.load_full()
    }

    /// Puts these credentials in force, for every request that arrives from now on.
    pub fn replace(&self, credentials: Credentials) {
        self.0.credentials.store(Arc::new(credentials));
        self.0.replaced.notify_one();
    }

    /// Keeps the token issuer's keys current; reads them again after each replacement. Never returns.
    pub async fn refresh_keys(&self) {
        loop {
            let credentials = self.to_keep();
            tokio::select! {
                () = credentials.authenticator.refresh_keys() => {}
                () = self.0.replaced.notified() => {}
            }
        }
    }
}

impl<S> FromRequestParts<S> for Caller
where
    CurrentCredentials: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let credentials = CurrentCredentials::from_ref(state).to_keep();
        let context = LogContext::from_extensions(&parts.extensions);
        let caller = credentials.authenticator.identify_arrived(parts, &context);
        Ok(caller.await?)
    }
}
