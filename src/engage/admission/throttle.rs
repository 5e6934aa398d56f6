//! Rate limit of all calls with the API key: rate, burst, and the pause after a 429. After a pause the rate rises
//! gradually, because the load that caused the 429 is likely to be still there. The tokens come from a bucket, or from a
//! budget that replicas share.

use std::time::Duration;

use super::shared_budget::{Demand, SharedBudget, SharedBudgetSnapshot, TokenGrant, TokenRequest};
use crate::{clock::Tick, rate::Bucket};

/// Upper bound of the pause after a 429 with `Retry-After`.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// First and longest pause after a 429 without `Retry-After`, before a jitter of up to a tenth; each such 429 doubles
/// it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_DEFAULT_PAUSE: Duration = Duration::from_secs(30);
/// How long after a pause the rate stays below the configured one.
const SLOW_START: Duration = Duration::from_secs(10);
/// The first calls after a pause are this many configured intervals apart.
const SLOW_START_FACTOR: f64 = 10.0;
/// Another replica's pause that ends at most this much later than the one here is the same pause.
const SAME_PAUSE: Duration = Duration::from_millis(20);

/// Rate limiter with pauses.
#[derive(Debug)]
pub(super) struct Throttle {
    tokens: Tokens,
    last: Tick,
    /// Start and end of the last pause.
    paused: Option<(Tick, Tick)>,
    default_pause: Duration,
}

/// Where the tokens come from.
#[derive(Debug)]
enum Tokens {
    Own(Bucket),
    Shared(Box<SharedBudget>),
}

impl Throttle {
    /// A rate limiter with tokens of its own.
    pub(super) fn new(rate: f64, burst: u32, now: Tick) -> Self {
        Self::with(Tokens::Own(Bucket::new(rate, burst, now)), now)
    }

    /// A rate limiter with tokens of a budget that replicas share.
    pub(super) fn shared(budget: SharedBudget, now: Tick) -> Self {
        Self::with(Tokens::Shared(Box::new(budget)), now)
    }

    fn with(tokens: Tokens, now: Tick) -> Self {
        Self {
            tokens,
            last: now,
            paused: None,
            default_pause: FIRST_PAUSE,
        }
    }

    /// Changes rate and burst: its own, or those of all replicas that share them. A pause continues.
    pub(super) fn change_limits(&mut self, rate: f64, burst: u32, now: Tick) {
        match &mut self.tokens {
            Tokens::Own(bucket) => bucket.change(rate, burst, now),
            Tokens::Shared(budget) => budget.change_limits(rate, burst, now),
        }
    }

    /// Earliest time of the next call; `now` if it may start at once.
    pub(super) fn next(&self, now: Tick) -> Tick {
        let next = match &self.tokens {
            Tokens::Own(bucket) => bucket.next(now),
            Tokens::Shared(budget) => budget.next(now),
        };
        let Some((_, ends_at)) = self.paused else {
            return next;
        };
        next.max(ends_at).max(self.last + self.spacing(now))
    }

    /// The same for a deferred call, which is one of many: it leaves half of the burst. Of a shared budget only a few
    /// tokens at a time are leased for such calls.
    pub(super) fn next_deferred(&self, now: Tick) -> Tick {
        let half = match &self.tokens {
            Tokens::Own(bucket) => bucket.half_full_at(now),
            Tokens::Shared(_) => now,
        };
        self.next(now).max(half)
    }

    /// Takes a token; `false` if no call may start now.
    pub(super) fn take(&mut self, now: Tick) -> bool {
        let is_taken = self.next(now) <= now
            && match &mut self.tokens {
                Tokens::Own(bucket) => bucket.take(now).is_ok(),
                Tokens::Shared(budget) => budget.take(now),
            };
        if !is_taken {
            return false;
        }
        self.last = now;
        true
    }

    /// How much longer a call may wait that has been waiting since then: while this replica's share of a shared budget
    /// was not yet its own after a failure, no call could be made.
    pub(super) fn returning_for(&self, since: Tick) -> Duration {
        match &self.tokens {
            Tokens::Own(_) => Duration::ZERO,
            Tokens::Shared(budget) => budget.returning_for(since),
        }
    }

