//! A TCP relay between the service and Engage, like a NAT or a load balancer: it can silently drop all traffic of
//! existing connections, and it can close connections.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Settings and counters of the relay.
#[derive(Default)]
struct State {
    connections: usize,
    /// Traffic of this many connections, the oldest ones, is dropped.
    forgotten: usize,
    /// The number of next requests on reused connections to answer by closing the connection.
    cuts_of_reused: usize,
    /// Whether every request is answered by closing the connection.
    cuts_all: bool,
    /// The number of requests answered by closing the connection.
    cut: usize,
}

/// A relay; it ends with the test.
pub(crate) struct Relay {
    address: SocketAddr,
    listener: Option<TcpListener>,
    state: Arc<Mutex<State>>,
    running: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay that listens now and serves later.
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self {
            address: listener.local_addr().expect("an address"),
            listener: Some(listener),
            state: Arc::default(),
            running: None,
        }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Forwards to this address from now on.
    pub(crate) fn serve(&mut self, address: String) {
        let listener = self.listener.take().expect("not serving yet");
        let state = Arc::clone(&self.state);
        self.running = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let address = address.clone();
                tokio::spawn(connection(stream, address, Arc::clone(&state)));
            }
        }));
    }

    /// Drops all traffic of existing connections, which stay open. New connections are served.
    pub(crate) fn forget_connections(&self) {
        let mut state = lock(&self.state);
        state.forgotten = state.connections;
    }

    /// Closes the connection at this many of the next requests on reused connections.
    pub(crate) fn cut_reused(&self, times: usize) {
        lock(&self.state).cuts_of_reused = times;
    }

    /// Whether to close the connection at every request from now on.
    pub(crate) fn cut_all(&self, cuts: bool) {
        lock(&self.state).cuts_all = cuts;
    }

    /// The number of connections closed at a request.
    pub(crate) fn cut(&self) -> usize {
        lock(&self.state).cut
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.state).connections
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection(mut service: TcpStream, address: String, state: Arc<Mutex<State>>) {
    let number = {
        let mut state = lock(&state);
        state.connections += 1;
        state.connections
    };
    let is_forgotten = || lock(&state).forgotten >= number;
    let mut engage = TcpStream::connect(address).await.expect("Engage listens");
    let mut has_answered = false;
    let (mut request, mut response) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = service.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                if is_forgotten() {
                    continue;
                }
                if lock(&state).cuts(has_answered) {
                    return;
                }
                if engage.write_all(&request[..length]).await.is_err() {
                    return;
                }
            }
            read = engage.read(&mut response) => {
                let Ok(length @ 1..) = read else { return };
                if is_forgotten() {
                    continue;
                }
                has_answered = true;
                if service.write_all(&response[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl State {
    /// Whether to close the connection at this request.
    fn cuts(&mut self, has_answered: bool) -> bool {
        let is_reused = has_answered && self.cuts_of_reused > 0;
        if is_reused {
            self.cuts_of_reused -= 1;
        }
        let cuts = is_reused || self.cuts_all;
        self.cut += usize::from(cuts);
        cuts
    }
}
