//! A relay of bytes between the service and Engage, as a NAT or a load balancer is: it can forget the connections there
//! are, so that nothing arrives any more and no end says so, and it can close them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What the relay does and has seen.
#[derive(Default)]
struct Ledger {
    connections: usize,
    /// Connections before this one are forgotten.
    forgotten: usize,
    /// How many requests on connections that had answered are met by the connection's end.
    cuts_of_kept: usize,
    /// Whether every request is.
    cuts_all: bool,
    /// How many requests were met so.
    cut: usize,
}

/// A relay; it ends with the test.
pub(crate) struct Relay {
    address: SocketAddr,
    listener: Option<TcpListener>,
    ledger: Arc<Mutex<Ledger>>,
    running: Option<JoinHandle<()>>,
}

impl Relay {
    /// One that listens, and serves later.
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self {
            address: listener.local_addr().expect("an address"),
            listener: Some(listener),
            ledger: Arc::default(),
            running: None,
        }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Passes on to that address from now on.
    pub(crate) fn serve(&mut self, address: String) {
        let listener = self.listener.take().expect("it does not serve yet");
        let ledger = Arc::clone(&self.ledger);
        self.running = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let address = address.clone();
                tokio::spawn(connection(stream, address, Arc::clone(&ledger)));
            }
        }));
    }

    /// Forgets all connections: they stay open, and nothing passes any more. New ones are served.
    pub(crate) fn forget_connections(&self) {
        let mut ledger = lock(&self.ledger);
        ledger.forgotten = ledger.connections;
    }

    /// So many of the next requests on connections that have answered are met by the connection's end.
    pub(crate) fn cut_kept(&self, times: usize) {
        lock(&self.ledger).cuts_of_kept = times;
    }

    /// Whether every request is met so from now on.
    pub(crate) fn cut_all(&self, cuts: bool) {
        lock(&self.ledger).cuts_all = cuts;
    }

    /// How many requests were met by an end.
    pub(crate) fn cut(&self) -> usize {
        lock(&self.ledger).cut
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.ledger).connections
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection(mut service: TcpStream, address: String, ledger: Arc<Mutex<Ledger>>) {
    let number = {
        let mut ledger = lock(&ledger);
        ledger.connections += 1;
        ledger.connections
    };
    let is_forgotten = || lock(&ledger).forgotten >= number;
    let mut engage = TcpStream::connect(address).await.expect("Engage listens");
    let mut has_answered = false;
    let (mut asked, mut told) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = service.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                if is_forgotten() {
                    continue;
                }
                if lock(&ledger).cuts(has_answered) {
                    return;
                }
                if engage.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            read = engage.read(&mut told) => {
                let Ok(length @ 1..) = read else { return };
                if is_forgotten() {
                    continue;
                }
                has_answered = true;
                if service.write_all(&told[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Ledger {
    /// Whether this request is met by the connection's end.
    fn cuts(&mut self, has_answered: bool) -> bool {
        let is_kept = has_answered && self.cuts_of_kept > 0;
        if is_kept {
            self.cuts_of_kept -= 1;
        }
        let cuts = is_kept || self.cuts_all;
        self.cut += usize::from(cuts);
        cuts
    }
}
