//! Circuit breaker of one group of endpoints. When at least half of the recent calls fail it opens for a few seconds,
//! then lets one probe pass. Failures are counted per subject, the contact that a call is about, so that one contact
//! alone can neither open the breaker nor keep it open.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use crate::clock::Tick;

/// Length of the sliding window.
const WINDOW: Duration = Duration::from_secs(10);
/// With fewer calls in the window, failures do not open a closed breaker; a `Retry-After` for two subjects does.
const MIN_CALLS: usize = 20;
/// Longest time that the breaker stays open, and that a probe keeps the next one waiting.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Delay of the next probe after one failed for a subject that was known to fail.
const NEXT_PROBE: Duration = Duration::from_millis(500);

/// What a finished call says about the group's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallResult {
    /// Engage answered in time.
    Good,
    /// Failed, unreadable, or too slow.
    Bad,
    /// The API key was not accepted. Counted apart, because only an operator can fix it.
    Unauthorized,
}

/// The breaker's decision about one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The call may be made.
    Allow,
    /// The call may be made, alone, to test whether Engage has recovered.
    Probe,
    /// Rejected; retry after this time.
    Reject(Duration),
}

/// State of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are rejected.
    Open,
    /// The next call is a probe, or one is under way.
    HalfOpen,
}

impl BreakerState {
    /// The name in metrics and `/readyz`.
    pub const fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        }
    }
}

/// A circuit breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    recent: RecentCalls,
    phase: Phase,
    /// `Retry-After` by subject.
    pauses: HashMap<u64, Pause>,
    /// Subjects that were known to fail and whose probe failed too, and when: other subjects probe before them.
    failed_probes: HashMap<u64, Tick>,
}

/// Calls that finished within the window: each success, but per subject only one failure and one rejected API key. A
/// contact that always fails counts once.
#[derive(Debug, Default)]
struct RecentCalls {
    good: VecDeque<Tick>,
    bad: HashMap<u64, Tick>,
    unauthorized: HashMap<u64, Tick>,
}

impl RecentCalls {
    fn push(&mut self, subject: u64, result: CallResult, now: Tick) {
        let is_old = |at: &mut Tick| now.since(*at) >= WINDOW;
        while self.good.pop_front_if(is_old).is_some() {}
        forget(&mut self.bad, WINDOW, now);
        forget(&mut self.unauthorized, WINDOW, now);
        match result {
            CallResult::Good => self.good.push_back(now),
            CallResult::Bad => drop(self.bad.insert(subject, now)),
            CallResult::Unauthorized => drop(self.unauthorized.insert(subject, now)),
        }
    }

    fn has_failed(&self, subject: u64, now: Tick) -> bool {
        let mut failed = [&self.bad, &self.unauthorized].into_iter();
        failed.any(|of| of.get(&subject).is_some_and(|at| now.since(*at) < WINDOW))
    }

    fn are_half_failures(&self) -> bool {
        let [bad, unauthorized] = [self.bad.len(), self.unauthorized.len()];
        let calls = self.good.len() + bad + unauthorized;
        calls >= MIN_CALLS && (bad * 2 >= calls || unauthorized * 2 >= calls)
    }
}

/// A `Retry-After` for one subject.
#[derive(Clone, Copy, Debug)]
struct Pause {
    received_at: Tick,
    until: Tick,
    /// Whether a call has succeeded since: then it applies to the subject alone.
    is_isolated: bool,
}

fn forget(subjects: &mut HashMap<u64, Tick>, after: Duration, now: Tick) {
    subjects.retain(|_, at| now.since(*at) < after);
}

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    #[default]
    Closed,
    /// Calls are rejected until then; the next one is the probe.
    Open(Tick),
    /// A probe is under way; another may start at that time.
    Probing(Tick),
}

