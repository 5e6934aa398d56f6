//! The call budget: a token bucket on the server's clock.

use std::{collections::HashMap, time::Duration};

use engage_bff::shared_tier::protocol::{ReplicaId, TokenCommand, TokenReply};

use super::server::millis;

/// A replica that leased no tokens for so many milliseconds does not share the budget.
const ALIVE: u64 = 4000;

#[derive(Clone, Default)]
pub(super) struct Budget {
    /// The bucket's tokens, and when they were counted. At first there are none.
    tokens: Option<(f64, u64)>,
    paused_until: u64,
    replicas: HashMap<ReplicaId, u64>,
}

impl Budget {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small positive numbers"
    )]
    pub(super) fn lease(&mut self, command: TokenCommand, now: u64) -> TokenReply {
        self.replicas.insert(command.replica, now);
        self.replicas
            .retain(|_, seen| now.saturating_sub(*seen) < ALIVE);
        let replicas = u32::try_from(self.replicas.len()).expect("few replicas");
        let (tokens, counted) = self.tokens.unwrap_or((0.0, now));
        let passed = now.saturating_sub(counted) as f64 / 1000.0;
        let grown = if command.was_cut_off {
            0.0
        } else {
            (tokens + passed * command.rate).min(f64::from(command.burst))
        };
        let pause = self.paused_until.saturating_sub(now);
        let granted = if pause > 0 {
            0
        } else {
            (grown as u32).min(command.wanted)
        };
        let left = grown - f64::from(granted);
        self.tokens = Some((left, now));
        let wait = ((1.0 - left).max(0.0) / command.rate * 1000.0).ceil() as u64;
        TokenReply {
            granted,
            wait: Duration::from_millis(if granted == 0 { wait.max(1) } else { 0 }),
            pause: (pause > 0).then_some(Duration::from_millis(pause)),
            replicas: replicas.max(1),
        }
    }

    pub(super) fn pause(&mut self, pause: Duration, now: u64) {
        self.paused_until = self.paused_until.max(now + millis(pause));
    }
}
