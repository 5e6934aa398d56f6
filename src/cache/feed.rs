//! The feed of webhooks: whether changes at Engage reach us, and so how long data may be served.
//!
//! Long lifetimes are safe while every change is reported. Where that is in doubt, data is fresh for the fallback
//! lifetime only: before the first delivery, after too long without one, and while too many deliveries are unreadable.
//! Data that was fetched before the feed worked again keeps that short lifetime, since changes in the gap may never be
//! reported. One unreadable delivery concerns one contact; the feed fails by their rate (`window.rs`).
//!
//! A hit costs two atomic loads: the end of trust is stored at once, its return at the next delivery or status query.

mod window;

use std::{sync::PoisonError, time::Duration};

use self::window::Window;
use crate::{
    clock::Tick,
    threads::{AtomicU64, Mutex, MutexGuard, Ordering},
};

/// The status of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStatus {
    /// No delivery yet.
    Unknown,
    /// The last delivery is recent.
    Working,
    /// No delivery for longer than `webhooks.silence`.
    Silent,
    /// Too many genuine deliveries are unreadable.
    Failing,
}

impl FeedStatus {
    /// Every status, in the order of their numbers in metrics.
    pub const ALL: [FeedStatus; 4] = [
        FeedStatus::Unknown,
        FeedStatus::Working,
        FeedStatus::Silent,
        FeedStatus::Failing,
    ];

    /// The name in the readiness detail and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            FeedStatus::Unknown => "unknown",
            FeedStatus::Working => "working",
            FeedStatus::Silent => "silent",
            FeedStatus::Failing => "failing",
        }
    }
}

/// Records deliveries, and bounds lifetimes by them.
#[derive(Debug)]
pub struct Feed {
    /// How long the feed counts as working without a delivery.
    silence: Duration,
    /// The longest lifetime while changes may have been missed.
    fallback: Duration,
    /// The start of the current period without missed deliveries, and its end as far as is known yet.
    since: AtomicU64,
    until: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_received: Option<Tick>,
    is_failing: bool,
    window: Window,
}

