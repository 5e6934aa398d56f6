//! What follows a failure of the tier: once the tokens that are held are used or have lapsed, no call can be made until
//! the share is this replica's own. So
//!
//! - calls that wait during that time may wait for longer;
//! - then calls are made within the own share for a while, before it is lent again. Each loan delays calls within the
//!   share, so lending it again to a tier that fails at once would delay them without end;
//! - a tier that grants nothing for too long counts as failed.

use std::time::Duration;

use crate::clock::Tick;

/// How much longer than usual a call may wait, because the share is not yet this replica's own.
pub(in crate::engage::admission) const MAX_RETURN: Duration = Duration::from_secs(1);
/// For how long calls are made within the own share after a failure: at first, and at most. It doubles with each failure
/// within [`STABLE`] after the share was lent again.
const OWN_TIME: Duration = Duration::from_secs(1);
const MAX_OWN_TIME: Duration = Duration::from_secs(10);
const STABLE: Duration = Duration::from_secs(10);
/// If calls wait and no token is granted for this time plus this many intervals of the own share, the tier counts as
/// failed. A server that evicts at random may lose the budget again and again, and begins each new one without tokens;
/// or tokens may lapse on their way.
const STARVATION: Duration = Duration::from_millis(200);
const STARVED_INTERVALS: u32 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Recovery {
    /// The time without calls after the last failure: its start, and its end, when the own share has a token.
    returns: (Tick, Tick),
    /// From when the share may be lent again, and for how long calls are made within it before that.
    may_lend_from: Tick,
    own_time: Duration,
    /// When it was last lent again.
    lent_at: Tick,
    /// Since when calls wait and no token is granted.
    starved_since: Option<Tick>,
}

impl Recovery {
    /// Nothing has failed, and the share may be lent. Until `own_at`, when the own share has its first token, no call
    /// can be made unless the tier answers earlier.
    pub(super) fn new(now: Tick, own_at: Tick) -> Self {
        Self {
            returns: (now, own_at),
            may_lend_from: now,
            own_time: OWN_TIME / 2,
            lent_at: now,
            starved_since: None,
        }
    }

    /// A request that lent the share failed: from `requested_at` until the own share has a token, no call can be made.
    pub(super) fn begin(
        &mut self,
        requested_at: Tick,
        own_from: Tick,
        interval: Duration,
        now: Tick,
    ) {
        self.returns = (requested_at, own_from + interval);
        self.own_time = if now.since(self.lent_at) >= STABLE {
            OWN_TIME
        } else {
            (self.own_time * 2).min(MAX_OWN_TIME)
        };
        self.may_lend_from = own_from + self.own_time;
        self.starved_since = None;
    }

    /// Whether the share may be lent again, now that a request was answered. If so, records that it is lent now.
    pub(super) fn may_lend(&mut self, now: Tick) -> bool {
        let may = now >= self.may_lend_from;
        if may {
            self.lent_at = now;
        }
        may
    }

    /// Whether calls have waited for tokens for too long. `was_refused`: the last reply granted no token although calls
    /// wait.
    pub(super) fn is_starved(&mut self, was_refused: bool, interval: Duration, now: Tick) -> bool {
        if !was_refused {
            self.starved_since = None;
            return false;
        }
        let since = *self.starved_since.get_or_insert(now);
        now.since(since) >= STARVATION + interval * STARVED_INTERVALS
    }

    /// How long, from `since` on, no call can be made; at most [`MAX_RETURN`].
    pub(super) fn returning_for(&self, since: Tick) -> Duration {
        let (from, until) = self.returns;
        until.since(from.max(since)).min(MAX_RETURN)
    }
}
