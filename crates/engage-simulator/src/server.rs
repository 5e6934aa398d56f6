//! The listener, with its own accept loop so that connections can be reset.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{Extension, Router};
use bytes::{Buf, Bytes};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Serves until stopped, then drops every connection at once.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            accepted = listener.accept() => {
                // A failed accept concerns one connection only.
                let Ok((stream, _)) = accepted else {
                    tokio::task::yield_now().await;
                    continue;
                };
                connections.spawn(connection(stream, router.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Waits until the simulator is shut down. Dropping handles does not stop it, because the router has one too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Binds the listener, so that the address is known before anything is served.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn connection(stream: TcpStream, router: Router) {
    // Otherwise small responses would wait for delayed acknowledgements.
    let _ = stream.set_nodelay(true);
    let connection_control = ConnectionControl::default();
    let controlled = ControlledStream {
        stream,
        connection_control: connection_control.clone(),
    };
    let service = TowerToHyperService::new(router.layer(Extension(connection_control)));
    // An error is a client that hung up, or a connection that was cut on purpose.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(controlled), service)
        .await;
}

/// Cuts a connection, or replaces its response.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionControl(Arc<Cut>);

#[derive(Debug, Default)]
struct Cut {
    is_cut: AtomicBool,
    /// Bytes to be sent instead of the response, before the connection ends.
    instead: Mutex<Option<Bytes>>,
}

impl ConnectionControl {
    /// Stops sending; the peer sees a reset.
    pub(crate) fn cut(&self) {
        self.0.is_cut.store(true, Ordering::SeqCst);
    }

    /// Replaces the pending response by these bytes, then ends the connection.
    pub(crate) fn send_instead(&self, bytes: Bytes) {
        *self.instead() = Some(bytes);
    }

    fn instead(&self) -> MutexGuard<'_, Option<Bytes>> {
        self.0
            .instead
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cut(&self) -> bool {
        self.0.is_cut.load(Ordering::SeqCst)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_cut() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

/// A stream that can be cut.
struct ControlledStream {
    stream: TcpStream,
    connection_control: ConnectionControl,
}

impl Drop for ControlledStream {
    fn drop(&mut self) {
        if self.connection_control.is_cut() {
            // Closing with zero linger sends a reset.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ControlledStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection_control.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ControlledStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection_control.check()?;
        let ControlledStream {
            stream,
            connection_control,
        } = &mut *self;
        let mut instead = connection_control.instead();
        let Some(instead) = &mut *instead else {
            return Pin::new(stream).poll_write(context, bytes);
        };
        while !instead.is_empty() {
            let sent = ready!(Pin::new(&mut *stream).poll_write(context, instead))?;
            instead.advance(sent);
        }
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection_control.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection_control.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
