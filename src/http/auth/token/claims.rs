//! The claims of a token: issuer, audience, validity, and the identifiers of the shopper.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::shopper::Shopper;
use crate::{
    clock::Now,
    config::{self, Scope},
    domain::{ContactId, email::Email},
};

/// The claims that a token must have, and those that identify the shopper.
pub(super) struct ClaimRules {
    issuer: String,
    audience: String,
    leeway: Duration,
    max_lifetime: Duration,
    contact_id: Option<String>,
    email: Option<String>,
    email_verified: String,
    scope: Option<String>,
}

impl From<&config::JwtConfig> for ClaimRules {
    fn from(config: &config::JwtConfig) -> Self {
        Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway: config.leeway,
            max_lifetime: config.max_lifetime,
            contact_id: config.contact_id_claim.clone(),
            email: config.email_claim.clone(),
            email_verified: config.email_verified_claim.clone(),
            scope: config.scope_claim.clone(),
        }
    }
}

impl ClaimRules {
    /// The shopper that the claims name; `None` where the token is not for this service or not valid at `now`.
    pub(super) fn shopper(&self, claims: &Map<String, Value>, now: Now) -> Option<Shopper> {
        // A logout token or another security event (RFC 8417, 2.2) is no credential, whatever its `typ`.
        let is_event = claims.contains_key("events");
        let is_ours = !is_event && self.is_for_us(claims) && self.is_timely(claims, now);
        is_ours.then(|| self.identified(claims)).flatten()
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let is_of_issuer = claims.get("iss").and_then(Value::as_str) == Some(&*self.issuer);
        let is_for_us = match claims.get("aud") {
            Some(Value::String(only)) => *only == self.audience,
            // An array of strings only (RFC 7519, 4.1.3).
            Some(Value::Array(all)) => {
                all.iter().all(Value::is_string)
                    && all.iter().any(|one| one.as_str() == Some(&*self.audience))
            }
            _ => false,
        };
        is_of_issuer && is_for_us
    }

    /// Whether the token is valid at `now`, and its lifetime is no longer than `max_lifetime`.
    fn is_timely(&self, claims: &Map<String, Value>, now: Now) -> bool {
        let date = |name| match claims.get(name) {
            None => Some(None),
            Some(value) => numeric_date(value).map(Some),
        };
        let (Some(Some(end)), Some(begin), Some(issued)) = (date("exp"), date("nbf"), date("iat"))
        else {
            return false;
        };
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let leeway = seconds(self.leeway);
        let now = now.wall.as_second();
        let latest = now.saturating_add(leeway);
        let lifetime = end.saturating_sub(issued.unwrap_or(latest));
        now < end.saturating_add(leeway)
            && begin.is_none_or(|begin| begin <= latest)
            && issued.is_none_or(|issued| issued <= latest)
            && lifetime <= seconds(self.max_lifetime)
    }

    /// `None` where an identifying claim can't be read: no contact is better than the wrong one.
    fn identified(&self, claims: &Map<String, Value>) -> Option<Shopper> {
        let claim = |name: &Option<String>| {
            let value = name.as_ref().and_then(|name| claims.get(name));
            value.filter(|value| !value.is_null())
        };
        let contact_id = match claim(&self.contact_id) {
            Some(value) => Some(ContactId::parse(value.as_str()?)?),
            None => None,
        };
        // Some issuers send every claim as a string.
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
            changes: None,
        })
    }
}

/// The scopes in a space-separated string (RFC 8693, 4.2) or an array of strings.
fn scopes(claim: Option<&Value>) -> Vec<Scope> {
    let words: Vec<&str> = match claim {
        Some(Value::String(words)) => words.split(' ').collect(),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    [Scope::ReadSelf, Scope::Fresh, Scope::Changed]
        .into_iter()
        .filter(|scope| words.contains(&scope.as_str()))
        .collect()
}

/// Whole or fractional seconds since 1970 (RFC 7519, 2); not negative.
fn numeric_date(value: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float out of range saturates"
    )]
    let truncated = |seconds: f64| seconds as i64;
    let is_negative = value.as_f64().is_none_or(|seconds| seconds < 0.0);
    let seconds = value.as_i64().or_else(|| value.as_f64().map(truncated));
    seconds.filter(|_| !is_negative)
}
