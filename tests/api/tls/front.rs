//! A TLS front before the simulator, as a load balancer is before Engage: it proves who it is, speaks
//! HTTP/2 or HTTP/1.1 as it is told to offer, and passes on what it is asked.

use std::{
    convert::Infallible,
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
                connections: 0,
                versions: Vec::new(),
            })),
            running: None,
        }
    }

    pub(super) fn base_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
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
    let (proof, refuses_streams) = {
        let mut ledger = lock(&ledger);
        ledger.connections += 1;
        (ledger.proof.clone(), ledger.refuses_streams)
    };
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let seen = Arc::clone(&ledger);
    let pass_on = service_fn(move |request| {
        lock(&seen).versions.push(request.version());
        pass_on(client.clone(), base_url.clone(), request)
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
    if is_http2 && refuses_streams {
        refuse_streams(stream, &ledger).await;
    } else if is_http2 {
        let server = conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), pass_on).await;
    } else {
        let server = conn::http1::Builder::new();
        let _ = server.serve_connection(TokioIo::new(stream), pass_on).await;
    }
}

async fn pass_on(
    client: reqwest::Client,
    base_url: String,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
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
    Ok(answer.body(Full::new(body)).expect("an answer"))
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
