//! Which settings change while the service runs, and which need a restart.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

use super::{Config, RedisConfig};

impl Config {
    /// Takes over from `new` what can change while the service runs. Everything else stays: it needs a restart.
    pub fn take_over(&mut self, new: &Config) {
        self.auth.clone_from(&new.auth);
        let (operations, new_operations) = (&mut self.operations, &new.operations);
        operations.token.clone_from(&new_operations.token);
        operations.token_file.clone_from(&new_operations.token_file);
        operations.hosts.clone_from(&new_operations.hosts);
        let (engage, new_engage) = (&mut self.engage, &new.engage);
        engage.api_key.clone_from(&new_engage.api_key);
        engage.api_key_file.clone_from(&new_engage.api_key_file);
        engage.ca_file.clone_from(&new_engage.ca_file);
        engage.requests_per_second = new_engage.requests_per_second;
        engage.burst = new_engage.burst;
        self.take_over_webhooks(new);
        self.redis.take_over(&new.redis);
        self.take_over_telemetry(new);
    }

    /// The collector's header fields are meant for that collector only.
    fn take_over_telemetry(&mut self, new: &Config) {
        let (telemetry, new) = (&mut self.telemetry, &new.telemetry);
        telemetry.log.clone_from(&new.log);
        if telemetry.otlp_endpoint == new.otlp_endpoint {
            telemetry.otlp_headers.clone_from(&new.otlp_headers);
            telemetry
                .otlp_headers_file
                .clone_from(&new.otlp_headers_file);
        }
    }

    /// Webhooks can be turned off, but not on: lifetimes depend on whether they are expected.
    fn take_over_webhooks(&mut self, new: &Config) {
        let (webhooks, new) = (&mut self.webhooks, &new.webhooks);
        if !webhooks.secrets.is_empty() {
            webhooks.secrets.clone_from(&new.secrets);
            webhooks.secrets_file.clone_from(&new.secrets_file);
        }
        webhooks.encryption_key.clone_from(&new.encryption_key);
        webhooks
            .encryption_key_file
            .clone_from(&new.encryption_key_file);
    }

    /// The keys whose values differ, in alphabetical order. A client appears as `auth.clients[id]`, with its id.
    pub fn differences(&self, other: &Config) -> Vec<String> {
        let (ours, theirs) = (self.printed(), other.printed());
        let keys = ours.keys().chain(theirs.keys());
        let mut differing: BTreeSet<String> = keys
            .filter(|key| ours.get(*key) != theirs.get(*key))
            .cloned()
            .collect();
        // Printed values don't show differences of secrets, because those are masked.
        let secrets = self.masked().into_iter().zip(other.masked());
        let secrets = secrets.filter(|((_, ours), (_, theirs))| ours != theirs);
        differing.extend(secrets.map(|((key, _), _)| key.to_owned()));
        differing.into_iter().collect()
    }

    /// The other files that the configuration names, with their keys. They are read when the part that uses them is
    /// built.
    pub fn referenced_files(&self) -> Vec<(&'static str, &Path)> {
        let jwks = self
            .auth
            .jwt
            .as_ref()
            .and_then(|jwt| jwt.jwks_file.as_ref());
        let redis = &self.redis;
        let files = [
            ("auth.jwt.jwks_file", jwks),
            ("engage.ca_file", self.engage.ca_file.as_ref()),
            ("redis.ca_file", redis.ca_file.as_ref()),
            (
                "redis.client_certificate_file",
                redis.client_certificate_file.as_ref(),
            ),
            ("redis.client_key_file", redis.client_key_file.as_ref()),
        ];
        let given = files.into_iter();
        given
            .filter_map(|(key, path)| Some((key, path?.as_path())))
            .collect()
    }

    /// The values by key, secrets masked.
    fn printed(&self) -> BTreeMap<String, Value> {
        let table = Table::try_from(self).expect("a configuration can be printed");
        let mut printed = BTreeMap::new();
        flatten("", table, &mut printed);
        printed
    }

