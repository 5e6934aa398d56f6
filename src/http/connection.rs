//! One connection: the fast path for plain hits, hyper's HTTP/1.1 for every other request, both with time-outs.

use std::{
    convert::Infallible,
    error::Error as _,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::poll;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tracing::Level;

use super::{
    connection_context::ConnectionContext,
    connection_limits::ConnectionLimits,
    connection_slots::{ConnectionPermit, RequestAdmission},
    connection_state::DRAIN,
    fast_path::FastPath,
    framing::MAX_HEAD,
    peer::Peer,
    routes,
    service::HttpService,
    timed_io::TimedIo,
    unread_body,
};

/// How long an idle connection stays open after the drain has begun, for a request that is on its way.
const DRAIN_DELAY: Duration = Duration::from_secs(1);

/// The body of a response that hyper sends. hyper drops it when it has buffered all of it, and then waits for the next
/// head.
struct TrackedBody {
    body: Body,
    connection: Arc<ConnectionContext>,
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        self.connection.state().advance();
    }
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Answers the requests of one peer until it closes the connection, exceeds a time-out, is evicted, or the service
/// ends.
pub(super) async fn serve_connection<S>(
    stream: S,
    peer: Peer,
    service: HttpService,
    limits: ConnectionLimits,
    permit: ConnectionPermit,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let limit = service.connection_limit.clone();
    let context = Arc::new(ConnectionContext::new(service, peer, permit));
    let io = TimedIo::new(stream, Arc::clone(context.permit.state()), limits);
    let io = FastPath::new(io, Arc::clone(&context));
    let answering = Arc::clone(&context);
    let respond = service_fn(move |request: Request<Incoming>| {
        answering.state().advance();
        let context = Arc::clone(&answering);
        async move {
            let admission = admit(&context.permit, request.uri().path());
            let (request, persistence) = unread_body::track(request, &context);
            let service = &context.service;
            let mut response = service.respond(request, context.peer, admission).await;
            unread_body::handle_remainder(&mut response, persistence.as_ref(), &context, limits);
            let connection = context;
            Ok::<_, Infallible>(response.map(|body| TrackedBody { body, connection }))
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        // The default of 100 fields stays: hyper allocates a list for each request where another number is set.
        .serve_connection(TokioIo::new(io), respond);
    tokio::pin!(connection);
    if let Err(error) = until_end(connection, &context.permit).await
        && tracing::enabled!(Level::DEBUG)
        && limit.allows()
    {
        log_early_end(&error);
    }
}

/// Whether a request for this path may be answered on the connection. Counts one that is turned away.
fn admit(permit: &ConnectionPermit, path: &str) -> RequestAdmission {
    if permit.is_admitted() {
        RequestAdmission::Full
    } else if routes::is_probe(path) {
        RequestAdmission::ProbeOnly
    } else {
        permit.count_turned_away();
        RequestAdmission::None
    }
}

/// hyper's message may quote the peer; the kind of failure is enough.
fn log_early_end(error: &hyper::Error) {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>());
    let timeout = cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut);
    let parse = error.is_parse();
    tracing::debug!(timeout, parse, "connection ended early");
}

/// Drives the connection to its end, and follows its listener's signals.
///
/// An idle connection is closed by its stream, which checks for input first. hyper's own graceful shutdown does not
/// check, and would lose a request that has just arrived.
async fn until_end<C>(mut connection: Pin<&mut C>, permit: &ConnectionPermit) -> C::Output
where
    C: Future,
{
    let state = permit.state();
    let mut task: Option<Waker> = None;
    loop {
        let step = poll_fn(|cx| {
            if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                state.register(cx.waker());
                task = Some(cx.waker().clone());
            }
            match state.take_signals() {
                0 => connection.as_mut().poll(cx).map(Err),
                signals => Poll::Ready(Ok(signals)),
            }
        });
        let signals = match step.await {
            Ok(signals) => signals,
            Err(ended) => return ended,
        };
        if signals & DRAIN != 0 {
            // Responses announce the close. An idle peer may have sent a request already, or be about to.
            if let Ok(ended) = timeout(DRAIN_DELAY, connection.as_mut()).await {
                return ended;
            }
            poll_io_driver().await;
            state.close_when_idle();
            return connection.await;
        }
        poll_io_driver().await;
        state.evict_when_idle();
        let polled = poll!(connection.as_mut());
        permit.finish_eviction();
        if let Poll::Ready(ended) = polled {
            return ended;
        }
    }
}

/// Lets the runtime poll its sockets, so that input that has arrived is seen.
async fn poll_io_driver() {
    tokio::task::yield_now().await;
}
