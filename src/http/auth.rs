//! Authentication and authorization. A routed handler that needs a caller takes [`Caller`] as an argument; a handler
//! without that argument has no caller. Customer look-ups call [`Authenticator::identify`]. This module knows a
//! caller's rights; the handlers and the parser of look-ups say which right a request needs.

mod anonymous;
mod caller;
mod client;
mod distinct_contacts;
mod guard;
mod jwks;
mod rate_limiter;
mod refusal;
mod shopper;
mod token;
mod token_refusals;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{constant_time, digest};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice};

use self::{
    anonymous::Anonymous,
    client::ApiClient,
    jwks::KeyMetrics,
    refusal::AuthRefusal,
    shopper::Shopper,
    token::TokenVerifier,
    token_refusals::{TokenRefusal, TokenRefusals},
};
pub(super) use self::{
    caller::{Caller, PendingLookUp},
    guard::HeldBack,
};
pub use self::{
    jwks::{PublishedKeys, read_published_keys},
    token::TokenReport,
};
use super::{
    client_metrics::{ClientCounters, ClientMetrics, KeyUse, SHOPPERS},
    log_context::LogContext,
};
use crate::{
    clock::{Clock, Tick},
    config,
    domain::Digester,
    metrics::{Registry, Source},
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The key of a connection's last request, with its client. The next request nearly always has the same key, and
/// comparing two keys takes a tenth of the time of a digest.
#[derive(Default)]
pub(super) struct LastKey(Option<KnownKey>);

struct KnownKey {
    key: SecretSlice<u8>,
    client: Arc<ApiClient>,
    last_use: KeyUse,
    /// The number of the configuration in which the key belongs to the client.
    generation: u64,
}

impl LastKey {
    /// The client's name.
    pub(super) fn client(&self) -> Option<&str> {
        Some(self.0.as_ref()?.client.name.as_str())
    }

    /// Notes that the key was used now.
    pub(super) fn note_use(&self, now: Timestamp) {
        if let Some(known) = &self.0 {
            known.last_use.note(now);
        }
    }
}

/// Reads tokens without the keys that would verify them.
#[cfg(fuzzing)]
pub(super) struct FuzzedTokens(TokenVerifier);

#[cfg(fuzzing)]
impl FuzzedTokens {
    pub(super) fn new(config: &config::JwtConfig, clock: &Clock) -> Result<Self, anyhow::Error> {
        TokenVerifier::new(config, &KeyMetrics::default(), clock.clone()).map(Self)
    }

    pub(super) fn token(&self, token: &str) {
        self.0.fuzz_token(token);
    }

    pub(super) fn claims(&self, claims: &serde_json::Map<String, serde_json::Value>) {
        self.0.fuzz_claims(claims);
    }
}

/// Identifies callers by their credentials.
pub struct Authenticator {
    /// The number of this configuration, from 1 on; each reload adds one.
    generation: u64,
    clients: Vec<Arc<ApiClient>>,
    anonymous: Option<Arc<Anonymous>>,
    tokens: Option<TokenVerifier>,
    token_refusals: Arc<TokenRefusals>,
    metrics: ClientMetrics,
    key_metrics: KeyMetrics,
    /// The counters of shoppers without a client's key.
    shoppers: Option<Arc<ClientCounters>>,
    /// The longest that a caller waits (`server.request_timeout`).
    request_timeout: Duration,
    clock: Clock,
}

/// Whether the issuer's keys are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JwksStatus {
    /// No issuer is configured.
    Off,
    Loaded,
    /// Not read yet; the service started less than 30 seconds ago.
    Starting,
    /// Not read yet.
    NotLoaded,
}

impl Source for Authenticator {
    fn register(&self, registry: &mut Registry) {
        self.token_refusals.register(registry);
        self.metrics.register(registry);
        self.key_metrics.register(registry);
    }
}

