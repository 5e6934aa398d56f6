//! The listener: its own accept loop, so that a connection can be cut as a network would.

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

/// Serves until told to stop, then drops every connection at once.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told_to_stop(&mut stop) => break,
            accepted = listener.accept() => {
                // A failed accept concerns one caller, who has gone.
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

/// Waits for the word, or for the last handle to be gone.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Binds at once, so that the address is known before anything is served.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn connection(stream: TcpStream, router: Router) {
    // Without it small answers would wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let scissors = Scissors::default();
    let line = Line {
        stream,
        scissors: scissors.clone(),
    };
    let service = TowerToHyperService::new(router.layer(Extension(scissors)));
    // An error here is a caller who hung up, or a connection that was cut on purpose.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(line), service)
        .await;
}

/// Cuts the connection that it belongs to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scissors(Arc<Cut>);

#[derive(Debug, Default)]
struct Cut {
    is_cut: AtomicBool,
    /// What is still to be sent in place of the answer, before the connection ends.
    instead: Mutex<Option<Bytes>>,
}

impl Scissors {
    /// From now on nothing is sent any more; the peer sees a reset.
    pub(crate) fn cut(&self) {
        self.0.is_cut.store(true, Ordering::SeqCst);
    }

    /// The answer that is about to be sent is replaced by these bytes; then the connection ends.
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

/// A connection that can be cut.
struct Line {
    stream: TcpStream,
    scissors: Scissors,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.scissors.is_cut() {
            // Closing without lingering sends a reset instead of a polite end.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.scissors.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.scissors.check()?;
        let Line { stream, scissors } = &mut *self;
        let mut instead = scissors.instead();
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
        self.scissors.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.scissors.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
