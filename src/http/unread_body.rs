//! Bodies that an answer does not wait for. What is left of a body once its answer is ready decides how the connection
//! goes on, whatever the route: a small rest that was announced is read after the answer, and the connection is kept; any
//! other rest is announced by `Connection: close`, and discarded for a while by [`lingering_close`](super::lingering_close).

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{connection::Connection, lingering_close::announce_close};
use crate::clock::Tick;

/// How much of a body is read after its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The bytes of the largest rest.
    pub(super) size: u64,
    /// The longest time from the request's head to its body's end.
    pub(super) time: Duration,
}

/// What an answer left of its request's body.
#[derive(Default)]
pub(super) struct UnreadBody(Mutex<Remainder>);

#[derive(Default)]
enum Remainder {
    #[default]
    Nothing,
    /// Its end can't be found.
    Broken,
    Rest {
        rest: Incoming,
        /// Whether somebody waited for it: who asked to be told to go on was.
        is_begun: bool,
    },
}

impl UnreadBody {
    fn leave(&self, left: Remainder) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    fn take(&self) -> Remainder {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request's body. Where it is dropped before its end, the connection gets the rest back.
pub(super) struct RequestBody {
    incoming: Option<Incoming>,
    /// `None` where there is no body.
    connection: Option<Arc<Connection>>,
    is_begun: bool,
    is_broken: bool,
}

impl RequestBody {
    fn new(incoming: Incoming, connection: Option<Arc<Connection>>) -> Self {
        Self {
            incoming: Some(incoming),
            connection,
            is_begun: false,
            is_broken: false,
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_begun = true;
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(incoming).poll_frame(cx));
        match &frame {
            None => self.connection = None,
            Some(Err(_)) => self.is_broken = true,
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.incoming.as_ref().map(Incoming::size_hint);
        hint.unwrap_or_default()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(connection), Some(rest)) = (self.connection.take(), self.incoming.take()) else {
            return;
        };
        if self.is_broken {
            connection.unread_body.leave(Remainder::Broken);
        } else if !rest.is_end_stream() {
            let is_begun = self.is_begun;
            connection
                .unread_body
                .leave(Remainder::Rest { rest, is_begun });
        }
    }
}

/// What a request's head says of how its connection goes on; `None` where it has no body.
pub(super) struct Persistence {
    arrived: Tick,
    /// Whether the peer waits for a 100 before it sends the body.
    is_held_back: bool,
    /// Whether the connection ends with the answer anyway.
    is_last: bool,
    version: Version,
}

/// The request with a body whose rest comes back to the connection.
pub(super) fn watch(
    request: Request<Incoming>,
    connection: &Arc<Connection>,
) -> (Request<RequestBody>, Option<Persistence>) {
    let has_body = !request.body().is_end_stream();
    let announced = has_body.then(|| Persistence::of(&request, connection));
    let connection = has_body.then(|| Arc::clone(connection));
    let request = request.map(|incoming| RequestBody::new(incoming, connection));
    (request, announced)
}

impl Persistence {
    fn of(request: &Request<Incoming>, connection: &Connection) -> Self {
        let headers = request.headers();
        let closes = headers.get_all(header::CONNECTION).iter().any(|value| {
            let mut options = value.as_bytes().split(|byte| *byte == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
        });
        Self {
            arrived: connection.door.clock.tick(),
            is_held_back: headers.contains_key(header::EXPECT),
            is_last: closes || request.version() < Version::HTTP_11,
            version: request.version(),
        }
    }

    /// The rest of the body, if it is read after the answer, and how long.
    fn to_be_read(
        &self,
        left: Remainder,
        connection: &Connection,
        bounds: Bounds,
    ) -> Option<(Incoming, Duration)> {
        let Remainder::Rest { rest, is_begun } = left else {
            return None;
        };
        let is_bounded = rest
            .size_hint()
            .exact()
            .is_some_and(|size| size <= bounds.size);
        // Who was refused before a 100 may send the body or the next request: which of them is not certain.
        let is_certain = is_begun || !self.is_held_back;
        let took = connection.door.clock.tick().since(self.arrived);
        let time = bounds.time.saturating_sub(took);
        let is_read = is_bounded && is_certain && !self.is_last && !time.is_zero();
        is_read.then_some((rest, time))
    }
}

/// Decides how the connection goes on after the answer, if its request had a body.
pub(super) fn settle(
    response: &mut Response<Body>,
    announced: Option<&Persistence>,
    connection: &Arc<Connection>,
    bounds: Bounds,
) {
    let Some(announced) = announced else { return };
    let ends = response.headers().contains_key(header::CONNECTION);
    let left = connection.unread_body.take();
    if matches!(left, Remainder::Nothing) {
        return;
    }
    match announced.to_be_read(left, connection, bounds) {
        Some((rest, time)) if !ends => read_rest(rest, time, Arc::clone(connection)),
        _ => {
            connection.unread_input.note();
            announce_close(response, announced.version);
        }
    }
}

/// Reads the rest of a body beside the answer. hyper keeps the connection if it is read to its end, and else closes it.
fn read_rest(mut rest: Incoming, time: Duration, connection: Arc<Connection>) {
    connection.watch().begin_rest();
    tokio::spawn(async move {
        // hyper may not say that it was the last piece before the next request comes.
        let to_the_end =
            async { while !rest.is_end_stream() && matches!(rest.frame().await, Some(Ok(_))) {} };
        // The network's time, as of heads and writes.
        let _ = tokio::time::timeout(time, to_the_end).await;
        drop(rest);
        connection.watch().end_rest();
    });
}
