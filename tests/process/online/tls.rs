//! The certificate of Engage.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use engage_bff::clock::Clock;
use jiff::{SignedDuration, civil::Date, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::NamedTempFile;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs::default_provider,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::Online;
use crate::harness::{Engage, engage, path, temp_file};

/// A certificate authority, with its certificate in a file.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
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
            file: temp_file(&format!(
                "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
            )),
        }
    }

    /// A server with a certificate for this name that expires at the beginning of this day.
    pub(super) fn acceptor(&self, name: &str, until: Date) -> TlsAcceptor {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        let month = u8::try_from(until.month()).expect("a month");
        let day = u8::try_from(until.day()).expect("a day");
        params.not_after = date_time_ymd(until.year().into(), month, day);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a key that fits");
        Arc::new(config).into()
    }
}

/// Terminates TLS in front of the simulator. Returns the base URL.
pub(super) async fn proxy(acceptor: TlsAcceptor, engage: &engage_simulator::Simulator) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let simulator = engage.local_addr();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A handshake may fail on purpose.
                let Ok(mut outer) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inner = TcpStream::connect(simulator).await.expect("a simulator");
                let _ = copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    format!("https://localhost:{port}")
}

pub(super) fn in_days(days: i64) -> Date {
    let then = Clock::system().now().wall + SignedDuration::from_hours(24 * days);
    then.to_zoned(TimeZone::UTC).date()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_is_judged_by_authority_name_and_end() {
    let engage = engage().await;
    let (authority, other) = (Authority::new(), Authority::new());
    for (issuer, name, days, status, what) in [
        (&authority, "localhost", 90, "ok", in_days(90).to_string()),
        (
            &authority,
            "localhost",
            9,
            "warning",
            in_days(9).to_string(),
        ),
        (
            &authority,
            "localhost",
            -9,
            "failed",
            in_days(-9).to_string(),
        ),
        (
            &authority,
            "shop.example.com",
            90,
            "failed",
            "another name".to_owned(),
        ),
        (
            &other,
            "localhost",
            90,
            "failed",
            "is not trusted".to_owned(),
        ),
    ] {
        let base_url = proxy(issuer.acceptor(name, in_days(days)), &engage).await;
        let online = Online::new(&engage)
            .with("ENGAGE__BASE_URL", &base_url)
            .with("ENGAGE__CA_FILE", path(&authority.file));
        let calls = engage.total_calls();
        let checks = tokio::task::block_in_place(|| online.check());
        checks.assert("engage-tls", status, &what);
        if status == "failed" {
            checks.assert_skipped(&["engage-key"], "engage-tls");
            assert_eq!(engage.total_calls(), calls);
        } else {
            checks.assert("engage-key", "ok", "accepted");
        }
    }
}

#[test]
fn server_without_tls_fails() {
    let server = Engage::start();
    let engage = &server.simulator;
    let plain = engage.base_url().replace("http:", "https:");
    let checks = Online::new(engage).with("ENGAGE__BASE_URL", &plain).check();
    checks.assert("engage-tls", "failed", "does not speak TLS");
}
