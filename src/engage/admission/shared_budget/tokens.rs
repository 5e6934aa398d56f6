//! The types that a shared budget exchanges with its callers.

use crate::clock::Tick;

/// A request for tokens of the shared budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// How many more tokens are wanted.
    pub wanted: u32,
    /// How many are held.
    pub held: u32,
    /// How many are given back.
    pub returned: u32,
    /// How many replicas share the budget, as far as this one knows.
    pub known_replicas: u32,
    /// Until when this replica's share is lent.
    pub lent_until: Tick,
    /// Until when all calls pause, if the tier does not know that yet.
    pub pause_until: Option<Tick>,
}

/// Tokens of the shared budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenGrant {
    /// How many calls may be made.
    pub tokens: u32,
    /// Until when.
    pub until: Tick,
    /// With fewer tokens than wanted: when there may be some.
    pub next: Tick,
    /// Until when all calls pause.
    pub paused_until: Option<Tick>,
    /// How many replicas share the budget.
    pub replicas: u32,
}

/// The leased tokens by outcome, in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Leased.
    pub leased: u64,
    /// Used for a call.
    pub used: u64,
    /// Given back.
    pub returned: u64,
    /// Not used in time.
    pub lapsed: u64,
}

/// The state of a shared budget, for operators.
#[derive(Clone, Copy, Debug)]
pub struct SharedBudgetSnapshot {
    /// Whether tokens are leased. Otherwise this replica calls within its own share, or waits until it may.
    pub is_shared: bool,
    /// How many replicas share the budget.
    pub replicas: u32,
    /// The leased tokens by outcome.
    pub tokens: TokenCounts,
}

/// What tokens are needed for.
#[derive(Clone, Copy, Debug)]
pub(in crate::engage::admission) struct Demand {
    /// The number of waiting calls for which tokens are requested.
    pub(in crate::engage::admission) waiting: usize,
    /// Whether tokens may be leased ahead.
    pub(in crate::engage::admission) is_ahead: bool,
    /// Until when all calls pause.
    pub(in crate::engage::admission) paused_until: Option<Tick>,
}
