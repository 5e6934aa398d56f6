//! The feed: whether the news of what changes at Engage reaches us, and so how long data may serve.
//!
//! Long lifetimes are safe where every change is told. Where that is in doubt, data serves for the fallback lifetime
//! only: while nothing has been heard yet or for too long, while too much of what comes is not understood, and for good
//! where data may be from before the feed worked again, because what changed in between may never be told. One delivery that
//! can't be understood is one contact's matter; that the feed fails is judged by their rate (`window.rs`). A hit costs two
//! loads: what ends the trust is noted at once, what restores it at the next delivery or the next look.

mod window;

use std::{sync::PoisonError, time::Duration};

use self::window::Window;
use crate::{
    clock::Tick,
    threads::{AtomicU64, Mutex, MutexGuard, Ordering},
};

/// How the feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStatus {
    /// Nothing has come yet.
    Unknown,
    /// The last news are recent.
    Working,
    /// Nothing came for longer than is usual.
    Silent,
    /// Too much of what comes is Engage's and not understood.
    Failing,
}

impl FeedStatus {
    /// Every standing, in the order of their numbers in metrics.
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

/// Notes when news came, and judges data by it.
#[derive(Debug)]
pub struct Feed {
    /// How long the feed counts as working without news.
    silence: Duration,
    /// How long data serves at most where news may have been missed.
    fallback: Duration,
    /// The beginning of the present stretch in which no news was missed, and its end as far as is known yet.
    since: AtomicU64,
    until: AtomicU64,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    last: Option<Tick>,
    is_failing: bool,
    window: Window,
}

impl Feed {
    /// A feed of which nothing has come yet.
    pub fn new(silence: Duration, fallback: Duration) -> Self {
        Self {
            silence,
            fallback,
            since: AtomicU64::new(Tick::END.nanos()),
            until: AtomicU64::new(0),
            heard: Mutex::default(),
        }
    }

    /// News came and were understood.
    pub fn heard(&self, now: Tick) {
        let mut heard = self.state();
        let before = self.judge(&heard, now);
        heard.window.heard(now);
        heard.last = heard.last.max(Some(now));
        let turn = self.settle(&mut heard, now);
        if !heard.is_failing {
            if before != FeedStatus::Working {
                // Before the end: readers of the new end must not see the old beginning.
                self.since.store(now.nanos(), Ordering::SeqCst);
            }
            self.trust(&heard);
        }
        drop(heard);
        log(turn, "");
    }

    /// News came that is Engage's and was not understood, and why.
    pub fn missed(&self, now: Tick, why: &'static str) {
        let mut heard = self.state();
        heard.window.missed(now);
        let turn = self.settle(&mut heard, now);
        drop(heard);
        log(turn, why);
    }

    /// How it stands.
    pub fn status(&self, now: Tick) -> FeedStatus {
        let mut heard = self.state();
        let turn = self.settle(&mut heard, now);
        let status = self.judge(&heard, now);
        drop(heard);
        log(turn, "");
        status
    }

    /// Takes note of whether it fails now, where that has changed.
    fn settle(&self, heard: &mut Heard, now: Tick) -> Option<Turn> {
        // Once it fails, it does until clearly less is missed: it must not turn with each delivery.
        let is_failing =
            heard.window.is_failing(now) || (heard.is_failing && !heard.window.has_recovered(now));
        if is_failing == heard.is_failing {
            return None;
        }
        heard.is_failing = is_failing;
        if is_failing {
            self.until.store(0, Ordering::SeqCst);
            let (came, missed) = heard.window.counts(now);
            return Some(Turn::Failing { came, missed });
        }
        // What was missed before may concern any contact.
        self.since.store(now.nanos(), Ordering::SeqCst);
        self.trust(heard);
        Some(Turn::Readable)
    }

    /// Data is trusted for as long as news need not have come again.
    fn trust(&self, heard: &Heard) {
        if let Some(last) = heard.last {
            let until = (last + self.silence).nanos();
            self.until.fetch_max(until, Ordering::SeqCst);
        }
    }

    /// When news last came and could be read.
    pub fn last_heard(&self) -> Option<Tick> {
        self.state().last
    }

    /// Since when no news was missed, if it works.
    pub fn working_since(&self, now: Tick) -> Option<Tick> {
        let until = Tick::from_nanos(self.until.load(Ordering::SeqCst));
        let since = Tick::from_nanos(self.since.load(Ordering::SeqCst));
        (now < until).then_some(since)
    }

    /// How long data that was true at `true_at` may serve at most.
    pub fn longest_lifetime(&self, true_at: Tick, now: Tick) -> Duration {
        match self.working_since(now) {
            // At the very moment it may have been told before.
            Some(since) if since < true_at => Duration::MAX,
            _ => self.fallback,
        }
    }

    fn judge(&self, heard: &Heard, now: Tick) -> FeedStatus {
        match heard.last {
            _ if heard.is_failing => FeedStatus::Failing,
            None => FeedStatus::Unknown,
            Some(last) if now < last + self.silence => FeedStatus::Working,
            Some(_) => FeedStatus::Silent,
        }
    }

