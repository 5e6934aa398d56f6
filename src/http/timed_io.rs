//! A connection whose peer must keep moving: it may idle only so long between requests, take only so long for a head
//! from its first byte, and only so long to take what we write. hyper's one timer counts a head from the end of the
//! answer before it, so it can bound idling or slow heads, not both, and it is set anew for every request.
//!
//! Here a request that comes in one piece sets no timer at all: idling is counted by one that ticks along, four times in
//! its longest time, and the others are made when the peer is first waited for.
//!
//! These waits are the network's, so they are the machine's time and not the injected clock's.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::connection_state::ConnectionState;

/// How long a peer may keep us waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct IoTimeouts {
    /// Between requests.
    pub(super) idle: Duration,
    /// For the rest of a head that has begun.
    pub(super) head: Duration,
    /// For taking a piece of what we write.
    pub(super) write: Duration,
}

/// The stream, timed.
pub(super) struct TimedIo<S, W> {
    inner: S,
    watch: W,
    patience: IoTimeouts,
    /// The turn of the last read: a new one ends the wait for a head.
    turn: usize,
    /// Whether a byte of the next head has come.
    head_has_begun: bool,
    head: Option<Pin<Box<Sleep>>>,
    idle: Option<Pin<Box<Sleep>>>,
    /// How often `idle` has ticked since the last turn.
    quiet_ticks: u32,
    write: Option<Pin<Box<Sleep>>>,
    /// Whether the connection is being closed: no further head is waited for.
    is_ending: bool,
}

/// The longest time for a head, and before one, on a connection beyond those that there may be.
const BRIEF: Duration = Duration::from_secs(1);

/// So many ticks without a byte are the longest time that a peer may idle.
const TICKS: u32 = 4;

impl<S, W> TimedIo<S, W> {
    pub(super) fn new(inner: S, watch: W, patience: IoTimeouts) -> Self {
        Self {
            inner,
            watch,
            patience,
            turn: 0,
            head_has_begun: false,
            head: None,
            idle: None,
            quiet_ticks: 0,
            write: None,
            is_ending: false,
        }
    }

    /// Whether the peer owes us a head now. A new turn ends every wait for the one before.
    fn is_for_head(&mut self) -> bool
    where
        W: AsRef<ConnectionState>,
    {
        let watch = self.watch.as_ref();
        let turn = watch.turns();
        let is_in_rest = watch.is_in_rest();
        if turn != self.turn {
            self.turn = turn;
            self.head_has_begun = self.watch.as_ref().holds_beginning();
            self.head = None;
            self.quiet_ticks = 0;
        }
        turn.is_multiple_of(2) && !is_in_rest
    }

    /// As long as the patience, if there is room for the connection.
    fn longest(&self, patience: Duration) -> Duration
    where
        W: AsRef<ConnectionState>,
    {
        if self.watch.as_ref().is_brief() {
            patience.min(BRIEF)
        } else {
            patience
        }
    }

    /// Ready when the peer has idled too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        W: AsRef<ConnectionState>,
    {
        let tick = self.longest(self.patience.idle) / TICKS;
        let idle = self.idle.get_or_insert_with(|| start(tick));
        loop {
            ready!(idle.as_mut().poll(cx));
            self.quiet_ticks += 1;
            if self.quiet_ticks > TICKS {
                return Poll::Ready(());
            }
            idle.as_mut().reset(Instant::now() + tick);
        }
    }

    /// Ready when the rest of a head is too long in coming.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        W: AsRef<ConnectionState>,
    {
        let patience = self.longest(self.patience.head);
        let head = self.head.get_or_insert_with(|| start(patience));
        head.as_mut().poll(cx)
    }
}

fn start(timeout: Duration) -> Pin<Box<Sleep>> {
    Box::pin(sleep_until(Instant::now() + timeout))
}

impl<S, W> AsyncRead for TimedIo<S, W>
where
    S: AsyncRead + Unpin,
    W: AsRef<ConnectionState> + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_for_head = self.is_for_head();
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            let has_bytes = buf.filled().len() > before;
            self.head_has_begun |= is_for_head && has_bytes;
            self.watch.as_ref().works();
            return read;
        }
        if !is_for_head {
            return read;
        }
        if self.head_has_begun {
            ready!(self.poll_head(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        // An answer that the peer has yet to take is under way, though hyper has handed over all of it.
        let is_idle = self.write.is_none();
        let watch = self.watch.as_ref();
        if is_idle {
            watch.idles();
        }
        // As if the peer had hung up: between requests that is no fault.
        if !is_idle || !watch.closes_idle() {
            ready!(self.poll_idle(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, W> TimedIo<S, W> {
    /// Lets a write wait for the peer only so long.
    fn timed<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let timeout = self.patience.write;
        let waiting = self.write.get_or_insert_with(|| start(timeout));
        if waiting.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S, W> AsyncWrite for TimedIo<S, W>
where
    S: AsyncWrite + Unpin,
    W: AsRef<ConnectionState> + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.timed(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.timed(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        // hyper's last read may have been while it was answering, and it does not read again before something happens.
        if !self.is_ending && self.is_for_head() {
            if !self.head_has_begun {
                self.watch.as_ref().idles();
            }
            if self.poll_idle(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        self.timed(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_ending {
            self.is_ending = true;
            // Nothing is left to do on it: it may make room.
            self.watch.as_ref().idles();
        }
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.timed(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::{Wake, Waker},
    };

    use tokio::io::AsyncReadExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_peer_that_has_yet_to_take_its_answer_is_not_idle() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let watch = Arc::new(ConnectionState::default());
        let patience = IoTimeouts {
            idle: LONG,
            head: LONG,
            write: LONG,
        };
        let mut io = TimedIo::new(ours, Arc::clone(&watch), patience);
        let mut cx = Context::from_waker(Waker::noop());
        watch.close_when_idle();
        assert!(Pin::new(&mut io).poll_write(&mut cx, b"a").is_ready());
        assert!(Pin::new(&mut io).poll_write(&mut cx, b"b").is_pending());
        let mut byte = [0];
        let mut read = ReadBuf::new(&mut byte);
        assert!(Pin::new(&mut io).poll_read(&mut cx, &mut read).is_pending());
        assert_eq!(watch.idle_since(), None);
        assert_eq!(theirs.read_u8().await.expect("a byte"), b'a');
        assert!(Pin::new(&mut io).poll_write(&mut cx, b"b").is_ready());
        assert!(Pin::new(&mut io).poll_read(&mut cx, &mut read).is_ready());
        assert!(watch.is_closing_or_stays());
    }

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_connection_that_idled_too_long_does_not_wake_itself_while_it_is_closing() {
        let (ours, _theirs) = tokio::io::duplex(1);
        let patience = IoTimeouts {
            idle: Duration::from_millis(1),
            head: LONG,
            write: LONG,
        };
        let mut io = TimedIo::new(ours, Arc::new(ConnectionState::default()), patience);
        assert_eq!(io.read(&mut [0]).await.expect("an end"), 0);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut io).poll_shutdown(&mut cx).is_ready());
        // hyper flushes whenever it goes on, also while the peer has yet to close its side.
        assert!(Pin::new(&mut io).poll_flush(&mut cx).is_ready());
        assert!(!woken.0.load(Ordering::Relaxed));
    }
}
