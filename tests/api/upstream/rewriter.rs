//! A proxy that calls the simulator and rewrites its answers byte by byte.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Turns a status and a body into the raw answer, and says whether the connection closes after it.
pub(super) type Rewrite = Arc<dyn Fn(u16, &[u8]) -> (Vec<u8>, bool) + Send + Sync>;

/// Settings and recorded requests of a rewriter.
struct State {
    simulator: String,
    rewrite: Rewrite,
    heads: Vec<String>,
}

/// A rewriter; it ends with the test's runtime.
pub(super) struct Rewriter {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Rewriter {
    pub(super) async fn start(rewrite: Rewrite) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            simulator: String::new(),
            rewrite,
            heads: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forwards to this simulator.
    pub(super) fn forward_to(&self, simulator: String) {
        lock(&self.state).simulator = simulator;
    }

    /// The heads of the requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        lock(&self.state).heads.clone()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let client = Client::builder().no_proxy().build().expect("a client");
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else {
                return;
            };
            head.push(byte);
        }
        let head = String::from_utf8(head).expect("text");
        let (simulator, rewrite) = {
            let mut state = lock(&state);
            state.heads.push(head.clone());
            (state.simulator.clone(), Arc::clone(&state.rewrite))
        };
        let mut lines = head.trim_end().split("\r\n");
        let target = lines.next().and_then(|line| line.split(' ').nth(1));
        let mut request = client.get(format!("{simulator}{}", target.expect("a target")));
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a field");
            if !name.eq_ignore_ascii_case("host") {
                request = request.header(name, value);
            }
        }
        let response = request.send().await.expect("the simulator answers");
        let status = response.status().as_u16();
        let body = response.bytes().await.expect("a whole body");
        let (bytes, ends) = rewrite(status, &body);
        if stream.write_all(&bytes).await.is_err() || ends {
            return;
        }
    }
}
