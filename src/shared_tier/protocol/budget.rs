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
/// from one bucket. Its fill rate is the rate times the fraction of the shares that are lent; its capacity is the burst
/// times that fraction, **less the leased tokens that may still be used**. A replica that loses the connection to the
/// tier waits until [`TOKEN_LEASE`] after its last `lent_until` before it makes calls within its own share, whether or
/// not its last command arrived.
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
    /// Until when it lends its share. A command whose `lent_until` has passed, or is more than [`LONGEST_LOAN`] ahead,
    /// lends nothing and is granted nothing. `ServerTime(u64::MAX)`: the replica shuts down, and is forgotten. The
    /// caller derives it from a server time that has certainly passed, since it can't know when the command arrives.
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
    /// The number of replicas that share the budget: those that sent a command within the last [`SHARE_MEMORY`]. For
    /// [`SHARE_MEMORY`] after a new data set began, it is at least the greatest `known_replicas` of any command.
    pub replicas: u32,
}

/// How long leased tokens are valid.
pub const TOKEN_LEASE: Duration = Duration::from_millis(100);

/// No share is lent for longer at a time. A `lent_until` further ahead was calculated before the server's clock was set
/// back, and lends nothing.
pub const LONGEST_LOAN: Duration = Duration::from_secs(10);

/// How long after its last command the share of a replica that did not shut down is reserved for it: it may be cut off
/// from the tier and make calls within that share.
pub const SHARE_MEMORY: Duration = Duration::from_mins(10);
