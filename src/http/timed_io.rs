//! A connection whose peer must keep moving. hyper's one timer counts a request's head from the end of
//! the answer before it, so it can bound idling or slow heads, not both: it bounds idling, and this
//! bounds the head from its first byte, and each wait for the peer to take what we write.
//!
//! These waits are the network's, so they are the machine's time and not the injected clock's.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Says whether the peer owes us the rest of a head.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadWatch {
    /// Odd while a request is being answered, even while what the peer sends is a head. It counts, so
    /// that an answer too quick for a read to come in between is not overlooked.
    turns: Arc<AtomicUsize>,
}

impl HeadWatch {
    /// A head has come whole, or its answer is ready.
    pub(super) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }
}

/// The stream, timed.
pub(super) struct TimedIo<S> {
    inner: S,
    watch: HeadWatch,
    /// The turn of the last read: a new one ends the wait for a head.
    turn: usize,
    head_timeout: Duration,
    write_timeout: Duration,
    head: Option<Pin<Box<Sleep>>>,
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedIo<S> {
    pub(super) fn new(
        inner: S,
        watch: HeadWatch,
        head_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        Self {
            inner,
            watch,
            turn: 0,
            head_timeout,
            write_timeout,
            head: None,
            write: None,
        }
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
        let turn = self.watch.turns();
        if turn != self.turn {
            self.turn = turn;
            self.head = None;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        let got_some = buf.filled().len() > before;
        if got_some && self.head.is_none() && turn.is_multiple_of(2) {
            self.head = Some(start(self.head_timeout));
        }
        if read.is_pending()
            && let Some(head) = &mut self.head
            && head.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> TimedIo<S> {
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
        let timeout = self.write_timeout;
        let waiting = self.write.get_or_insert_with(|| start(timeout));
        if waiting.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
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
        self.timed(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.timed(cx, shut)
    }
}
