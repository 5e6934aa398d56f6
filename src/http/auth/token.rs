//! A shopper's token: a JWT (RFC 7519), checked as RFC 8725 asks: one issuer, its own asymmetric
//! algorithms, our audience, an end that has not come.

mod claims;
mod jws;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use jsonwebtoken::Algorithm;
use tracing::Level;

use self::{
    claims::ClaimRules,
    jws::{JoseHeader, UnverifiedToken, media_type},
};
use super::{
    jwks::{KeyRing, KeySource},
    refusal::AuthRefusal,
    shopper::Shopper,
};
use crate::{
    clock::{Clock, Tick},
    config,
    rate::Bucket,
    telemetry::Limit,
};

/// The longest token that is looked at.
const MAX_TOKEN: usize = 8 * 1024;
/// Of how many shoppers the rate is remembered.
const MAX_SHOPPERS: u64 = 100_000;
/// The type of a token whose header names none.
const DEFAULT_TYPE: &str = "jwt";

/// Knows shoppers by their tokens.
pub(super) struct TokenVerifier {
    ring: KeyRing,
    algorithms: Vec<Algorithm>,
    types: Vec<String>,
    claims: ClaimRules,
    rate: Option<u32>,
    buckets: moka::sync::Cache<u64, Arc<Mutex<Bucket>>>,
    hasher: RandomState,
    /// For events of tokens before they are verified.
    of_strangers: Limit,
    clock: Clock,
}

impl TokenVerifier {
    pub(super) fn new(config: &config::Jwt, clock: Clock) -> Result<Self, anyhow::Error> {
        let source = match (&config.jwks_url, &config.jwks_file) {
            (Some(url), _) => KeySource::url(url)?,
            (None, Some(path)) => KeySource::File(path.clone()),
            (None, None) => anyhow::bail!("auth.jwt: neither jwks_url nor jwks_file"),
        };
        Ok(Self {
            ring: KeyRing::new(source, clock.clone()),
            algorithms: config
                .algorithms
                .iter()
                .map(|name| (*name).into())
                .collect(),
            types: config.types.iter().map(|name| media_type(name)).collect(),
            claims: ClaimRules::from(config),
            rate: config.requests_per_second,
            buckets: moka::sync::Cache::new(MAX_SHOPPERS),
            hasher: RandomState::new(),
            of_strangers: Limit::new("tokens", clock.clone()),
            clock,
        })
    }

    /// Reads the issuer's keys for as long as the service runs.
    pub(super) async fn refresh_keys(&self) {
        self.ring.refresh().await;
    }

    /// The issuer's keys.
    pub(super) fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The shopper who shows the token, unless it asks too often. Waits until `deadline` at most for keys that are not
    /// known yet.
    pub(super) async fn shopper(
        &self,
        token: &str,
        deadline: Tick,
    ) -> Result<Shopper, AuthRefusal> {
        let shopper = self.verify(token, deadline).await?;
        let flow = self.hasher.hash_one(shopper.identifiers().next());
        self.count(flow)?;
        Ok(Shopper { flow, ..shopper })
    }

    /// Whatever can be refused without a key is refused before one is looked
    /// for.
    async fn verify(&self, token: &str, deadline: Tick) -> Result<Shopper, AuthRefusal> {
        let token = self.parse(token).ok_or(AuthRefusal::InvalidToken)?;
        let shopper = self.claims.shopper(&token.claims, self.clock.now());
        let shopper = shopper.ok_or(AuthRefusal::InvalidToken)?;
        let JoseHeader {
            algorithm, key_id, ..
        } = &token.header;
        let keys = self.ring.keys(key_id.as_deref(), *algorithm, deadline);
        let keys = keys.await?;
        let mut is_good = keys.iter().any(|key| token.is_signed_with(key));
        if !is_good && key_id.is_none() && !keys.is_empty() {
            // It may be signed with a key that is not known yet. Where that can't be found out for now it stays refused,
            // unless the issuer can't be read: then nothing is known of it.
            let newer = self.ring.newer_keys(token.signature, *algorithm, deadline);
            let newer = match newer.await {
                Ok(keys) => keys,
                Err(unavailable) if self.ring.is_failing() => return Err(unavailable.into()),
                Err(_) => Vec::new(),
            };
            is_good = newer.iter().any(|key| token.is_signed_with(key));
        }
        is_good.then_some(shopper).ok_or(AuthRefusal::InvalidToken)
    }

    /// A token of an algorithm and a type that are accepted.
    fn parse<'a>(&self, token: &'a str) -> Option<UnverifiedToken<'a>> {
        if token.len() > MAX_TOKEN {
            if tracing::enabled!(Level::INFO) && self.of_strangers.allows() {
                tracing::info!(bytes = token.len(), limit = MAX_TOKEN, "token too large");
            }
            return None;
        }
        let token = UnverifiedToken::parse(token)?;
        let JoseHeader {
            algorithm,
            media_type,
            ..
        } = &token.header;
        let media_type = media_type.as_deref().unwrap_or(DEFAULT_TYPE);
        let is_accepted = self.algorithms.contains(algorithm)
            && self.types.iter().any(|known| known == media_type);
        is_accepted.then_some(token)
    }

    fn count(&self, flow: u64) -> Result<(), AuthRefusal> {
        let Some(rate) = self.rate else { return Ok(()) };
        let now = self.clock.tick();
        let bucket = self.buckets.get_with(flow, || {
            Arc::new(Mutex::new(Bucket::new(f64::from(rate), rate, now)))
        });
        let taken = bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now);
        taken.map_err(|retry_after| AuthRefusal::RateLimited { rate, retry_after })
    }
}

/// The leeway of the configuration that is fuzzed, in seconds.
#[cfg(fuzzing)]
const FUZZED_LEEWAY: i64 = 30;

#[cfg(fuzzing)]
impl TokenVerifier {
    /// What is done before a key is looked for: only our algorithms and types go on.
    pub(super) fn fuzz_token(&self, token: &str) {
        if let Some(parsed) = self.parse(token) {
            assert!(token.len() <= MAX_TOKEN);
            assert!(self.algorithms.contains(&parsed.header.algorithm));
            assert_eq!(token.matches('.').count(), 2);
            self.fuzz_claims(&parsed.claims);
        }
    }

    /// A shopper is the contact that its claims name, for as long as they say, and no more.
    pub(super) fn fuzz_claims(&self, claims: &serde_json::Map<String, serde_json::Value>) {
        use serde_json::Value;

        use crate::{config::Scope, domain::email::Email};

        let Some(shopper) = self.claims.shopper(claims, self.clock.now()) else {
            return;
        };
        assert!(!claims.contains_key("events"));
        let now = self.clock.now().wall.as_second();
        let end = claims["exp"].as_f64().expect("a number");
        #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
        let begin = (now - FUZZED_LEEWAY) as f64;
        assert!(end > begin);
        if let Some(id) = shopper.contact_id {
            let told = claims["contactId"].as_str().expect("text");
            assert_eq!(id.to_string(), told.to_ascii_lowercase());
        }
        if let Some(email) = &shopper.email {
            let verified = &claims["email_verified"];
            assert!(*verified == Value::Bool(true) || *verified == "true");
            let told = claims["email"].as_str().expect("text");
            assert_eq!(email.as_str(), told.trim_ascii().to_ascii_lowercase());
            assert_eq!(Email::parse(email.as_str()).as_ref(), Ok(email));
        }
        for scope in &shopper.scopes {
            assert!(matches!(scope, Scope::ReadSelf | Scope::Fresh));
            assert!(claims["scope"].to_string().contains(scope.as_str()));
        }
    }
}
