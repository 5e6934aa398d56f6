//! The keys with which an issuer signs its tokens: from a file or from one configured URL, read anew in
//! the background, and at once where a token names a key that is not known, but not more than once a
//! minute. Keys outlive a source that fails.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, ensure};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header, jwk::Jwk};
use reqwest::{Client, redirect::Policy};
use tokio::sync::Mutex;

use crate::clock::{Clock, Tick};

/// How often keys are read anew.
const REFRESH: Duration = Duration::from_secs(600);
/// How long at least between two readings, whatever tokens name.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest time that the URL may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest set of keys that is read.
const MAX_BYTES: usize = 256 * 1024;
/// How many keys are tried on a token that names none.
const MAX_TRIED: usize = 4;

/// Where the keys come from.
pub(super) enum Source {
    File(PathBuf),
    Url(Client, reqwest::Url),
}

impl Source {
    /// Keys from a URL: nothing but that URL is ever asked.
    pub(super) fn url(url: &str) -> Result<Self, anyhow::Error> {
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

    async fn read(&self, clock: &Clock) -> Result<Vec<Key>, anyhow::Error> {
        let set = match self {
            Source::File(path) => tokio::fs::read(path).await.context("can't be read")?,
            Source::Url(client, url) => {
                let deadline = clock.tick() + TIMEOUT;
                tokio::select! {
                    biased;
                    set = get(client, url.clone()) => set?,
                    () = clock.sleep_until(deadline) => anyhow::bail!("took too long"),
                }
            }
        };
        keys_of(&set)
    }
}

async fn get(client: &Client, url: reqwest::Url) -> Result<Vec<u8>, anyhow::Error> {
    let response = client.get(url).send().await;
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

/// A key that verifies.
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    family: AlgorithmFamily,
    verifier: DecodingKey,
}

impl Key {
    /// `None` for what can't verify a token's signature: symmetric keys, keys for encryption, unknown
    /// kinds.
    fn of(jwk: &Jwk) -> Option<Self> {
        use jsonwebtoken::jwk::PublicKeyUse;

        if matches!(&jwk.common.public_key_use, Some(used) if *used != PublicKeyUse::Signature) {
            return None;
        }
        let verifier = DecodingKey::from_jwk(jwk).ok()?;
        let family = verifier.family();
        (family != AlgorithmFamily::Hmac).then(|| Self {
            id: jwk.common.key_id.clone(),
            algorithm: jwk
                .common
                .key_algorithm
                .map(|algorithm| algorithm.to_string()),
            family,
            verifier,
        })
    }

    fn suits(&self, algorithm: Algorithm) -> bool {
        let named = format!("{algorithm:?}");
        self.family == algorithm.family() && self.algorithm.as_ref().is_none_or(|own| *own == named)
    }
}

fn keys_of(set: &[u8]) -> Result<Vec<Key>, anyhow::Error> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }

    // serde's message would quote the text.
    let set: Set = serde_json::from_slice(set).map_err(|_| anyhow::anyhow!("is not a JWK set"))?;
    let readable = |jwk| serde_json::from_value(jwk).ok();
    let keys: Vec<_> = set
        .keys
        .into_iter()
        .filter_map(readable)
        .filter_map(|jwk| Key::of(&jwk))
        .collect();
    ensure!(!keys.is_empty(), "holds no key that verifies");
    Ok(keys)
}

/// The keys, as they are known now.
pub(super) struct KeyRing {
    source: Source,
    keys: RwLock<Arc<Vec<Key>>>,
    /// When the source was asked last; held while it is asked, so that it is asked once.
    asked: Mutex<Option<Tick>>,
    clock: Clock,
}

impl KeyRing {
    pub(super) fn new(source: Source, clock: Clock) -> Self {
        Self {
            source,
            keys: RwLock::default(),
            asked: Mutex::default(),
            clock,
        }
    }

    /// The keys of the issuer's that may have signed a token with this header.
    pub(super) async fn keys(&self, header: &Header) -> Vec<DecodingKey> {
        let known = self.known(header);
        if !known.is_empty() {
            return known;
        }
        self.read_unless_just_done().await;
        self.known(header)
    }

    /// Reads the keys anew for as long as the service runs.
    pub(super) async fn keep_up(&self) {
        loop {
            self.read_unless_just_done().await;
            let wait = if self.held().is_empty() {
                PAUSE
            } else {
                REFRESH
            };
            self.clock.sleep_until(self.clock.tick() + wait).await;
        }
    }

    fn held(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one of that id; where a token names none, those that suit its algorithm.
    fn known(&self, header: &Header) -> Vec<DecodingKey> {
        let keys = self.held();
        let is_named = |key: &&Key| header.kid.is_none() || key.id == header.kid;
        let most = if header.kid.is_some() { 1 } else { MAX_TRIED };
        keys.iter()
            .filter(|key| key.suits(header.alg))
            .filter(is_named)
            .take(most)
            .map(|key| key.verifier.clone())
            .collect()
    }

    async fn read_unless_just_done(&self) {
        let mut asked = self.asked.lock().await;
        let now = self.clock.tick();
        if asked.is_some_and(|at| now.since(at) < PAUSE) {
            return;
        }
        match self.source.read(&self.clock).await {
            Ok(keys) => {
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(alarm = true, error, "the token issuer's keys can't be read");
            }
        }
        *asked = Some(self.clock.tick());
    }
}