impl Breaker {
    /// The state. It is computed from the time, because no event marks the end of an opening.
    pub(super) fn state(&self, now: Tick) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open(until) if until > now => BreakerState::Open,
            Phase::Open(_) | Phase::Probing(_) => BreakerState::HalfOpen,
        }
    }

    /// Whether calls pass.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Remaining time for which all calls are rejected.
    pub(super) fn rejects_all_for(&self, now: Tick) -> Option<Duration> {
        match self.phase {
            Phase::Open(until) | Phase::Probing(until) if until > now => Some(until.since(now)),
            _ => None,
        }
    }

    /// Remaining time for which calls about the subject are rejected, alone or with all others.
    pub(super) fn rejects(&self, subject: u64, now: Tick) -> Option<Duration> {
        let paused = self.pauses.get(&subject).map(|pause| pause.until);
        let failed_probes = self.failed_probes.get(&subject).map(|at| *at + MAX_PAUSE);
        let failed_probes = failed_probes.filter(|_| !self.is_closed());
        let subject_alone = paused.max(failed_probes).filter(|until| *until > now);
        self.rejects_all_for(now)
            .max(subject_alone.map(|until| until.since(now)))
    }

    /// Decides about a call that is about to be made.
    pub(super) fn decide(&mut self, subject: u64, now: Tick) -> Decision {
        if let Some(wait) = self.rejects(subject, now) {
            return Decision::Reject(wait);
        }
        match self.phase {
            Phase::Closed => Decision::Allow,
            Phase::Open(_) | Phase::Probing(_) => {
                self.phase = Phase::Probing(now + MAX_PAUSE);
                Decision::Probe
            }
        }
    }

    /// Records the result of a call. Returns whether that opened the breaker.
    pub(super) fn record(
        &mut self,
        result: CallResult,
        subject: u64,
        is_probe: bool,
        now: Tick,
    ) -> bool {
        if result == CallResult::Good {
            // Engage works, so the earlier pauses concern their subjects alone; two of them may be one contact under
            // two identifiers.
            self.pauses
                .values_mut()
                .for_each(|pause| pause.is_isolated = true);
        }
        match (self.phase, result) {
            (Phase::Probing(_), CallResult::Good) if is_probe => {
                *self = Self::default();
                false
            }
            (Phase::Probing(_), _) if is_probe => {
                let is_known_failure = self.recent.has_failed(subject, now);
                self.recent.push(subject, result, now);
                if is_known_failure {
                    self.let_another_probe(subject, now);
                    false
                } else {
                    self.trip(now)
                }
            }
            (Phase::Closed, _) => {
                self.recent.push(subject, result, now);
                self.recent.are_half_failures() && self.trip(now)
            }
            // A success of a call from before the breaker opened does not close it.
            (Phase::Open(_) | Phase::Probing(_), CallResult::Good) => false,
            (Phase::Open(_) | Phase::Probing(_), _) => {
                self.recent.push(subject, result, now);
                false
            }
        }
    }

    /// A probe ended without a result: the next call may probe at once.
    pub(super) fn abandon_probe(&mut self, now: Tick) {
        if let Phase::Probing(_) = self.phase {
            self.phase = Phase::Open(now);
        }
    }

    /// Rejects calls about the subject for `retry_after`, at most five seconds. If a second subject was paused within
    /// the window and no call has succeeded since, rejects all calls for the longest of the pauses; never shortens an
    /// opening. Returns whether that opened the breaker.
    pub(super) fn pause(
        &mut self,
        subject: u64,
        retry_after: Duration,
        is_probe: bool,
        now: Tick,
    ) -> bool {
        let until = now + retry_after.min(MAX_PAUSE);
        self.pauses
            .retain(|_, pause| now.since(pause.received_at) < WINDOW);
        let pause = self.pauses.entry(subject).or_insert(Pause {
            received_at: now,
            until,
            is_isolated: false,
        });
        pause.received_at = now;
        pause.is_isolated = false;
        pause.until = pause.until.max(until);
        let general = self.pauses.values().filter(|pause| !pause.is_isolated);
        if general.count() < 2 {
            return self.record(CallResult::Bad, subject, is_probe, now);
        }
        if is_probe && self.recent.has_failed(subject, now) {
            self.note_failed_probe(subject, now);
        }
        self.recent.push(subject, CallResult::Bad, now);
        let longest = self.pauses.values().map(|pause| pause.until).max();
        let until = longest.unwrap_or(until);
        let (until, opens) = match self.phase {
            Phase::Open(current) if current > now => (until.max(current), false),
            _ => (until, true),
        };
        self.phase = Phase::Open(until);
        opens
    }

    /// The subject was known to fail and may be the only one that does, so another subject probes soon.
    fn let_another_probe(&mut self, subject: u64, now: Tick) {
        self.note_failed_probe(subject, now);
        self.phase = Phase::Open(now + NEXT_PROBE);
    }

    fn note_failed_probe(&mut self, subject: u64, now: Tick) {
        forget(&mut self.failed_probes, MAX_PAUSE, now);
        self.failed_probes.insert(subject, now);
    }

    fn trip(&mut self, now: Tick) -> bool {
        // Jitter, so that replicas do not probe together.
        let pause = MAX_PAUSE.mul_f64(1.0 - fastrand::f64() / 5.0);
        self.phase = Phase::Open(now + pause);
        true
    }
}

#[cfg(test)]
mod tests;
