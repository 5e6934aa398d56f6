//! The claims of a token: issuer, audience, validity, and the identifiers of the shopper.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    super::{shopper::Shopper, token_refusals::TokenRefusal},
    report::{TokenReport, shown, shown_time},
};
use crate::{
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
    /// The shopper that the claims name, where the token is for this service and valid at `now`.
    pub(super) fn shopper(
        &self,
        claims: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<Shopper, TokenRefusal> {
        check_kind(claims)?;
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        self.check_times(claims, now)?;
        self.identified(claims)
    }

    /// The same, with every check in the report.
    pub(super) fn report(
        &self,
        claims: &Map<String, Value>,
        at: Timestamp,
        report: &mut TokenReport,
    ) -> Result<Shopper, TokenRefusal> {
        let is_event = if claims.contains_key("events") {
            "a security event"
        } else {
            "not a security event"
        };
        report.add("kind", check_kind(claims), is_event);
        let found = |name: &str| shown(claims.get(name));
        let issuer = format!("{}; expected: {:?}", found("iss"), self.issuer);
        report.add("issuer", self.check_issuer(claims), issuer);
        let audience = format!("{}; expected: {:?}", found("aud"), self.audience);
        report.add("audience", self.check_audience(claims), audience);
        let times = ["exp", "nbf", "iat"].map(|name| shown_time(claims, name, at));
        let (leeway, most) = (seconds(self.leeway), seconds(self.max_lifetime));
        let times = format!(
            "{}; at {at}, leeway {leeway} s, lifetime {most} s at most",
            times.join(", ")
        );
        report.add("times", self.check_times(claims, at), times);
        let shopper = self.identified(claims);
        report.add(
            "claims",
            shopper.as_ref().map(drop).map_err(|why| *why),
            self.presence(claims),
        );
        shopper
    }

    /// Which of the configured claims the token has, without their values.
    fn presence(&self, claims: &Map<String, Value>) -> String {
        let state = |name: &str, is_readable: bool| match claim(claims, Some(name)) {
            None => format!("{name} absent"),
            Some(_) if is_readable => format!("{name} present"),
            Some(_) => format!("{name} present, unreadable"),
        };
        let contact_id = self.contact_id.as_deref();
        let contact_id = contact_id.map(|name| state(name, self.contact_id(claims).is_ok()));
        let email = self.email.as_deref();
        let email = email.map(|name| {
            let verified = if self.is_email_verified(claims) {
                "verified"
            } else {
                "not verified, so it does not count"
            };
            format!("{} ({verified})", state(name, self.email(claims).is_ok()))
        });
        let scope = self.scope.as_deref().map(|name| state(name, true));
        let all = [contact_id, email, scope];
        all.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), TokenRefusal> {
        let is_expected = claims.get("iss").and_then(Value::as_str) == Some(&*self.issuer);
        is_expected.then_some(()).ok_or(TokenRefusal::Issuer)
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), TokenRefusal> {
        let is_for_us = match claims.get("aud") {
            Some(Value::String(only)) => *only == self.audience,
            // An array of strings only (RFC 7519, 4.1.3).
            Some(Value::Array(all)) => {
                all.iter().all(Value::is_string)
                    && all.iter().any(|one| one.as_str() == Some(&*self.audience))
            }
            _ => false,
        };
        is_for_us.then_some(()).ok_or(TokenRefusal::Audience)
    }

    /// Checks that the token is valid at `now`, and its lifetime no longer than `max_lifetime`.
    fn check_times(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<(), TokenRefusal> {
        let Times { end, begin, issued } = Times::of(claims)?;
        let leeway = seconds(self.leeway);
        let now = now.as_second();
        let latest = now.saturating_add(leeway);
        if now >= end.saturating_add(leeway) {
            return Err(TokenRefusal::Expired);
        }
        if begin.max(issued).is_some_and(|begin| begin > latest) {
            return Err(TokenRefusal::NotYetValid);
        }
        let lifetime = end.saturating_sub(issued.unwrap_or(latest));
        if lifetime > seconds(self.max_lifetime) {
            return Err(TokenRefusal::Lifetime);
        }
        Ok(())
    }

    /// Refuses a token in which an identifying claim can't be read: no contact is better than the wrong one.
    fn identified(&self, claims: &Map<String, Value>) -> Result<Shopper, TokenRefusal> {
        let contact_id = self.contact_id(claims)?;
        let email = self.email(claims)?;
        Ok(Shopper {
            contact_id,
            email,
            scopes: self.scopes(claims),
            flow: 0,
            changes: None,
        })
    }

    fn contact_id(&self, claims: &Map<String, Value>) -> Result<Option<ContactId>, TokenRefusal> {
        let parse = |value: &Value| ContactId::parse(value.as_str()?);
        let value = claim(claims, self.contact_id.as_deref());
        let parsed = value.map(|value| parse(value).ok_or(TokenRefusal::Claim));
        parsed.transpose()
    }

    /// The e-mail address, if the issuer says that it is verified.
    fn email(&self, claims: &Map<String, Value>) -> Result<Option<Email>, TokenRefusal> {
        let parse = |value: &Value| Email::parse(value.as_str()?).ok();
        let value = claim(claims, self.email.as_deref());
        let value = value.filter(|_| self.is_email_verified(claims));
        let parsed = value.map(|value| parse(value).ok_or(TokenRefusal::Claim));
        parsed.transpose()
    }

    fn is_email_verified(&self, claims: &Map<String, Value>) -> bool {
        // Some issuers send every claim as a string.
        match claims.get(&self.email_verified) {
            Some(Value::Bool(is_verified)) => *is_verified,
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }

    fn scopes(&self, claims: &Map<String, Value>) -> Vec<Scope> {
        match &self.scope {
            None => vec![Scope::ReadSelf],
            Some(name) => scopes(claims.get(name)),
        }
    }
}

/// The times of a token, in seconds since 1970.
struct Times {
    end: i64,
    begin: Option<i64>,
    issued: Option<i64>,
}

impl Times {
    fn of(claims: &Map<String, Value>) -> Result<Self, TokenRefusal> {
        let date = |name| {
            let date = claims.get(name).map(numeric_date);
            date.map(|date| date.ok_or(TokenRefusal::Claim)).transpose()
        };
        Ok(Self {
            end: date("exp")?.ok_or(TokenRefusal::Claim)?,
            begin: date("nbf")?,
            issued: date("iat")?,
        })
    }
}

/// A logout token or another security event (RFC 8417, 2.2) is no credential, whatever its `typ`.
fn check_kind(claims: &Map<String, Value>) -> Result<(), TokenRefusal> {
    let is_event = claims.contains_key("events");
    (!is_event).then_some(()).ok_or(TokenRefusal::Type)
}

/// The value of a configured claim, unless it is null.
fn claim<'a>(claims: &'a Map<String, Value>, name: Option<&str>) -> Option<&'a Value> {
    let value = name.and_then(|name| claims.get(name));
    value.filter(|value| !value.is_null())
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
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
