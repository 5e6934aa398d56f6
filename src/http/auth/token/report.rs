//! The report of `check-token`: every check of a token with what was expected and what was found, where a request ends at
//! the first that fails. It contains no value of a personal claim.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{
    DEFAULT_TYPE, MAX_TOKEN, TokenVerifier,
    jws::{UnverifiedToken, members_of},
};
use crate::{
    config::jwk::Key,
    domain::Digester,
    http::auth::{shopper::Shopper, token_refusals::TokenRefusal},
};

/// The longest text of a token that is shown.
const MAX_SHOWN: usize = 120;

/// What the checks of a token found.
#[derive(Debug, Default)]
pub struct TokenReport {
    checks: Vec<Check>,
    /// What the token allows, if it is accepted.
    grants: Vec<String>,
    refusal: Option<TokenRefusal>,
    /// The issuer's keys can't be read: then a request gets a 503.
    is_undecided: bool,
}

#[derive(Debug)]
struct Check {
    what: &'static str,
    verdict: &'static str,
    detail: String,
}

impl TokenReport {
    /// Whether a request with the token would be accepted.
    pub fn is_accepted(&self) -> bool {
        self.refusal.is_none() && !self.is_undecided
    }

    /// Why a request with the token would be refused: the `why` of the log; `None` if it would not be.
    pub fn refusal(&self) -> Option<&'static str> {
        self.refusal.map(TokenRefusal::as_str)
    }

    pub(super) fn add(
        &mut self,
        what: &'static str,
        outcome: Result<(), TokenRefusal>,
        detail: impl Into<String>,
    ) {
        self.refusal = self.refusal.or(outcome.err());
        self.checks.push(Check {
            what,
            verdict: if outcome.is_ok() { "ok" } else { "FAILED" },
            detail: detail.into(),
        });
    }

    /// A check that can't be made without the issuer's keys.
    fn add_undecided(&mut self, what: &'static str, detail: String) {
        self.is_undecided = true;
        self.checks.push(Check {
            what,
            verdict: "?",
            detail,
        });
    }
}

