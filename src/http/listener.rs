//! The accept loop. `axum::serve` has no time-out for heads and no bound on connections, so the loop is
//! ours: connections are timed, counted, and drained at shutdown.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::MissedTickBehavior,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Level;

use super::{
    HttpService,
    connection::serve_connection,
    connection_slots::{ConnectionCounters, ConnectionPermit, ConnectionSlots, TICK},
    peer::Peer,
};
use crate::telemetry::Limit;

/// How long accepting pauses when the machine has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// For a request's head, from its first byte.
    pub header_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// For the peer to take what we write.
    pub write_timeout: Duration,
    /// For a request's body, and for what still comes of one that is not waited for.
    pub body_timeout: Duration,
    /// The bytes of the largest body that is read although it is not waited for.
    pub max_body: u64,
    /// Connections at the same time.
    pub max_connections: usize,
    /// For answers under way at shutdown.
    pub shutdown_grace: Duration,
}

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: ConnectionLimits,
    room: Arc<ConnectionSlots>,
}

impl Listener {
    /// Binds the address.
    pub async fn bind(
        address: SocketAddr,
        limits: ConnectionLimits,
        counts: ConnectionCounters,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            room: Arc::new(ConnectionSlots::new(limits.max_connections, counts)),
            limits,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it may have at the same time.
    pub fn max_connections(&self) -> usize {
        self.room.most()
    }

    /// Serves until `drain`, then accepts what has connected by then, closes the socket, and finishes what is under way.
    /// Whether all of it was finished in the grace.
    pub async fn serve(self, door: HttpService, drain: CancellationToken) -> bool {
        let connections = TaskTracker::new();
        let refused = door.of_refused_connections();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begin = |stream: TcpStream, peer: SocketAddr, seat: ConnectionPermit| {
            // Best effort: without it an answer may wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            let peer = Peer::from(peer.ip());
            connections.spawn(serve_connection(
                stream,
                peer,
                door.clone(),
                self.limits,
                seat,
            ));
        };
        loop {
            tokio::select! {
                biased;
                () = drain.cancelled() => break,
                _ = ticks.tick() => self.room.tick(),
                accepted = accept(&self.socket, &self.room, &refused) => {
                    if let Some((stream, peer, seat)) = accepted {
                        begin(stream, peer, seat);
                    }
                }
            }
        }
        for (stream, peer) in backlog(self.socket) {
            let Some(seat) = self.room.enter() else {
                break;
            };
            begin(stream, peer, seat);
        }
        connections.close();
        self.room.drain();
        tokio::time::timeout(self.limits.shutdown_grace, connections.wait())
            .await
            .is_ok()
    }

    /// Answers one peer whose bytes come another way than through the socket, until it hangs up or the service ends. Not at
    /// all where there is no room.
    pub fn serve_peer<S>(
        &self,
        stream: S,
        door: HttpService,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (limits, seat) = (self.limits, self.room.enter());
        async move {
            if let Some(seat) = seat {
                serve_connection(stream, Peer::default(), door, limits, seat).await;
            }
        }
    }
}

/// The next connection, once there is room for one.
async fn accept(
    socket: &TcpListener,
    room: &Arc<ConnectionSlots>,
    refused: &Limit,
) -> Option<(TcpStream, SocketAddr, ConnectionPermit)> {
    room.space().await;
    match socket.accept().await {
        Ok((stream, peer)) => Some((stream, peer, room.enter()?)),
        Err(error) => {
            if tracing::enabled!(Level::WARN) && refused.allows() {
                tracing::warn!(kind = %error.kind(), "a connection can't be accepted");
            }
            pause_accepting().await;
            None
        }
    }
}

/// The connections that wait to be accepted, one after the other; then the socket is closed. Where it is closed before,
/// they are reset.
fn backlog(socket: TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    // Asked without the runtime, which may not have seen yet that they are there.
    let socket = socket.into_std().ok();
    std::iter::from_fn(move || {
        let (stream, peer) = loop {
            match socket.as_ref()?.accept() {
                Ok(accepted) => break accepted,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        };
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a machine without descriptors is waited for in the machine's time"
)]
async fn pause_accepting() {
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
