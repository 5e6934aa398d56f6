//! The accept loop: connections are limited, timed, and drained at shutdown. `axum::serve` has neither a time-out for
//! heads nor a limit of connections (docs/decisions/0005-own-http-accept-loop.md).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustix::{io::Errno, net::sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    time::MissedTickBehavior,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Level;

use super::{
    connection::serve_connection,
    connection_limits::ConnectionLimits,
    connection_slots::{ConnectionCounters, ConnectionPermit, ConnectionSlots, TICK},
    peer::Peer,
    service::HttpService,
};
use crate::telemetry::Limit;

/// How long accepting pauses after a failure, such as that the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many connections may wait to be accepted; the kernel's own limit (`net.core.somaxconn`) counts too.
const BACKLOG: u32 = 1024;

/// A bound socket and its connections.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: ConnectionLimits,
    slots: Arc<ConnectionSlots>,
}

impl Listener {
    /// Binds the address. `[::]` stands for every address, IPv4 included; if the kernel has no IPv6, for every IPv4
    /// address.
    #[expect(
        clippy::unused_async,
        reason = "it needs a runtime, with which the socket is registered"
    )]
    pub async fn bind(
        address: SocketAddr,
        limits: ConnectionLimits,
        counts: ConnectionCounters,
    ) -> io::Result<Self> {
        let socket = match listen(address) {
            Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && is_without_ipv6(&error) => {
                tracing::warn!("ipv6 unavailable; listening on ipv4 alone");
                listen((Ipv4Addr::UNSPECIFIED, address.port()).into())?
            }
            listening => listening?,
        };
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            slots: Arc::new(ConnectionSlots::new(limits.max_connections, counts)),
            limits,
        })
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The most connections at the same time, without the reserve for probes.
    pub fn max_connections(&self) -> usize {
        self.slots.max()
    }

    /// Serves until `drain`, then accepts the connections that are waiting, closes the socket, and finishes what is
    /// under way. Returns whether all of it was finished within `shutdown_grace`.
    pub async fn serve(self, service: HttpService, drain: CancellationToken) -> bool {
        let connections = TaskTracker::new();
        let accept_limit = service.accept_limit();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begin = |stream: TcpStream, peer: SocketAddr, permit: ConnectionPermit| {
            // Without it a response may wait for an acknowledgement. A failure is harmless.
            let _ = stream.set_nodelay(true);
            let peer = Peer::from(peer.ip());
            connections.spawn(serve_connection(
                stream,
                peer,
                service.clone(),
                self.limits,
                permit,
            ));
        };
        loop {
            tokio::select! {
                biased;
                () = drain.cancelled() => break,
                _ = ticks.tick() => self.slots.tick(),
                accepted = accept(&self.socket, &self.slots, &accept_limit) => {
                    if let Some((stream, peer, permit)) = accepted {
                        begin(stream, peer, permit);
                    }
                }
            }
        }
        for (stream, peer) in backlog(self.socket) {
            let Some(permit) = self.slots.acquire() else {
                break;
            };
            begin(stream, peer, permit);
        }
        connections.close();
        self.slots.drain();
        tokio::time::timeout(self.limits.shutdown_grace, connections.wait())
            .await
            .is_ok()
    }

    /// Serves a connection that does not come from the socket, until its peer closes it or the service ends. Closes it
    /// at once if no slot is left.
    pub fn serve_peer<S>(
        &self,
        stream: S,
        service: HttpService,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (limits, permit) = (self.limits, self.slots.acquire());
        async move {
            if let Some(permit) = permit {
                serve_connection(stream, Peer::default(), service, limits, permit).await;
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(ip) => {
            let socket = TcpSocket::new_v6()?;
            // Else the system's default decides (`net.ipv6.bindv6only`).
            sockopt::set_ipv6_v6only(&socket, !ip.is_unspecified())?;
            socket
        }
    };
    // A restart must not wait for connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether the error says that the kernel, or the container's network, has no IPv6.
fn is_without_ipv6(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

/// The next connection, once a slot is free.
async fn accept(
    socket: &TcpListener,
    slots: &Arc<ConnectionSlots>,
    log_limit: &Limit,
) -> Option<(TcpStream, SocketAddr, ConnectionPermit)> {
    slots.wait_for_slot().await;
    match socket.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slots.acquire()?)),
        Err(error) => {
            if tracing::enabled!(Level::WARN) && log_limit.allows() {
                tracing::warn!(kind = %error.kind(), "accepting connection failed");
            }
            pause_accepting().await;
            None
        }
    }
}

/// The connections that are waiting to be accepted; then the socket is closed. Closing it first would reset them.
fn backlog(socket: TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    // Without the runtime, which may not have seen them yet.
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
    reason = "descriptors are freed in real time, whatever the injected clock says"
)]
async fn pause_accepting() {
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
