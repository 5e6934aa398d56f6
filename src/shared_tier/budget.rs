//! The call budget that all replicas share, and the number of replicas.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    BudgetSettings, Inner, TokenLease, TokenLeaseRequest, Unavailable,
    metrics::Operation,
    protocol::{TOKEN_LEASE, TokenCommand},
};

/// The settings of the budget, the number of replicas as far as it is known, and the number of this replica's last
/// command.
pub(super) struct Budget {
    settings: Mutex<BudgetSettings>,
    /// How many replicas there are, this one included.
    replicas: AtomicU32,
    /// The number of the last command.
    number: AtomicU64,
}

impl Budget {
    pub(super) fn new(settings: BudgetSettings) -> Self {
        Self {
            settings: Mutex::new(settings),
            replicas: AtomicU32::new(1),
            number: AtomicU64::new(0),
        }
    }

    fn settings(&self) -> MutexGuard<'_, BudgetSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leases tokens of this budget from now on. If it is the budget of another API key, this replica uses at most its
    /// own share of each, until the others have followed. If the rate or the burst differs, each command has its own
    /// replica's values, so until then no more is leased than the greater values allow.
    pub(super) fn replace(&self, settings: BudgetSettings) {
        *self.settings() = settings;
    }

    pub(super) fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    pub(super) fn note_replicas(&self, replicas: u32) {
        self.replicas.store(replicas.max(1), Ordering::Relaxed);
    }

    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Inner {
    /// See [`SharedTier::lease_tokens`](super::SharedTier::lease_tokens).
    pub(super) async fn lease_tokens(
        &self,
        request: TokenLeaseRequest,
    ) -> Result<TokenLease, Unavailable> {
        let link = self.guard.link(Operation::LeaseTokens)?;
        // This is never later than the server's clock at that moment, so on the server the loan ends when it ends for
        // this replica, or sooner.
        let lent_until = self.server_clock.at(request.lent_until);
        let lent_until = lent_until.ok_or(Unavailable)?;
        let sent = self.clock.tick();
        let budget = *self.budget.settings();
        let command = TokenCommand {
            budget: budget.name,
            replica: self.replica,
            number: self.budget.next_number(),
            rate: budget.requests_per_second,
            burst: budget.burst,
            wanted: request.wanted,
            held: request.held,
            returned: request.returned,
            known_replicas: request.known_replicas,
            lent_until,
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
        Ok(TokenLease {
            tokens: reply.granted,
            // The server counts from the arrival of the command, which is later.
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
        let name = self.budget.settings().name;
        let reply = self.backend.pause(name, pause);
        let call = self
            .guard
            .call(&link, Operation::Pause, self.deadline(), reply);
        if call.await.is_ok() {
            self.metrics.ended(Operation::Pause, "ok");
        }
    }
}