    /// Remaining pause.
    pub(super) fn pause(&self, now: Tick) -> Option<Duration> {
        let (_, ends_at) = self.paused?;
        (ends_at > now).then(|| ends_at.since(now))
    }

    /// Pauses all calls after a 429 to a call that started at `started_at`: for `retry_after`, at most a minute;
    /// without it for a default pause that doubles from one such 429 to the next. Returns the remaining pause.
    pub(super) fn pause_calls(
        &mut self,
        retry_after: Option<Duration>,
        started_at: Tick,
        now: Tick,
    ) -> Duration {
        let is_new = self.paused.is_none_or(|(began, _)| started_at > began);
        let is_calm = self
            .paused
            .is_none_or(|(_, ends_at)| now > ends_at + SLOW_START);
        let pause = retry_after
            .filter(|wait| !wait.is_zero())
            .unwrap_or_else(|| {
                // A 429 to a call that started before the pause is no new information.
                if is_calm {
                    self.default_pause = FIRST_PAUSE;
                } else if is_new {
                    self.default_pause = (self.default_pause * 2).min(MAX_DEFAULT_PAUSE);
                }
                // Jitter, so that replicas do not resume at the same moment; never shorter.
                self.default_pause.mul_f64(1.0 + fastrand::f64() / 10.0)
            });
        let ends_at = now + pause.min(MAX_PAUSE);
        self.paused = Some(match self.paused {
            Some((began, until)) if until > now => (began, until.max(ends_at)),
            _ => (now, ends_at),
        });
        self.pause(now).unwrap_or_default()
    }

    /// Whether a background call may start: half of the burst is available, or shared tokens are leased without waiting,
    /// and no slow start is under way.
    pub(super) fn has_spare_capacity(&self, now: Tick) -> bool {
        if self.pause(now).is_some() || !self.spacing(now).is_zero() {
            return false;
        }
        match &self.tokens {
            Tokens::Own(bucket) => bucket.next(now) <= now && bucket.is_half_full(now),
            Tokens::Shared(budget) => budget.has_spare_capacity(now),
        }
    }

    /// When tokens of a shared budget are to be requested, if `waiting` calls need them. `None`: no budget is shared.
    pub(super) fn request_due(&self, waiting: usize, now: Tick) -> Option<Tick> {
        let Tokens::Shared(budget) = &self.tokens else {
            return None;
        };
        Some(budget.request_due(self.demand(waiting, now), now))
    }

    /// The request for tokens of a shared budget that is due.
    pub(super) fn request(&mut self, waiting: usize, now: Tick) -> Option<TokenRequest> {
        let demand = self.demand(waiting, now);
        match &mut self.tokens {
            Tokens::Own(_) => None,
            Tokens::Shared(budget) => Some(budget.request(demand, now)),
        }
    }

    /// Takes over the reply to a request for tokens. Returns the remaining pause, if another replica's pause begins
    /// here or extends the known one.
    pub(super) fn granted(&mut self, grant: TokenGrant, now: Tick) -> Option<Duration> {
        if let Tokens::Shared(budget) = &mut self.tokens {
            budget.granted(grant, now);
        }
        let ends_at = grant.paused_until.filter(|at| *at > now)?;
        let (began, known) = self.paused.unwrap_or_default();
        if ends_at <= known + SAME_PAUSE {
            return None;
        }
        self.paused = Some((if known > now { began } else { now }, ends_at));
        self.pause(now)
    }

    /// A request for tokens failed.
    pub(super) fn request_failed(&mut self, now: Tick) {
        if let Tokens::Shared(budget) = &mut self.tokens {
            budget.failed(now);
        }
    }

    /// The last request, when this replica shuts down. `None`: no budget is shared.
    pub(super) fn leave(&mut self, now: Tick) -> Option<TokenRequest> {
        match &mut self.tokens {
            Tokens::Own(_) => None,
            Tokens::Shared(budget) => Some(budget.leave(now)),
        }
    }

    /// Calls a second, and calls at once, that may be made now.
    pub(super) fn limits(&self, now: Tick) -> (f64, f64) {
        match &self.tokens {
            Tokens::Own(bucket) => bucket.limits(),
            Tokens::Shared(budget) => budget.limits(now),
        }
    }

