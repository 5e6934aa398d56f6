//! Request bodies that a handler does not read to their end. The unread remainder decides whether the connection is
//! kept, whatever the route: a small remainder of known length is read after the response, and the connection is kept.
//! Any other makes the response say `Connection: close`, and is discarded by
//! [`lingering_close`](super::lingering_close).

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{
    connection_context::{ConnectionContext, Remainder},
    connection_limits::ConnectionLimits,
    lingering_close::announce_close,
};
use crate::clock::Tick;

/// A request's body. Where it is dropped before its end, the connection gets the remainder back.
pub(super) struct TrackedRequestBody {
    incoming: Option<Incoming>,
    /// `None` where there is no body, or its end has been read.
    connection: Option<Arc<ConnectionContext>>,
    is_begun: bool,
    is_broken: bool,
}

impl TrackedRequestBody {
    fn new(incoming: Incoming, connection: Option<Arc<ConnectionContext>>) -> Self {
        Self {
            incoming: Some(incoming),
            connection,
            is_begun: false,
            is_broken: false,
        }
    }
}

impl http_body::Body for TrackedRequestBody {
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

impl Drop for TrackedRequestBody {
    fn drop(&mut self) {
        let (Some(connection), Some(rest)) = (self.connection.take(), self.incoming.take()) else {
            return;
        };
        if self.is_broken {
            connection.unread_body.put(Remainder::Broken);
        } else if !rest.is_end_stream() {
            let is_begun = self.is_begun;
            connection
                .unread_body
                .put(Remainder::Rest { rest, is_begun });
        }
    }
}

/// What the head of a request with a body says about the persistence of its connection (RFC 9112, 9.3).
pub(super) struct Persistence {
    arrived: Tick,
    /// Whether the peer waits for a 100 before it sends the body.
    expects_continue: bool,
    /// Whether the connection ends with the response in any case.
    is_last: bool,
    version: Version,
}

/// Wraps the request's body so that an unread remainder comes back to the connection. `None` where there is no body.
pub(super) fn track(
    request: Request<Incoming>,
    connection: &Arc<ConnectionContext>,
) -> (Request<TrackedRequestBody>, Option<Persistence>) {
    let has_body = !request.body().is_end_stream();
    let persistence = has_body.then(|| Persistence::of(&request, connection));
    let connection = has_body.then(|| Arc::clone(connection));
    let request = request.map(|incoming| TrackedRequestBody::new(incoming, connection));
    (request, persistence)
}

impl Persistence {
    fn of(request: &Request<Incoming>, connection: &ConnectionContext) -> Self {
        let headers = request.headers();
        let closes = headers.get_all(header::CONNECTION).iter().any(|value| {
            let mut options = value.as_bytes().split(|byte| *byte == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
        });
        Self {
            arrived: connection.service.clock.tick(),
            expects_continue: headers.contains_key(header::EXPECT),
            is_last: closes || request.version() < Version::HTTP_11,
            version: request.version(),
        }
    }

    /// The remainder, where it is read after the response, and the time that is left for it.
    fn to_be_read(
        &self,
        remainder: Remainder,
        connection: &ConnectionContext,
        limits: ConnectionLimits,
    ) -> Option<(Incoming, Duration)> {
        let Remainder::Rest { rest, is_begun } = remainder else {
            return None;
        };
        let is_bounded = rest
            .size_hint()
            .exact()
            .is_some_and(|size| size <= limits.max_body);
        // A peer that received a refusal instead of a 100 may send the body or the next request, and the two can't be
        // distinguished.
        let is_certain = is_begun || !self.expects_continue;
        let took = connection.service.clock.tick().since(self.arrived);
        let time = limits.body_timeout.saturating_sub(took);
        let is_read = is_bounded && is_certain && !self.is_last && !time.is_zero();
        is_read.then_some((rest, time))
    }
}

/// Decides whether the connection is kept after the response, if the request had a body.
pub(super) fn handle_remainder(
    response: &mut Response<Body>,
    persistence: Option<&Persistence>,
    connection: &Arc<ConnectionContext>,
    limits: ConnectionLimits,
) {
    let Some(persistence) = persistence else {
        return;
    };
    let closes = response.headers().contains_key(header::CONNECTION);
    let remainder = connection.unread_body.take();
    if matches!(remainder, Remainder::Nothing) {
        return;
    }
    match persistence.to_be_read(remainder, connection, limits) {
        Some((rest, time)) if !closes => read_rest(rest, time, Arc::clone(connection)),
        _ => {
            connection.state().note_unread_input();
            announce_close(response, persistence.version);
        }
    }
}

/// Reads the remainder of a body in the background. hyper keeps the connection if it is read to its end, and closes it
/// otherwise.
fn read_rest(mut rest: Incoming, time: Duration, connection: Arc<ConnectionContext>) {
    connection.state().begin_body_drain();
    tokio::spawn(async move {
        // hyper may report the end of the body only with the next request, hence the check of `is_end_stream`.
        let to_the_end =
            async { while !rest.is_end_stream() && matches!(rest.frame().await, Some(Ok(_))) {} };
        // Real time, as for heads and writes.
        let _ = tokio::time::timeout(time, to_the_end).await;
        drop(rest);
        connection.state().end_body_drain();
    });
}
