//! A shopper's token: a JWT (RFC 7519), verified as RFC 8725 requires: one issuer, asymmetric algorithms only, our
//! audience, not expired.

mod claims;
mod jws;
mod report;

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use jsonwebtoken::Algorithm;

pub use self::report::TokenReport;
use self::{
    claims::ClaimRules,
    jws::{JoseHeader, UnverifiedToken, media_type},
};
use super::{
    super::error::RateLimit,
    jwks::{KeyMetrics, KeyRing, KeySource, candidates},
    rate_limiter::RateLimiter,
    refusal::AuthRefusal,
    shopper::Shopper,
    token_refusals::TokenRefusal,
};
use crate::{
    clock::{Clock, Tick},
    config::{self, Scope},
};

/// The longest token that is parsed, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// How many shoppers have a rate limiter at a time.
const MAX_SHOPPERS: u64 = 100_000;
/// How many changes a shopper may report a second.
const SHOPPER_CHANGES: u32 = 1;
/// The type of a token without `typ`.
const DEFAULT_TYPE: &str = "jwt";

/// Verifies shoppers' tokens.
pub(super) struct TokenVerifier {
    ring: Arc<KeyRing>,
    algorithms: Vec<Algorithm>,
    types: Vec<String>,
    claims: ClaimRules,
    rate: Option<u32>,
    /// Limits the requests of each shopper.
    requests: moka::sync::Cache<u64, Arc<RateLimiter>>,
    /// Limits the changes that each shopper reports.
    changes: moka::sync::Cache<u64, Arc<RateLimiter>>,
    hasher: RandomState,
    clock: Clock,
}

impl TokenVerifier {
    pub(super) fn new(
        config: &config::JwtConfig,
        metrics: &KeyMetrics,
        clock: Clock,
    ) -> Result<Self, anyhow::Error> {
        let source = KeySource::new(config)?;
        Ok(Self {
            ring: Arc::new(KeyRing::new(source, metrics.clone(), clock.clone())),
            algorithms: config
                .algorithms
                .iter()
                .map(|name| (*name).into())
                .collect(),
            types: config.types.iter().map(|name| media_type(name)).collect(),
            claims: ClaimRules::from(config),
            rate: config.requests_per_second,
            requests: moka::sync::Cache::new(MAX_SHOPPERS),
            changes: moka::sync::Cache::new(MAX_SHOPPERS),
            hasher: RandomState::new(),
            clock,
        })
    }

    /// The verifier with a new configuration, which replaces `before`, if there was one. It keeps the keys if they come
    /// from the same place, and what each shopper has used of limits that stay the same. Keys from another place are
    /// read first; fails if they can't be read.
    pub(super) async fn after(
        before: Option<&Self>,
        config: &config::JwtConfig,
        metrics: &KeyMetrics,
        clock: &Clock,
    ) -> Result<Self, anyhow::Error> {
        let mut new = Self::new(config, metrics, clock.clone())?;
        let before_there = before.filter(|before| before.ring.is_from_same_place(&new.ring));
        match before_there {
            Some(before) => new.ring = Arc::clone(&before.ring),
            None => new.ring.read_first().await?,
        }
        if let Some(before) = before {
            new.requests = before.requests.clone();
            new.changes = before.changes.clone();
            new.hasher = before.hasher.clone();
        }
        if before.is_some_and(|before| before.rate != new.rate) {
            new.requests = moka::sync::Cache::new(MAX_SHOPPERS);
        }
        Ok(new)
    }

    /// Keeps the issuer's keys current. Never returns.
    pub(super) async fn refresh_keys(&self) {
        self.ring.refresh().await;
    }

    /// The issuer's keys.
    pub(super) fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The shopper with the token; counts the request against the shopper's rate limit. Waits until `deadline` at most
    /// for a key that is not known yet.
    pub(super) async fn shopper(
        &self,
        token: &str,
        deadline: Tick,
    ) -> Result<Shopper, AuthRefusal> {
        let shopper = self.verify(token, deadline).await?;
        let flow = self.hasher.hash_one(shopper.identifiers().next());
        let now = self.clock.tick();
        let limiter = |limit, rate| move || Arc::new(RateLimiter::new(limit, rate, now));
        if let Some(rate) = self.rate {
            let requests = limiter(RateLimit::Requests, rate);
            self.requests.get_with(flow, requests).admit(now)?;
        }
        let changes = shopper.has(Scope::Changed).then(|| {
            let changes = limiter(RateLimit::Changes, SHOPPER_CHANGES);
            self.changes.get_with(flow, changes)
        });
        Ok(Shopper {
            flow,
            changes,
            ..shopper
        })
    }

