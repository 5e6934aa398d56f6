//! A replica's connection to the server through a proxy, which a test can cut, hang or slow down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use super::wait;

/// What happens to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The bytes are passed on.
    Open,
    /// Connections are closed, new ones at once.
    Cut,
    /// Bytes wait, also those of new connections.
    Hung,
    /// Bytes are passed on after this time.
    Slow(Duration),
}

/// The proxy.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    target: Arc<AtomicU16>,
    /// The mode, and the number of changes that closed connections.
    mode: watch::Sender<(Mode, u64)>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to this port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("it is bound").port();
        let target = Arc::new(AtomicU16::new(port));
        let mode = watch::Sender::new((Mode::Open, 0));
        let accepting = accept(listener, Arc::clone(&target), mode.subscribe());
        Self {
            port: own,
            target,
            task: tokio::spawn(accepting),
            mode,
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_modify(|(current, cuts)| {
            *current = mode;
            *cuts += u64::from(mode == Mode::Cut);
        });
    }

    /// Leads to another server from now on. Connections are closed.
    pub(crate) fn redirect(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
        self.mode.send_modify(|(_, cuts)| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.set(Mode::Cut);
    }
}

async fn accept(listener: TcpListener, target: Arc<AtomicU16>, mode: watch::Receiver<(Mode, u64)>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (target, mode) = (target.load(Ordering::SeqCst), mode.clone());
        if mode.borrow().0 != Mode::Cut {
            tokio::spawn(connect(stream, target, mode));
        }
    }
}

async fn connect(stream: TcpStream, target: u16, mode: watch::Receiver<(Mode, u64)>) {
    let cuts = mode.borrow().1;
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let _ = stream.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let ((from_client, to_client), (from_server, to_server)) =
        (stream.into_split(), server.into_split());
    let mut ended = mode.clone();
    tokio::select! {
        () = pass(from_client, to_server, mode.clone()) => {}
        () = pass(from_server, to_client, mode) => {}
        // An error means that the test has ended.
        _ = ended.wait_for(|(_, now)| *now != cuts) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<(Mode, u64)>,
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if mode
            .wait_for(|(mode, _)| *mode != Mode::Hung)
            .await
            .is_err()
        {
            return;
        }
        let current = mode.borrow().0;
        if let Mode::Slow(time) = current {
            wait(time).await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
