//! The feed: whether the news of what changes at Engage reaches us, and so how long data may serve.
//!
//! Long lifetimes are safe where every change is told. Where that is in doubt, data serves for the fallback lifetime
//! only: while nothing has been heard yet or for too long, while what comes can't be read, and for good where data may be
//! from before the feed worked again, because what changed in between may never be told. No task watches it: how
//! the feed stands is a function of the moment, so a hit costs two loads.

use std::{sync::PoisonError, time::Duration};

use crate::{
    clock::Tick,
    threads::{AtomicU64, Mutex, MutexGuard, Ordering},
};

/// How the feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has come yet.
    Unknown,
    /// The last news are recent.
    Working,
    /// Nothing came for longer than is usual.
    Silent,
    /// What came last is Engage's, and can't be read.
    Failing,
}

impl Standing {
    /// Every standing, in the order of their numbers in metrics.
    pub const ALL: [Standing; 4] = [
        Standing::Unknown,
        Standing::Working,
        Standing::Silent,
        Standing::Failing,
    ];

    /// The name in the readiness detail and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Unknown => "unknown",
            Standing::Working => "working",
            Standing::Silent => "silent",
            Standing::Failing => "failing",
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

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    last: Option<Tick>,
    is_failing: bool,
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

    /// News came and could be read. Returns how the feed stood before.
    pub fn heard(&self, now: Tick) -> Standing {
        let mut heard = self.state();
        let before = self.judge(*heard, now);
        if before != Standing::Working {
            // Before the end: whoever sees the new end must not see the old beginning.
            self.since.store(now.nanos(), Ordering::SeqCst);
        }
        let until = (now + self.silence).nanos();
        self.until.fetch_max(until, Ordering::SeqCst);
        heard.last = heard.last.max(Some(now));
        heard.is_failing = false;
        before
    }

    /// News came that is Engage's and could not be read. Returns how the feed stood before.
    pub fn missed(&self, now: Tick) -> Standing {
        let mut heard = self.state();
        let before = self.judge(*heard, now);
        self.until.store(0, Ordering::SeqCst);
        heard.is_failing = true;
        before
    }

    /// How it stands.
    pub fn standing(&self, now: Tick) -> Standing {
        self.judge(*self.state(), now)
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

    fn judge(&self, heard: Heard, now: Tick) -> Standing {
        match heard {
            Heard {
                is_failing: true, ..
            } => Standing::Failing,
            Heard { last: None, .. } => Standing::Unknown,
            Heard {
                last: Some(last), ..
            } if now < last + self.silence => Standing::Working,
            Heard { .. } => Standing::Silent,
        }
    }

    fn state(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(feed.standing(at(0)), Standing::Unknown);
        assert_eq!(feed.longest_lifetime(at(0), at(0)), FALLBACK);
        assert_eq!(feed.heard(at(10)), Standing::Unknown);
        assert_eq!(feed.longest_lifetime(at(10), at(11)), FALLBACK);
        assert_eq!(feed.longest_lifetime(at(11), at(11)), Duration::MAX);
        assert_eq!(feed.heard(at(50)), Standing::Working);
        // News that comes in time prolongs the stretch that began with the first.
        assert_eq!(feed.longest_lifetime(at(11), at(149)), Duration::MAX);
        assert_eq!(feed.standing(at(149)), Standing::Working);
        assert_eq!(feed.standing(at(150)), Standing::Silent);
        assert_eq!(feed.longest_lifetime(at(149), at(150)), FALLBACK);
    }

    #[test]
    fn what_was_asked_for_before_a_gap_is_not_trusted_after_it() {
        let feed = Feed::new(SILENCE, FALLBACK);
        feed.heard(at(0));
        assert_eq!(feed.heard(at(200)), Standing::Silent);
        for (true_at, longest) in [(50, FALLBACK), (200, FALLBACK), (201, Duration::MAX)] {
            assert_eq!(feed.longest_lifetime(at(true_at), at(201)), longest);
        }
        assert_eq!(feed.working_since(at(201)), Some(at(200)));
    }

    #[test]
    fn unreadable_news_end_the_trust_at_once_and_readable_ones_restore_it() {
        let feed = Feed::new(SILENCE, FALLBACK);
        feed.heard(at(0));
        assert_eq!(feed.missed(at(5)), Standing::Working);
        assert_eq!(feed.standing(at(6)), Standing::Failing);
        assert_eq!(feed.longest_lifetime(at(1), at(6)), FALLBACK);
        // However long it lasts it stays what it is.
        assert_eq!(feed.standing(at(1000)), Standing::Failing);
        assert_eq!(feed.heard(at(7)), Standing::Failing);
        assert_eq!(feed.standing(at(8)), Standing::Working);
        assert_eq!(feed.longest_lifetime(at(7), at(8)), FALLBACK);
        assert_eq!(feed.longest_lifetime(at(8), at(8)), Duration::MAX);
        assert_eq!(feed.last_heard(), Some(at(7)));
    }
}
