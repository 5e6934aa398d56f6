//! Secrets given as the path of a file.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::{Config, files, mistakes::Mistakes, texts};

/// Reads the files of secrets and sets the secrets.
pub(super) fn read(config: &mut Config, mistakes: &mut Mistakes) {
    let operations = &mut config.operations;
    let engage = &mut config.engage;
    let webhooks = &mut config.webhooks;
    let redis = &mut config.redis;
    let telemetry = &mut config.telemetry;
    for (key, secret, file) in [
        (
            "operations.token",
            &mut operations.token,
            &operations.token_file,
        ),
        ("engage.api_key", &mut engage.api_key, &engage.api_key_file),
        (
            "webhooks.encryption_key",
            &mut webhooks.encryption_key,
            &webhooks.encryption_key_file,
        ),
        ("redis.url", &mut redis.url, &redis.url_file),
        ("redis.password", &mut redis.password, &redis.password_file),
        (
            "redis.sentinel_password",
            &mut redis.sentinel_password,
            &redis.sentinel_password_file,
        ),
        (
            "telemetry.digest_key",
            &mut telemetry.digest_key,
            &telemetry.digest_key_file,
        ),
        (
            "telemetry.otlp_headers",
            &mut telemetry.otlp_headers,
            &telemetry.otlp_headers_file,
        ),
    ] {
        if let Some(file) = file {
            read_one(key, secret, file, mistakes);
        }
    }
    for (key, secrets, file) in [
        (
            "webhooks.secrets",
            &mut webhooks.secrets,
            &webhooks.secrets_file,
        ),
        (
            "redis.encryption_keys",
            &mut redis.encryption_keys,
            &redis.encryption_keys_file,
        ),
    ] {
        if let Some(file) = file {
            read_several(key, secrets, file, mistakes);
        }
    }
}

fn read_one(key: &str, secret: &mut Option<SecretString>, file: &Path, mistakes: &mut Mistakes) {
    if secret.is_some() {
        given_twice(key, mistakes);
    } else if let Some(text) = text_of(key, file, mistakes)
        && is_valid(key, &text, mistakes)
    {
        *secret = Some(text.into());
    }
}

fn read_several(key: &str, secrets: &mut Vec<SecretString>, file: &Path, mistakes: &mut Mistakes) {
    if !secrets.is_empty() {
        given_twice(key, mistakes);
    } else if let Some(text) = text_of(key, file, mistakes) {
        *secrets = lines_of(key, &text, mistakes);
    }
}

fn given_twice(key: &str, mistakes: &mut Mistakes) {
    let what = format!("is set together with {key}_file");
    mistakes.add(key, what, "set one of the two");
}

/// The text of a secret's file without leading and trailing line ends.
fn text_of(key: &str, file: &Path, mistakes: &mut Mistakes) -> Option<String> {
    let text = files::text(file).and_then(|text| {
        let text = text.trim_matches(['\r', '\n']);
        let is_blank = text.trim().is_empty();
        (!is_blank)
            .then(|| text.to_owned())
            .ok_or(files::FileFault::Empty)
    });
    let fault = match text {
        Ok(text) => return Some(text),
        Err(fault) => fault,
    };
    let remedy = fault.remedy();
    let remedy = remedy.unwrap_or("give the path of a readable file that contains the secret");
    mistakes.add(
        format!("{key}_file"),
        fault.what_at(&files::shown(file)),
        remedy,
    );
    None
}

fn is_valid(key: &str, text: &str, mistakes: &mut Mistakes) -> bool {
    let fault = texts::fault_of_file(text);
    if let Some((what, remedy)) = fault {
        mistakes.add(format!("{key}_file"), what, remedy);
    }
    fault.is_none()
}

/// The secrets of a file with one per line.
fn lines_of(key: &str, text: &str, mistakes: &mut Mistakes) -> Vec<SecretString> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets = lines.filter(|line| is_valid(key, line, mistakes));
    secrets.map(SecretString::from).collect()
}

/// The plain text of a secret; empty if it is not set.
pub(super) fn given(secret: Option<&SecretString>) -> &str {
    secret.map_or("", ExposeSecret::expose_secret)
}
