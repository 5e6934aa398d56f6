//! The refused tokens, in the log and in a metric, each with the reason that its caller does not get. Neither contains
//! anything of the token.

use tracing::Level;

use super::{super::log_context::LogContext, token::TokenRefusal};
use crate::{
    clock::Clock,
    domain::ClientName,
    metrics::{Counter, Counters, Registry, Source, catalogue::customers::TOKEN_REFUSALS},
    telemetry::Limit,
};

/// Counts and logs refused tokens. Anyone can cause them, so the events are limited.
pub(super) struct TokenRefusals {
    total: Counters,
    each: [Counter; TokenRefusal::COUNT],
    limit: Limit,
}

impl Source for TokenRefusals {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.total.clone());
    }
}

impl TokenRefusals {
    pub(super) fn new(clock: &Clock) -> Self {
        let total = Counters::new(&TOKEN_REFUSALS);
        Self {
            each: total.each(&[], TokenRefusal::ALL.map(TokenRefusal::as_str)),
            total,
            limit: Limit::new("tokens", clock.clone()),
        }
    }

    /// `client`: the one whose valid key came with the token.
    pub(super) fn record(
        &self,
        why: TokenRefusal,
        client: Option<&ClientName>,
        context: &LogContext,
    ) {
        self.each[why as usize].inc();
        let why = why.as_str();
        if tracing::enabled!(Level::INFO) && self.limit.allows() {
            tracing::info!(
                request_id = context.request_id.as_str(),
                client = client.map(ClientName::as_str),
                why,
                "token refused"
            );
        }
    }
}
