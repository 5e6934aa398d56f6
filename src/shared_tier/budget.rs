//! The call budget that all replicas share, and how many they are.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use super::{
    Inner, TokenLease, Unavailable,
    metrics::Operation,
    protocol::{TOKEN_LEASE, TokenCommand},
};

/// What this replica knows of the others.
pub(super) struct Budget {
    /// How many replicas there are, this one included.
    replicas: AtomicU32,
    /// Whether tokens could not be leased since they last could.
    is_cut_off: AtomicBool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            replicas: AtomicU32::new(1),
            is_cut_off: AtomicBool::new(false),
        }
    }
}

impl Budget {
    pub(super) fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    pub(super) fn note_replicas(&self, replicas: u32) {
        self.replicas.store(replicas.max(1), Ordering::Relaxed);
    }
}

/// An attempt to lease tokens, which leaves the replica cut off if it fails or is given up.
struct Attempt<'a> {
    was_cut_off: bool,
    has_failed: bool,
    is_cut_off: &'a AtomicBool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.has_failed {
            self.is_cut_off.store(true, Ordering::Relaxed);
        }
    }
}

impl Inner {
    /// See [`SharedTier::lease_tokens`](super::SharedTier::lease_tokens).
    pub(super) async fn lease_tokens(&self, wanted: u32) -> Result<TokenLease, Unavailable> {
        let is_cut_off = &self.budget.is_cut_off;
        let mut attempt = Attempt {
            was_cut_off: is_cut_off.swap(false, Ordering::Relaxed),
            has_failed: true,
            is_cut_off,
        };
        let lease = self.try_lease(wanted, attempt.was_cut_off).await;
        attempt.has_failed = lease.is_err();
        lease
    }

    async fn try_lease(&self, wanted: u32, was_cut_off: bool) -> Result<TokenLease, Unavailable> {
        let link = self.guard.link(Operation::LeaseTokens)?;
        let sent = self.clock.tick();
        let command = TokenCommand {
            budget: self.settings.budget,
            replica: self.replica,
            rate: self.settings.requests_per_second,
            burst: self.settings.burst,
            wanted,
            known_replicas: self.budget.replicas(),
            was_cut_off,
        };
        let reply = self.backend.lease_tokens(command);
        let until = sent + self.settings.timeout;
        let reply = self
            .guard
            .call(&link, Operation::LeaseTokens, until, reply)
            .await?;
        let received = self.clock.tick();
        let outcome = if reply.granted > 0 { "granted" } else { "none" };
        self.metrics.ended(Operation::LeaseTokens, outcome);
        self.metrics.tokens_granted(reply.granted);
        Ok(TokenLease {
            tokens: reply.granted,
            // The server counts from later.
            until: sent + TOKEN_LEASE,
            next: received + reply.wait,
            paused_until: reply.pause.map(|pause| received + pause),
            replicas: reply.replicas.max(1),
        })
    }

    /// See [`SharedTier::pause`](super::SharedTier::pause).
    pub(super) async fn pause(&self, pause: Duration) {
        let Ok(link) = self.guard.link(Operation::Pause) else {
            return;
        };
        let reply = self.backend.pause(self.settings.budget, pause);
        let call = self
            .guard
            .call(&link, Operation::Pause, self.deadline(), reply);
        if call.await.is_ok() {
            self.metrics.ended(Operation::Pause, "ok");
        }
    }
}
