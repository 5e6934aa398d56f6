//! A response as bytes, until its peer has taken them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::AsyncWrite;

use super::super::{
    malformed_head::Refusal,
    response::SelectedResponse,
    response_headers::{
        CONTENT_LENGTH, CommonFields, DATE, DateText, HeaderSink, RawHead, write_close,
    },
};

/// The response that is being written, in memory that the connection's next one uses again.
#[derive(Default)]
pub(super) struct PendingResponse {
    head: RawHead,
    body: Body,
    /// Whether anything is left to write.
    is_left: bool,
    /// How many bytes of head and body are written.
    written: usize,
    /// Whether the connection ends with the response.
    is_last: bool,
    date: DateText,
}

#[derive(Default)]
enum Body {
    #[default]
    None,
    /// Of the response, which keeps the cached bytes alive.
    Selected(SelectedResponse),
    Refusal(Bytes),
}

impl PendingResponse {
    /// Takes a response to write.
    pub(super) fn write(
        &mut self,
        selected: SelectedResponse,
        common: &CommonFields<'_>,
        wall: Timestamp,
        is_last: bool,
    ) {
        let head = &mut self.head;
        head.begin(selected.status());
        selected.write_headers(head);
        common.write(head);
        if is_last {
            write_close(head);
        }
        if let Some(body) = selected.body() {
            head.number(&CONTENT_LENGTH, body.len() as u64);
        }
        head.copied(&DATE, self.date.at(wall));
        head.end();
        self.written = 0;
        self.is_last = is_last;
        self.body = Body::Selected(selected);
        self.is_left = true;
    }

    /// Takes a refusal to write, once the response before is written.
    pub(super) fn write_refusal(&mut self, refusal: Refusal) {
        self.head = refusal.head;
        self.body = Body::Refusal(refusal.body);
        self.written = 0;
        self.is_left = true;
    }

    /// Whether the connection ends with the response that was written last.
    pub(super) fn was_last(&self) -> bool {
        self.is_last
    }

    /// Ready once everything is written.
    pub(super) fn poll_send(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_left {
            return Poll::Ready(Ok(()));
        }
        let head = self.head.as_bytes();
        let body = match &self.body {
            Body::None => None,
            Body::Selected(selected) => selected.body(),
            Body::Refusal(body) => Some(body),
        };
        let body = body.map_or(&[][..], |body| body);
        while self.written < head.len() + body.len() {
            let of_head = self.written.min(head.len());
            let pieces = [
                IoSlice::new(&head[of_head..]),
                IoSlice::new(&body[self.written - of_head..]),
            ];
            let pieces = if of_head < head.len() {
                &pieces
            } else {
                &pieces[1..]
            };
            let written = ready!(Pin::new(&mut *io).poll_write_vectored(cx, pieces))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        // An idle connection must not keep a cached body alive.
        self.body = Body::None;
        self.is_left = false;
        Poll::Ready(Ok(()))
    }
}
