//! The call budget that replicas share. Each replica has a share of it. It either lends that share, or makes its calls
//! within it:
//!
//! - **Lent**: calls take tokens that are leased from the shared tier, a few ahead while calls are made, so that a call
//!   rarely waits for a round trip. Tokens that are not needed are given back. Each request for tokens says until when
//!   the share is lent.
//! - **Its own**, when no tokens can be leased: a bucket with this replica's share of rate and burst. It begins empty,
//!   [`TOKEN_LEASE`] after the time until which the share was lent: by then the tier leases no tokens of that share any
//!   more, and those that other replicas had leased are used or have lapsed.
//!
//! So at any time each share of the rate and of the burst is used either through the tier or by its replica, never by
//! both, however long a message takes.
//!
//! After a failure the tokens that are held may still be used; apart from these no call is made until the share is this
//! replica's own, at most [`LOAN`] and [`TOKEN_LEASE`] after the request. Even if the tier fails again and again, such
//! delays must be rare and no longer than that: [`recovery`] sees to it.

mod leased;
mod recovery;
mod tokens;

use std::time::Duration;

pub use self::tokens::{SharedBudgetSnapshot, TokenCounts, TokenGrant, TokenRequest};
use self::{leased::LeasedTokens, recovery::Recovery};
pub(super) use self::{recovery::MAX_RETURN, tokens::Demand};
use crate::{clock::Tick, rate::Bucket};

/// How long leased tokens are valid; the same value as the shared tier's.
const TOKEN_LEASE: Duration = Duration::from_millis(100);
/// The most tokens that are leased ahead.
const MAX_RESERVE: u32 = 4;
/// How long after a call tokens are still leased ahead.
const RESERVE_TIME: Duration = Duration::from_millis(200);
/// For how long a replica that starts waits for the tier's first reply before it calls within its own share: the tier
/// alone knows how many replicas there are. No longer than [`MAX_RETURN`], for which a call may wait longer while the
/// share is not yet this replica's own.
const JOINING: Duration = Duration::from_millis(900);
/// Tokens are exchanged for new ones this long before they lapse.
const EXCHANGE_MARGIN: Duration = Duration::from_millis(30);
/// The least time until tokens that were not granted are requested again.
const SPACING: Duration = Duration::from_millis(5);
/// For how long the share is lent at a time, and how often that is renewed. Short, because after a failure only held
/// tokens are used until that time has passed. As long as the renewal interval and two operations that take the tier's
/// default time-out of 50 ms, so that two slow replies do not end a loan. If they are slower still, less of the budget
/// accumulates.
const LOAN: Duration = Duration::from_millis(200);
const RENEWAL: Duration = Duration::from_millis(100);
/// How long after a failure tokens are requested again.
const RETRY: Duration = Duration::from_millis(100);
/// How long a waiting call sleeps while tokens are requested; it is woken when they arrive.
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// The shared tier's pause may end this much earlier than the pause here, because times are rounded.
const PAUSE_TOLERANCE: Duration = Duration::from_millis(20);

/// A budget that replicas share.
#[derive(Debug)]
pub(super) struct SharedBudget {
    rate: f64,
    burst: f64,
    replicas: u32,
    /// This replica's share, empty until `own_from`.
    own: Bucket,
    /// Until then the share is lent, or others may hold tokens of it.
    own_from: Tick,
    leased: LeasedTokens,
    lease_state: LeaseState,
    recovery: Recovery,
    /// Whether calls wait for the request in flight.
    is_awaited: bool,
    /// Whether the share is to be lent now, because the tier can be reached again.
    is_loan_due: bool,
    /// When the last request was answered or failed, or [`IN_FLIGHT`].
    completed_at: Tick,
    /// How many tokens the request in flight wants.
    wanted: u32,
    /// When more tokens may be available.
    next: Tick,
    /// The last call.
    called_at: Option<Tick>,
    /// Whether the last request was granted in full.
    is_plentiful: bool,
    /// The end of the pause that the tier is known to have.
    announced: Option<Tick>,
    /// When a pause was last announced.
    announced_at: Tick,
}

/// Whether tokens can be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseState {
    /// No request has been answered yet. The next is made at this time, and lends nothing.
    Awaited(Tick),
    /// The last request was answered.
    Kept,
    /// The last request failed, its reply was too late, or the share may not be lent yet: the next is made at this
    /// time, and lends nothing.
    Lost(Tick),
}

/// The value of [`SharedBudget::completed_at`] while a request is in flight.
const IN_FLIGHT: Tick = Tick::END;

