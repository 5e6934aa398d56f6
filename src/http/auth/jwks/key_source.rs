//! Reads the issuer's keys from a file or a URL.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use reqwest::{
    Client,
    header::{ACCEPT_ENCODING, HeaderValue},
    redirect::Policy,
};

use crate::{
    clock::Clock,
    config::{
        JwtConfig,
        jwk::{Key, keys_of},
    },
};

/// The longest time that a read may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest key set that is read, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Where the keys come from.
pub(in crate::http::auth) enum KeySource {
    File(PathBuf),
    Url(Client, reqwest::Url),
}

impl KeySource {
    /// Keys at a URL, requested without redirects or proxies. Fails for a URL that can't be parsed.
    fn url(url: &str) -> Result<Self, anyhow::Error> {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|certificate| reqwest::Certificate::from_der(certificate))
            .collect::<Result<Vec<_>, _>>()?;
        let client = Client::builder()
            .connect_timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .tls_certs_only(roots)
            .build()?;
        Ok(Self::Url(client, url.parse()?))
    }

    /// The place that is configured. Fails for a URL that can't be parsed.
    pub(in crate::http::auth) fn new(config: &JwtConfig) -> Result<Self, anyhow::Error> {
        match (&config.jwks_url, &config.jwks_file) {
            (Some(url), _) => Self::url(url),
            (None, Some(path)) => Ok(Self::File(path.clone())),
            (None, None) => anyhow::bail!("auth.jwt: neither jwks_url nor jwks_file"),
        }
    }

    /// Whether both are the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(path), Self::File(other)) => path == other,
            (Self::Url(_, url), Self::Url(_, other)) => url == other,
            _ => false,
        }
    }

    pub(super) async fn read(&self, clock: &Clock) -> Result<Vec<Key>, anyhow::Error> {
        let deadline = clock.tick() + TIMEOUT;
        let set = async {
            match self {
                KeySource::File(path) => tokio::fs::read(path).await.context("can't be read"),
                KeySource::Url(client, url) => get(client, url.clone()).await,
            }
        };
        let set = tokio::select! {
            biased;
            set = set => set?,
            () = clock.sleep_until(deadline) => anyhow::bail!("took too long"),
        };
        keys_of(&set)
    }
}

async fn get(client: &Client, url: reqwest::Url) -> Result<Vec<u8>, anyhow::Error> {
    // Without this field any coding is acceptable (RFC 9110, 12.5.3).
    let plain = HeaderValue::from_static("identity");
    let response = client.get(url).header(ACCEPT_ENCODING, plain).send().await;
    let mut response = response.map_err(reqwest::Error::without_url)?;
    ensure!(response.status().is_success(), "was refused");
    let mut set = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        ensure!(set.len() + chunk.len() <= MAX_BYTES, "is too large");
        set.extend_from_slice(&chunk);
    }
    Ok(set)
}
