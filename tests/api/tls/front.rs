//! A TLS front before the simulator, as a load balancer is before Engage: it proves who it is, speaks
//! HTTP/2 or HTTP/1.1 as it is told to offer, and passes on what it is asked.

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

/// An invented authority that vouches for whomever a test wants.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "An invented authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let text = STANDARD.encode(certificate.der());
        Self {
            issuer: Issuer::new(params, key),
            pem: format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"),
        }
    }

    /// A file that holds its certificate. One for each test: each runs in a process of its own.
    pub(super) fn file(&self) -> PathBuf {
        let name = format!("authority-{}.pem", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, &self.pem).expect("a file");
        path
    }

    /// What a server needs that it vouches for under that name, and what it offers by ALPN.
    pub(super) fn vouch_for(&self, name: &str, until: i32, offers: &[&str]) -> Proof {
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
        Proof(Some(Arc::new(config)))
    }
}

/// How the front proves who it is.
#[derive(Clone)]
pub(super) struct Proof(Option<Arc<ServerConfig>>);

impl Proof {
    /// Not at all: it speaks plain HTTP.
    pub(super) const NONE: Proof = Proof(None);
}

/// What the front does and has seen.
struct Ledger {
    proof: Proof,
    refuses_streams: bool,
    /// How many of the next streams are refused on connections that serve the others.
    refuses_next: usize,
    /// How many of the next connections say GOAWAY to their first request.
    goes_away: usize,
    connections: usize,
    versions: Vec<Version>,
}

/// A front; it ends with the test.
pub(super) struct Front {
    address: SocketAddr,
    listener: Option<TcpListener>,
    ledger: Arc<Mutex<Ledger>>,
    running: Option<JoinHandle<()>>,
}

impl Front {
    /// One that listens, and serves later.
    pub(super) async fn bind(proof: Proof) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self {
            address: listener.local_addr().expect("an address"),
            listener: Some(listener),
            ledger: Arc::new(Mutex::new(Ledger {
                proof,
                refuses_streams: false,
                refuses_next: 0,
                goes_away: 0,
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

    /// Passes on to that address from now on.
    pub(super) fn serve(&mut self, base_url: String) {
        let listener = self.listener.take().expect("it does not serve yet");
        let ledger = Arc::clone(&self.ledger);
        self.running = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&ledger), base_url.clone()));
            }
        }));
    }

    /// From now on new connections are proven so.
    pub(super) fn prove(&self, proof: Proof) {
        lock(&self.ledger).proof = proof;
    }

    /// From now on every stream of HTTP/2 is refused before it is looked at.
    pub(super) fn refuse_streams(&self, refuses: bool) {
        lock(&self.ledger).refuses_streams = refuses;
    }

    /// So many of the next streams of HTTP/2 are refused.
    pub(super) fn refuse_next(&self, streams: usize) {
        lock(&self.ledger).refuses_next = streams;
    }

    /// So many of the next connections of HTTP/2 say GOAWAY to their first request, and that they processed none.
    pub(super) fn go_away(&self, connections: usize) {
        lock(&self.ledger).goes_away = connections;
    }

    /// How many connections were tried.
    pub(super) fn connections(&self) -> usize {
        lock(&self.ledger).connections
    }

    /// In which versions it was asked, in order.
    pub(super) fn versions(&self) -> Vec<Version> {
        lock(&self.ledger).versions.clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error anywhere here is what the test wants to see from the other side.
async fn connection(stream: TcpStream, ledger: Arc<Mutex<Ledger>>, base_url: String) {
    let (proof, refuses_streams, goes_away) = {
        let mut ledger = lock(&ledger);
        ledger.connections += 1;
        let goes_away = ledger.goes_away > 0;
        ledger.goes_away = ledger.goes_away.saturating_sub(1);
        (ledger.proof.clone(), ledger.refuses_streams, goes_away)
    };
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let seen = Arc::clone(&ledger);
    let pass_on = service_fn(move |request: Request<Incoming>| {
        let is_refused = lock(&seen).receive(request.version());
        let passed_on = pass_on(client.clone(), base_url.clone(), request);
        async move {
            if is_refused {
                return Err(h2::Error::from(h2::Reason::REFUSED_STREAM));
            }
            Ok(passed_on.await)
        }
    });
    let Proof(Some(config)) = proof else {
        let plain = conn::http1::Builder::new();
        let _ = plain.serve_connection(TokioIo::new(stream), pass_on).await;
        return;
    };
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if is_http2 && goes_away {
        // What ends the connection sooner is seen from the other side.
        let _ = go_away(stream, &ledger).await;
    } else if is_http2 && refuses_streams {
        refuse_streams(stream, &ledger).await;
    } else if is_http2 {
        let server = conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), pass_on).await;
    } else {
        let server = conn::http1::Builder::new();
        let _ = server.serve_connection(TokioIo::new(stream), pass_on).await;
    }
}

impl Ledger {
    /// Notes a request; whether it is to be refused.
    fn receive(&mut self, version: Version) -> bool {
        self.versions.push(version);
        let is_refused = self.refuses_next > 0;
        self.refuses_next = self.refuses_next.saturating_sub(1);
        is_refused
    }
}

async fn pass_on(
    client: reqwest::Client,
    base_url: String,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let target = request.uri().path_and_query().expect("a path");
    let mut headers = request.headers().clone();
    headers.remove("host");
    let asked = client.get(format!("{base_url}{target}")).headers(headers);
    let told = asked.send().await.expect("the simulator answers");
    let mut answer = Response::builder().status(told.status());
    for name in ["content-type", "retry-after"] {
        if let Some(value) = told.headers().get(name) {
            answer = answer.header(name, value);
        }
    }
    let body = told.bytes().await.expect("a whole body");
    answer.body(Full::new(body)).expect("an answer")
}

async fn refuse_streams(stream: TlsStream<TcpStream>, ledger: &Mutex<Ledger>) {
    let Ok(mut streams) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut answer))) = streams.accept().await {
        lock(ledger).versions.push(request.version());
        answer.send_reset(h2::Reason::REFUSED_STREAM);
    }
}

/// Says of the first request that it was not processed and that there will be no other, by GOAWAY with a last stream of
/// zero, and leaves the connection open (RFC 9113, 6.8).
async fn go_away(mut stream: TlsStream<TcpStream>, ledger: &Mutex<Ledger>) -> io::Result<()> {
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
            lock(ledger).receive(Version::HTTP_2);
            stream.write_all(&GOAWAY).await?;
            stream.flush().await?;
        }
    }
}
