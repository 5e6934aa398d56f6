//! Certificates, from files in PEM.

use tokio_rustls::rustls::{
    RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::files::without_byte_order_mark;

/// Checks that a PEM text contains usable certificates. The error says what is wrong with it.
pub(crate) fn check_authorities(pem: &[u8]) -> Result<(), &'static str> {
    let unusable = |_| "contains something that is not a certificate";
    let roots = authorities(pem).map_err(unusable)?;
    if roots.is_empty() {
        return Err("contains no certificate");
    }
    // reqwest parses certificates only when it builds a client.
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(roots)
        .build();
    client.map(drop).map_err(unusable)
}

/// The certificates of a PEM text, which may begin with a byte order mark.
pub(crate) fn authorities(pem: &[u8]) -> reqwest::Result<Vec<reqwest::Certificate>> {
    reqwest::Certificate::from_pem_bundle(without_byte_order_mark(pem))
}

/// The same certificates for a handshake without reqwest; Mozilla's authorities if there is no text. `None` if one is
/// unusable.
pub(crate) fn roots(pem: Option<&[u8]>) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = pem else {
        let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        roots.add_parsable_certificates(public);
        return Some(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(without_byte_order_mark(pem)) {
        roots.add(certificate.ok()?).ok()?;
    }
    Some(roots)
}

/// Mozilla's authorities.
pub(crate) fn public_authorities() -> reqwest::Result<Vec<reqwest::Certificate>> {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots
        .map(|certificate| reqwest::Certificate::from_der(certificate))
        .collect()
}

/// Checks that two PEM texts contain a certificate and its private key. The error names the file at fault (by the end
/// of its key) and says what is wrong.
pub(super) fn check_identity(
    certificate: &[u8],
    key: &[u8],
) -> Result<(), (&'static str, &'static str)> {
    const CERTIFICATE: &str = "client_certificate_file";
    const KEY: &str = "client_key_file";
    let unusable = (CERTIFICATE, "contains something that is not a certificate");
    let chain: Vec<_> = CertificateDer::pem_slice_iter(without_byte_order_mark(certificate))
        .collect::<Result<_, _>>()
        .map_err(|_| unusable)?;
    if chain.is_empty() {
        return Err((CERTIFICATE, "contains no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(without_byte_order_mark(key))
        .map_err(|_| (KEY, "contains no private key"))?;
    CertifiedKey::from_der(chain, key, &default_provider())
        .map(drop)
        .map_err(|_| (KEY, "is not the key of redis.client_certificate_file"))
}