    /// Header and claims are checked before a key is looked up, so that a token with wrong ones costs no read of keys.
    async fn verify(&self, token: &str, deadline: Tick) -> Result<Shopper, AuthRefusal> {
        let token = self.parse(token)?;
        let shopper = self.claims.shopper(&token.claims, self.clock.now().wall)?;
        let JoseHeader {
            algorithm, key_id, ..
        } = &token.header;
        let keys = self.ring.keys(key_id.as_deref(), *algorithm, deadline);
        let keys = keys.await?;
        if keys.is_empty() {
            return Err(TokenRefusal::Key.into());
        }
        let mut is_verified = keys.iter().any(|key| token.is_signed_with(key));
        if !is_verified && key_id.is_none() {
            // The token may be signed with a key that is not known yet. Where that can't be checked now it is refused
            // as invalid, unless the last read of the keys failed: then it is neither valid nor invalid.
            let newer = self.ring.newer_keys(token.signature, *algorithm, deadline);
            let newer = match newer.await {
                Ok(keys) => keys,
                Err(unavailable) if self.ring.is_failing() => return Err(unavailable.into()),
                Err(_) => Vec::new(),
            };
            is_verified = newer.iter().any(|key| token.is_signed_with(key));
        }
        is_verified
            .then_some(shopper)
            .ok_or(TokenRefusal::Signature.into())
    }

    /// Parses a token. Refuses a token that is too large, or whose algorithm or type is not accepted.
    fn parse<'a>(&self, token: &'a str) -> Result<UnverifiedToken<'a>, TokenRefusal> {
        if token.len() > MAX_TOKEN {
            return Err(TokenRefusal::TooLarge);
        }
        let token = UnverifiedToken::parse(token)?;
        self.check_algorithm(&token.header)?;
        self.check_type(&token.header)?;
        Ok(token)
    }

    fn check_algorithm(&self, header: &JoseHeader) -> Result<(), TokenRefusal> {
        let is_accepted = self.algorithms.contains(&header.algorithm);
        is_accepted.then_some(()).ok_or(TokenRefusal::Algorithm)
    }

    fn check_type(&self, header: &JoseHeader) -> Result<(), TokenRefusal> {
        let media_type = header.media_type.as_deref().unwrap_or(DEFAULT_TYPE);
        let is_accepted = self.types.iter().any(|known| known == media_type);
        is_accepted.then_some(()).ok_or(TokenRefusal::Type)
    }
}

/// The leeway in the fuzz targets' configuration, in seconds.
#[cfg(fuzzing)]
const FUZZED_LEEWAY: i64 = 30;

#[cfg(fuzzing)]
impl TokenVerifier {
    /// The steps before a key is looked up. Only accepted algorithms and types pass.
    pub(super) fn fuzz_token(&self, token: &str) {
        if let Ok(parsed) = self.parse(token) {
            assert!(token.len() <= MAX_TOKEN);
            assert!(self.algorithms.contains(&parsed.header.algorithm));
            assert_eq!(token.matches('.').count(), 2);
            self.fuzz_claims(&parsed.claims);
        }
    }

    /// A shopper has the identifiers and scopes of its claims and no others, until the claims expire.
    pub(super) fn fuzz_claims(&self, claims: &serde_json::Map<String, serde_json::Value>) {
        use serde_json::Value;

        use crate::domain::email::Email;

        let Ok(shopper) = self.claims.shopper(claims, self.clock.now().wall) else {
            return;
        };
        assert!(!claims.contains_key("events"));
        let now = self.clock.now().wall.as_second();
        let end = claims["exp"].as_f64().expect("a number");
        #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
        let begin = (now - FUZZED_LEEWAY) as f64;
        assert!(end > begin);
        if let Some(id) = shopper.contact_id {
            let claimed = claims["contactId"].as_str().expect("text");
            assert_eq!(id.to_string(), claimed.to_ascii_lowercase());
        }
        if let Some(email) = &shopper.email {
            let verified = &claims["email_verified"];
            assert!(*verified == Value::Bool(true) || *verified == "true");
            let claimed = claims["email"].as_str().expect("text");
            assert_eq!(email.as_str(), claimed.trim_ascii().to_ascii_lowercase());
            assert_eq!(Email::parse(email.as_str()).as_ref(), Ok(email));
        }
        for scope in &shopper.scopes {
            assert!(matches!(
                scope,
                Scope::ReadSelf | Scope::Fresh | Scope::Changed
            ));
            assert!(claims["scope"].to_string().contains(scope.as_str()));
        }
    }
}
