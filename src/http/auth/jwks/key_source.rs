//! Reads the issuer's keys from a file or a URL.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Client,
    header::{ACCEPT_ENCODING, DATE, HeaderMap, HeaderValue},
    redirect::Policy,
};

use crate::{
    clock::{Clock, ClockDifference},
    config::{
        JwtConfig,
        jwk::{Key, keys_of},
    },
};

/// The longest time that a read may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest key set that is read from a URL, in bytes. A file has no limit.
const MAX_BYTES: usize = 256 * 1024;

/// Where the keys come from.
pub(in crate::http::auth) enum KeySource {
    File(PathBuf),
    Url(Client, reqwest::Url),
}

/// A JWK set as the issuer publishes it.
pub struct PublishedKeys {
    /// The set, not parsed.
    pub set: Vec<u8>,
    /// How the issuer's clock differs, if the response had a date.
    pub clock_difference: Option<ClockDifference>,
}

/// Reads the keys of the configured issuer once, as the service does, for `check-config --online`.
pub async fn read_published_keys(
    config: &JwtConfig,
    clock: &Clock,
) -> Result<PublishedKeys, anyhow::Error> {
    KeySource::new(config)?.read_set(clock).await
}

impl KeySource {
    /// The configured source. Fails for a URL that can't be parsed.
    pub(in crate::http::auth) fn new(config: &JwtConfig) -> Result<Self, anyhow::Error> {
        match (&config.jwks_url, &config.jwks_file) {
            (Some(url), _) => Self::url(url),
            (None, Some(path)) => Ok(Self::File(path.clone())),
            (None, None) => anyhow::bail!("auth.jwt: neither jwks_url nor jwks_file"),
        }
    }

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

    /// Whether both are the same place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(path), Self::File(other)) => path == other,
            (Self::Url(_, url), Self::Url(_, other)) => url == other,
            _ => false,
        }
    }

    pub(super) async fn read(&self, clock: &Clock) -> Result<Vec<Key>, anyhow::Error> {
        keys_of(&self.read_set(clock).await?.set)
    }

    async fn read_set(&self, clock: &Clock) -> Result<PublishedKeys, anyhow::Error> {
        let deadline = clock.tick() + TIMEOUT;
        let began = clock.now().wall;
        let set = async {
            match self {
                KeySource::File(path) => {
                    let set = tokio::fs::read(path).await.context("can't be read")?;
                    Ok((set, None))
                }
                KeySource::Url(client, url) => get(client, url.clone()).await,
            }
        };
        let (set, date) = tokio::select! {
            biased;
            set = set => set?,
            () = clock.sleep_until(deadline) => anyhow::bail!("took too long"),
        };
        let ended = clock.now().wall;
        let clock_difference = date.map(|date| ClockDifference::of(date, began, ended));
        Ok(PublishedKeys {
            set,
            clock_difference,
        })
    }
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = rfc2822::parse(headers.get(DATE)?.to_str().ok()?);
    Some(date.ok()?.timestamp())
}

/// The body, and the date of the response.
async fn get(
    client: &Client,
    url: reqwest::Url,
) -> Result<(Vec<u8>, Option<Timestamp>), anyhow::Error> {
    // Without this field any coding is acceptable (RFC 9110, 12.5.3).
    let plain = HeaderValue::from_static("identity");
    let response = client.get(url).header(ACCEPT_ENCODING, plain).send().await;
    let mut response = response.map_err(reqwest::Error::without_url)?;
    let status = response.status();
    ensure!(
        status.is_success(),
        "was refused with status {}",
        status.as_u16()
    );
    let date = date(response.headers());
    let mut set = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        ensure!(set.len() + chunk.len() <= MAX_BYTES, "is too large");
        set.extend_from_slice(&chunk);
    }
    Ok((set, date))
}
