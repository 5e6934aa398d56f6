//! The breaker of one group of endpoints: where calls mostly fail, it refuses them for a few seconds
//! and then lets one through to see.

use std::{collections::VecDeque, time::Duration};

use crate::clock::Tick;

/// How far back calls are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// Fewer calls than these say nothing.
const LEAST_CALLS: usize = 20;
/// The longest pause, and how long one call that tries keeps the next from trying.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What a call that ended says about the group's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Engage answered, and in time.
    Good,
    /// It failed, gave an answer that can't be read, or took too long.
    Bad,
    /// It did not accept our key. Counted apart: that is mended by people.
    Refused,
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Pass,
    /// It may, alone, to see whether Engage is back.
    Probe,
    /// Not before that time has passed.
    Refuse(Duration),
}

/// How a breaker stands, in the words that are usual for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// One call is tried.
    HalfOpen,
}

impl BreakerState {
    /// The name in metrics and in the readiness detail.
    pub const fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        }
    }
}

/// Counts calls and refuses them.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    ended: Ended,
    position: Position,
}

/// The calls that ended within the window, and how many of them did how.
#[derive(Debug, Default)]
struct Ended {
    calls: VecDeque<(Tick, Mark)>,
    bad: usize,
    refused: usize,
}

impl Ended {
    fn push(&mut self, now: Tick, mark: Mark) {
        let is_old = |(at, _): &mut (Tick, Mark)| now.since(*at) >= WINDOW;
        while let Some((_, old)) = self.calls.pop_front_if(is_old) {
            if let Some(count) = self.count(old) {
                *count -= 1;
            }
        }
        self.calls.push_back((now, mark));
        if let Some(count) = self.count(mark) {
            *count += 1;
        }
    }

    fn count(&mut self, mark: Mark) -> Option<&mut usize> {
        match mark {
            Mark::Good => None,
            Mark::Bad => Some(&mut self.bad),
            Mark::Refused => Some(&mut self.refused),
        }
    }

    fn are_mostly_failures(&self) -> bool {
        let calls = self.calls.len();
        calls >= LEAST_CALLS && (self.bad * 2 >= calls || self.refused * 2 >= calls)
    }
}

#[derive(Clone, Copy, Debug, Default)]
enum Position {
    #[default]
    Closed,
    /// Until then calls are refused; afterwards the first is a probe.
    Open(Tick),
    /// A probe is under way; at that moment another may be.
    Probing(Tick),
}

impl Breaker {
    pub(super) fn state(&self) -> BreakerState {
        match self.position {
            Position::Closed => BreakerState::Closed,
            Position::Open(_) => BreakerState::Open,
            Position::Probing(_) => BreakerState::HalfOpen,
        }
    }

    /// How long calls are refused from now on.
    pub(super) fn refuses_for(&self, now: Tick) -> Option<Duration> {
        match self.position {
            Position::Open(until) | Position::Probing(until) if until > now => {
                Some(until.since(now))
            }
            _ => None,
        }
    }

    /// Judges a call that is about to be made.
    pub(super) fn gate(&mut self, now: Tick) -> Gate {
        if let Some(wait) = self.refuses_for(now) {
            return Gate::Refuse(wait);
        }
        match self.position {
            Position::Closed => Gate::Pass,
            Position::Open(_) | Position::Probing(_) => {
                self.position = Position::Probing(now + MAX_PAUSE);
                Gate::Probe
            }
        }
    }

    /// Notes how a call ended; whether that opened the breaker.
    pub(super) fn record(&mut self, mark: Mark, is_probe: bool, now: Tick) -> bool {
        match (self.position, mark) {
            (Position::Probing(_), Mark::Good) if is_probe => {
                self.ended = Ended::default();
                self.position = Position::Closed;
                false
            }
            (Position::Probing(_), _) if is_probe => self.trip(now),
            (Position::Closed, _) => {
                self.ended.push(now, mark);
                self.ended.are_mostly_failures() && self.trip(now)
            }
            // Calls from before it opened say nothing new.
            (Position::Open(_) | Position::Probing(_), _) => false,
        }
    }

    /// A probe ended without saying anything: another may try at once.
    pub(super) fn abandon_probe(&mut self, now: Tick) {
        if let Position::Probing(_) = self.position {
            self.position = Position::Open(now);
        }
    }

