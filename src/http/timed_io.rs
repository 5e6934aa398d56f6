//! The time-outs of a connection: idling between requests, a head from its first byte, and each write. hyper has one
//! timer, which counts a head from the end of the response before it: it can bound idling or slow heads, not both, and
//! is reset for every request.
//!
//! Here a request that arrives in one piece sets no timer. Idling is counted by a timer that fires four times within
//! the time-out; the other timers start when the peer is first waited for. They use real time, not the injected clock.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    connection_limits::ConnectionLimits, connection_state::ConnectionState,
    lingering_close::LingeringClose,
};

/// A stream with time-outs.
pub(super) struct TimedIo<S> {
    inner: S,
    state: Arc<ConnectionState>,
    limits: ConnectionLimits,
    /// The phase of the last read: a new one ends the wait for a head.
    phase: usize,
    /// Whether a byte of the next head has arrived.
    head_has_begun: bool,
    head: Option<Pin<Box<Sleep>>>,
    idle: Option<Pin<Box<Sleep>>>,
    /// How often `idle` has fired since the last phase.
    quiet_ticks: u32,
    write: Option<Pin<Box<Sleep>>>,
    /// Whether the connection is being closed: no further head is awaited.
    is_ending: bool,
    close: LingeringClose,
}

/// The time-out of heads and of idling on a connection in the reserve.
const SHORT: Duration = Duration::from_secs(1);

/// How often the idle timer fires within the time-out.
const TICKS: u32 = 4;

impl<S> TimedIo<S> {
    pub(super) fn new(inner: S, state: Arc<ConnectionState>, limits: ConnectionLimits) -> Self {
        Self {
            inner,
            state,
            limits,
            phase: 0,
            head_has_begun: false,
            head: None,
            idle: None,
            quiet_ticks: 0,
            write: None,
            is_ending: false,
            close: LingeringClose::default(),
        }
    }

    /// Whether a head is awaited now. A new phase ends every wait of the one before.
    fn awaits_head(&mut self) -> bool {
        let phase = self.state.phase();
        if phase != self.phase {
            self.phase = phase;
            self.head_has_begun = self.state.has_partial_head();
            self.head = None;
            self.quiet_ticks = 0;
        }
        phase.is_multiple_of(2) && !self.state.is_draining_body()
    }

    /// The time-out, shortened on a connection in the reserve.
    fn effective(&self, timeout: Duration) -> Duration {
        if self.state.has_short_timeouts() {
            timeout.min(SHORT)
        } else {
            timeout
        }
    }

    /// Ready when the peer has idled for the time-out.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let tick = self.effective(self.limits.idle_timeout) / TICKS;
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

    /// Ready once a head has taken as long as the time-out.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.effective(self.limits.header_timeout);
        let head = self.head.get_or_insert_with(|| start(timeout));
        head.as_mut().poll(cx)
    }
}

fn start(timeout: Duration) -> Pin<Box<Sleep>> {
    Box::pin(sleep_until(Instant::now() + timeout))
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let awaits_head = self.awaits_head();
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            let has_bytes = buf.filled().len() > before;
            self.head_has_begun |= awaits_head && has_bytes;
            self.state.mark_busy();
            return read;
        }
        if !awaits_head {
            return read;
        }
        if self.head_has_begun {
            ready!(self.poll_head(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        // While a write is pending the response is still under way, although hyper has handed over all of it.
        let is_idle = self.write.is_none();
        if is_idle {
            self.state.mark_idle();
        }
        // No bytes means an end of file, as if the peer had closed the connection; between requests that is not an
        // error.
        if !is_idle || !self.state.begin_idle_close() {
            ready!(self.poll_idle(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> TimedIo<S> {
    /// Fails a write that has taken as long as the time-out.
    fn timed<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let timeout = self.limits.write_timeout;
        let waiting = self.write.get_or_insert_with(|| start(timeout));
        if waiting.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
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
        // hyper may have read last while a request was being answered, and does not read again before something
        // happens, so the idle timer is started here.
        if !self.is_ending && self.awaits_head() {
            if !self.head_has_begun {
                self.state.mark_idle();
            }
            if self.poll_idle(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        self.timed(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_ending {
            this.is_ending = true;
            // It may be evicted while it lingers.
            this.state.mark_idle();
        }
        let body_timeout = this.limits.body_timeout;
        let closed = this
            .close
            .poll(&mut this.inner, &this.state, body_timeout, cx);
        this.timed(cx, closed)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        task::{Wake, Waker},
    };

    use tokio::io::AsyncReadExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn limits(idle_timeout: Duration) -> ConnectionLimits {
        ConnectionLimits {
            header_timeout: LONG,
            idle_timeout,
            write_timeout: LONG,
            body_timeout: LONG,
            max_body: 0,
            max_connections: 1,
            shutdown_grace: LONG,
        }
    }

    #[tokio::test]
    async fn connection_with_a_pending_write_is_not_idle() {
        let (ours, mut theirs) = tokio::io::duplex(1);
        let state = Arc::new(ConnectionState::default());
        let mut io = TimedIo::new(ours, Arc::clone(&state), limits(LONG));
        let mut cx = Context::from_waker(Waker::noop());
        state.close_when_idle();
        assert!(Pin::new(&mut io).poll_write(&mut cx, b"a").is_ready());
        assert!(Pin::new(&mut io).poll_write(&mut cx, b"b").is_pending());
        let mut byte = [0];
        let mut read = ReadBuf::new(&mut byte);
        assert!(Pin::new(&mut io).poll_read(&mut cx, &mut read).is_pending());
        assert_eq!(state.idle_since(), None);
        assert_eq!(theirs.read_u8().await.expect("a byte"), b'a');
        assert!(Pin::new(&mut io).poll_write(&mut cx, b"b").is_ready());
        assert!(Pin::new(&mut io).poll_read(&mut cx, &mut read).is_ready());
        assert!(state.is_closing_or_stays());
    }

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn idle_timeout_does_not_wake_a_connection_that_is_closing() {
        let (ours, _theirs) = tokio::io::duplex(1);
        let limits = limits(Duration::from_millis(1));
        let mut io = TimedIo::new(ours, Arc::new(ConnectionState::default()), limits);
        assert_eq!(io.read(&mut [0]).await.expect("an end"), 0);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut io).poll_shutdown(&mut cx).is_pending());
        // hyper flushes whenever it is polled, even while the connection lingers.
        assert!(Pin::new(&mut io).poll_flush(&mut cx).is_ready());
        assert!(!woken.0.load(Ordering::Relaxed));
    }
}