    fn state(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of how the feed stands that operators must know at once.
#[derive(Clone, Copy)]
enum Turn {
    /// Too much is missed: so many of so many that came lately.
    Failing { came: u64, missed: u64 },
    /// No longer.
    Readable,
}

fn log(turn: Option<Turn>, why: &'static str) {
    match turn {
        Some(Turn::Failing { came, missed }) => tracing::error!(
            alarm = true,
            why,
            came,
            missed,
            "webhook feed failing; lifetimes shortened"
        ),
        Some(Turn::Readable) => tracing::info!("webhook feed no longer failing"),
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
    fn data_is_trusted_while_the_feed_works_and_only_if_asked_for_since_then() {
        let feed = Feed::new(SILENCE, FALLBACK);
        assert_eq!(feed.status(at(0)), FeedStatus::Unknown);
        assert_eq!(feed.longest_lifetime(at(0), at(0)), FALLBACK);
        feed.heard(at(10));
        assert_eq!(feed.longest_lifetime(at(10), at(11)), FALLBACK);
        assert_eq!(feed.longest_lifetime(at(11), at(11)), Duration::MAX);
        feed.heard(at(50));
        // News that comes in time prolongs the stretch that began with the first.
        assert_eq!(feed.longest_lifetime(at(11), at(149)), Duration::MAX);
        assert_eq!(feed.status(at(149)), FeedStatus::Working);
        assert_eq!(feed.status(at(150)), FeedStatus::Silent);
        assert_eq!(feed.longest_lifetime(at(149), at(150)), FALLBACK);
    }

    #[test]
    fn what_was_asked_for_before_a_gap_is_not_trusted_after_it() {
        let feed = Feed::new(SILENCE, FALLBACK);
        feed.heard(at(0));
        assert_eq!(feed.status(at(199)), FeedStatus::Silent);
        feed.heard(at(200));
        for (true_at, longest) in [(50, FALLBACK), (200, FALLBACK), (201, Duration::MAX)] {
            assert_eq!(feed.longest_lifetime(at(true_at), at(201)), longest);
        }
        assert_eq!(feed.working_since(at(201)), Some(at(200)));
    }

    #[test]
    fn one_delivery_that_is_not_understood_changes_nothing() {
        let feed = Feed::new(SILENCE, FALLBACK);
        feed.heard(at(0));
        for second in [5, 6] {
            feed.missed(at(second), "sealed");
            assert_eq!(feed.status(at(second)), FeedStatus::Working);
            assert_eq!(feed.longest_lifetime(at(1), at(second)), Duration::MAX);
        }
    }

    #[test]
    fn a_feed_that_fails_is_trusted_again_only_for_what_is_asked_for_later() {
        let feed = Feed::new(SILENCE, FALLBACK);
        feed.heard(at(0));
        for _ in 0..3 {
            feed.missed(at(5), "sealed");
        }
        assert_eq!(feed.status(at(6)), FeedStatus::Failing);
        assert_eq!(feed.longest_lifetime(at(1), at(6)), FALLBACK);
        // Nothing that could be read came since.
        assert_eq!(feed.status(at(1000)), FeedStatus::Failing);
        feed.heard(at(1001));
        assert_eq!(feed.status(at(1002)), FeedStatus::Working);
        assert_eq!(feed.longest_lifetime(at(1001), at(1002)), FALLBACK);
        assert_eq!(feed.longest_lifetime(at(1002), at(1002)), Duration::MAX);
        assert_eq!(feed.last_heard(), Some(at(1001)));
    }

    #[test]
    fn a_feed_that_is_partly_read_fails_until_the_rate_falls() {
        let feed = Feed::new(SILENCE, FALLBACK);
        (0..20).for_each(|_| feed.heard(at(0)));
        (0..3).for_each(|_| {
            feed.missed(at(1), "unaddressed");
            feed.heard(at(1));
        });
        assert_eq!(feed.status(at(2)), FeedStatus::Failing);
        assert_eq!(feed.longest_lifetime(at(1), at(2)), FALLBACK);
        // It does not turn at once where one delivery more or less would turn it again.
        (0..10).for_each(|_| feed.heard(at(2)));
        assert_eq!(feed.status(at(2)), FeedStatus::Failing);
        (0..25).for_each(|_| feed.heard(at(2)));
        assert_eq!(feed.status(at(3)), FeedStatus::Working);
        assert_eq!(feed.longest_lifetime(at(1), at(3)), FALLBACK);
        assert_eq!(feed.longest_lifetime(at(3), at(3)), Duration::MAX);
    }

    #[test]
    fn a_feed_that_failed_is_judged_by_its_last_news_once_the_missed_are_long_ago() {
        let long = Duration::from_secs(10_000);
        for (silence, then) in [(long, FeedStatus::Working), (SILENCE, FeedStatus::Silent)] {
            let feed = Feed::new(silence, FALLBACK);
            (0..3).for_each(|_| feed.missed(at(1), "sealed"));
            feed.heard(at(1));
            assert_eq!(feed.status(at(2)), FeedStatus::Failing);
            assert_eq!(feed.working_since(at(299)), None);
            assert_eq!(feed.status(at(301)), then);
            let since = (then == FeedStatus::Working).then_some(at(301));
            assert_eq!(feed.working_since(at(301)), since);
        }
    }
}
