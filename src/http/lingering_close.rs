//! Lingering close (RFC 9112, 9.6). Closing a socket with unread bytes, or with bytes on their way, makes the system
//! send a reset, which can destroy a response that the peer has not read yet. So the writing side is closed first, and
//! input is read and discarded until the peer closes its side, for a bounded time and a bounded number of bytes. Only
//! an idle connection that is evicted does not linger.

use std::{
    future::Future,
    io,
    pin::Pin,
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

/// Makes the response, to a request of this version, the last of its connection.
pub(super) fn announce_close(response: &mut Response<Body>, version: Version) {
    write_close(response.headers_mut());
    // hyper adds `keep-alive` to a response of HTTP/1.1 where a client of HTTP/1.0 asks for it.
    *response.version_mut() = version;
}

/// The closing of a stream in these two steps.
#[derive(Default)]
pub(super) struct LingeringClose {
    is_shut: bool,
    discarded: usize,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl LingeringClose {
    /// Ready once the stream may be dropped. `body_timeout` is the longest wait where the peer may still be sending a body.
    pub(super) fn poll(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        state: &ConnectionState,
        body_timeout: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        if state.skips_lingering() {
            return Poll::Ready(Ok(()));
        }
        let timeout = if state.has_unread_input() {
            body_timeout
        } else {
            LINGER.min(body_timeout)
        };
        self.poll_discard(stream, timeout, cx).map(Ok)
    }

    /// Ready once the peer has closed its side, or a bound is reached.
    fn poll_discard(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        timeout: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let start = || Box::pin(sleep_until(Instant::now() + timeout));
        let waiting = self.waiting.get_or_insert_with(start);
        let mut piece = [0; PIECE];
        loop {
            let mut read = ReadBuf::new(&mut piece);
            match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    self.discarded += read.filled().len();
                    if self.discarded > MAX_DISCARDED {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return waiting.as_mut().poll(cx),
            }
            if waiting.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
    }
}
