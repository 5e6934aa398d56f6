//! The connection's stream as hyper sees it. Requests that the fast path answers never reach hyper.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    super::{auth::LastKey, connection_context::ConnectionContext},
    head::{self, NextInput, PlainRequest},
    hyper_backlog::HyperBacklog,
    pending_response::PendingResponse,
};

/// A stream that passes on to hyper only the requests that hyper must answer.
pub(in super::super) struct FastPath<S> {
    inner: S,
    connection: Arc<ConnectionContext>,
    backlog: HyperBacklog,
    last_key: LastKey,
    pending: PendingResponse,
    /// The connection's phase when hyper had last flushed everything.
    flushed_phase: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FastPath<S> {
    pub(in super::super) fn new(inner: S, connection: Arc<ConnectionContext>) -> Self {
        Self {
            inner,
            connection,
            backlog: HyperBacklog::default(),
            last_key: LastKey::default(),
            pending: PendingResponse::default(),
            flushed_phase: 0,
        }
    }

    /// Ready once nothing of a response of this stream's own is left to write.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pending.poll_send(&mut self.inner, cx)
    }

    /// Answers the request in these bytes. `false` if it can't: the bytes are for hyper.
    fn respond(&mut self, read: &[u8]) -> bool {
        let phase = self.connection.state().phase();
        if !self.backlog.is_empty() {
            self.backlog.add(read, phase);
            return false;
        }
        // The head is parsed once, for the fast path and for the backlog.
        let first = head::next(read);
        if let NextInput::Request {
            head,
            plain: Some(request),
            ..
        } = &first
            && *head == read.len()
            && self.respond_from_memory(request)
        {
            return true;
        }
        self.backlog.begin(read, first, phase);
        false
    }

    fn respond_from_memory(&mut self, request: &PlainRequest<'_>) -> bool {
        let ConnectionContext {
            service, permit, ..
        } = &*self.connection;
        let is_answered = !permit.is_in_reserve()
            && service.respond_from_memory(request, &mut self.last_key, &mut self.pending);
        if is_answered {
            // As if hyper had read the head and sent the response.
            let state = self.connection.state();
            state.advance();
            state.advance();
            self.flushed_phase = state.phase();
        }
        is_answered
    }

    /// Replaces what hyper writes by itself: the refusal of a malformed head. hyper writes such a refusal only while no
    /// request is being answered and nothing of the last response is left to write. Returns whether `written` was
    /// replaced.
    fn replace_refusal(&mut self, written: &[u8]) -> bool {
        let phase = self.connection.state().phase();
        if !phase.is_multiple_of(2) || phase != self.flushed_phase {
            return false;
        }
        let head = self.backlog.refused_head(phase);
        let refusal = self.connection.service.refuse_malformed(written, head);
        self.pending.write_refusal(refusal);
        self.connection.state().note_unread_input();
        true
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for FastPath<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Backpressure: the next request is not read until the response is written.
        ready!(this.poll_send(cx))?;
        loop {
            if this.pending.was_last() {
                // An end of file: to hyper the peer has closed the connection.
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let read = &buf.filled()[before..];
            if !this.respond(read) {
                let is_partial = this.backlog.ends_within_head();
                this.connection.state().set_partial_head(is_partial);
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
            ready!(this.poll_send(cx))?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FastPath<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        if this.replace_refusal(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        if this.replace_refusal(bufs.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut this.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper calls this when it has nothing of its own left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        this.flushed_phase = this.connection.state().phase();
        this.backlog.flushed(this.flushed_phase);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
