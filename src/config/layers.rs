//! How the layers are laid over one another.

use std::{collections::BTreeMap, fs, path::Path};

use config::{Environment, File, FileFormat};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Config,
    check::{Mistake, Mistakes},
};

/// Every key with its default; compiled into the binary.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The configuration of the layers, unchecked.
pub fn read(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<Config, Mistakes> {
    let mut builder =
        config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(file) = file {
        let text = fs::read_to_string(file).map_err(|error| {
            Mistake::new(
                file.display().to_string(),
                format!("can't be read: {}", error.kind()),
                "give the path of a readable TOML file",
            )
        })?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    for (name, key) in LISTS {
        if let Some(text) = environment.get(name) {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            let items: Vec<&str> = items.collect();
            builder = builder
                .set_override(key, items)
                .expect("the key is well-formed");
        }
    }
    builder
        .add_source(ours(environment))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| {
            Mistake::new(
                "configuration",
                scrubbed(&error),
                "config/default.toml lists every key and its form",
            )
            .into()
        })
}

/// The lists among the keys: in the environment their items are separated by commas.
const LISTS: [(&str, &str); 7] = [
    ("BFF_SERVER__CORS_ORIGINS", "server.cors_origins"),
    ("BFF_OPERATIONS__HOSTS", "operations.hosts"),
    ("BFF_AUTH__JWT__ALGORITHMS", "auth.jwt.algorithms"),
    ("BFF_AUTH__JWT__TYPES", "auth.jwt.types"),
    (
        "BFF_VIEWS__STOREFRONT__ATTRIBUTES",
        "views.storefront.attributes",
    ),
    ("BFF_VIEWS__FULL__ATTRIBUTES", "views.full.attributes"),
    ("BFF_WEBHOOKS__SECRETS", "webhooks.secrets"),
];

/// Only names of the form `BFF_<SECTION>__<KEY>` are ours: Kubernetes puts `BFF_SERVICE_HOST` beside a
/// Service that is named bff. Values stay texts until a key's type is known: a secret of digits would
/// lose its zeros.
fn ours(environment: &BTreeMap<String, String>) -> Environment {
    let is_list = |name: &str| LISTS.iter().any(|(list, _)| *list == name);
    let ours = environment
        .iter()
        .filter(|(name, _)| name.starts_with("BFF_") && name.contains("__") && !is_list(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Environment::with_prefix("BFF")
        .prefix_separator("_")
        .separator("__")
        .source(Some(ours))
}

/// The library's message without the value that it quotes: it might be a secret in the wrong place.
fn scrubbed(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::Type { expected, key, .. } => {
            format!("{}: expected {expected}", key.as_deref().unwrap_or("a key"))
        }
        config::ConfigError::At { error, key, .. } => {
            format!("{}: {}", key.as_deref().unwrap_or("a key"), scrubbed(error))
        }
        config::ConfigError::FileParse { cause, .. } => {
            // TOML's own message quotes the line; its first line says where.
            let text = cause.to_string();
            text.lines().next().unwrap_or("not TOML").to_owned()
        }
        other => without_value(&other.to_string()),
    }
}

/// serde quotes the value before it says what was expected; only of an unknown key the name is wanted.
fn without_value(message: &str) -> String {
    if message.starts_with("unknown field") {
        return message.to_owned();
    }
    match message.split_once("expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if message.starts_with("enum ") => "not one of its values".to_owned(),
        None => message.to_owned(),
    }
}

/// Puts what the secrets' files hold in the secrets' places.
pub fn read_secret_files(config: &mut Config) -> Result<(), Mistakes> {
    let mut mistakes = Mistakes::default();
    let mut fill = |key: &str, secret: &mut Option<SecretString>, path: Option<&Path>| {
        let Some(path) = path else { return };
        if secret.is_some() {
            mistakes.add(
                key,
                format!("is given together with {key}_file"),
                "give one of the two",
            );
            return;
        }
        match fs::read_to_string(path) {
            Ok(text) => *secret = Some(text.trim_end_matches(['\r', '\n']).into()),
            Err(error) => mistakes.add(
                format!("{key}_file"),
                format!("can't be read: {}", error.kind()),
                "give the path of a readable file",
            ),
        }
    };
    let operations = &mut config.operations;
    fill(
        "operations.token",
        &mut operations.token,
        operations.token_file.as_deref(),
    );
    let engage = &mut config.engage;
    fill(
        "engage.api_key",
        &mut engage.api_key,
        engage.api_key_file.as_deref(),
    );
    let webhooks = &mut config.webhooks;
    fill(
        "webhooks.encryption_key",
        &mut webhooks.encryption_key,
        webhooks.encryption_key_file.as_deref(),
    );
    let mut secrets = None;
    fill(
        "webhooks.secrets",
        &mut secrets,
        webhooks.secrets_file.as_deref(),
    );
    let telemetry = &mut config.telemetry;
    fill(
        "telemetry.digest_key",
        &mut telemetry.digest_key,
        telemetry.digest_key_file.as_deref(),
    );
    if let Some(secrets) = secrets {
        let lines = secrets.expose_secret().lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        if webhooks.secrets.is_empty() {
            webhooks.secrets = lines.map(SecretString::from).collect();
        } else {
            mistakes.add(
                "webhooks.secrets",
                "is given together with webhooks.secrets_file",
                "give one of the two",
            );
        }
    }
    mistakes.or_ok()
}
