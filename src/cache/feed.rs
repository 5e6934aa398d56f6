//! The feed of changes: whether what changes at Engage reaches us, and so how long data may be served.
//!
//! It has two sources: deliveries of webhooks, and the stream in which replicas that share a tier announce
//! invalidations to each other. Long lifetimes are safe while every configured source works. While one of them is in
//! doubt, data is fresh for the fallback lifetime only.
//!
//! - **Webhooks** are in doubt before the first delivery, after too long without one, and while too many deliveries are
//!   unreadable. Data that was fetched before they worked again keeps the short lifetime, since changes in the gap may
//!   never be reported. One unreadable delivery concerns one contact, so the feed fails only if several in a row, or a
//!   large share, are unreadable (`window.rs`).
//! - **The stream** is in doubt while the moment until which everything in it was applied is too long ago. It is read by
//!   position: once everything is applied again, nothing was missed, and all data is trusted as before. Where something
//!   was missed, all data is dropped.
//!
//! A hit costs two atomic loads: the moment at which trust ends is stored in advance; that trust has returned is stored
//! at the next event or status query. So a process that was suspended distrusts its memory from the moment it
//! continues.

mod window;

use std::{sync::PoisonError, time::Duration};

use self::window::Window;
use crate::{
    clock::Tick,
    threads::{AtomicU64, Mutex, MutexGuard, Ordering},
};

/// The stream is in doubt this long after the moment until which everything in it was applied.
pub const STREAM_PATIENCE: Duration = Duration::from_secs(2);

/// The status of the feed of webhooks.
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

/// What a genuine delivery of a webhook says about the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was read.
    Received,
    /// It could not be read, and why.
    Missed(&'static str),
}

/// Records what the sources deliver, and bounds lifetimes by it.
#[derive(Debug)]
pub struct Feed {
    /// How long webhooks count as working without a delivery. `None` where none are configured.
    silence: Option<Duration>,
    /// Whether replicas announce invalidations to each other.
    has_stream: bool,
    /// The longest lifetime while changes may have been missed.
    fallback: Duration,
    /// Data that was true at `trusted_from` or later is trusted until `trusted_until`.
    trusted_from: AtomicU64,
    trusted_until: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last_received: Option<Tick>,
    is_failing: bool,
    window: Window,
    /// The start of the current period in which webhooks work; single deliveries in it may have been unreadable.
    since: Tick,
    /// Until when webhooks are trusted, unless another delivery arrives; the clock's first moment while the feed fails.
    webhooks_until: Tick,
    /// From when on the stream is in doubt.
    stream_until: Tick,
}

impl Feed {
    /// A feed without a delivery yet. `silence` is how long webhooks may be silent, `None` where none are configured;
    /// `fallback` is the longest lifetime of data in doubt.
    pub fn new(silence: Option<Duration>, has_stream: bool, fallback: Duration) -> Self {
        // A source that is not configured is never in doubt.
        let ends = |is_configured| {
            if is_configured {
                Tick::default()
            } else {
                Tick::END
            }
        };
        let state = State {
            last_received: None,
            is_failing: false,
            window: Window::default(),
            since: Tick::END,
            webhooks_until: ends(silence.is_some()),
            stream_until: ends(has_stream),
        };
        let feed = Self {
            silence,
            has_stream,
            fallback,
            trusted_from: AtomicU64::default(),
            trusted_until: AtomicU64::default(),
            state: Mutex::new(state),
        };
        feed.publish(&feed.locked());
        feed
    }

    /// Whether webhooks are configured.
    pub fn has_webhooks(&self) -> bool {
        self.silence.is_some()
    }

    /// Notes a genuine delivery, to this replica or to another one. Does nothing if webhooks are not configured.
    pub fn note(&self, now: Tick, delivery: Delivery) {
        if !self.has_webhooks() {
            return;
        }
        let mut state = self.locked();
        let was_working = self.status_of(&state, now) == FeedStatus::Working;
        let why = match delivery {
            Delivery::Received => {
                state.window.note_received(now);
                state.last_received = state.last_received.max(Some(now));
                ""
            }
            Delivery::Missed(why) => {
                state.window.note_missed(now);
                why
            }
        };
        let transition = self.update(&mut state, now);
        if delivery == Delivery::Received && !state.is_failing {
            if !was_working {
                state.since = now;
            }
            self.trust(&mut state);
        }
        drop(state);
        log(transition, why);
    }