    /// Refuses calls for as long as Engage said itself, five seconds at most, and never for less than
    /// it did anyway; whether that opened it.
    pub(super) fn pause(&mut self, now: Tick, said: Duration) -> bool {
        let until = now + said.min(MAX_PAUSE);
        let (until, opens) = match self.position {
            Position::Open(held) if held > now => (until.max(held), false),
            _ => (until, true),
        };
        self.ended = Ended::default();
        self.position = Position::Open(until);
        opens
    }

    fn trip(&mut self, now: Tick) -> bool {
        // A little shorter, so that replicas do not try together.
        let pause = MAX_PAUSE.mul_f64(1.0 - fastrand::f64() / 5.0);
        self.ended = Ended::default();
        self.position = Position::Open(now + pause);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn open() -> (Breaker, Tick) {
        let now = Tick::default();
        let mut breaker = Breaker::default();
        for _ in 0..LEAST_CALLS {
            breaker.record(Mark::Bad, false, now);
        }
        (breaker, now)
    }

    #[test]
    fn twenty_calls_of_which_half_fail_open_it_and_fewer_do_not() {
        let now = Tick::default();
        let mut breaker = Breaker::default();
        for call in 0..LEAST_CALLS - 1 {
            let mark = if call % 2 == 0 { Mark::Bad } else { Mark::Good };
            assert!(!breaker.record(mark, false, now), "call {call}");
        }
        assert!(breaker.record(Mark::Bad, false, now));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn failures_and_refusals_are_not_added_up() {
        let now = Tick::default();
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            for mark in [Mark::Bad, Mark::Refused, Mark::Good] {
                assert!(!breaker.record(mark, false, now));
            }
        }
    }

    #[test]
    fn failures_of_long_ago_do_not_count() {
        let mut now = Tick::default();
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert!(!breaker.record(Mark::Bad, false, now));
            now = now + SECOND;
        }
    }

    #[test]
    fn an_open_one_lets_one_call_through_within_five_seconds() {
        let (mut breaker, now) = open();
        assert!(matches!(breaker.gate(now), Gate::Refuse(wait) if wait <= MAX_PAUSE));
        let later = now + MAX_PAUSE;
        assert_eq!(breaker.gate(later), Gate::Probe);
        assert!(matches!(breaker.gate(later), Gate::Refuse(_)));
        assert!(!breaker.record(Mark::Good, true, later));
        assert_eq!(breaker.gate(later), Gate::Pass);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_and_one_that_hangs_holds_up_nobody_for_longer() {
        let (mut breaker, now) = open();
        let later = now + MAX_PAUSE;
        assert_eq!(breaker.gate(later), Gate::Probe);
        assert!(breaker.record(Mark::Bad, true, later));
        assert!(matches!(breaker.gate(later), Gate::Refuse(_)));
        assert_eq!(breaker.gate(later + MAX_PAUSE), Gate::Probe);
        assert_eq!(breaker.gate(later + 2 * MAX_PAUSE), Gate::Probe);
    }

    #[test]
    fn a_pause_is_as_long_as_engage_said_and_never_shortens_another() {
        let (mut breaker, now) = (Breaker::default(), Tick::default());
        assert!(breaker.pause(now, 3 * SECOND));
        assert_eq!(breaker.gate(now), Gate::Refuse(3 * SECOND));
        assert!(!breaker.pause(now, SECOND));
        assert_eq!(breaker.gate(now), Gate::Refuse(3 * SECOND));
        assert!(!breaker.pause(now, 3600 * SECOND));
        assert_eq!(breaker.gate(now), Gate::Refuse(MAX_PAUSE));
        assert_eq!(breaker.gate(now + MAX_PAUSE), Gate::Probe);
        assert!(breaker.pause(now + MAX_PAUSE, SECOND));
        assert_eq!(breaker.gate(now + MAX_PAUSE), Gate::Refuse(SECOND));
    }

    #[test]
    fn answers_to_calls_from_before_do_not_close_it() {
        let (mut breaker, now) = open();
        breaker.record(Mark::Good, false, now);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.gate(now + MAX_PAUSE), Gate::Probe);
        breaker.record(Mark::Good, false, now + MAX_PAUSE);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }
}
