//! One peer's connection: the fast path for what is held, hyper's HTTP/1.1 for everything else, both timed.

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
    HttpService,
    connection_slots::{ConnectionPermit, RequestAdmission},
    connection_state::{ConnectionState, DRAIN},
    fast_path::FastPath,
    lingering_close::{LingeringClose, UnreadInput},
    listener::ConnectionLimits,
    peer::Peer,
    routes,
    timed_io::{IoTimeouts, TimedIo},
    unread_body::{self, Bounds, UnreadBody},
};

/// The largest head of a request.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// How long an idle connection stays open after the drain has begun: for a request that is on its way.
const LAST_CALL: Duration = Duration::from_secs(1);

/// A connection: who answers on it, and what its peer owes.
pub(super) struct Connection {
    pub(super) door: HttpService,
    address: Peer,
    seat: ConnectionPermit,
    /// What the answer under way has left of its request's body.
    pub(super) unread_body: UnreadBody,
    pub(super) unread_input: UnreadInput,
}

impl Connection {
    pub(super) fn watch(&self) -> &ConnectionState {
        self.seat.as_ref()
    }

    /// Whether requests are hyper's, since it has yet to be seen whether there is room for them.
    pub(super) fn is_in_reserve(&self) -> bool {
        self.seat.is_in_reserve()
    }
}

/// The connection, as its streams hold it.
pub(super) struct Watch(Arc<Connection>);

impl AsRef<ConnectionState> for Watch {
    fn as_ref(&self) -> &ConnectionState {
        self.0.watch()
    }
}

impl AsRef<UnreadInput> for Watch {
    fn as_ref(&self) -> &UnreadInput {
        &self.0.unread_input
    }
}

/// The body of an answer of hyper's. When it is dropped hyper has taken all of it, and waits for the next head.
struct Answer {
    body: Body,
    peer: Arc<Connection>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.peer.watch().turn();
    }
}

impl http_body::Body for Answer {
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

/// Answers the requests of one peer until it hangs up, keeps us waiting too long, is to make room, or the service ends.
pub(super) async fn serve_connection<S>(
    stream: S,
    address: Peer,
    door: HttpService,
    limits: ConnectionLimits,
    seat: ConnectionPermit,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let limit = door.of_connections.clone();
    let bounds = Bounds {
        size: limits.max_body,
        time: limits.body_timeout,
    };
    let patience = IoTimeouts {
        idle: limits.idle_timeout,
        head: limits.header_timeout,
        write: limits.write_timeout,
    };
    let peer = Arc::new(Connection {
        door,
        address,
        seat,
        unread_body: UnreadBody::default(),
        unread_input: UnreadInput::default(),
    });
    let io = LingeringClose::new(stream, Watch(Arc::clone(&peer)), limits.body_timeout);
    let io = TimedIo::new(io, Watch(Arc::clone(&peer)), patience);
    let io = FastPath::new(io, Arc::clone(&peer));
    let answering = Arc::clone(&peer);
    let service = service_fn(move |request: Request<Incoming>| {
        answering.watch().turn();
        let peer = Arc::clone(&answering);
        async move {
            let admission = if peer.seat.is_admitted() {
                RequestAdmission::Full
            } else if routes::is_probe(request.uri().path()) {
                RequestAdmission::ProbeOnly
            } else {
                peer.seat.turned_away();
                RequestAdmission::None
            };
            let (request, announced) = unread_body::watch(request, &peer);
            let mut response = peer.door.answer(request, peer.address, admission).await;
            unread_body::settle(&mut response, announced.as_ref(), &peer, bounds);
            Ok::<_, Infallible>(response.map(|body| Answer { body, peer }))
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        // Of fields it takes a hundred, its default: any other number costs a list made anew for each request.
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    if let Err(error) = until_end(connection, &peer.seat).await {
        // hyper's message may quote what the peer sent; what kind of failure it was says enough.
        let cause = error
            .source()
            .and_then(|cause| cause.downcast_ref::<io::Error>());
        let timeout = cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut);
        let parse = error.is_parse();
        if tracing::enabled!(Level::DEBUG) && limit.allows() {
            tracing::debug!(timeout, parse, "a connection ended early");
        }
    }
}

/// Lets the connection go on until it ends, by itself or because its listener orders it.
///
/// An idle connection is closed by the stream, which looks first whether a byte has come. hyper's own graceful shutdown
/// closes it unseen, with a request on its way.
async fn until_end<C>(mut connection: Pin<&mut C>, seat: &ConnectionPermit) -> C::Output
where
    C: Future,
{
    let watch: &ConnectionState = seat.as_ref();
    let mut task: Option<Waker> = None;
    loop {
        let step = poll_fn(|cx| {
            if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                watch.register(cx.waker());
                task = Some(cx.waker().clone());
            }
            match watch.take_orders() {
                0 => connection.as_mut().poll(cx).map(Err),
                orders => Poll::Ready(Ok(orders)),
            }
        });
        let orders = match step.await {
            Ok(orders) => orders,
            Err(ended) => return ended,
        };
        if orders & DRAIN != 0 {
            // Its answers say that they are the last. An idle peer may have sent a request by now, or be about to.
            if let Ok(ended) = timeout(LAST_CALL, connection.as_mut()).await {
                return ended;
            }
            see_what_came().await;
            watch.close_when_idle();
            return connection.await;
        }
        see_what_came().await;
        watch.close_at_once_when_idle();
        let polled = poll!(connection.as_mut());
        seat.makes_room();
        if let Poll::Ready(ended) = polled {
            return ended;
        }
    }
}

/// Lets the runtime ask the machine what has come on its sockets.
async fn see_what_came() {
    tokio::task::yield_now().await;
}
