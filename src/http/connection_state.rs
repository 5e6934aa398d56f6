//! What a connection's stream, its task and its listener know of one another: whose turn it is, since when the
//! connection is idle, and whether it is to close.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering},
};

use futures_util::task::AtomicWaker;

/// The connection's task is to close the connection if it is idle, since another needs the room.
pub(super) const MAKE_ROOM: u8 = 1;
/// The connection's task is to close the connection soon, since the service ends.
pub(super) const DRAIN: u8 = 2;

/// Nothing closes the connection but its peer and the time-outs.
const STAY: u8 = 0;
/// It closes when it is idle, and its peer is given time to see that.
const CLOSE: u8 = 1;
/// It closes when it is idle, without more ado.
const CLOSE_AT_ONCE: u8 = 2;
/// It was idle, and is closing.
const CLOSING: u8 = 3;
/// The same, without more ado.
const CLOSING_AT_ONCE: u8 = 4;

/// A listener's time in ticks of a tenth of a second: coarse, so that a request may read it for nothing.
pub(super) type Ticks = Arc<AtomicU32>;

/// Says whether the peer owes us the rest of a head, since when it owes us nothing, and what is to become of the
/// connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Odd while a request is being answered, even while what the peer sends is a head. It counts, so
    /// that an answer too quick for a read to come in between is not overlooked.
    turns: AtomicUsize,
    /// Whether what hyper was given ends within a head.
    holds_beginning: AtomicBool,
    /// Whether the connection is beyond those that there may be, where no peer may keep a place for long.
    is_brief: AtomicBool,
    /// Whether the rest of a body is read whose answer has been taken: that has a time of its own.
    is_in_rest: AtomicBool,
    /// The listener's time.
    ticks: Ticks,
    /// The tick since which the connection is idle, and one; 0 while it is not.
    idle_since: AtomicU32,
    close: AtomicU8,
    orders: AtomicU8,
    task: AtomicWaker,
}

impl ConnectionState {
    /// The watch of a new connection, which is idle until its first byte comes.
    pub(super) fn new(ticks: Ticks) -> Self {
        let watch = Self {
            ticks,
            ..Self::default()
        };
        watch.idles();
        watch
    }

    /// A head has come whole, or its answer has been taken to be written.
    pub(super) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was.
    pub(super) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    /// The peer is waited for a second at most from now on.
    pub(super) fn be_brief(&self) {
        self.is_brief.store(true, Ordering::Relaxed);
    }

    /// The peer is waited for as any other.
    pub(super) fn be_patient(&self) {
        self.is_brief.store(false, Ordering::Relaxed);
    }

    /// Whether the peer is waited for a second at most.
    pub(super) fn is_brief(&self) -> bool {
        self.is_brief.load(Ordering::Relaxed)
    }

    /// Notes whether hyper was given the beginning of a head that is not whole yet.
    pub(super) fn hold_beginning(&self, is_held: bool) {
        self.holds_beginning.store(is_held, Ordering::Relaxed);
    }

    /// Whether it was.
    pub(super) fn holds_beginning(&self) -> bool {
        self.holds_beginning.load(Ordering::Relaxed)
    }

    /// What comes next is the rest of a body.
    pub(super) fn begin_rest(&self) {
        self.is_in_rest.store(true, Ordering::Release);
    }

    /// The rest of the body has come, or is no longer waited for.
    pub(super) fn end_rest(&self) {
        self.is_in_rest.store(false, Ordering::Release);
        self.task.wake();
    }

    /// Whether the rest of a body is read. The connection's task is woken when that ends.
    pub(super) fn is_in_rest(&self) -> bool {
        self.is_in_rest.load(Ordering::Acquire)
    }

    /// The peer was waited for between requests.
    pub(super) fn idles(&self) {
        if self.idle_since.load(Ordering::Relaxed) == 0 {
            let now = self.ticks.load(Ordering::Relaxed);
            let since = now.wrapping_add(1).max(1);
            self.idle_since.store(since, Ordering::Relaxed);
        }
    }

    /// The connection is not idle any more, and makes no room.
    pub(super) fn works(&self) {
        self.idle_since.store(0, Ordering::Relaxed);
        if self.close.load(Ordering::Relaxed) == CLOSE_AT_ONCE {
            self.close.store(STAY, Ordering::Relaxed);
        }
    }

    /// Since when the connection is idle; `None` while it is not.
    pub(super) fn idle_since(&self) -> Option<u32> {
        let since = self.idle_since.load(Ordering::Relaxed);
        (since != 0 && self.turns().is_multiple_of(2)).then_some(since)
    }

    /// From now on the connection closes when it is idle.
    pub(super) fn close_when_idle(&self) {
        self.close.store(CLOSE, Ordering::Relaxed);
    }

    /// The same, without waiting for the peer to see it.
    pub(super) fn close_at_once_when_idle(&self) {
        self.close.store(CLOSE_AT_ONCE, Ordering::Relaxed);
    }

    /// Whether an idle connection closes now. If so, it is closing.
    pub(super) fn closes_idle(&self) -> bool {
        let closing = match self.close.load(Ordering::Relaxed) {
            STAY => return false,
            CLOSE => CLOSING,
            CLOSE_AT_ONCE => CLOSING_AT_ONCE,
            closing => closing,
        };
        self.close.store(closing, Ordering::Relaxed);
        true
    }

    /// Whether it closes because it was idle; if not, it stays.
    pub(super) fn is_closing_or_stays(&self) -> bool {
        let is_closing = self.close.load(Ordering::Relaxed) >= CLOSING;
        if !is_closing {
            self.close.store(STAY, Ordering::Relaxed);
        }
        is_closing
    }

    /// Whether the end of a connection that is closing is not waited for, because another needs its room.
    pub(super) fn closes_at_once(&self) -> bool {
        let closes = self.close.load(Ordering::Relaxed);
        if closes == CLOSE_AT_ONCE {
            self.close.store(CLOSING_AT_ONCE, Ordering::Relaxed);
        }
        closes == CLOSE_AT_ONCE || closes == CLOSING_AT_ONCE
    }

    /// Tells the connection's task what to do.
    pub(super) fn order(&self, what: u8) {
        self.orders.fetch_or(what, Ordering::Relaxed);
        self.task.wake();
    }

    /// Wakes this task from now on when there is an order.
    pub(super) fn register(&self, task: &std::task::Waker) {
        self.task.register(task);
    }

    /// What the connection's task was told since it last asked; 0 is nothing.
    pub(super) fn take_orders(&self) -> u8 {
        if self.orders.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.orders.swap(0, Ordering::Relaxed)
    }
}
