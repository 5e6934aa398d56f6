//! An answer as bytes, until its peer has taken them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio::io::AsyncWrite;

use super::super::{
    request_id::{REQUEST_ID, RequestId},
    response::{CACHE_STATUS, SERVER_TIMING, SelectedResponse, write_server_timing},
};

/// What is left to write, in memory that the connection's next answer uses again.
#[derive(Default)]
pub(super) struct PendingResponse {
    /// The head; of a refusal the body too.
    head: String,
    /// The answer whose head it is.
    told: Option<SelectedResponse>,
    is_left: bool,
    /// How much of head and body is written.
    written: usize,
    /// Whether the connection ends with the answer.
    is_last: bool,
    date: Date,
}

/// The header of that name, for it is written the same way each time.
#[derive(Debug, Default)]
struct Date {
    second: i64,
    text: String,
}

impl PendingResponse {
    /// Takes an answer to write.
    pub(super) fn write(
        &mut self,
        told: SelectedResponse,
        always: &str,
        request_id: &RequestId,
        took: Duration,
        wall: Timestamp,
        is_last: bool,
    ) {
        let head = &mut self.head;
        let number = |head: &mut String, name: &str, number: u64| {
            line(head, name, itoa::Buffer::new().format(number));
        };
        let body = told.body();
        head.clear();
        if body.is_some() {
            head.push_str("HTTP/1.1 200 OK\r\n");
        } else {
            head.push_str("HTTP/1.1 304 Not Modified\r\n");
        }
        head.push_str("etag: ");
        told.write_etag(head);
        head.push_str("\r\n");
        number(head, "age", told.age());
        head.push_str(CACHE_STATUS.as_str());
        head.push_str(": ");
        told.write_cache_status(head);
        head.push_str("\r\n");
        if body.is_some() {
            line(head, "content-type", "application/json");
            if told.is_gzip {
                line(head, "content-encoding", "gzip");
            }
        }
        head.push_str(always);
        head.push_str(SERVER_TIMING.as_str());
        head.push_str(": ");
        write_server_timing(head, Some(told.note), took);
        head.push_str("\r\n");
        line(head, REQUEST_ID.as_str(), request_id.as_str());
        if is_last {
            line(head, "connection", "close");
        }
        if let Some(body) = body {
            number(head, "content-length", body.len() as u64);
        }
        line(head, "date", self.date.at(wall));
        head.push_str("\r\n");
        self.written = 0;
        self.is_last = is_last;
        self.told = Some(told);
        self.is_left = true;
    }

    /// Takes a whole answer to write, once the one before is written.
    pub(super) fn write_refusal(&mut self, refusal: String) {
        self.head = refusal;
        self.written = 0;
        self.told = None;
        self.is_left = true;
    }

    /// Whether the connection ended with the last answer.
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
        let body = self.told.as_ref().and_then(SelectedResponse::body);
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
        // What is kept of the answer must not outlive it here.
        self.told = None;
        self.is_left = false;
        Poll::Ready(Ok(()))
    }
}

impl Date {
    /// The date as hyper would write it.
    fn at(&mut self, wall: Timestamp) -> &str {
        let second = wall.as_second();
        if self.second != second || self.text.is_empty() {
            self.second = second;
            self.text = DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&wall)
                .unwrap_or_default();
        }
        &self.text
    }
}

fn line(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    head.push_str(value);
    head.push_str("\r\n");
}
