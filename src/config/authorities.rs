//! Certificates of authorities, as files in PEM hold them.

use super::files::without_byte_order_mark;

/// Whether a text in PEM can say who may vouch for Engage; if not, why.
pub(crate) fn check_authorities(pem: &[u8]) -> Result<(), &'static str> {
    let unusable = |_| "contains something that is not a certificate";
    let roots = authorities(pem).map_err(unusable)?;
    if roots.is_empty() {
        return Err("contains no certificate");
    }
    // Certificates are not read before a client is made.
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(roots)
        .build();
    client.map(drop).map_err(unusable)
}

/// The certificates of a text in PEM, perhaps behind a byte order mark.
pub(crate) fn authorities(pem: &[u8]) -> reqwest::Result<Vec<reqwest::Certificate>> {
    reqwest::Certificate::from_pem_bundle(without_byte_order_mark(pem))
}
