//! Checks of `[auth.jwt]`, and of the origins whose scripts may use its tokens.

use std::{path::Path, time::Duration};

use super::{
    bounds::{check_limit, check_token_lifetime},
    engage::leads_to_loopback,
};
use crate::config::{Config, JwtConfig, files, jwk::check_key_set, mistakes::Mistakes};

/// The largest accepted difference between clocks.
const MAX_LEEWAY: Duration = Duration::from_secs(60);

impl Config {
    pub(super) fn check_origins(&self, mistakes: &mut Mistakes) {
        let key = "server.cors_origins";
        let origins = &self.server.cors_origins;
        if origins.iter().any(|origin| !is_origin(origin)) {
            mistakes.add(
                key,
                "has an entry that is not an origin",
                "give scheme and host of each page, such as \"https://shop.example.com\"; \"*\" is not allowed",
            );
        }
        if !origins.is_empty() && (self.auth.jwt.is_none() || self.auth.allow_anonymous) {
            mistakes.add(
                key,
                "would let pages send requests without a shopper's token",
                "configure auth.jwt and switch auth.allow_anonymous off",
            );
        }
    }
}

/// Whether the text is an origin as browsers write it (RFC 6454): scheme, host and an optional port. Plain http on
/// loopback only.
fn is_origin(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else {
        return false;
    };
    let is_one = !text.contains('*');
    is_one && is_https_or_loopback(text) && url.origin().ascii_serialization() == text
}

pub(super) fn check_jwt(jwt: &JwtConfig, mistakes: &mut Mistakes) {
    for (key, text) in [
        ("auth.jwt.issuer", &jwt.issuer),
        ("auth.jwt.audience", &jwt.audience),
    ] {
        if text.is_empty() {
            mistakes.add(
                key,
                "is empty",
                "no token of the issuer would be accepted: give the value that it writes",
            );
        }
    }
    if jwt.algorithms.is_empty() {
        mistakes.add(
            "auth.jwt.algorithms",
            "is empty",
            "give those that the issuer signs with, such as [\"ES256\"]",
        );
    }
    check_key_source(jwt, mistakes);
    if jwt.contact_id_claim.is_none() && jwt.email_claim.is_none() {
        mistakes.add(
            "auth.jwt.contact_id_claim",
            "is missing, and so is auth.jwt.email_claim",
            "give the claim that identifies the shopper",
        );
    }
    if jwt.leeway > MAX_LEEWAY {
        mistakes.add(
            "auth.jwt.leeway",
            "is longer than a minute",
            "clocks differ by seconds: give at most \"60s\"",
        );
    }
    let is_type = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
    if jwt.types.is_empty() || !jwt.types.iter().all(is_type) {
        mistakes.add(
            "auth.jwt.types",
            "is empty, or has an entry that is not a token type",
            "give what the issuer writes as \"typ\", such as [\"JWT\", \"at+jwt\"]",
        );
    }
    check_token_lifetime(jwt.max_lifetime, mistakes);
    let rate = jwt.requests_per_second.map(u64::from);
    check_limit("auth.jwt.requests_per_second", rate, mistakes);
}

/// The issuer's keys come from exactly one place.
fn check_key_source(jwt: &JwtConfig, mistakes: &mut Mistakes) {
    match (&jwt.jwks_url, &jwt.jwks_file) {
        (Some(url), None) => {
            if !is_https_or_loopback(url) {
                mistakes.add(
                    "auth.jwt.jwks_url",
                    "is not an https URL, or contains a credential",
                    "give the address of the issuer's keys (plain http on loopback only)",
                );
            }
        }
        (None, Some(path)) => check_jwks_file(path, jwt, mistakes),
        (Some(_), Some(_)) => mistakes.add(
            "auth.jwt.jwks_url",
            "is set together with auth.jwt.jwks_file",
            "set one of the two",
        ),
        (None, None) => mistakes.add(
            "auth.jwt.jwks_url",
            "is missing, and so is auth.jwt.jwks_file",
            "set one of the two",
        ),
    }
}

fn check_jwks_file(path: &Path, jwt: &JwtConfig, mistakes: &mut Mistakes) {
    let algorithms: Vec<_> = jwt.algorithms.iter().copied().map(Into::into).collect();
    let what = match files::bytes(path) {
        Ok(set) => match check_key_set(&set, &algorithms) {
            Ok(()) => return,
            Err(what) => format!("{what}: {}", path.display()),
        },
        Err(fault) => fault.what_at(&files::shown(path)),
    };
    let remedy = "give the path of a JWK set (RFC 7517) with the issuer's public keys";
    mistakes.add("auth.jwt.jwks_file", what, remedy);
}

fn is_https_or_loopback(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else {
        return false;
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && leads_to_loopback(&url));
    // `check-config` would print a credential in the URL.
    let is_bare = url.username().is_empty() && url.password().is_none();
    is_safe && is_bare && url.port() != Some(0)
}
