//! Checks of `[auth]`.

use std::collections::HashMap;

use super::{
    bounds::{check_change_rate, check_limit},
    jwt::check_jwt,
};
use crate::config::{
    ClientConfig, ClientView, Config, Scope, hosts::is_loopback, mistakes::Mistakes,
};

impl Config {
    pub(super) fn check_auth(&self, mistakes: &mut Mistakes) {
        let auth = &self.auth;
        if auth.allow_anonymous && !is_loopback(self.server.listen.ip()) {
            mistakes.add(
                "auth.allow_anonymous",
                "is on while server.listen is reachable from other machines",
                "switch it off and configure auth.clients, or listen on loopback",
            );
        }
        if auth.clients.is_empty() && auth.jwt.is_none() && !auth.allow_anonymous {
            mistakes.add(
                "auth.clients",
                "is empty, so no request would be accepted",
                "configure a client, auth.jwt, or auth.allow_anonymous = true on loopback",
            );
        }
        let mut ids = HashMap::new();
        let mut digests = HashMap::new();
        for (index, client) in auth.clients.iter().enumerate() {
            let key = format!("auth.clients[{index}]");
            if client.id.is_empty() {
                mistakes.add(format!("{key}.id"), "is empty", "give the client an id");
            } else if let Some(first) = ids.insert(client.id.as_str(), index) {
                mistakes.add(
                    format!("{key}.id"),
                    format!("is also the id of auth.clients[{first}]"),
                    "give each client its own id",
                );
            }
            check_digests(client, index, &mut digests, mistakes);
            check_scopes(client, &key, mistakes);
            // A client without identifiers can still send a shopper's token with its key.
            if client.identifiers.is_empty() && auth.jwt.is_none() {
                mistakes.add(
                    format!("{key}.identifiers"),
                    "is empty",
                    "list the identifiers that it may look up by, or remove the key for the default",
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

fn check_scopes(client: &ClientConfig, key: &str, mistakes: &mut Mistakes) {
    let scopes = &client.scopes;
    let fault = if scopes.is_empty() {
        Some("is empty")
    } else if scopes.contains(&Scope::ReadSelf) {
        Some("contains customer:read:self, which only shoppers' tokens have")
    } else if !scopes.contains(&Scope::Read) && !scopes.contains(&Scope::Changed) {
        Some("lacks customer:read, which every request except a report of a change needs")
    } else {
        None
    };
    if let Some(what) = fault {
        mistakes.add(
            format!("{key}.scopes"),
            what,
            "give at least \"customer:read\"",
        );
    }
    if client.view == ClientView::Full && !scopes.contains(&Scope::ReadFull) {
        mistakes.add(
            format!("{key}.view"),
            "is \"full\" without the scope customer:read:full",
            "add the scope, or remove the view",
        );
    }
}

fn check_limits(client: &ClientConfig, key: &str, mistakes: &mut Mistakes) {
    let max_concurrency = client.max_concurrency;
    let max_concurrency =
        max_concurrency.map(|max_concurrency| u64::try_from(max_concurrency).unwrap_or(u64::MAX));
    for (name, limit) in [
        (
            "requests_per_second",
            client.requests_per_second.map(u64::from),
        ),
        ("max_concurrency", max_concurrency),
        (
            "unknown_per_minute",
            client.unknown_per_minute.map(u64::from),
        ),
        ("people_per_hour", client.people_per_hour.map(u64::from)),
    ] {
        check_limit(&format!("{key}.{name}"), limit, mistakes);
    }
    check_change_rate(
        &format!("{key}.changes_per_second"),
        client.changes_per_second,
        mistakes,
    );
}

/// `digests` maps each digest to the index of its client.
fn check_digests<'a>(
    client: &'a ClientConfig,
    index: usize,
    digests: &mut HashMap<&'a str, usize>,
    mistakes: &mut Mistakes,
) {
    let key = format!("auth.clients[{index}].key_sha256");
    if client.key_sha256.is_empty() {
        mistakes.add(&key, "is empty", "give the SHA-256 of the client's key");
    }
    for (place, digest) in client.key_sha256.iter().enumerate() {
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_lower = !digest.bytes().any(|byte| byte.is_ascii_uppercase());
        let (what, remedy) = if !is_digest {
            (
                "is not a SHA-256 digest",
                "give 64 hex digits, never the key itself: printf %s \"$KEY\" | sha256sum",
            )
        } else if !is_lower {
            ("is not in lower case", "write the hex digits in lower case")
        } else {
            match digests.insert(digest, index) {
                None => continue,
                Some(owner) if owner == index => ("is listed twice", "remove one of them"),
                Some(_) => (
                    "is also listed for another client",
                    "give each client its own keys",
                ),
            }
        };
        let is_only = client.key_sha256.len() == 1;
        let item = if is_only {
            String::new()
        } else {
            format!("[{place}]")
        };
        mistakes.add(format!("{key}{item}"), what, remedy);
    }
}