    /// Notes that everything that other replicas announced until `at` was applied.
    pub fn note_caught_up(&self, at: Tick) {
        if !self.has_stream {
            return;
        }
        let mut state = self.locked();
        state.stream_until = state.stream_until.max(at + STREAM_PATIENCE);
        self.publish(&state);
    }

    /// Notes that announcements may have been missed: the stream is in doubt until everything was applied again.
    pub fn note_gap(&self) {
        if !self.has_stream {
            return;
        }
        let mut state = self.locked();
        state.stream_until = Tick::default();
        self.publish(&state);
    }

    /// Whether lifetimes are short because of the stream, whatever webhooks do.
    pub fn distrusts_stream(&self, now: Tick) -> bool {
        now >= self.locked().stream_until
    }

    /// The status of the feed of webhooks at `now`.
    pub fn status(&self, now: Tick) -> FeedStatus {
        let mut state = self.locked();
        let transition = self.update(&mut state, now);
        let status = self.status_of(&state, now);
        drop(state);
        log(transition, "");
        status
    }

    /// Notes whether the feed of webhooks fails now. Returns the change, if there is one.
    fn update(&self, state: &mut State, now: Tick) -> Option<Transition> {
        // Hysteresis: a failing feed recovers only when clearly fewer deliveries are missed, so that it does not flap
        // with each one.
        let is_failing =
            state.window.is_failing(now) || (state.is_failing && !state.window.has_recovered(now));
        if is_failing == state.is_failing {
            return None;
        }
        state.is_failing = is_failing;
        if is_failing {
            state.webhooks_until = Tick::default();
            self.publish(state);
            let (received, missed) = state.window.counts(now);
            return Some(Transition::Failing { received, missed });
        }
        // A delivery that was missed may concern any contact.
        state.since = now;
        self.trust(state);
        Some(Transition::Recovered)
    }

    /// Trusts webhooks until the next delivery is overdue.
    fn trust(&self, state: &mut State) {
        if let (Some(silence), Some(last)) = (self.silence, state.last_received) {
            state.webhooks_until = state.webhooks_until.max(last + silence);
        }
        self.publish(state);
    }

    /// Stores what hits read.
    fn publish(&self, state: &State) {
        let from = if self.has_webhooks() {
            // A change of the same moment may have been reported before.
            state.since.nanos().saturating_add(1)
        } else {
            0
        };
        // Before the end: a reader of the new end must not see the old start.
        self.trusted_from.store(from, Ordering::SeqCst);
        let until = state.webhooks_until.min(state.stream_until);
        self.trusted_until.store(until.nanos(), Ordering::SeqCst);
    }

    /// When the last delivery that could be read arrived.
    pub fn last_received(&self) -> Option<Tick> {
        self.locked().last_received
    }

    /// Since when webhooks have worked without a gap, if they work now.
    pub fn working_since(&self, now: Tick) -> Option<Tick> {
        let state = self.locked();
        (now < state.webhooks_until).then_some(state.since)
    }

    /// The longest lifetime of data that was true at `true_at`.
    pub fn longest_lifetime(&self, true_at: Tick, now: Tick) -> Duration {
        if self.trusted_from(now).is_some_and(|from| from <= true_at) {
            Duration::MAX
        } else {
            self.fallback
        }
    }

    /// Data that was true longer ago than this has the fallback lifetime at most. Zero while a source is in doubt: then
    /// all data has.
    pub fn trusted_age(&self, now: Tick) -> Duration {
        let from = self.trusted_from(now);
        from.map_or(Duration::ZERO, |from| now.since(from))
    }

    /// Data that was true at this moment or later is trusted at `now`; `None` while a source is in doubt.
    fn trusted_from(&self, now: Tick) -> Option<Tick> {
        let until = Tick::from_nanos(self.trusted_until.load(Ordering::SeqCst));
        let from = Tick::from_nanos(self.trusted_from.load(Ordering::SeqCst));
        (now < until).then_some(from)
    }

    /// The longest lifetime while changes may have been missed.
    pub fn fallback(&self) -> Duration {
        self.fallback
    }

    fn status_of(&self, state: &State, now: Tick) -> FeedStatus {
        match (state.last_received, self.silence) {
            _ if state.is_failing => FeedStatus::Failing,
            (Some(last), Some(silence)) if now < last + silence => FeedStatus::Working,
            (Some(_), Some(_)) => FeedStatus::Silent,
            _ => FeedStatus::Unknown,
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of status that is logged at once.
#[derive(Clone, Copy)]
enum Transition {
    /// Too many of the deliveries of the last minutes were missed.
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
mod tests;
