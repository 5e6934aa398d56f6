//! The accept loop. `axum::serve` has no time-out for heads and no bound on connections, so the loop is
//! ours: connections are timed, counted, and drained at shutdown.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Level;

use super::{FrontDoor, Readiness, connection::serve_connection, peer::Peer};
use crate::telemetry::Limit;

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
        let refused = door.of_refused_connections();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = self.accept(&slots, &refused) => accepted,
            };
            let Some((stream, peer, slot)) = accepted else {
                continue;
            };
            // Best effort: without it an answer may wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            let (door, shutdown, limits) = (door.clone(), shutdown.clone(), self.limits);
            connections.spawn(async move {
                serve_connection(stream, peer, door, limits, shutdown).await;
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
        serve_connection(stream, Peer::default(), door, self.limits, shutdown)
    }

    /// The next connection, once there is room for one.
    async fn accept(
        &self,
        slots: &Arc<Semaphore>,
        refused: &Limit,
    ) -> Option<(TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((stream, address)) => Some((stream, address.ip().into(), slot)),
            Err(error) => {
                if tracing::enabled!(Level::WARN) && refused.allows() {
                    tracing::warn!(kind = %error.kind(), "a connection can't be accepted");
                }
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