    /// The secrets, which are printed masked.
    fn masked(&self) -> [(&'static str, Vec<&str>); 10] {
        let Config {
            operations,
            engage,
            webhooks,
            redis,
            telemetry,
            ..
        } = self;
        [
            ("operations.token", exposed(operations.token.as_slice())),
            ("engage.api_key", exposed(engage.api_key.as_slice())),
            ("webhooks.secrets", exposed(&webhooks.secrets)),
            (
                "webhooks.encryption_key",
                exposed(webhooks.encryption_key.as_slice()),
            ),
            ("redis.url", exposed(redis.url.as_slice())),
            ("redis.password", exposed(redis.password.as_slice())),
            (
                "redis.sentinel_password",
                exposed(redis.sentinel_password.as_slice()),
            ),
            ("redis.encryption_keys", exposed(&redis.encryption_keys)),
            (
                "telemetry.digest_key",
                exposed(telemetry.digest_key.as_slice()),
            ),
            (
                "telemetry.otlp_headers",
                exposed(telemetry.otlp_headers.as_slice()),
            ),
        ]
    }
}

impl RedisConfig {
    /// Takes over other users, passwords, certificates and keys of the same server. Another server needs a restart,
    /// because replicas at different servers would not receive each other's invalidations.
    fn take_over(&mut self, new: &Self) {
        let is_same_server = match (self.parsed_url(), new.parsed_url()) {
            (Some(Ok(url)), Some(Ok(new))) => url.leads_to_same(&new),
            _ => false,
        };
        if is_same_server {
            *self = Self {
                prefix: self.prefix.clone(),
                timeout: self.timeout,
                ..new.clone()
            };
        }
    }
}

fn exposed(secrets: &[SecretString]) -> Vec<&str> {
    secrets.iter().map(ExposeSecret::expose_secret).collect()
}

/// The values of a table by their full key. Each client is one value, wherever it is listed.
fn flatten(prefix: &str, table: Table, into: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(inner) => flatten(&format!("{key}."), inner, into),
            Value::Array(clients) if key == "auth.clients" => {
                for client in clients {
                    let id = client.get("id").and_then(Value::as_str);
                    let key = format!("{key}[{}]", id.unwrap_or_default());
                    into.insert(key, client);
                }
            }
            value => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::DEFAULTS;

    const BASE: &str = "[engage]\nbase_url = \"https://shop.example.com\"\napi_key = \"a-key\"\n";

    fn config(text: &str) -> Config {
        let text = format!(
            "{BASE}{text}\n[[auth.clients]]\nid = \"till\"\nkey_sha256 = [\"{}\"]\nscopes = [\"customer:read\"]\n",
            "5".repeat(64)
        );
        Config::parse(&text).expect("a configuration")
    }

    #[test]
    fn every_secret_that_changes_is_named() {
        let one = |key: &str, value: &str| {
            let (section, name) = key.split_once('.').expect("a key");
            let mut config = layered(&[(section, name, value)]);
            config.server.listen = ([127, 0, 0, 1], 0).into();
            config
        };
        // The secrets that are lists; the others are counted.
        let lists = ["webhooks.secrets", "redis.encryption_keys"];
        let mut named = 0;
        for key in masked_keys() {
            let (first, second) = match &*key {
                "redis.url" => ("redis://:first@localhost", "redis://:second@localhost"),
                _ => ("first", "second"),
            };
            let (first, second) = (one(&key, first), one(&key, second));
            assert_eq!(first.differences(&second).join(" "), key);
            assert!(first.differences(&first).is_empty());
            named += usize::from(!lists.contains(&&*key));
        }
        assert_eq!(named, 8);
    }

    /// A configuration with these values over the defaults, unchecked.
    fn layered(values: &[(&str, &str, &str)]) -> Config {
        let environment = values.iter().map(|(section, name, value)| {
            let name = format!("BFF_{}__{}", section.to_uppercase(), name.to_uppercase());
            (name, (*value).to_owned())
        });
        crate::config::layers::read(None, &environment.collect()).expect("readable")
    }

    /// The keys of secrets: those that may be given as a file of the same name.
    fn masked_keys() -> Vec<String> {
        let mut section = "";
        let mut keys = Vec::new();
        for line in DEFAULTS.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            }
            let name = line.strip_prefix("# ").unwrap_or(line);
            let name = name
                .split_once(" = ")
                .and_then(|(name, _)| name.strip_suffix("_file"));
            let is_secret =
                |name: &&str| !["ca", "client_certificate", "client_key", "jwks"].contains(name);
            keys.extend(
                name.filter(is_secret)
                    .map(|name| format!("{section}.{name}")),
            );
        }
        keys
    }

    #[test]
    fn client_is_named_by_its_id_wherever_it_is_listed() {
        let text = |ids: [&str; 2]| {
            let client = |id: &str| {
                format!(
                    "[[auth.clients]]\nid = \"{id}\"\nkey_sha256 = [\"{}\"]\nscopes = [\"customer:read\"]\n",
                    id.repeat(32)
                )
            };
            config(&ids.map(client).concat())
        };
        assert_eq!(text(["aa", "bb"]).differences(&text(["bb", "aa"])), [""; 0]);
        assert_eq!(
            text(["aa", "bb"]).differences(&text(["aa", "cc"])),
            ["auth.clients[bb]", "auth.clients[cc]"]
        );
    }

    #[test]
    fn webhooks_can_be_turned_off_and_not_on() {
        let with = |secret: &str| config(&format!("[webhooks]\nsecrets = [{secret}]\n"));
        let (one, other) = (
            "\"whsec_dGhlIGZpcnN0IHNlY3JldCBvZiB0d28h\"",
            "\"whsec_dGhlIG90aGVyIHNlY3JldCBvZiB0d28h\"",
        );
        let taken = |from: &str, to: &str| {
            let mut running = with(from);
            let new = with(to);
            running.take_over(&new);
            running.differences(&new)
        };
        assert_eq!(taken(one, other), [""; 0]);
        assert_eq!(taken(one, ""), [""; 0]);
        assert_eq!(taken("", one), ["webhooks.secrets"]);
    }

    #[test]
    fn users_of_the_shared_tier_change_and_its_server_does_not() {
        let with = |url: &str| {
            let keys = "encryption_keys = [\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"]";
            let digests = "[telemetry]\ndigest_key = \"k7Qm2xW9pLr4tYzC\"";
            config(&format!("{digests}\n[redis]\nurl = \"{url}\"\n{keys}\n"))
        };
        let needing = |from: &Config, to: &Config| {
            let mut running = from.clone();
            running.take_over(to);
            running.differences(to)
        };
        let running = with("redis://a:one@localhost");
        assert_eq!(
            needing(&running, &with("redis://b:two@localhost:6379/0")),
            [""; 0]
        );
        for other in [
            "rediss://localhost",
            "redis://127.0.0.2",
            "redis://localhost/1",
        ] {
            assert_eq!(needing(&running, &with(other)), ["redis.url"], "{other}");
        }
        let alone = config("");
        assert!(needing(&alone, &running).contains(&"redis.url".to_owned()));
        assert!(needing(&running, &alone).contains(&"redis.url".to_owned()));
    }
}
