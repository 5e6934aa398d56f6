//! The end of a connection whose peer may still be sending. Closing a socket with bytes unread makes the system send a
//! reset, which takes away from the peer what it has not read yet: the answer. So first the writing side is closed, and
//! what still comes is read and discarded, until the peer closes its side too, for a bounded time and a bounded number of
//! bytes (RFC 9112, 9.6). A byte that is on its way when the socket is closed causes a reset as well, so this holds for
//! every end but that of an idle connection that makes room for another.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Version, header};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::connection_state::ConnectionState;

/// The longest time between the two steps where the peer owes nothing.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// So many bytes are discarded at most.
const MAX_BYTES: usize = 256 << 20;
/// So many are read at once.
const PIECE: usize = 16 * 1024;

/// Whether the peer may still be sending what will not be read as a request.
#[derive(Debug, Default)]
pub(super) struct UnreadInput(AtomicBool);

impl UnreadInput {
    /// It may.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes the answer the last of its connection to a request of that version.
pub(super) fn announce_close(response: &mut Response<Body>, version: Version) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    // To an answer of HTTP/1.1 hyper adds `keep-alive` where a client of HTTP/1.0 wants it.
    *response.version_mut() = version;
}

/// The stream, closed in two steps.
pub(super) struct LingeringClose<S, C> {
    inner: S,
    connection: C,
    /// The longest time between the two steps where the peer owes the rest of a body.
    patience: Duration,
    is_shut: bool,
    discarded: usize,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S, C> LingeringClose<S, C> {
    pub(super) fn new(inner: S, connection: C, patience: Duration) -> Self {
        Self {
            inner,
            connection,
            patience,
            is_shut: false,
            discarded: 0,
            waiting: None,
        }
    }

    /// Ready once the peer has closed its side, or need not be waited for any longer.
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
                    if self.discarded > MAX_BYTES {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
            if self.poll_patience(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        self.poll_patience(cx)
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        C: AsRef<UnreadInput>,
    {
        let patience = if self.connection.as_ref().is_noted() {
            self.patience
        } else {
            LAST_BYTES.min(self.patience)
        };
        let start = || Box::pin(sleep_until(Instant::now() + patience));
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
        let watch: &ConnectionState = this.connection.as_ref();
        if watch.closes_at_once() {
            return Poll::Ready(Ok(()));
        }
        this.poll_discard(cx).map(Ok)
    }
}
