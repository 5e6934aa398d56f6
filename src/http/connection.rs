//! One peer's connection: the fast path for what is held, hyper's HTTP/1.1 for everything else, both timed.

use std::{
    convert::Infallible,
    error::Error as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tracing::Level;

use super::{
    FrontDoor,
    fast_path::FastPath,
    listener::Limits,
    peer::Peer,
    timed_io::{HeadWatch, Patience, TimedIo},
};

/// The largest head of a request.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// A connection: who answers on it, and what its peer owes.
pub(super) struct Connection {
    pub(super) door: FrontDoor,
    address: Peer,
    pub(super) watch: HeadWatch,
}

/// The connection's watch, as its stream holds it.
pub(super) struct Watch(Arc<Connection>);

impl AsRef<HeadWatch> for Watch {
    fn as_ref(&self) -> &HeadWatch {
        &self.0.watch
    }
}

/// The body of an answer of hyper's. When it is dropped hyper has taken all of it, and waits for the next head.
struct Answer {
    body: Body,
    peer: Arc<Connection>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.peer.watch.turn();
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

/// Answers the requests of one peer until it hangs up, keeps us waiting too long, or `shutdown` comes.
pub(super) async fn serve_connection<S>(
    stream: S,
    address: Peer,
    door: FrontDoor,
    limits: Limits,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let watch = HeadWatch::default();
    let limit = door.of_connections.clone();
    let peer = Arc::new(Connection {
        door,
        address,
        watch,
    });
    let patience = Patience {
        idle: limits.idle_timeout,
        head: limits.header_timeout,
        write: limits.write_timeout,
    };
    let io = TimedIo::new(stream, Watch(Arc::clone(&peer)), patience);
    let io = FastPath::new(io, Arc::clone(&peer));
    let service = service_fn(move |request| {
        peer.watch.turn();
        let peer = Arc::clone(&peer);
        async move {
            let response = peer.door.answer(request, peer.address).await;
            Ok::<_, Infallible>(response.map(|body| Answer { body, peer }))
        }
    });
    let connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        // Of fields it takes a hundred, its default: any other number costs a list made anew for each request.
        .serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
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