impl Authenticator {
    /// With the configured clients and token issuer. Fails for a JWKS URL that can't be used.
    pub fn new(
        config: &config::AuthConfig,
        server: &config::ServerConfig,
        clock: &Clock,
    ) -> Result<Self, anyhow::Error> {
        let without_callers = Self {
            generation: 0,
            clients: Vec::new(),
            anonymous: None,
            tokens: None,
            token_refusals: Arc::new(TokenRefusals::new(clock)),
            metrics: ClientMetrics::default(),
            key_metrics: KeyMetrics::default(),
            shoppers: None,
            request_timeout: server.request_timeout,
            clock: clock.clone(),
        };
        let metrics = &without_callers.key_metrics;
        let tokens = config.jwt.as_ref();
        let tokens = tokens.map(|jwt| TokenVerifier::new(jwt, metrics, clock.clone()));
        without_callers.followed_by(config, server, tokens.transpose()?)
    }

    /// The same with another configuration. Clients and shoppers keep what they have used of limits that stay the same,
    /// and the issuer's keys stay known. Fails if the keys now come from another place and can't be read there.
    pub async fn replaced(
        &self,
        config: &config::AuthConfig,
        server: &config::ServerConfig,
    ) -> Result<Self, anyhow::Error> {
        let tokens = match &config.jwt {
            Some(jwt) => {
                let before = self.tokens.as_ref();
                Some(TokenVerifier::after(before, jwt, &self.key_metrics, &self.clock).await?)
            }
            None => None,
        };
        self.followed_by(config, server, tokens)
    }

    /// The same with another configuration, whose tokens are verified by `tokens`.
    fn followed_by(
        &self,
        config: &config::AuthConfig,
        server: &config::ServerConfig,
        tokens: Option<TokenVerifier>,
    ) -> Result<Self, anyhow::Error> {
        let metrics = self.metrics.clone();
        let anonymous = match &self.anonymous {
            _ if !config.allow_anonymous => None,
            Some(before) => Some(Arc::clone(before)),
            None => Some(Arc::new(Anonymous::new(server, &metrics, &self.clock)?)),
        };
        Ok(Self {
            generation: self.generation + 1,
            clients: clients(config, &metrics, &self.clients, &self.clock),
            anonymous,
            tokens,
            token_refusals: Arc::clone(&self.token_refusals),
            shoppers: config.jwt.as_ref().map(|_| shoppers(&metrics)),
            metrics,
            key_metrics: self.key_metrics.clone(),
            request_timeout: server.request_timeout,
            clock: self.clock.clone(),
        })
    }

