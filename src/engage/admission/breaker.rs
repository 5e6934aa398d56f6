//! The breaker of one group of endpoints: where calls mostly fail, it refuses them for a few seconds
//! and then lets one through to see. What fails is counted by its owner, the contact that the call was
//! about, so that one contact alone neither opens it nor keeps it open.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::clock::Tick;

/// How far back calls are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// Fewer calls than these say nothing.
const LEAST_CALLS: usize = 20;
/// The longest pause, and how long one call that tries keeps the next from trying.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How soon another may try where one failed that was known to fail.
const NEXT_PROBE: Duration = Duration::from_millis(500);

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
    /// What Engage said of when to come back, by owner.
    pauses: HashMap<u64, Pause>,
    /// The owners whose failed probes said nothing new, and when: others probe before they do again.
    tried: HashMap<u64, Tick>,
}

/// The calls that ended within the window: each good one, but of bad ones only about whom they were. So
/// one contact that can't be read counts once, however often it is asked for.
#[derive(Debug, Default)]
struct Ended {
    good: VecDeque<Tick>,
    bad: HashMap<u64, Tick>,
    refused: HashMap<u64, Tick>,
}

impl Ended {
    fn push(&mut self, owner: u64, mark: Mark, now: Tick) {
        let is_old = |at: &mut Tick| now.since(*at) >= WINDOW;
        while self.good.pop_front_if(is_old).is_some() {}
        forget(&mut self.bad, WINDOW, now);
        forget(&mut self.refused, WINDOW, now);
        match mark {
            Mark::Good => self.good.push_back(now),
            Mark::Bad => drop(self.bad.insert(owner, now)),
            Mark::Refused => drop(self.refused.insert(owner, now)),
        }
    }

    fn has_failed(&self, owner: u64, now: Tick) -> bool {
        let mut failed = [&self.bad, &self.refused].into_iter();
        failed.any(|of| of.get(&owner).is_some_and(|at| now.since(*at) < WINDOW))
    }

    fn are_mostly_failures(&self) -> bool {
        let [bad, refused] = [self.bad.len(), self.refused.len()];
        let calls = self.good.len() + bad + refused;
        calls >= LEAST_CALLS && (bad * 2 >= calls || refused * 2 >= calls)
    }
}

/// How long Engage said that an owner is not to be asked about.
#[derive(Clone, Copy, Debug)]
struct Pause {
    said: Tick,
    until: Tick,
    /// Whether Engage answered others since: then it counts for the owner alone.
    is_alone: bool,
}

fn forget(owners: &mut HashMap<u64, Tick>, after: Duration, now: Tick) {
    owners.retain(|_, at| now.since(*at) < after);
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

    /// How long all calls are refused from now on.
    pub(super) fn refuses_for(&self, now: Tick) -> Option<Duration> {
        match self.position {
            Position::Open(until) | Position::Probing(until) if until > now => {
                Some(until.since(now))
            }
            _ => None,
        }
    }

    /// How long calls about the owner are refused from now on: with all others, or alone.
    pub(super) fn refuses(&self, owner: u64, now: Tick) -> Option<Duration> {
        let paused = self.pauses.get(&owner).map(|pause| pause.until);
        let tried = self.tried.get(&owner).map(|at| *at + MAX_PAUSE);
        let tried = tried.filter(|_| self.state() != BreakerState::Closed);
        let alone = paused.max(tried).filter(|until| *until > now);
        self.refuses_for(now)
            .max(alone.map(|until| until.since(now)))
    }

    /// Judges a call about the owner that is about to be made.
    pub(super) fn gate(&mut self, owner: u64, now: Tick) -> Gate {
        if let Some(wait) = self.refuses(owner, now) {
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

    /// Notes how a call about the owner ended; whether that opened the breaker.
    pub(super) fn record(&mut self, mark: Mark, owner: u64, is_probe: bool, now: Tick) -> bool {
        if mark == Mark::Good {
            // Engage answers: what was said until now was about those owners alone, perhaps one by two identifiers.
            self.pauses
                .values_mut()
                .for_each(|pause| pause.is_alone = true);
        }
        match (self.position, mark) {
            (Position::Probing(_), Mark::Good) if is_probe => {
                *self = Self::default();
                false
            }
            (Position::Probing(_), _) if is_probe => {
                let said_nothing_new = self.ended.has_failed(owner, now);
                self.ended.push(owner, mark, now);
                if said_nothing_new {
                    self.let_another_probe(owner, now);
                    false
                } else {
                    self.trip(now)
                }
            }
            (Position::Closed, _) => {
                self.ended.push(owner, mark, now);
                self.ended.are_mostly_failures() && self.trip(now)
            }
            // Answers to calls from before it opened close nothing.
            (Position::Open(_) | Position::Probing(_), Mark::Good) => false,
            (Position::Open(_) | Position::Probing(_), _) => {
                self.ended.push(owner, mark, now);
                false
            }
        }
    }

    /// A probe ended without saying anything: another may try at once.
    pub(super) fn abandon_probe(&mut self, now: Tick) {
        if let Position::Probing(_) = self.position {
            self.position = Position::Open(now);
        }
    }

    /// Refuses calls about the owner for as long as Engage said itself, five seconds at most; and all calls,
    /// where another owner was told so lately, for the longest that was said and never for less than it did
    /// anyway. Whether that opened it.
    pub(super) fn pause(&mut self, owner: u64, said: Duration, is_probe: bool, now: Tick) -> bool {
        let until = now + said.min(MAX_PAUSE);
        self.pauses
            .retain(|_, pause| now.since(pause.said) < WINDOW);
        let pause = self.pauses.entry(owner).or_insert(Pause {
            said: now,
            until,
            is_alone: false,
        });
        pause.said = now;
        pause.is_alone = false;
        pause.until = pause.until.max(until);
        let shown = self.pauses.values().filter(|pause| !pause.is_alone);
        if shown.count() < 2 {
            return self.record(Mark::Bad, owner, is_probe, now);
        }
        if is_probe && self.ended.has_failed(owner, now) {
            self.note_tried(owner, now);
        }
        self.ended.push(owner, Mark::Bad, now);
        let longest = self.pauses.values().map(|pause| pause.until).max();
        let until = longest.unwrap_or(until);
        let (until, opens) = match self.position {
            Position::Open(held) if held > now => (until.max(held), false),
            _ => (until, true),
        };
        self.position = Position::Open(until);
        opens
    }

    /// The owner's failure was known before it was tried: it alone may be what fails.
    fn let_another_probe(&mut self, owner: u64, now: Tick) {
        self.note_tried(owner, now);
        self.position = Position::Open(now + NEXT_PROBE);
    }

    fn note_tried(&mut self, owner: u64, now: Tick) {
        forget(&mut self.tried, MAX_PAUSE, now);
        self.tried.insert(owner, now);
    }

    fn trip(&mut self, now: Tick) -> bool {
        // A little shorter, so that replicas do not try together.
        let pause = MAX_PAUSE.mul_f64(1.0 - fastrand::f64() / 5.0);
        self.position = Position::Open(now + pause);
        true
    }
}

#[cfg(test)]
mod tests;
