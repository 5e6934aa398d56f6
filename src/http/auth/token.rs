//! A shopper's token: a JWT (RFC 7519), checked as RFC 8725 asks: one issuer, its own asymmetric
//! algorithms, our audience, an end that has not come.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::{
    super::error::{ApiError, Code},
    jwks::{KeyRing, Source},
};
use crate::{
    clock::{Clock, Now},
    config::{self, Scope},
    domain::{ContactId, Identifier, Lookup, email::Email},
    rate::Bucket,
};

/// The longest token that is looked at.
const MAX_TOKEN: usize = 8 * 1024;
/// Of how many shoppers the rate is remembered.
const MAX_SHOPPERS: u64 = 100_000;

/// Knows shoppers by their tokens.
pub(super) struct Tokens {
    ring: KeyRing,
    validation: Validation,
    leeway: Duration,
    claims: ClaimNames,
    rate: Option<u32>,
    buckets: moka::sync::Cache<u64, Arc<Mutex<Bucket>>>,
    hasher: RandomState,
    clock: Clock,
}

/// Which claims hold what.
struct ClaimNames {
    contact_id: Option<String>,
    email: Option<String>,
    email_verified: String,
    scope: Option<String>,
}

/// A shopper, who may ask for one customer.
#[derive(Clone)]
pub(super) struct Shopper {
    contact_id: Option<ContactId>,
    email: Option<Email>,
    scopes: Vec<Scope>,
    /// A keyed hash of whom the token names: the same for all tokens of one shopper.
    flow: u64,
}

impl Tokens {
    pub(super) fn new(config: &config::Jwt, clock: Clock) -> Result<Self, anyhow::Error> {
        let source = match (&config.jwks_url, &config.jwks_file) {
            (Some(url), _) => Source::url(url)?,
            (None, Some(path)) => Source::File(path.clone()),
            (None, None) => anyhow::bail!("auth.jwt: neither jwks_url nor jwks_file"),
        };
        let algorithms: Vec<_> = config
            .algorithms
            .iter()
            .map(|name| (*name).into())
            .collect();
        let first = *algorithms.first().unwrap_or(&Algorithm::ES256);
        let mut validation = Validation::new(first);
        validation.algorithms = algorithms;
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        // Time is judged here, by the injected clock.
        validation.set_required_spec_claims(&["iss", "aud"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self {
            ring: KeyRing::new(source, clock.clone()),
            validation,
            leeway: config.leeway,
            claims: ClaimNames {
                contact_id: config.contact_id_claim.clone(),
                email: config.email_claim.clone(),
                email_verified: config.email_verified_claim.clone(),
                scope: config.scope_claim.clone(),
            },
            rate: config.requests_per_second,
            buckets: moka::sync::Cache::new(MAX_SHOPPERS),
            hasher: RandomState::new(),
            clock,
        })
    }

    /// Reads the issuer's keys for as long as the service runs.
    pub(super) async fn keep_up(&self) {
        self.ring.keep_up().await;
    }

    /// The shopper who shows the token, unless it asks too often.
    pub(super) async fn shopper(&self, token: &str) -> Result<Shopper, ApiError> {
        let shopper = self
            .verify(token)
            .await
            .ok_or_else(|| ApiError::new(Code::Unauthorized).challenge(super::INVALID_TOKEN))?;
        let flow = self.hasher.hash_one(shopper.identifier());
        self.count(flow)?;
        Ok(Shopper { flow, ..shopper })
    }

    async fn verify(&self, token: &str) -> Option<Shopper> {
        let header = self.header(token)?;
        let keys = self.ring.keys(&header).await;
        let mut validation = self.validation.clone();
        // One algorithm at a time: the library wants all of a validation to suit the key.
        validation.algorithms = vec![header.alg];
        let signed_with = |key| decode::<Map<String, Value>>(token, key, &validation).ok();
        let token = keys.iter().find_map(signed_with)?;
        self.shopper_of(&token.claims)
    }

    /// The header of a token that may be looked at further.
    fn header(&self, token: &str) -> Option<Header> {
        if token.len() > MAX_TOKEN {
            tracing::info!(bytes = token.len(), limit = MAX_TOKEN, "token too large");
            return None;
        }
        let header = decode_header(token).ok()?;
        // Whatever it says is critical, nobody here knows it.
        let may_be_ours = header.crit.is_none() && self.validation.algorithms.contains(&header.alg);
        may_be_ours.then_some(header)
    }

    /// Whom the claims of a token with a good signature name.
    fn shopper_of(&self, claims: &Map<String, Value>) -> Option<Shopper> {
        self.is_timely(claims, self.clock.now())
            .then(|| self.claims.shopper(claims))
            .flatten()
    }

    fn is_timely(&self, claims: &Map<String, Value>, now: Now) -> bool {
        let seconds = now.wall.as_second();
        let leeway = i64::try_from(self.leeway.as_secs()).unwrap_or(0);
        let numeric = |name: &str| claims.get(name).map(|value| numeric_date(value).ok_or(()));
        let ends = matches!(numeric("exp"), Some(Ok(end)) if seconds < end.saturating_add(leeway));
        let begins = match numeric("nbf") {
            None => true,
            Some(begin) => begin.is_ok_and(|begin| begin <= seconds.saturating_add(leeway)),
        };
        ends && begins
    }

    fn count(&self, flow: u64) -> Result<(), ApiError> {
        let Some(rate) = self.rate else { return Ok(()) };
        let now = self.clock.tick();
        let bucket = self.buckets.get_with(flow, || {
            Arc::new(Mutex::new(Bucket::new(f64::from(rate), rate, now)))
        });
        let taken = bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now);
        taken.map_err(|wait| ApiError::new(Code::RateLimited).limited(rate, wait))
    }
}