    /// The state of a shared budget.
    pub(super) fn shared_budget(&self, now: Tick) -> Option<SharedBudgetSnapshot> {
        match &self.tokens {
            Tokens::Own(_) => None,
            Tokens::Shared(budget) => Some(budget.snapshot(now)),
        }
    }

    fn demand(&self, waiting: usize, now: Tick) -> Demand {
        Demand {
            waiting,
            is_ahead: self.spacing(now).is_zero(),
            paused_until: self.pause(now).map(|rest| now + rest),
        }
    }

    /// Minimum interval between calls during the slow start; zero outside of it.
    fn spacing(&self, now: Tick) -> Duration {
        let Some((_, ends_at)) = self.paused else {
            return Duration::ZERO;
        };
        let resumed_for = now.since(ends_at);
        if resumed_for >= SLOW_START {
            return Duration::ZERO;
        }
        let left = 1.0 - resumed_for.as_secs_f64() / SLOW_START.as_secs_f64();
        let interval = match &self.tokens {
            Tokens::Own(bucket) => bucket.interval(),
            Tokens::Shared(budget) => budget.interval(),
        };
        interval.mul_f64(1.0 + (SLOW_START_FACTOR - 1.0) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle() -> (Throttle, Tick) {
        let now = Tick::default() + Duration::from_secs(100);
        (Throttle::new(50.0, 10, now), now)
    }

    #[test]
    fn pause_follows_retry_after_up_to_a_minute() {
        let (mut throttle, now) = throttle();
        assert_eq!(throttle.pause_calls(Some(5 * SECOND), now, now), 5 * SECOND);
        assert!(!throttle.take(now + Duration::from_millis(4999)));
        assert!(throttle.take(now + 5 * SECOND));
        let later = now + 60 * SECOND;
        assert_eq!(
            throttle.pause_calls(Some(900 * SECOND), later, later),
            60 * SECOND
        );
    }

    #[test]
    fn default_pause_doubles_up_to_half_a_minute() {
        let (mut throttle, mut now) = throttle();
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let started_at = now;
            let pause = throttle.pause_calls(None, started_at, now);
            let least = expected * SECOND;
            assert!(pause >= least && pause <= least.mul_f64(1.1), "{pause:?}");
            // A 429 to a call from before the pause does not double it again.
            assert!(throttle.pause_calls(None, started_at, now) <= least.mul_f64(1.1));
            now = now + pause + SECOND;
        }
        now = now + SLOW_START + 5 * SECOND;
        assert!(throttle.pause_calls(None, now, now) <= SECOND.mul_f64(1.1));
    }

    #[test]
    fn changed_limits_are_those_of_all_replicas_where_they_share_them() {
        let (mut own, now) = throttle();
        own.change_limits(10.0, 3, now);
        assert_eq!(own.limits(now), (10.0, 3.0));
        let budget = SharedBudget::new(50.0, 10, 2, now);
        let mut shared = Throttle::shared(budget, now);
        shared.change_limits(10.0, 3, now);
        // Its own share, which begins empty.
        assert_eq!(shared.limits(now), (5.0, 1.5));
        assert!(!shared.take(now));
        let joined = now + Duration::from_millis(900);
        assert!(!shared.take(joined));
        let later = joined + Duration::from_millis(300);
        assert!(shared.take(later) && !shared.take(later));
    }

    #[test]
    fn rate_rises_gradually_after_a_pause() {
        let (mut throttle, now) = throttle();
        throttle.pause_calls(Some(SECOND), now, now);
        let taken_in = |throttle: &mut Throttle, from: Tick| {
            (0..1000u64)
                .filter(|millis| throttle.take(from + Duration::from_millis(*millis)))
                .count()
        };
        let first = taken_in(&mut throttle, now + SECOND);
        let fifth = taken_in(&mut throttle, now + 6 * SECOND);
        let last = taken_in(&mut throttle, now + 20 * SECOND);
        assert!((4..=8).contains(&first), "{first}");
        assert!(fifth > first && fifth < 20, "{fifth}");
        assert!((50..=60).contains(&last), "{last}");
    }
}
