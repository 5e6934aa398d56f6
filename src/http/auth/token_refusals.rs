//! The refused tokens, in the log and in a metric, each with the reason that its caller does not get. Neither contains
//! anything of the token.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tracing::Level;

use super::{super::log_context::LogContext, token::TokenRefusal};
use crate::{clock::Clock, domain::ClientName, telemetry::Limit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WhyLabel {
    why: &'static str,
}

/// Counts and logs refused tokens. Anyone can cause them, so the events are limited.
pub(super) struct TokenRefusals {
    total: Family<WhyLabel, Counter>,
    limit: Limit,
}

impl TokenRefusals {
    /// With every series of the metric, so that each is there before its first event.
    pub(super) fn new(clock: &Clock) -> Self {
        let total = Family::<WhyLabel, Counter>::default();
        for why in TokenRefusal::ALL.map(TokenRefusal::as_str) {
            let _ = total.get_or_create(&WhyLabel { why });
        }
        Self {
            total,
            limit: Limit::new("tokens", clock.clone()),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "token_refusals",
            "Refused shoppers' tokens, by reason",
            self.total.clone(),
        );
    }

    /// `client`: the one whose valid key came with the token.
    pub(super) fn record(
        &self,
        why: TokenRefusal,
        client: Option<&ClientName>,
        context: &LogContext,
    ) {
        let why = why.as_str();
        self.total.get_or_create(&WhyLabel { why }).inc();
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