impl ClaimNames {
    /// `None` where a claim that names somebody can't be read: better nobody than the wrong one.
    fn shopper(&self, claims: &Map<String, Value>) -> Option<Shopper> {
        let claim = |name: &Option<String>| {
            let value = name.as_ref().and_then(|name| claims.get(name));
            value.filter(|value| !value.is_null())
        };
        let contact_id = match claim(&self.contact_id) {
            Some(value) => Some(ContactId::parse(value.as_str()?)?),
            None => None,
        };
        // Some issuers write every claim as text.
        let is_verified = match claims.get(&self.email_verified) {
            Some(Value::Bool(is_verified)) => *is_verified,
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        let email = match claim(&self.email).filter(|_| is_verified) {
            Some(value) => Some(Email::parse(value.as_str()?).ok()?),
            None => None,
        };
        let scopes = match &self.scope {
            None => vec![Scope::ReadSelf],
            Some(name) => scopes(claims.get(name)),
        };
        Some(Shopper {
            contact_id,
            email,
            scopes,
            flow: 0,
        })
    }
}

/// Words separated by blanks (RFC 8693), or a list of them.
fn scopes(claim: Option<&Value>) -> Vec<Scope> {
    let words: Vec<&str> = match claim {
        Some(Value::String(words)) => words.split(' ').collect(),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    [Scope::ReadSelf, Scope::Fresh]
        .into_iter()
        .filter(|scope| words.contains(&scope.as_str()))
        .collect()
}

/// Whole or broken seconds (RFC 7519, 2).
fn numeric_date(value: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float that is out of range becomes the nearest end of it"
    )]
    let truncated = |seconds: f64| seconds as i64;
    value.as_i64().or_else(|| value.as_f64().map(truncated))
}

impl Shopper {
    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whose share of the calls to Engage the shopper uses: one hash for all of its tokens.
    pub(super) fn flow(&self) -> u64 {
        self.flow
    }

    /// Whether the look-up is for the shopper, by what the token carries.
    pub(super) fn is_named_by(&self, lookup: &Lookup) -> bool {
        match &lookup.identifier {
            Identifier::ContactId(id) => self.contact_id == Some(*id),
            Identifier::Email(email) => self.email.as_ref() == Some(email),
            _ => false,
        }
    }

    /// Whether that contact is the shopper, as far as the token says who it is.
    pub(super) fn may_be(&self, id: ContactId) -> bool {
        self.contact_id.is_none_or(|own| own == id)
    }

    /// Who the shopper is, best known first.
    pub(super) fn identifier(&self) -> Option<Identifier> {
        let by_id = self.contact_id.map(Identifier::ContactId);
        by_id.or_else(|| self.email.clone().map(Identifier::Email))
    }
}

impl From<config::JwtAlgorithm> for Algorithm {
    fn from(algorithm: config::JwtAlgorithm) -> Self {
        use config::JwtAlgorithm as Configured;

        match algorithm {
            Configured::Es256 => Algorithm::ES256,
            Configured::Es384 => Algorithm::ES384,
            Configured::EdDsa => Algorithm::EdDSA,
            Configured::Rs256 => Algorithm::RS256,
            Configured::Rs384 => Algorithm::RS384,
            Configured::Rs512 => Algorithm::RS512,
            Configured::Ps256 => Algorithm::PS256,
            Configured::Ps384 => Algorithm::PS384,
            Configured::Ps512 => Algorithm::PS512,
        }
    }
}

#[cfg(fuzzing)]
impl Tokens {
    /// What is done before the signature is checked: only our algorithms go on, and nothing critical.
    pub(super) fn fuzz_header(&self, token: &str) {
        if let Some(header) = self.header(token) {
            assert!(token.len() <= MAX_TOKEN);
            assert!(header.crit.is_none());
            assert!(self.validation.algorithms.contains(&header.alg));
            assert_eq!(token.matches('.').count(), 2);
        }
    }

    /// What is done after it: a shopper is who its claims name, for as long as they say, and no more.
    pub(super) fn fuzz_claims(&self, claims: &Map<String, Value>) {
        let Some(shopper) = self.shopper_of(claims) else {
            return;
        };
        let now = self.clock.now().wall.as_second();
        let end = claims["exp"].as_f64().expect("a number");
        #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
        let begin = (now - i64::try_from(self.leeway.as_secs()).expect("seconds")) as f64;
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