    /// Keeps the issuer's keys current. Never returns.
    pub async fn refresh_keys(&self) {
        match &self.tokens {
            Some(tokens) => tokens.refresh_keys().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the issuer's keys are known.
    pub(super) fn jwks_status(&self) -> JwksStatus {
        match self.tokens.as_ref().map(TokenVerifier::ring) {
            None => JwksStatus::Off,
            Some(ring) if ring.is_loaded() => JwksStatus::Loaded,
            Some(ring) if ring.is_starting() => JwksStatus::Starting,
            Some(_) => JwksStatus::NotLoaded,
        }
    }

    /// The caller with the credentials in the request's head. Records the caller in `context` and counts the request
    /// against the limits of the shopper and of the client. `now` is when the request arrived.
    pub(super) async fn identify(
        &self,
        request: &Parts,
        now: Tick,
        context: &LogContext,
    ) -> Result<Caller, AuthRefusal> {
        let headers = &request.headers;
        let key = headers.get(&API_KEY).map(HeaderValue::as_bytes);
        let mut caller = if headers.contains_key(header::AUTHORIZATION) {
            let client = key.map(|key| self.client_now(key));
            let shopper = Box::pin(self.shopper(headers, now + self.request_timeout)).await;
            let known = client.as_ref().and_then(|client| client.as_ref().ok());
            let name = known.map(|client| &client.name);
            let shopper = shopper.inspect_err(|refusal| match refusal {
                AuthRefusal::InvalidToken(why) => self.token_refusals.record(*why, name, context),
                AuthRefusal::RateLimited { .. } => {
                    let counters = known.map(|client| &client.counters);
                    context.identify_caller(name, counters.or(self.shoppers.as_ref()));
                }
                _ => {}
            })?;
            Caller::by_token(shopper, client.transpose()?, self.shoppers.clone())
        } else if let Some(key) = key {
            Caller::by_key(self.client_now(key)?)
        } else {
            let anonymous = self.anonymous.as_ref();
            let anonymous = anonymous.ok_or(AuthRefusal::NoCredential)?;
            Caller::by_key(anonymous.admit(request)?)
        };
        context.identify_caller(caller.client(), caller.counters());
        if let Some(trace) = &context.trace {
            trace.identified(&caller.flow().client, key.is_some());
        }
        caller.admit(now)?;
        Ok(caller)
    }

    /// The same for a request that arrives now.
    pub(super) async fn identify_arrived(
        &self,
        request: &Parts,
        context: &LogContext,
    ) -> Result<Caller, AuthRefusal> {
        self.identify(request, self.clock.tick(), context).await
    }

    /// The caller with this key and no other credential; `last` is the key of the connection's last request. The
    /// request is not counted.
    pub(super) fn identify_by_key(
        &self,
        key: &[u8],
        last: &mut LastKey,
    ) -> Result<Caller, AuthRefusal> {
        if let Some(known) = &last.0
            && known.generation == self.generation
            && constant_time::verify_slices_are_equal(known.key.expose_secret(), key).is_ok()
        {
            return Ok(Caller::by_key(Arc::clone(&known.client)));
        }
        let (client, last_use) = self.client(key)?;
        last.0 = Some(KnownKey {
            key: key.to_vec().into(),
            client: Arc::clone(&client),
            last_use,
            generation: self.generation,
        });
        Ok(Caller::by_key(client))
    }

    /// A token is refused where no issuer is configured, even next to a valid key.
    async fn shopper(&self, headers: &HeaderMap, deadline: Tick) -> Result<Shopper, AuthRefusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let only = match (values.next(), values.next()) {
            (Some(only), None) => bearer(only),
            _ => None,
        };
        let token = only.ok_or(TokenRefusal::Malformed)?;
        let tokens = self.tokens.as_ref().ok_or(TokenRefusal::Issuer)?;
        tokens.shopper(token, deadline).await
    }

    /// The client with this key; notes that the key was used now.
    fn client_now(&self, key: &[u8]) -> Result<Arc<ApiClient>, AuthRefusal> {
        let (client, last_use) = self.client(key)?;
        last_use.note(self.clock.now().wall);
        Ok(client)
    }

    /// The client with this key, and the key's last use. Every digest is compared, each in constant time.
    fn client(&self, key: &[u8]) -> Result<(Arc<ApiClient>, KeyUse), AuthRefusal> {
        let hash = digest::digest(&digest::SHA256, key);
        let mut found = None;
        for client in &self.clients {
            for (digest, last_use) in &client.keys {
                if constant_time::verify_slices_are_equal(digest, hash.as_ref()).is_ok() {
                    found = Some((Arc::clone(client), last_use.clone()));
                }
            }
        }
        found.ok_or(AuthRefusal::NoCredential)
    }
}

/// The configured clients. A client that was among `before` keeps its counts for each limit that has not changed.
fn clients(
    config: &config::AuthConfig,
    metrics: &ClientMetrics,
    before: &[Arc<ApiClient>],
    clock: &Clock,
) -> Vec<Arc<ApiClient>> {
    let client = |config: &config::ClientConfig| {
        let mut new = ApiClient::new(config, metrics, clock);
        let is_same = |before: &&Arc<ApiClient>| before.name == new.name;
        if let Some(before) = before.iter().find(is_same) {
            new.continue_from(before);
        }
        new.show_guard_in(metrics);
        Arc::new(new)
    };
    config.clients.iter().map(client).collect()
}

/// The counters of shoppers without a client's key.
fn shoppers(metrics: &ClientMetrics) -> Arc<ClientCounters> {
    Arc::new(metrics.of(SHOPPERS))
}

/// Checks a shopper's token as a request at the time `at` would be checked, with the keys that the issuer publishes
/// now. Fails for a JWKS URL that can't be used.
pub async fn check_token(
    config: &config::JwtConfig,
    token: &str,
    at: Timestamp,
    digester: &Digester,
    clock: Clock,
) -> Result<TokenReport, anyhow::Error> {
    let tokens = TokenVerifier::new(config, &KeyMetrics::default(), clock)?;
    Ok(tokens.report(token, at, digester).await)
}

/// The token of `Bearer token`; the scheme is compared without regard to case (RFC 9110, 11.1).
fn bearer(value: &http::HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}
