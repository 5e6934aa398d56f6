//! The accept loop. `axum::serve` has no time-out for heads and no bound on connections, so the loop is
//! ours: hyper's HTTP/1.1 over each connection, timed, counted, and drained at shutdown.

use std::{convert::Infallible, error::Error as _, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    FrontDoor, Readiness,
    timed_io::{HeadWatch, Patience, TimedIo},
};

/// The largest head of a request.
const MAX_HEAD: usize = 16 * 1024;
/// How long accepting pauses when the machine has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a request's head, from its first byte.
    pub header_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// For the peer to take what we write.
    pub write_timeout: Duration,
    /// Connections at the same time.
    pub max_connections: usize,
    /// For answers under way at shutdown.
    pub shutdown_grace: Duration,
}

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Listener {
    /// Binds the address.
    pub async fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            limits,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then finishes what is under way. Whether all of it was finished in the
    /// grace.
    pub async fn serve(
        self,
        door: FrontDoor,
        readiness: Readiness,
        shutdown: CancellationToken,
    ) -> bool {
        let connections = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(self.limits.max_connections));
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = self.accept(&slots) => accepted,
            };
            let Some((stream, slot)) = accepted else {
                continue;
            };
            // Best effort: without it an answer may wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            let (door, shutdown, limits) = (door.clone(), shutdown.clone(), self.limits);
            connections.spawn(async move {
                serve_connection(stream, door, limits, shutdown).await;
                drop(slot);
            });
        }
        readiness.withdraw();
        drop(self.socket);
        connections.close();
        tokio::time::timeout(self.limits.shutdown_grace, connections.wait())
            .await
            .is_ok()
    }

    /// Answers one peer whose bytes come another way than through the socket, until it hangs up or `shutdown` comes.
    pub fn serve_peer<S>(
        &self,
        stream: S,
        door: FrontDoor,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        serve_connection(stream, door, self.limits, shutdown)
    }

    /// The next connection, once there is room for one.
    async fn accept(
        &self,
        slots: &Arc<Semaphore>,
    ) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((stream, _)) => Some((stream, slot)),
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a connection can't be accepted");
                pause_accepting().await;
                None
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a machine without descriptors is waited for in the machine's time"
)]
async fn pause_accepting() {
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// A connection: who answers on it, and what its peer owes.
struct Connection {
    door: FrontDoor,
    watch: HeadWatch,
}

/// The connection's watch, as its stream holds it.
struct Watch(Arc<Connection>);

impl AsRef<HeadWatch> for Watch {
    fn as_ref(&self) -> &HeadWatch {
        &self.0.watch
    }
}

/// Answers the requests of one peer until it hangs up, keeps us waiting too long, or `shutdown` comes.
pub(super) async fn serve_connection<S>(
    stream: S,
    door: FrontDoor,
    limits: Limits,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let watch = HeadWatch::default();
    let peer = Arc::new(Connection { door, watch });
    let patience = Patience {
        idle: limits.idle_timeout,
        head: limits.header_timeout,
        write: limits.write_timeout,
    };
    let io = TimedIo::new(stream, Watch(Arc::clone(&peer)), patience);
    let service = service_fn(move |request| {
        let peer = Arc::clone(&peer);
        async move {
            peer.watch.turn();
            let response = peer.door.answer(request).await;
            peer.watch.turn();
            Ok::<_, Infallible>(response)
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
        tracing::debug!(timeout, parse, "a connection ended early");
    }
}