impl Feed {
    /// A feed without a delivery yet.
    pub fn new(silence: Duration, fallback: Duration) -> Self {
        Self {
            silence,
            fallback,
            since: AtomicU64::new(Tick::END.nanos()),
            until: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Notes a delivery that was read.
    pub fn note_received(&self, now: Tick) {
        let mut state = self.locked();
        let before = self.status_of(&state, now);
        state.window.note_received(now);
        state.last_received = state.last_received.max(Some(now));
        let transition = self.update(&mut state, now);
        if !state.is_failing {
            if before != FeedStatus::Working {
                // Before the end: a reader of the new end must not see the old start.
                self.since.store(now.nanos(), Ordering::SeqCst);
            }
            self.trust(&state);
        }
        drop(state);
        log(transition, "");
    }

    /// Notes a genuine delivery that could not be read, and why.
    pub fn note_missed(&self, now: Tick, why: &'static str) {
        let mut state = self.locked();
        state.window.note_missed(now);
        let transition = self.update(&mut state, now);
        drop(state);
        log(transition, why);
    }

    /// The status at `now`.
    pub fn status(&self, now: Tick) -> FeedStatus {
        let mut state = self.locked();
        let transition = self.update(&mut state, now);
        let status = self.status_of(&state, now);
        drop(state);
        log(transition, "");
        status
    }

    /// Notes whether the feed fails now, where that has changed.
    fn update(&self, state: &mut State, now: Tick) -> Option<Transition> {
        // Hysteresis: a feed that fails does so until clearly less is missed, so it does not flap with each delivery.
        let is_failing =
            state.window.is_failing(now) || (state.is_failing && !state.window.has_recovered(now));
        if is_failing == state.is_failing {
            return None;
        }
        state.is_failing = is_failing;
        if is_failing {
            self.until.store(0, Ordering::SeqCst);
            let (received, missed) = state.window.counts(now);
            return Some(Transition::Failing { received, missed });
        }
        // A delivery that was missed may concern any contact.
        self.since.store(now.nanos(), Ordering::SeqCst);
        self.trust(state);
        Some(Transition::Recovered)
    }

    /// Trusts data until the next delivery is overdue.
    fn trust(&self, state: &State) {
        if let Some(last) = state.last_received {
            let until = (last + self.silence).nanos();
            self.until.fetch_max(until, Ordering::SeqCst);
        }
    }

    /// When the last delivery that could be read arrived.
    pub fn last_received(&self) -> Option<Tick> {
        self.locked().last_received
    }

    /// Since when no delivery was missed, if the feed works.
    pub fn working_since(&self, now: Tick) -> Option<Tick> {
        let until = Tick::from_nanos(self.until.load(Ordering::SeqCst));
        let since = Tick::from_nanos(self.since.load(Ordering::SeqCst));
        (now < until).then_some(since)
    }

    /// The longest lifetime of data that was true at `true_at`.
    pub fn longest_lifetime(&self, true_at: Tick, now: Tick) -> Duration {
        match self.working_since(now) {
            // A change of the same moment may have been reported before.
            Some(since) if since < true_at => Duration::MAX,
            _ => self.fallback,
        }
    }

    fn status_of(&self, state: &State, now: Tick) -> FeedStatus {
        match state.last_received {
            _ if state.is_failing => FeedStatus::Failing,
            None => FeedStatus::Unknown,
            Some(last) if now < last + self.silence => FeedStatus::Working,
            Some(_) => FeedStatus::Silent,
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of status that is logged at once.
#[derive(Clone, Copy)]
enum Transition {
    /// Of the deliveries that were received lately, too many were missed.
    Failing { received: u64, missed: u64 },
    /// The feed no longer fails.
    Recovered,
}

fn log(transition: Option<Transition>, why: &'static str) {
    match transition {
        Some(Transition::Failing { received, missed }) => tracing::error!(
            alarm = true,
            why,
            came = received,
            missed,
            "webhook feed failing; lifetimes shortened"
        ),
        Some(Transition::Recovered) => tracing::info!("webhook feed no longer failing"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(100);
    const FALLBACK: Duration = Duration::from_secs(60);

    fn at(second: u64) -> Tick {
        Tick::default() + Duration::from_secs(second)
    }

    #[test]
    fn only_data_fetched_while_the_feed_works_is_trusted() {
        let feed = Feed::new(SILENCE, FALLBACK);
        assert_eq!(feed.status(at(0)), FeedStatus::Unknown);
        assert_eq!(feed.longest_lifetime(at(0), at(0)), FALLBACK);
        feed.note_received(at(10));
        assert_eq!(feed.longest_lifetime(at(10), at(11)), FALLBACK);
        assert_eq!(feed.longest_lifetime(at(11), at(11)), Duration::MAX);
        feed.note_received(at(50));
        // A delivery in time prolongs the period that began with the first.
        assert_eq!(feed.longest_lifetime(at(11), at(149)), Duration::MAX);
        assert_eq!(feed.status(at(149)), FeedStatus::Working);
        assert_eq!(feed.status(at(150)), FeedStatus::Silent);
        assert_eq!(feed.longest_lifetime(at(149), at(150)), FALLBACK);
    }

    #[test]
    fn data_fetched_before_a_gap_is_not_trusted_after_it() {
        let feed = Feed::new(SILENCE, FALLBACK);
        feed.note_received(at(0));
        assert_eq!(feed.status(at(199)), FeedStatus::Silent);
        feed.note_received(at(200));
        for (true_at, longest) in [(50, FALLBACK), (200, FALLBACK), (201, Duration::MAX)] {
            assert_eq!(feed.longest_lifetime(at(true_at), at(201)), longest);
        }
        assert_eq!(feed.working_since(at(201)), Some(at(200)));
    }

    #[test]
    fn one_unreadable_delivery_changes_nothing() {
        let feed = Feed::new(SILENCE, FALLBACK);
        feed.note_received(at(0));
        for second in [5, 6] {
            feed.note_missed(at(second), "sealed");
            assert_eq!(feed.status(at(second)), FeedStatus::Working);
            assert_eq!(feed.longest_lifetime(at(1), at(second)), Duration::MAX);
        }
    }

    #[test]
    fn after_a_failure_only_data_fetched_later_is_trusted() {
        let feed = Feed::new(SILENCE, FALLBACK);
        feed.note_received(at(0));
        for _ in 0..3 {
            feed.note_missed(at(5), "sealed");
        }
        assert_eq!(feed.status(at(6)), FeedStatus::Failing);
        assert_eq!(feed.longest_lifetime(at(1), at(6)), FALLBACK);
        // No readable delivery since.
        assert_eq!(feed.status(at(1000)), FeedStatus::Failing);
        feed.note_received(at(1001));
        assert_eq!(feed.status(at(1002)), FeedStatus::Working);
        assert_eq!(feed.longest_lifetime(at(1001), at(1002)), FALLBACK);
        assert_eq!(feed.longest_lifetime(at(1002), at(1002)), Duration::MAX);
        assert_eq!(feed.last_received(), Some(at(1001)));
    }

    #[test]
    fn partly_read_feed_fails_until_the_rate_falls() {
        let feed = Feed::new(SILENCE, FALLBACK);
        (0..20).for_each(|_| feed.note_received(at(0)));
        (0..3).for_each(|_| {
            feed.note_missed(at(1), "unaddressed");
            feed.note_received(at(1));
        });
        assert_eq!(feed.status(at(2)), FeedStatus::Failing);
        assert_eq!(feed.longest_lifetime(at(1), at(2)), FALLBACK);
        // It does not recover at a rate from which one delivery would let it fail again.
        (0..10).for_each(|_| feed.note_received(at(2)));
        assert_eq!(feed.status(at(2)), FeedStatus::Failing);
        (0..25).for_each(|_| feed.note_received(at(2)));
        assert_eq!(feed.status(at(3)), FeedStatus::Working);
        assert_eq!(feed.longest_lifetime(at(1), at(3)), FALLBACK);
        assert_eq!(feed.longest_lifetime(at(3), at(3)), Duration::MAX);
    }

    #[test]
    fn failed_feed_is_judged_by_its_last_delivery_once_the_window_is_empty() {
        let long = Duration::from_secs(10_000);
        for (silence, then) in [(long, FeedStatus::Working), (SILENCE, FeedStatus::Silent)] {
            let feed = Feed::new(silence, FALLBACK);
            (0..3).for_each(|_| feed.note_missed(at(1), "sealed"));
            feed.note_received(at(1));
            assert_eq!(feed.status(at(2)), FeedStatus::Failing);
            assert_eq!(feed.working_since(at(299)), None);
            assert_eq!(feed.status(at(301)), then);
            let since = (then == FeedStatus::Working).then_some(at(301));
            assert_eq!(feed.working_since(at(301)), since);
        }
    }
}