impl SharedBudget {
    /// A budget of all replicas. If no request is answered within [`JOINING`], this replica calls within its share of
    /// `replicas`, which is empty then.
    pub(super) fn new(rate: f64, burst: u32, replicas: u32, now: Tick) -> Self {
        let replicas = replicas.max(1);
        let burst = f64::from(burst);
        let own_from = now + JOINING;
        let own = own_share(rate, burst, replicas, own_from);
        Self {
            rate,
            burst,
            replicas,
            recovery: Recovery::new(now, own_from + own.interval()),
            own,
            own_from,
            leased: LeasedTokens::default(),
            lease_state: LeaseState::Awaited(now),
            is_awaited: false,
            is_loan_due: false,
            completed_at: now,
            wanted: 0,
            next: now,
            called_at: None,
            is_plentiful: false,
            announced: None,
            announced_at: Tick::default(),
        }
    }

    /// Changes the rate and the burst of all replicas. This one's share begins empty again; what is leased stays.
    pub(super) fn change_limits(&mut self, rate: f64, burst: u32, now: Tick) {
        self.rate = rate;
        self.burst = f64::from(burst);
        let from = self.own_from.max(now);
        self.own = own_share(self.rate, self.burst, self.replicas, from);
    }

    /// Earliest time of the next call; `now` if it may start at once.
    pub(super) fn next(&self, now: Tick) -> Tick {
        if self.leased.held(now) > 0 {
            now
        } else if self.lease_state == LeaseState::Kept && now < self.own_from {
            let looks_again = if self.completed_at == IN_FLIGHT {
                now
            } else {
                self.next
            };
            looks_again.max(now) + ROUND_TRIP
        } else {
            self.own.next(now)
        }
    }

    /// Takes a token; `false` if there is none.
    pub(super) fn take(&mut self, now: Tick) -> bool {
        let is_own = |own: &mut Bucket| now >= self.own_from && own.take(now).is_ok();
        let is_taken = self.leased.take(now) || is_own(&mut self.own);
        if is_taken {
            self.called_at = Some(now);
        }
        is_taken
    }

    /// How long, from `since` on, no call can be made because the share is not yet this replica's own after a failure;
    /// at most [`MAX_RETURN`].
    pub(super) fn returning_for(&self, since: Tick) -> Duration {
        self.recovery.returning_for(since)
    }

    /// The time between two calls within this replica's share.
    pub(super) fn interval(&self) -> Duration {
        self.own.interval()
    }

    /// Whether a background call may start: the last request for tokens was granted in full, or half of the own share's
    /// burst is available.
    pub(super) fn has_spare_capacity(&self, now: Tick) -> bool {
        if self.is_shared(now) {
            self.is_plentiful
        } else {
            self.own.is_half_full(now)
        }
    }

    /// When tokens are to be requested, or the loan renewed; `now` or earlier means at once.
    pub(super) fn request_due(&self, demand: Demand, now: Tick) -> Tick {
        if self.completed_at == IN_FLIGHT {
            return Tick::END;
        }
        if let LeaseState::Awaited(retry_at) | LeaseState::Lost(retry_at) = self.lease_state {
            return retry_at;
        }
        if self.is_loan_due {
            return now;
        }
        let renewal = self.completed_at + RENEWAL;
        let exchange = self.leased.oldest_until().map(|until| {
            let last_need = self.called_at.unwrap_or_default() + RESERVE_TIME;
            (until - EXCHANGE_MARGIN).min(last_need)
        });
        let is_short = self.leased.held(now) < self.target(demand, now);
        let is_unknown = self.unannounced(demand).is_some();
        let soon = self.completed_at + SPACING;
        let more = is_short.then_some(self.next);
        let announcement = is_unknown.then_some(soon.max(self.announced_at + RETRY));
        let times = [exchange.map(|at| at.max(soon)), more, announcement];
        times.into_iter().flatten().fold(renewal, Tick::min)
    }

    /// The request that is due. Until it is answered or has failed, no other is.
    pub(super) fn request(&mut self, demand: Demand, now: Tick) -> TokenRequest {
        self.leased.drop_lapsed(now);
        let is_lost = self.lease_state != LeaseState::Kept;
        let target = self.target(demand, now);
        let returned = if is_lost {
            0
        } else {
            self.leased.give_back(target, now)
        };
        let held = self.leased.held(now);
        let (wanted, lent_until) = if is_lost {
            // Once this is answered in time and the share may be lent again, the next request lends it. Before that no
            // request may: each failure would delay calls within the own share.
            (0, now)
        } else {
            self.lend_until(now + LOAN);
            (target.saturating_sub(held), self.own_from - TOKEN_LEASE)
        };
        self.wanted = wanted;
        self.is_awaited = demand.waiting > 0;
        self.is_loan_due = false;
        self.completed_at = IN_FLIGHT;
        let pause_until = self.unannounced(demand);
        if pause_until.is_some() {
            self.announced_at = now;
        }
        TokenRequest {
            wanted,
            held,
            returned,
            known_replicas: self.replicas,
            lent_until,
            pause_until,
        }
    }

