//! The loop between the call budget and the shared tier: leases tokens when admission needs them, and keeps lending
//! this replica's share.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Clock,
    config::Config,
    engage::{Admission, CallLimits, CallMetrics, TokenGrant, TokenRequest},
    shared_tier::{self, SharedTier, TokenLease, Unavailable},
};

/// Admission control whose rate and burst all replicas share. Without the tier, each replica has its share: the
/// limits divided by `engage.replicas`, or by the last known number of replicas.
pub(super) fn admission(config: &Config, metrics: Arc<CallMetrics>, clock: Clock) -> Admission {
    let limits = shared_limits(config);
    Admission::with_shared_budget(limits, config.engage.replicas, metrics, clock)
}

/// The limits of all replicas together.
pub(super) fn shared_limits(config: &Config) -> CallLimits {
    let engage = &config.engage;
    CallLimits {
        requests_per_second: engage.requests_per_second,
        burst: engage.burst,
        max_concurrency: engage.max_concurrency,
        slow_after: engage.timeout / 2,
    }
}

/// The source of tokens: the shared tier, or a substitute in a test.
pub(super) trait TokenSource {
    /// Leases tokens.
    fn lease(
        &self,
        request: shared_tier::TokenLeaseRequest,
    ) -> impl Future<Output = Result<TokenLease, Unavailable>> + Send;

    /// Pauses the budget for all replicas.
    fn pause(&self, pause: Duration) -> impl Future<Output = ()> + Send;
}

impl TokenSource for SharedTier {
    async fn lease(
        &self,
        request: shared_tier::TokenLeaseRequest,
    ) -> Result<TokenLease, Unavailable> {
        self.lease_tokens(request).await
    }

    async fn pause(&self, pause: Duration) {
        SharedTier::pause(self, pause).await;
    }
}

/// Leases tokens as admission needs them. Never returns. After its task has been ended, [`leave`] must be called.
pub(super) async fn run(admission: Admission, tier: impl TokenSource, clock: Clock) {
    loop {
        let request = admission.next_token_request().await;
        // Before the lease, so that the lease's reply includes the pause.
        if let Some(until) = request.pause_until {
            tier.pause(until.since(clock.tick())).await;
        }
        match tier.lease(to_tier(request)).await {
            Ok(lease) => admission.tokens_granted(to_admission(lease)),
            Err(Unavailable) => admission.token_request_failed(),
        }
    }
}

/// Gives this replica's share to the others, after its last call.
pub(super) async fn leave(admission: &Admission, tier: &impl TokenSource) {
    if let Some(request) = admission.last_token_request() {
        // If this fails, the share stays unused for ten minutes.
        let _ = tier.lease(to_tier(request)).await;
    }
}

fn to_tier(request: TokenRequest) -> shared_tier::TokenLeaseRequest {
    shared_tier::TokenLeaseRequest {
        wanted: request.wanted,
        held: request.held,
        returned: request.returned,
        known_replicas: request.known_replicas,
        lent_until: request.lent_until,
    }
}

fn to_admission(lease: TokenLease) -> TokenGrant {
    TokenGrant {
        tokens: lease.tokens,
        until: lease.until,
        next: lease.next,
        paused_until: lease.paused_until,
        replicas: lease.replicas,
    }
}

#[cfg(test)]
mod tests;
