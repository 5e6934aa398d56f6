//! What a connection's streams, its task and its listener know of each other: whether a request is being answered,
//! since when the connection is idle, and whether it is to close.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering},
};

use futures_util::task::AtomicWaker;

/// The signal to close the connection if it is idle: its slot is needed.
pub(super) const EVICT: u8 = 1;
/// The signal to close the connection soon: the service ends.
pub(super) const DRAIN: u8 = 2;

/// Only the peer and the time-outs close the connection.
const STAY: u8 = 0;
/// It closes once it is idle, by a lingering close.
const CLOSE: u8 = 1;
/// It closes once it is idle, without lingering.
const EVICTED: u8 = 2;
/// It was idle and is closing.
const CLOSING: u8 = 3;
/// It was idle and is closing, without lingering.
const CLOSING_EVICTED: u8 = 4;

/// A listener's time in ticks of a tenth of a second. Coarse, so that reading it costs a request nothing.
pub(super) type Ticks = Arc<AtomicU32>;

/// The shared state of one connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Even while a head is awaited, odd while a request is being answered. It counts up, so that a response that is
    /// complete before the next read is noticed.
    phase: AtomicUsize,
    /// Whether the bytes that were passed to hyper end within a head.
    has_partial_head: AtomicBool,
    /// Whether the connection is in the reserve, where time-outs are short.
    has_short_timeouts: AtomicBool,
    /// Whether the peer may still be sending input that is not read as a request.
    has_unread_input: AtomicBool,
    /// Whether the remainder of a body is being read after its response; that has a time-out of its own.
    is_draining_body: AtomicBool,
    /// The listener's time.
    ticks: Ticks,
    /// The tick since which the connection is idle, plus one; 0 while it is busy.
    idle_since: AtomicU32,
    close: AtomicU8,
    signals: AtomicU8,
    task: AtomicWaker,
}

impl ConnectionState {
    /// The state of a new connection, which is idle until its first byte arrives.
    pub(super) fn new(ticks: Ticks) -> Self {
        let state = Self {
            ticks,
            ..Self::default()
        };
        state.mark_idle();
        state
    }

    /// Enters the next phase: a head is complete, or hyper has taken all of its response.
    pub(super) fn advance(&self) {
        self.phase.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of phases passed; even while a head is awaited.
    pub(super) fn phase(&self) -> usize {
        self.phase.load(Ordering::Relaxed)
    }

    /// Shortens the time-outs of heads and of idling to a second.
    pub(super) fn shorten_timeouts(&self) {
        self.has_short_timeouts.store(true, Ordering::Relaxed);
    }

    /// Restores the configured time-outs.
    pub(super) fn restore_timeouts(&self) {
        self.has_short_timeouts.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_short_timeouts(&self) -> bool {
        self.has_short_timeouts.load(Ordering::Relaxed)
    }

    /// Notes whether the bytes that were passed to hyper end within a head.
    pub(super) fn set_partial_head(&self, is_partial: bool) {
        self.has_partial_head.store(is_partial, Ordering::Relaxed);
    }

    pub(super) fn has_partial_head(&self) -> bool {
        self.has_partial_head.load(Ordering::Relaxed)
    }

    /// Notes that the peer may still be sending input that is not read as a request.
    pub(super) fn note_unread_input(&self) {
        self.has_unread_input.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_unread_input(&self) -> bool {
        self.has_unread_input.load(Ordering::Relaxed)
    }

    /// What arrives next is the remainder of a body.
    pub(super) fn begin_body_drain(&self) {
        self.is_draining_body.store(true, Ordering::Release);
    }

    /// The remainder has been read or is no longer awaited. Wakes the connection's task.
    pub(super) fn end_body_drain(&self) {
        self.is_draining_body.store(false, Ordering::Release);
        self.task.wake();
    }

    pub(super) fn is_draining_body(&self) -> bool {
        self.is_draining_body.load(Ordering::Acquire)
    }

    /// Notes that the connection is idle, since now if it was busy.
    pub(super) fn mark_idle(&self) {
        if self.idle_since.load(Ordering::Relaxed) == 0 {
            let now = self.ticks.load(Ordering::Relaxed);
            let since = now.wrapping_add(1).max(1);
            self.idle_since.store(since, Ordering::Relaxed);
        }
    }

    /// Notes that the connection is busy. It is not evicted then.
    pub(super) fn mark_busy(&self) {
        self.idle_since.store(0, Ordering::Relaxed);
        if self.close.load(Ordering::Relaxed) == EVICTED {
            self.close.store(STAY, Ordering::Relaxed);
        }
    }

    /// Since when the connection is idle; `None` while it is busy.
    pub(super) fn idle_since(&self) -> Option<u32> {
        let since = self.idle_since.load(Ordering::Relaxed);
        (since != 0 && self.phase().is_multiple_of(2)).then_some(since)
    }

    /// From now on the connection closes when it is idle.
    pub(super) fn close_when_idle(&self) {
        self.close.store(CLOSE, Ordering::Relaxed);
    }

    /// The same, without a lingering close.
    pub(super) fn evict_when_idle(&self) {
        self.close.store(EVICTED, Ordering::Relaxed);
    }

    /// Called while the connection is idle: returns whether it closes now. If so, it counts as closing from here on.
    pub(super) fn begin_idle_close(&self) -> bool {
        let closing = match self.close.load(Ordering::Relaxed) {
            STAY => return false,
            CLOSE => CLOSING,
            EVICTED => CLOSING_EVICTED,
            closing => closing,
        };
        self.close.store(closing, Ordering::Relaxed);
        true
    }

    /// Whether the connection is closing because it was idle. Otherwise the request to close it is withdrawn.
    pub(super) fn is_closing_or_stays(&self) -> bool {
        let is_closing = self.close.load(Ordering::Relaxed) >= CLOSING;
        if !is_closing {
            self.close.store(STAY, Ordering::Relaxed);
        }
        is_closing
    }

    /// Whether a connection that is closing does not linger, because its slot is needed.
    pub(super) fn skips_lingering(&self) -> bool {
        let close = self.close.load(Ordering::Relaxed);
        if close == EVICTED {
            self.close.store(CLOSING_EVICTED, Ordering::Relaxed);
        }
        close == EVICTED || close == CLOSING_EVICTED
    }

    /// Sends the connection's task a signal.
    pub(super) fn signal(&self, signal: u8) {
        self.signals.fetch_or(signal, Ordering::Relaxed);
        self.task.wake();
    }

    /// Registers the task to wake on a signal.
    pub(super) fn register(&self, task: &std::task::Waker) {
        self.task.register(task);
    }

    /// The signals since the last call, as bits; 0 is none.
    pub(super) fn take_signals(&self) -> u8 {
        if self.signals.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.signals.swap(0, Ordering::Relaxed)
    }
}
