//! Certificate authorities, from files in PEM.

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
