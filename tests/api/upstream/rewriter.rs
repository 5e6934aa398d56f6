//! Asks the simulator and writes its answers otherwise: byte for byte as a test wants them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How an answer with that status and body is written, and whether the connection ends after it.
pub(super) type Writing = Arc<dyn Fn(u16, &[u8]) -> (Vec<u8>, bool) + Send + Sync>;

/// What a rewriter does and has seen.
struct Ledger {
    simulator: String,
    writing: Writing,
    heads: Vec<String>,
}

/// A rewriter, as long as the test's runtime is.
pub(super) struct Rewriter {
    address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
}

impl Rewriter {
    pub(super) async fn start(writing: Writing) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let ledger = Arc::new(Mutex::new(Ledger {
            simulator: String::new(),
            writing,
            heads: Vec::new(),
        }));
        let shared = Arc::clone(&ledger);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&shared)));
            }
        });
        Self { address, ledger }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whom it asks.
    pub(super) fn ask(&self, simulator: String) {
        lock(&self.ledger).simulator = simulator;
    }

    /// The heads of the requests that came.
    pub(super) fn heads(&self) -> Vec<String> {
        lock(&self.ledger).heads.clone()
    }
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection(mut stream: TcpStream, ledger: Arc<Mutex<Ledger>>) {
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
        let (simulator, writing) = {
            let mut ledger = lock(&ledger);
            ledger.heads.push(head.clone());
            (ledger.simulator.clone(), Arc::clone(&ledger.writing))
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
        let told = request.send().await.expect("the simulator answers");
        let status = told.status().as_u16();
        let body = told.bytes().await.expect("a whole body");
        let (bytes, ends) = writing(status, &body);
        if stream.write_all(&bytes).await.is_err() || ends {
            return;
        }
    }
}
