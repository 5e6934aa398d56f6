//! Who may ask: what the types of `[auth]` can't say.

use std::{collections::HashSet, time::Duration};

use super::Mistakes;
use crate::config::{Client, Config, Jwt, Scope};

/// The longest time by which clocks may be taken to differ.
const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// The most people whom one client may be shown in an hour and who are still told apart.
const MAX_PEOPLE: u32 = 1_000_000;

impl Config {
    pub(super) fn check_auth(&self, mistakes: &mut Mistakes) {
        let auth = &self.auth;
        if auth.allow_anonymous && !self.server.listen.ip().is_loopback() {
            mistakes.add(
                "auth.allow_anonymous",
                "is on while server.listen is reachable from other machines",
                "switch it off and configure auth.clients, or listen on loopback",
            );
        }
        if auth.clients.is_empty() && auth.jwt.is_none() && !auth.allow_anonymous {
            mistakes.add(
                "auth.clients",
                "is empty, so nobody could ask",
                "configure a client, auth.jwt, or auth.allow_anonymous = true on loopback",
            );
        }
        let mut ids = HashSet::new();
        let mut digests = HashSet::new();
        for (index, client) in auth.clients.iter().enumerate() {
            let key = format!("auth.clients[{index}]");
            if client.id.is_empty() || !ids.insert(client.id.as_str()) {
                mistakes.add(
                    format!("{key}.id"),
                    "is empty or taken",
                    "give each client a name of its own",
                );
            }
            check_digests(client, &key, &mut digests, mistakes);
            if client.scopes.is_empty() || client.scopes.contains(&Scope::ReadSelf) {
                mistakes.add(
                    format!("{key}.scopes"),
                    "is empty, or holds what only shoppers have",
                    "give at least \"customer:read\"",
                );
            }
            check_limits(client, &key, mistakes);
        }
        if let Some(jwt) = &auth.jwt {
            check_jwt(jwt, mistakes);
        }
        self.check_origins(mistakes);
    }
}

impl Config {
    fn check_origins(&self, mistakes: &mut Mistakes) {
        let key = "server.cors_origins";
        let origins = &self.server.cors_origins;
        if origins.iter().any(|origin| !is_origin(origin)) {
            mistakes.add(
                key,
                "holds what is not an origin",
                "give scheme and host of each page, such as \"https://shop.example.com\"; \"*\" is none",
            );
        }
        if !origins.is_empty() && (self.auth.jwt.is_none() || self.auth.allow_anonymous) {
            mistakes.add(
                key,
                "lets pages ask without a shopper's token",
                "configure auth.jwt and switch auth.allow_anonymous off",
            );
        }
    }
}

/// An origin as browsers write it (RFC 6454): scheme, host and perhaps a port, no more.
fn is_origin(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else {
        return false;
    };
    is_https_or_loopback(text) && url.origin().ascii_serialization() == text
}

fn check_jwt(jwt: &Jwt, mistakes: &mut Mistakes) {
    for (key, text) in [
        ("auth.jwt.issuer", &jwt.issuer),
        ("auth.jwt.audience", &jwt.audience),
    ] {
        if text.is_empty() {
            mistakes.add(
                key,
                "is empty",
                "any token would do: give the issuer's own value",
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
    match (&jwt.jwks_url, &jwt.jwks_file) {
        (Some(url), None) => {
            if !is_https_or_loopback(url) {
                mistakes.add(
                    "auth.jwt.jwks_url",
                    "is not an https URL",
                    "give the address of the issuer's keys (plain http on loopback only)",
                );
            }
        }
        (None, Some(_)) => {}
        _ => mistakes.add(
            "auth.jwt.jwks_url",
            "stands neither alone nor in auth.jwt.jwks_file's place",
            "give one of the two",
        ),
    }
    if jwt.contact_id_claim.is_none() && jwt.email_claim.is_none() {
        mistakes.add(
            "auth.jwt.contact_id_claim",
            "is missing, and auth.jwt.email_claim too",
            "give the claim that says who the shopper is",
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
            "is empty, or holds what is no type of token",
            "give what the issuer writes as \"typ\", such as [\"JWT\", \"at+jwt\"]",
        );
    }
    if jwt.max_lifetime.is_zero() {
        mistakes.add(
            "auth.jwt.max_lifetime",
            "is zero",
            "give the longest lifetime of the issuer's tokens, such as \"24h\"",
        );
    }
    if jwt.requests_per_second == Some(0) {
        mistakes.add(
            "auth.jwt.requests_per_second",
            "is zero",
            "leave it out for no limit",
        );
    }
}

fn is_https_or_loopback(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else {
        return false;
    };
    url.scheme() == "https" || (url.scheme() == "http" && super::is_loopback(&url))
}

fn check_limits(client: &Client, key: &str, mistakes: &mut Mistakes) {
    if client.people_per_hour > Some(MAX_PEOPLE) {
        mistakes.add(
            format!("{key}.people_per_hour"),
            "is more than can be counted",
            "give at most 1000000, or leave it out for no alarm",
        );
    }
    for (name, is_zero) in [
        ("requests_per_second", client.requests_per_second == Some(0)),
        ("max_concurrency", client.max_concurrency == Some(0)),
        ("unknown_per_minute", client.unknown_per_minute == Some(0)),
        ("people_per_hour", client.people_per_hour == Some(0)),
    ] {
        if is_zero {
            mistakes.add(
                format!("{key}.{name}"),
                "is zero",
                "leave it out for no limit",
            );
        }
    }
}

fn check_digests<'a>(
    client: &'a Client,
    key: &str,
    digests: &mut HashSet<&'a str>,
    mistakes: &mut Mistakes,
) {
    let key = format!("{key}.key_sha256");
    if client.key_sha256.is_empty() {
        mistakes.add(&key, "is empty", "give the SHA-256 of the client's key");
    }
    for digest in &client.key_sha256 {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digest.len() != 64 || !digest.bytes().all(is_hex) {
            mistakes.add(
                &key,
                "is not a digest",
                "give 64 lower-case hex digits: printf %s KEY | sha256sum",
            );
        } else if !digests.insert(digest) {
            mistakes.add(
                &key,
                "is another client's too",
                "give each client keys of its own",
            );
        }
    }
}
