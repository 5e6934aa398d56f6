//! A server that the service calls over HTTP.

use std::{sync::Arc, time::Duration};

use tokio_rustls::rustls::RootCertStore;

/// The address of a server, and how its certificate is verified.
pub(super) struct Endpoint<'a> {
    /// The names of the three checks: name, connection, certificate.
    pub(super) names: [&'static str; 3],
    /// The configuration key of its URL.
    pub(super) key: &'static str,
    pub(super) url: &'a reqwest::Url,
    /// The trusted authorities.
    pub(super) roots: Arc<RootCertStore>,
    /// What to do about an authority that is not trusted.
    pub(super) authority_remedy: &'static str,
    pub(super) connect_timeout: Duration,
    /// What plain HTTP to another machine would send unencrypted; `None` if nothing needs encryption.
    pub(super) exposes: Option<&'static str>,
}

/// What calls to Engage send. Also given for the token issuer, whose URL is never plain HTTP to another machine.
pub(super) const KEYS_AND_DATA: &str = "keys and personal data";

impl Endpoint<'_> {
    /// The host without the brackets of IPv6.
    pub(super) fn host(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }
}
