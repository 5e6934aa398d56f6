//! Checks of secrets: none is short, a placeholder, or used twice.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use secrecy::ExposeSecret;

use crate::config::{Config, mistakes::Mistakes, secret_files::given, texts};

/// The least length in bytes of a secret that the operator chooses: shorter ones can be guessed.
const MIN_LENGTH: usize = 16;

/// Placeholders of examples, reduced to lower-case letters and digits without trailing digits.
const PLACEHOLDERS: [&str; 19] = [
    "admin",
    "apikey",
    "changeit",
    "changeme",
    "default",
    "demo",
    "dummy",
    "example",
    "letmein",
    "passwd",
    "password",
    "placeholder",
    "qwerty",
    "replaceme",
    "secret",
    "test",
    "todo",
    "token",
    "yourapikey",
];

impl Config {
    pub(super) fn check_secrets(&self, mistakes: &mut Mistakes) {
        let secrets = self.secrets();
        for (index, (key, secret)) in secrets.iter().enumerate() {
            if *key != KEYS && is_placeholder(secret) {
                mistakes.add(
                    *key,
                    "is a placeholder, which anyone can guess",
                    "generate a secret: head -c 32 /dev/urandom | sha256sum",
                );
            }
            let is_same = |(_, other): &&(&str, &str)| other == secret;
            if let Some((other, _)) = secrets[..index].iter().find(is_same) {
                mistakes.add(
                    *key,
                    format!("is the same as {other}"),
                    "a leak of one would be a leak of both: give each its own value",
                );
            }
        }
        let ours = |(key, _): &&(&str, &str)| !CHOSEN_ELSEWHERE.contains(key);
        for (key, secret) in secrets.iter().filter(ours) {
            // `secrets` leaves out empty ones.
            if (1..MIN_LENGTH).contains(&secret.len()) && !is_placeholder(secret) {
                mistakes.add(
                    *key,
                    "is shorter than 16 characters",
                    "generate a random one: head -c 32 /dev/urandom | sha256sum",
                );
            }
        }
        self.check_client_keys(&secrets, mistakes);
    }

    /// The plain-text secrets except `redis.url`, each with its key.
    fn secrets(&self) -> Vec<(&'static str, &str)> {
        let secrets = [
            (API_KEY, given(self.engage.api_key.as_ref())),
            ("operations.token", given(self.operations.token.as_ref())),
            (
                "telemetry.digest_key",
                given(self.telemetry.digest_key.as_ref()),
            ),
            (OTLP_HEADERS, given(self.telemetry.otlp_headers.as_ref())),
            (
                WEBHOOK_ENCRYPTION_KEY,
                given(self.webhooks.encryption_key.as_ref()),
            ),
            (PASSWORD, given(self.redis.password.as_ref())),
            (
                SENTINEL_PASSWORD,
                given(self.redis.sentinel_password.as_ref()),
            ),
        ];
        let webhooks = self.webhooks.secrets.iter();
        let webhooks = webhooks.map(|secret| (WEBHOOK_SECRETS, secret.expose_secret()));
        let keys = self.redis.encryption_keys.iter();
        let keys = keys.map(|key| (KEYS, key.expose_secret()));
        let is_given = |(_, secret): &(&str, &str)| !secret.is_empty();
        secrets
            .into_iter()
            .chain(webhooks)
            .chain(keys)
            .filter(is_given)
            .collect()
    }

    /// Checks clients' keys by their digests: whether one is the digest of a placeholder or of another secret.
    fn check_client_keys(&self, secrets: &[(&'static str, &str)], mistakes: &mut Mistakes) {
        for (index, client) in self.auth.clients.iter().enumerate() {
            let key = format!("auth.clients[{index}].key_sha256");
            let is_listed = |secret: &str| client.key_sha256.contains(&hex_digest(secret));
            if is_listed("") || is_listed("\n") || PLACEHOLDERS.into_iter().any(is_listed) {
                mistakes.add(
                    &key,
                    "is the digest of an empty key or of a placeholder",
                    "was KEY set? printf %s \"$KEY\" | sha256sum",
                );
            }
            for (other, _) in secrets.iter().filter(|(_, secret)| is_listed(secret)) {
                mistakes.add(
                    &key,
                    format!("is the digest of {other}"),
                    "the client would know that secret: give it its own key",
                );
            }
        }
    }
}

const API_KEY: &str = "engage.api_key";
const OTLP_HEADERS: &str = "telemetry.otlp_headers";
const WEBHOOK_SECRETS: &str = "webhooks.secrets";
const WEBHOOK_ENCRYPTION_KEY: &str = "webhooks.encryption_key";
const PASSWORD: &str = "redis.password";
const SENTINEL_PASSWORD: &str = "redis.sentinel_password";
const KEYS: &str = "redis.encryption_keys";

/// Exempt from the length check: Engage or another service chooses them, or the decoded bytes are checked.
const CHOSEN_ELSEWHERE: [&str; 7] = [
    API_KEY,
    OTLP_HEADERS,
    WEBHOOK_SECRETS,
    WEBHOOK_ENCRYPTION_KEY,
    PASSWORD,
    SENTINEL_PASSWORD,
    KEYS,
];

/// Whether the text is a placeholder or repeats a single character.
fn is_placeholder(secret: &str) -> bool {
    let letters: String = secret
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let mut characters = secret.chars();
    let first = characters.next();
    let is_one_character = characters.all(|character| Some(character) == first);
    let word = repeated(letters.trim_end_matches(|letter: char| letter.is_ascii_digit()));
    is_one_character || PLACEHOLDERS.contains(&word) || texts::is_placeholder(secret)
}

/// The shortest text whose repetition is this one.
fn repeated(text: &str) -> &str {
    let makes_it = |length: &usize| {
        let (unit, _) = text.split_at(*length);
        text.len().is_multiple_of(*length) && unit.repeat(text.len() / length) == text
    };
    let length = (1..text.len()).find(makes_it);
    length.map_or(text, |length| text.split_at(length).0)
}

fn hex_digest(secret: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in digest(&SHA256, secret.as_bytes()).as_ref() {
        write!(hex, "{byte:02x}").expect("writing to a String does not fail");
    }
    hex
}
