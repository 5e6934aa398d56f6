//! Lingering close (RFC 9112, 9.6). Closing a socket with unread bytes, or with bytes on their way, makes the system
//! send a reset, which can destroy a response that the peer has not read yet. So the writing side is closed first, and
//! input is read and discarded until the peer closes its side, for a bounded time and a bounded number of bytes. Only
//! an idle connection that is evicted does not linger.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::Version;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{connection_state::ConnectionState, response_headers::write_close};

/// The longest wait for the peer to close its side where no more input is expected.
const LINGER: Duration = Duration::from_secs(1);

/// The most bytes that are discarded.
const MAX_DISCARDED: usize = 256 << 20;
/// The most bytes that are read at once.
const PIECE: usize = 16 * 1024;

/// Whether the peer may still be sending input that is not read as a request.
#[derive(Debug, Default)]
pub(super) struct UnreadInput(AtomicBool);

impl UnreadInput {
    /// Notes that it may.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes the response, to a request of this version, the last of its connection.
pub(super) fn announce_close(response: &mut Response<Body>, version: Version) {
    write_close(response.headers_mut());
    // hyper adds `keep-alive` to a response of HTTP/1.1 where a client of HTTP/1.0 asks for it.
    *response.version_mut() = version;
}

/// A stream that is closed in these two steps.
pub(super) struct LingeringClose<S, C> {
    inner: S,
    connection: C,
    /// The longest wait where the peer may still be sending a body.
    body_timeout: Duration,
    is_shut: bool,
    discarded: usize,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S, C> LingeringClose<S, C> {
    pub(super) fn new(inner: S, connection: C, body_timeout: Duration) -> Self {
        Self {
            inner,
            connection,
            body_timeout,
            is_shut: false,
            discarded: 0,
            waiting: None,
        }
    }

    /// Ready once the peer has closed its side, or a bound is reached.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + Unpin,
        C: AsRef<UnreadInput>,
    {
        let mut piece = [0; PIECE];
        loop {
            let mut read = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.inner).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    self.discarded += read.filled().len();
                    if self.discarded > MAX_DISCARDED {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
            if self.poll_timeout(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        self.poll_timeout(cx)
    }

    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        C: AsRef<UnreadInput>,
    {
        let timeout = if self.connection.as_ref().is_noted() {
            self.body_timeout
        } else {
            LINGER.min(self.body_timeout)
        };
        let start = || Box::pin(sleep_until(Instant::now() + timeout));
        self.waiting.get_or_insert_with(start).as_mut().poll(cx)
    }
}

impl<S: AsyncRead + Unpin, C: Unpin> AsyncRead for LingeringClose<S, C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S, C> AsyncWrite for LingeringClose<S, C>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: AsRef<UnreadInput> + AsRef<ConnectionState> + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.is_shut = true;
        }
        let state: &ConnectionState = this.connection.as_ref();
        if state.skips_lingering() {
            return Poll::Ready(Ok(()));
        }
        this.poll_discard(cx).map(Ok)
    }
}
