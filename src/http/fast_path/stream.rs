//! The connection's stream as hyper sees it: what is answered here hyper never sees.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    super::{auth::LastKey, connection::Connection},
    head::{self, Next, PlainRequest},
    hyper_backlog::HyperBacklog,
    pending_response::PendingResponse,
};

/// A stream of which hyper is given only the requests that it must answer.
pub(in super::super) struct FastPath<S> {
    inner: S,
    peer: Arc<Connection>,
    given: HyperBacklog,
    last_key: LastKey,
    unsent: PendingResponse,
    /// The connection's turn when hyper had last written everything that it had to write.
    settled: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FastPath<S> {
    pub(in super::super) fn new(inner: S, peer: Arc<Connection>) -> Self {
        Self {
            inner,
            peer,
            given: HyperBacklog::default(),
            last_key: LastKey::default(),
            unsent: PendingResponse::default(),
            settled: 0,
        }
    }

    /// Ready once nothing of an answer given here is left to write.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unsent.poll_send(&mut self.inner, cx)
    }

    /// Answers what was read, if that may be done here; else it is hyper's.
    fn answer(&mut self, read: &[u8]) -> bool {
        let turns = self.peer.watch().turns();
        if !self.given.is_nothing() {
            self.given.add(read, turns);
            return false;
        }
        // What hyper is given is noted by what was read to answer it here: a head is read once.
        let first = head::next(read);
        if let Next::Request {
            head,
            plain: Some(plain),
            ..
        } = &first
            && *head == read.len()
            && self.answer_here(plain)
        {
            return true;
        }
        self.given.begin(read, first, turns);
        false
    }

    fn answer_here(&mut self, plain: &PlainRequest<'_>) -> bool {
        let is_answered = !self.peer.is_in_reserve()
            && self
                .peer
                .door
                .answer_in_memory(plain, &mut self.last_key, &mut self.unsent);
        if is_answered {
            // As if hyper had taken the head and answered it.
            self.peer.watch().turn();
            self.peer.watch().turn();
            self.settled = self.peer.watch().turns();
        }
        is_answered
    }

    /// Takes what hyper writes by itself: a refusal of what is no request, which becomes one of ours. hyper does so
    /// where nothing is being answered, and nothing of what was is left to write.
    fn takes_refusal(&mut self, refused: &[u8]) -> bool {
        let turns = self.peer.watch().turns();
        if !turns.is_multiple_of(2) || turns != self.settled {
            return false;
        }
        let refusal = self
            .peer
            .door
            .refuse_unparsed(refused, self.given.refused(turns));
        self.unsent.write_refusal(refusal);
        self.peer.unread_input.note();
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
        // Who takes no answer is read no further question of.
        ready!(this.poll_send(cx))?;
        loop {
            if this.unsent.was_last() {
                // For hyper it is as if the peer had hung up.
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let read = &buf.filled()[before..];
            if !this.answer(read) {
                let is_held = this.given.ends_within_head();
                this.peer.watch().hold_beginning(is_held);
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
        if this.takes_refusal(buf) {
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
        if this.takes_refusal(bufs.first().map_or(&[], |first| first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut this.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper calls it with nothing of its own left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        this.settled = this.peer.watch().turns();
        this.given.flushed(this.settled);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
