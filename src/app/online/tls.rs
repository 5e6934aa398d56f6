//! Makes a TLS handshake as the service does, and finds out until when the certificate is valid.

use std::{io, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::{Timestamp, tz::TimeZone};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, CertificateError, ClientConfig, RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        crypto::aws_lc_rs::default_provider,
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use super::{endpoint::Endpoint, report::Check};
use crate::{clock::Clock, config::authorities::roots};

/// A certificate that expires within this time gets a warning.
const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Longer than any certificate is valid.
const BEYOND_ANY_EXPIRY: Duration = Duration::from_secs(200 * 365 * 24 * 60 * 60);
/// The longest wait for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The protocols that the service offers.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The authorities of this PEM text, or Mozilla's.
pub(super) fn trusted(pem: Option<&[u8]>) -> Result<Arc<RootCertStore>, anyhow::Error> {
    roots(pem)
        .map(Arc::new)
        .context("the authorities are unusable")
}

/// Makes a handshake over this connection.
pub(super) async fn check(endpoint: &Endpoint<'_>, stream: TcpStream, clock: &Clock) -> Check {
    let name = endpoint.names[2];
    match handshake(endpoint, stream).await {
        Ok(session) => session.check(name, clock.now().wall),
        Err((what, remedy)) => Check::failed(name, what, remedy),
    }
}

/// What the server presented in a handshake.
struct Session {
    verifier: Arc<WebPkiServerVerifier>,
    server: ServerName<'static>,
    /// The server's own certificate is the first.
    certificates: Vec<CertificateDer<'static>>,
    version: &'static str,
}

async fn handshake(
    endpoint: &Endpoint<'_>,
    stream: TcpStream,
) -> Result<Session, (String, String)> {
    let unusable = |what: &str| (what.to_owned(), format!("see {}", endpoint.key));
    let server = ServerName::try_from(endpoint.host().to_owned())
        .map_err(|_| unusable("the host is not a name that a certificate can have"))?;
    let provider = Arc::new(default_provider());
    let roots = Arc::clone(&endpoint.roots);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|_| unusable("no authority is trusted"))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .with_webpki_verifier(Arc::clone(&verifier))
        .with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = match timeout(HANDSHAKE, connector.connect(server.clone(), stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(describe(&error, endpoint)),
        Err(_) => {
            let remedy = format!("see whether {} leads to a server with TLS", endpoint.key);
            return Err(("no answer to the TLS handshake".to_owned(), remedy));
        }
    };
    let (_, connection) = stream.get_ref();
    let certificates = connection.peer_certificates().unwrap_or_default();
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    Ok(Session {
        verifier,
        server,
        certificates: certificates.to_vec(),
        version,
    })
}

impl Session {
    fn check(&self, name: &'static str, now: Timestamp) -> Check {
        if let Some(error) = self.error_at(now, EXPIRY_WARNING) {
            let until = end_of(&error).map_or_else(String::new, |end| format!(", on {end}"));
            return Check::warning(
                name,
                format!("the certificate expires within 14 days{until}"),
                "the owner of the server has to renew it: for Engage ask Voyado's support",
            );
        }
        let version = self.version;
        let end = self
            .error_at(now, BEYOND_ANY_EXPIRY)
            .and_then(|error| end_of(&error));
        Check::ok(
            name,
            end.map_or_else(
                || version.to_owned(),
                |end| format!("{version}; the certificate is valid until {end}"),
            ),
        )
    }

    /// Why the certificate, or one that it depends on, will not be valid after this time; `None` if all will be.
    fn error_at(&self, now: Timestamp, after: Duration) -> Option<rustls::Error> {
        let (own, others) = self.certificates.split_first()?;
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds) + after);
        let verified = self
            .verifier
            .verify_server_cert(own, others, &self.server, &[], at);
        verified.err()
    }
}

/// The day on which the certificate expires, if the error is about that.
fn end_of(error: &rustls::Error) -> Option<String> {
    let rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) =
        error
    else {
        return None;
    };
    let seconds = i64::try_from(not_after.as_secs()).ok()?;
    let end = Timestamp::from_second(seconds).ok()?;
    Some(end.to_zoned(TimeZone::UTC).date().to_string())
}

/// Why the handshake failed, and the remedy.
fn describe(error: &io::Error, endpoint: &Endpoint<'_>) -> (String, String) {
    let key = endpoint.key;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let (what, remedy) = match inner {
        Some(rustls::Error::InvalidCertificate(certificate)) => {
            return describe_certificate(inner.and_then(end_of), certificate, endpoint);
        }
        Some(rustls::Error::InvalidMessage(_)) => (
            "the server does not speak TLS",
            format!("see the port and the scheme of {key}"),
        ),
        Some(rustls::Error::AlertReceived(_)) => (
            "the server refuses the TLS handshake",
            format!(
                "see whether the host in {key} is right, and whether the server supports TLS 1.2 or 1.3"
            ),
        ),
        _ => (
            "the server closes the connection during the TLS handshake",
            format!("see the port of {key}, and whether a firewall inspects TLS"),
        ),
    };
    (what.to_owned(), remedy)
}

/// The same for a certificate that is refused; `end` is its last day, if it has expired.
fn describe_certificate(
    end: Option<String>,
    certificate: &CertificateError,
    endpoint: &Endpoint<'_>,
) -> (String, String) {
    match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            end.map_or_else(
                || "the certificate has expired".to_owned(),
                |end| format!("the certificate expired on {end}"),
            ),
            "the owner of the server has to renew it; see this machine's clock too".to_owned(),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "the certificate is not valid yet".to_owned(),
            "see this machine's clock".to_owned(),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "the certificate is for another name".to_owned(),
            format!("see whether the host in {} is right", endpoint.key),
        ),
        // `BadSignature` appears if an authority has the same name as a trusted one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "the certificate's authority is not trusted".to_owned(),
            endpoint.authority_remedy.to_owned(),
        ),
        _ => (
            "the certificate is unusable".to_owned(),
            "the owner of the server has to replace it".to_owned(),
        ),
    }
}
