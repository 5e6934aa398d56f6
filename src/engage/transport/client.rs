//! HTTP clients: request headers, detection of dead connections, and trusted certificate authorities.

use std::{path::Path, time::Duration};

use anyhow::Context;
use reqwest::{
    Client,
    header::{self, HeaderMap, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;

use crate::{
    config::{self, authorities::authorities},
    engage::resolver::Resolver,
};

/// Lifetime of an idle connection.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time-out of TCP acknowledgements and HTTP/2 pings. A longer `engage.connect_timeout` replaces it for TCP, because
/// Linux applies it to connecting as well.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// Silence on an HTTP/2 connection with calls in flight after which it is pinged. A connection that was idle for longer
/// is pinged with its next call; idle connections are left to TCP keep-alive.
const PING_AFTER: Duration = Duration::from_secs(1);
/// TCP keep-alive: idle time, interval, and number of probes.
const TCP_PROBES: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(1), 3);

/// Builds clients, each with its own connection pool.
pub(super) struct Clients {
    headers: HeaderMap,
    user_agent: String,
    roots: Vec<reqwest::Certificate>,
    connect_timeout: Duration,
    max_idle: usize,
    resolver: Option<Resolver>,
}

impl Clients {
    pub(super) fn new(
        config: &config::EngageConfig,
        resolver: Option<Resolver>,
    ) -> Result<Self, anyhow::Error> {
        let mut headers = HeaderMap::new();
        let key = config
            .api_key
            .as_ref()
            .map_or("", |key| key.expose_secret());
        let mut key = HeaderValue::from_str(key)?;
        key.set_sensitive(true);
        headers.insert("apikey", key);
        let json = HeaderValue::from_static("application/json");
        // Engage requires a `Content-Type` on every request; without it even a GET may be answered with a 500 [Voyado:
        // the Engage API].
        headers.insert(header::CONTENT_TYPE, json.clone());
        headers.insert(header::ACCEPT, json);
        // Without the field any coding is acceptable (RFC 9110, 12.5.3).
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        Ok(Self {
            headers,
            user_agent: config.user_agent.clone(),
            roots: roots(config.ca_file.as_deref())?,
            connect_timeout: config.connect_timeout,
            max_idle: config.max_concurrency,
            resolver,
        })
    }

    /// A client that reuses connections.
    pub(super) fn client(&self) -> reqwest::Result<Client> {
        self.build(self.max_idle)
    }

    /// A client that opens a connection per call.
    pub(super) fn client_for_single_calls(&self) -> reqwest::Result<Client> {
        self.build(0)
    }

    fn build(&self, max_idle: usize) -> reqwest::Result<Client> {
        let (probed_after, probes_apart, probes) = TCP_PROBES;
        let mut builder = Client::builder()
            .default_headers(self.headers.clone())
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(max_idle)
            .tcp_nodelay(true)
            .tcp_keepalive(probed_after)
            .tcp_keepalive_interval(probes_apart)
            .tcp_keepalive_retries(probes)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(ACK_TIMEOUT)
            .http2_keep_alive_while_idle(false)
            // A redirect or a proxy would receive the API key.
            .redirect(Policy::none())
            // Admission control decides and counts retries.
            .retry(reqwest::retry::never())
            // Folded header lines are read as one (RFC 9112, 5.2).
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .no_proxy()
            .referer(false)
            .tls_certs_only(self.roots.clone());
        #[cfg(target_os = "linux")]
        {
            builder = builder.tcp_user_timeout(ACK_TIMEOUT.max(self.connect_timeout));
        }
        if let Some(resolver) = &self.resolver {
            builder = builder.dns_resolver(resolver.clone());
        }
        builder.build()
    }
}

/// Trusted authorities: those of `engage.ca_file`, else Mozilla's.
fn roots(file: Option<&Path>) -> Result<Vec<reqwest::Certificate>, anyhow::Error> {
    if let Some(file) = file {
        let bundle = std::fs::read(file).context("engage.ca_file can't be read")?;
        return authorities(&bundle).context("engage.ca_file");
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    Ok(roots
        .map(|certificate| reqwest::Certificate::from_der(certificate))
        .collect::<Result<_, _>>()?)
}
