//! Why tokens are refused. The log and a metric give operators the reason, without any part of the token. The caller is
//! not informed of the reason, because it would help a forger.

use tracing::Level;

use super::super::log_context::LogContext;
use crate::{
    clock::Clock,
    domain::{ClientName, listed_enum::listed_enum},
    metrics::{Counter, Counters, Registry, Source, catalogue::customers::TOKEN_REFUSALS},
    telemetry::Limit,
};

listed_enum! {
    /// Why a token is refused: `why` in the log and in the metric. The checks are not made in this order; the first
    /// that fails decides.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in crate::http) enum TokenRefusal {
        /// It is of another issuer, or no issuer is configured.
        Issuer => "issuer",
        /// For another audience.
        Audience => "audience",
        /// `exp` has passed.
        Expired => "expired",
        /// `nbf` or `iat` is in the future.
        NotYetValid => "not_yet_valid",
        /// Valid for longer than `auth.jwt.max_lifetime`.
        Lifetime => "lifetime",
        /// The issuer has no such key.
        Key => "key",
        /// Signed with none of the issuer's keys.
        Signature => "signature",
        /// An algorithm that is not accepted.
        Algorithm => "algorithm",
        /// A type that is not accepted, such as a nested token or a security event.
        Type => "type",
        /// A required claim is missing, or a claim can't be read.
        Claim => "claim",
        /// Not a signed token, or more than one.
        Malformed => "malformed",
        /// Longer than the longest token that is parsed.
        TooLarge => "too_large",
        /// Requires an extension.
        Crit => "crit",
    }
}

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
                trace_id = context.trace_id().map(tracing::field::display),
                client = client.map(ClientName::as_str),
                why,
                "token refused"
            );
        }
    }
}