    /// Takes over the reply to a request. A reply that took so long that its tokens have lapsed counts as one without
    /// tokens, and does not cause the share to be lent again. If calls have waited too long for tokens, the last reply
    /// without tokens counts as a failure, because calls would go on waiting without success.
    pub(super) fn granted(&mut self, grant: TokenGrant, now: Tick) {
        let is_late = grant.until <= now;
        let was_refused = self.is_awaited && self.wanted > 0 && (grant.tokens == 0 || is_late);
        let interval = self.own.interval();
        let is_first = matches!(self.lease_state, LeaseState::Awaited(_));
        if self.recovery.is_starved(was_refused, interval, now) {
            self.failed(now);
        } else if self.lease_state != LeaseState::Kept {
            if !is_late && self.recovery.may_lend(now) {
                self.lease_state = LeaseState::Kept;
                self.is_loan_due = true;
            } else {
                self.lease_state = LeaseState::Lost(now + RETRY);
            }
        }
        self.completed_at = now;
        if is_first {
            self.own_from = now;
        }
        if is_first || self.replicas != grant.replicas.max(1) {
            self.replicas = grant.replicas.max(1);
            let from = self.own_from.max(now);
            self.own = own_share(self.rate, self.burst, self.replicas, from);
        }
        self.leased.add(grant.tokens, grant.until);
        self.is_plentiful = grant.tokens >= self.wanted;
        self.next = if self.is_plentiful {
            now
        } else {
            grant.next.max(now + SPACING)
        };
        self.announced = grant.paused_until;
    }

    /// A request failed: what it was granted, if anything, is not used.
    pub(super) fn failed(&mut self, now: Tick) {
        if self.lease_state == LeaseState::Kept {
            let requested_at = self.own_from - (LOAN + TOKEN_LEASE);
            self.recovery
                .begin(requested_at, self.own_from, self.own.interval(), now);
        }
        let retry_at = now + RETRY;
        self.lease_state = match self.lease_state {
            LeaseState::Awaited(_) => LeaseState::Awaited(retry_at),
            LeaseState::Kept | LeaseState::Lost(_) => LeaseState::Lost(retry_at),
        };
        self.completed_at = now;
        self.is_plentiful = false;
    }

    /// The last request: gives back the tokens that are held, and lends the share for ever. No call is made after it.
    pub(super) fn leave(&mut self, now: Tick) -> TokenRequest {
        let returned = self.leased.give_back_all(now);
        self.lend_until(Tick::END);
        self.completed_at = IN_FLIGHT;
        TokenRequest {
            wanted: 0,
            held: 0,
            returned,
            known_replicas: self.replicas,
            lent_until: Tick::END,
            pause_until: None,
        }
    }

    pub(super) fn snapshot(&self, now: Tick) -> SharedBudgetSnapshot {
        SharedBudgetSnapshot {
            is_shared: self.is_shared(now),
            replicas: self.replicas,
            tokens: self.leased.counts,
        }
    }

    /// Calls a second, and calls at once: of all replicas, or of this replica's own share.
    pub(super) fn limits(&self, now: Tick) -> (f64, f64) {
        if self.is_shared(now) {
            (self.rate, self.burst)
        } else {
            self.own.limits()
        }
    }

    fn is_shared(&self, now: Tick) -> bool {
        self.lease_state == LeaseState::Kept && now < self.own_from
    }

    /// How many tokens are to be held: one for each waiting call, and some ahead while calls are made; at most one
    /// during a slow start, and none during a pause.
    fn target(&self, demand: Demand, now: Tick) -> u32 {
        if demand.paused_until.is_some() {
            return 0;
        }
        let waiting = u32::try_from(demand.waiting).unwrap_or(u32::MAX);
        let is_called = self
            .called_at
            .is_some_and(|at| now.since(at) < RESERVE_TIME);
        if demand.is_ahead && (waiting > 0 || is_called) {
            waiting.saturating_add(self.reserve())
        } else {
            waiting.min(1)
        }
    }

    /// How many tokens are leased ahead: so few that all replicas together hold at most half of the burst.
    fn reserve(&self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and the burst is a u32"
        )]
        let half = (self.burst / 2.0 / f64::from(self.replicas)) as u32;
        half.min(MAX_RESERVE)
    }

    /// Lends the share. Its unused tokens are lost.
    fn lend_until(&mut self, until: Tick) {
        self.own_from = self.own_from.max(until + TOKEN_LEASE);
        self.own = own_share(self.rate, self.burst, self.replicas, self.own_from);
    }

    /// Until when calls pause, if the tier does not know.
    fn unannounced(&self, demand: Demand) -> Option<Tick> {
        let known = self.announced.unwrap_or_default() + PAUSE_TOLERANCE;
        demand.paused_until.filter(|until| *until > known)
    }
}

fn own_share(rate: f64, burst: f64, replicas: u32, from: Tick) -> Bucket {
    let replicas = f64::from(replicas);
    Bucket::empty(rate / replicas, burst / replicas, from)
}

#[cfg(test)]
mod tests;