impl fmt::Display for TokenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let Check {
                what,
                verdict,
                detail,
            } = check;
            writeln!(f, "{verdict:6}  {what:9}  {detail}")?;
        }
        match self.refusal {
            None if self.is_undecided => {
                writeln!(
                    f,
                    "undecided: without the issuer's keys a request gets a 503"
                )?;
            }
            None => writeln!(f, "accepted")?,
            Some(why) => writeln!(f, "refused: {}", why.as_str())?,
        }
        self.grants
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl TokenVerifier {
    /// Checks a token at this time, with the keys that the issuer publishes now.
    pub(in crate::http::auth) async fn report(
        &self,
        token: &str,
        at: Timestamp,
        digester: &Digester,
    ) -> TokenReport {
        let mut report = TokenReport::default();
        let is_small = token.len() <= MAX_TOKEN;
        let size = is_small.then_some(()).ok_or(TokenRefusal::TooLarge);
        report.add(
            "size",
            size,
            format!("{} bytes, {MAX_TOKEN} at most", token.len()),
        );
        if !is_small {
            return report;
        }
        let raw = members_of(token);
        let header = raw.as_ref().map(|(header, _)| header);
        let found = |name| header.map_or_else(|| "nothing".to_owned(), |of| shown(of.get(name)));
        let parsed = UnverifiedToken::parse(token);
        let form = parsed.as_ref().map(drop).map_err(|why| *why);
        let detail = match form {
            Ok(()) => "a signed token".to_owned(),
            Err(TokenRefusal::Crit) => "requires an extension (crit, b64)".to_owned(),
            Err(TokenRefusal::Type) => format!("nested (cty {})", found("cty")),
            Err(TokenRefusal::Algorithm) => format!("unknown algorithm {}", found("alg")),
            Err(_) => {
                "not a signed token: it needs three parts of base64url, the first two JSON objects without repeated names"
                    .to_owned()
            }
        };
        report.add("form", form, detail);
        let Ok(parsed) = parsed else {
            return report;
        };
        let algorithms = format!("{:?}", self.algorithms);
        report.add(
            "algorithm",
            self.check_algorithm(&parsed.header),
            format!("{}; accepted: {algorithms}", found("alg")),
        );
        let media_type = parsed.header.media_type.as_deref().unwrap_or(DEFAULT_TYPE);
        report.add(
            "type",
            self.check_type(&parsed.header),
            format!("{}; accepted: {:?}", quoted(media_type), self.types),
        );
        let shopper = self.claims.report(&parsed.claims, at, &mut report);
        self.report_signature(&parsed, &mut report).await;
        if let (Ok(shopper), true) = (shopper, report.is_accepted()) {
            report.grants = grants(&shopper, digester);
        }
        report
    }

    async fn report_signature(&self, token: &UnverifiedToken<'_>, report: &mut TokenReport) {
        let id = token.header.key_id.as_deref();
        let named = id.map_or_else(|| "none named".to_owned(), quoted);
        let keys = match self.ring.read_now().await {
            Ok(keys) => keys,
            Err(error) => {
                let detail = format!("{named}; the issuer's keys can't be read: {error:#}");
                return report.add_undecided("key", detail);
            }
        };
        let published: Vec<_> = keys.iter().map(|key: &Key| key.id.as_deref()).collect();
        let published = format!("{named}; published: {}", shown_ids(&published));
        let suitable = super::candidates(&keys, id, token.header.algorithm);
        let suitable = suitable.filter(|keys| !keys.is_empty());
        let Some(suitable) = suitable else {
            return report.add("key", Err(TokenRefusal::Key), published);
        };
        report.add("key", Ok(()), published);
        let is_verified = suitable.iter().any(|key| token.is_signed_with(key));
        let outcome = is_verified.then_some(()).ok_or(TokenRefusal::Signature);
        let detail = format!("tried {} of the issuer's keys", suitable.len());
        report.add("signature", outcome, detail);
    }
}

/// What the token allows.
fn grants(shopper: &Shopper, digester: &Digester) -> Vec<String> {
    let contact = match (shopper.contact_id, &shopper.email) {
        (Some(id), _) => format!("customer: contact {}", id.digest(digester)),
        (None, Some(_)) => "customer: the one with the token's e-mail address".to_owned(),
        (None, None) => "customer: none; every look-up is a 404".to_owned(),
    };
    let scopes: Vec<_> = shopper.scopes.iter().map(|scope| scope.as_str()).collect();
    let scopes = match scopes[..] {
        [] => "scopes: none; every look-up is a 403".to_owned(),
        _ => format!("scopes: {}", scopes.join(" ")),
    };
    vec![contact, scopes]
}

/// A member of the token that is no personal data.
pub(super) fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text.escape_debug().to_string().replace("\\\"", "\"")
}

/// A text of the token that is no personal data.
fn quoted(text: &str) -> String {
    shown(Some(&Value::from(text)))
}

fn shown_ids(ids: &[Option<&str>]) -> String {
    let ids = ids
        .iter()
        .map(|id| id.map_or_else(|| "one without an id".to_owned(), |id| format!("{id:?}")));
    ids.collect::<Vec<_>>().join(", ")
}

/// A time of the token, and how far it is from `at`.
pub(super) fn shown_time(claims: &Map<String, Value>, name: &str, at: Timestamp) -> String {
    let Some(value) = claims.get(name) else {
        return format!("{name} absent");
    };
    let time = value.as_f64().and_then(|seconds| {
        let since = SignedDuration::try_from_secs_f64(seconds).ok()?;
        Timestamp::UNIX_EPOCH.checked_add(since).ok()
    });
    match time {
        Some(time) => {
            let seconds = time.as_second() - at.as_second();
            format!("{name} {time} ({seconds:+} s)")
        }
        None => format!("{name} {}", shown(Some(value))),
    }
}
