//! A TLS proxy in front of the simulator, like a load balancer in front of Engage: it has a certificate, speaks HTTP/2
//! or HTTP/1.1 as configured, and forwards requests.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};

/// A certificate authority for tests.
pub(super) struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl CertificateAuthority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "A test authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let text = STANDARD.encode(certificate.der());
        Self {
            issuer: Issuer::new(params, key),
            pem: format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"),
        }
    }

    /// Writes its certificate to a file and returns the path. All authorities of a process share the file; each test
    /// runs in its own process.
    pub(super) fn file(&self) -> PathBuf {
        let name = format!("authority-{}.pem", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, &self.pem).expect("a file");
        path
    }

    /// A server identity with a certificate for this name, and the ALPN protocols to offer.
    pub(super) fn issue(&self, name: &str, until: i32, offers: &[&str]) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a key that fits");
        config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().into()).collect();
        Identity(Some(Arc::new(config)))
    }
}

/// The certificate and key of the proxy.
#[derive(Clone)]
pub(super) struct Identity(Option<Arc<ServerConfig>>);

impl Identity {
    /// None: plain HTTP.
    pub(super) const NONE: Identity = Identity(None);
}

/// Settings and counters of the proxy.
struct State {
    identity: Identity,
    refuses_streams: bool,
    /// The number of next streams to refuse on connections that serve all others.
    refuses_next: usize,
    /// The number of next connections that send GOAWAY to their first request.
    sends_goaway: usize,
    connections: usize,
    versions: Vec<Version>,
}

/// A TLS proxy; it ends with the test.
pub(super) struct TlsProxy {
    address: SocketAddr,
    listener: Option<TcpListener>,
    state: Arc<Mutex<State>>,
    running: Option<JoinHandle<()>>,
}

impl TlsProxy {
    /// A proxy that listens now and serves later.
    pub(super) async fn bind(identity: Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self {
            address: listener.local_addr().expect("an address"),
            listener: Some(listener),
            state: Arc::new(Mutex::new(State {
                identity,
                refuses_streams: false,
                refuses_next: 0,
                sends_goaway: 0,
                connections: 0,
                versions: Vec::new(),
            })),
            running: None,
        }
    }

    pub(super) fn base_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Forwards to this address from now on.
    pub(super) fn serve(&mut self, base_url: String) {
        let listener = self.listener.take().expect("not serving yet");
        let state = Arc::clone(&self.state);
        self.running = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&state), base_url.clone()));
            }
        }));
    }

    /// The identity of new connections from now on.
    pub(super) fn set_identity(&self, identity: Identity) {
        lock(&self.state).identity = identity;
    }

    /// Whether every HTTP/2 stream of connections opened from now on is refused unprocessed.
    pub(super) fn refuse_streams(&self, refuses: bool) {
        lock(&self.state).refuses_streams = refuses;
    }

    /// Refuses this many of the next HTTP/2 streams.
    pub(super) fn refuse_next(&self, streams: usize) {
        lock(&self.state).refuses_next = streams;
    }

    /// Makes this many of the next HTTP/2 connections send GOAWAY to their first request, with no stream processed.
    pub(super) fn go_away(&self, connections: usize) {
        lock(&self.state).sends_goaway = connections;
    }

    /// The number of connections so far.
    pub(super) fn connections(&self) -> usize {
        lock(&self.state).connections
    }

    /// The HTTP versions of the requests so far, in order.
    pub(super) fn versions(&self) -> Vec<Version> {
        lock(&self.state).versions.clone()
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Errors are ignored here: tests observe them from the client side.
async fn connection(stream: TcpStream, state: Arc<Mutex<State>>, base_url: String) {
    let (identity, refuses_streams, sends_goaway) = {
        let mut state = lock(&state);
        state.connections += 1;
        let sends_goaway = state.sends_goaway > 0;
        state.sends_goaway = state.sends_goaway.saturating_sub(1);
        (state.identity.clone(), state.refuses_streams, sends_goaway)
    };
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let seen = Arc::clone(&state);
    let forward = service_fn(move |request: Request<Incoming>| {
        let is_refused = lock(&seen).receive(request.version());
        let forwarded = forward(client.clone(), base_url.clone(), request);
        async move {
            if is_refused {
                return Err(h2::Error::from(h2::Reason::REFUSED_STREAM));
            }
            Ok(forwarded.await)
        }
    });
    let Identity(Some(config)) = identity else {
        let plain = conn::http1::Builder::new();
        let _ = plain.serve_connection(TokioIo::new(stream), forward).await;
        return;
    };
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if is_http2 && sends_goaway {
        // The client side observes an early end of the connection.
        let _ = go_away(stream, &state).await;
    } else if is_http2 && refuses_streams {
        refuse_streams(stream, &state).await;
    } else if is_http2 {
        let server = conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), forward).await;
    } else {
        let server = conn::http1::Builder::new();
        let _ = server.serve_connection(TokioIo::new(stream), forward).await;
    }
}

impl State {
    /// Records a request; returns whether to refuse it.
    fn receive(&mut self, version: Version) -> bool {
        self.versions.push(version);
        let is_refused = self.refuses_next > 0;
        self.refuses_next = self.refuses_next.saturating_sub(1);
        is_refused
    }
}

async fn forward(
    client: reqwest::Client,
    base_url: String,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let target = request.uri().path_and_query().expect("a path");
    let mut headers = request.headers().clone();
    headers.remove("host");
    let request = client.get(format!("{base_url}{target}")).headers(headers);
    let response = request.send().await.expect("the simulator answers");
    let mut answer = Response::builder().status(response.status());
    for name in ["content-type", "retry-after"] {
        if let Some(value) = response.headers().get(name) {
            answer = answer.header(name, value);
        }
    }
    let body = response.bytes().await.expect("a whole body");
    answer.body(Full::new(body)).expect("an answer")
}

async fn refuse_streams(stream: TlsStream<TcpStream>, state: &Mutex<State>) {
    let Ok(mut streams) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut answer))) = streams.accept().await {
        lock(state).versions.push(request.version());
        answer.send_reset(h2::Reason::REFUSED_STREAM);
    }
}

/// Answers the first request with GOAWAY and last stream id zero, which means not processed, and leaves the connection
/// open (RFC 9113, section 6.8).
async fn go_away(mut stream: TlsStream<TcpStream>, state: &Mutex<State>) -> io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ACKNOWLEDGED: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    stream.read_exact(&mut [0; PREFACE]).await?;
    stream.write_all(&SETTINGS).await?;
    stream.write_all(&ACKNOWLEDGED).await?;
    stream.flush().await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await?;
        if head[3] == HEADERS {
            lock(state).receive(Version::HTTP_2);
            stream.write_all(&GOAWAY).await?;
            stream.flush().await?;
        }
    }
}
