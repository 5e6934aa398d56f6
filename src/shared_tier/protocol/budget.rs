//! The call budget that replicas share.

use std::time::Duration;

use super::terms::{ReplicaId, ServerTime};

/// The name of a call budget: a digest of the API key. It needs no key of its own, since the API key is random and can't
/// be guessed, and it must be the same in every epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BudgetName(pub [u8; 16]);

/// See [`Backend::lease_tokens`](super::Backend::lease_tokens).
///
/// Each replica has a share of the budget. It either lends that share, or makes its calls within it. Tokens are leased
/// out of what is lent: the bucket fills at the rate times the shares that are lent, and holds at most the burst times
/// those shares, **less the tokens that are leased and may still be used**. A replica that is cut off calls within its
/// own share no sooner than [`TOKEN_LEASE`] after its last `lent_until`, whatever happened to the command.
#[derive(Clone, Copy, Debug)]
pub struct TokenCommand {
    /// Which budget.
    pub budget: BudgetName,
    /// The replica.
    pub replica: ReplicaId,
    /// Greater than that of any earlier command of this replica. A command that was delayed and is older than one that
    /// has run changes nothing and is granted nothing.
    pub number: u64,
    /// Calls a second, of all replicas.
    pub rate: f64,
    /// Calls at once, of all replicas.
    pub burst: u32,
    /// How many more tokens are wanted, at most.
    pub wanted: u32,
    /// How many tokens of earlier leases the replica still holds. Those that are neither held nor returned were used.
    pub held: u32,
    /// How many tokens of earlier leases it gives back, and does not use any more.
    pub returned: u32,
    /// How many replicas this one last knew to share the budget, itself included: its own share is the rate and the burst
    /// divided by them.
    pub known_replicas: u32,
    /// Until when it lends its share. A time that has passed lends nothing, and is granted nothing; so does one that is
    /// more than [`LONGEST_LOAN`] ahead. `ServerTime(u64::MAX)`: the replica shuts down, and is forgotten. The caller
    /// calculates it from a time of the server that it knows to have passed, not from when the command arrives.
    pub lent_until: ServerTime,
}

/// See [`Backend::lease_tokens`](super::Backend::lease_tokens).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenReply {
    /// How many tokens are leased. The caller uses them within [`TOKEN_LEASE`] of *sending* the command, or not at all.
    pub granted: u32,
    /// When fewer than wanted: the time until the next.
    pub wait: Duration,
    /// The rest of a pause.
    pub pause: Option<Duration>,
    /// How many replicas share the budget: those whose last command is less than [`SHARE_MEMORY`] old; until the budget
    /// of a new data set is that old, at least as many as any replica last knew.
    pub replicas: u32,
}

/// How long leased tokens are valid.
pub const TOKEN_LEASE: Duration = Duration::from_millis(100);

/// No share is lent for longer at a time. A later end of a loan was calculated before the server's clock was set back.
pub const LONGEST_LOAN: Duration = Duration::from_secs(10);

/// For how long the share of a replica that neither lends it nor has left stays unused, because that replica may be cut
/// off.
pub const SHARE_MEMORY: Duration = Duration::from_mins(10);
