//! Checks of `[redis]`.

use secrecy::ExposeSecret;

use crate::config::{
    Config,
    authorities::{check_authorities, check_identity},
    files,
    mistakes::Mistakes,
    redis::{RedisConfig, RedisUrl, key_bytes},
};

/// Longer prefixes only take memory.
const LONGEST_PREFIX: usize = 64;

impl Config {
    pub(super) fn check_redis(&self, mistakes: &mut Mistakes) {
        let redis = &self.redis;
        check_prefix(&redis.prefix, mistakes);
        check_keys(redis, mistakes);
        match redis.parsed_url() {
            None => check_unused(redis, mistakes),
            Some(Err(fault)) => mistakes.add("redis.url", fault.what, fault.remedy),
            Some(Ok(url)) => {
                check_user(redis, &url, mistakes);
                check_sentinels(redis, &url, mistakes);
                check_tls(redis, &url, mistakes);
            }
        }
        if redis.url.is_some() && redis.encryption_keys.is_empty() {
            mistakes.add(
                "redis.encryption_keys",
                "is empty while redis.url is set",
                "give BFF_REDIS__ENCRYPTION_KEYS_FILE; generate a key: head -c 32 /dev/urandom | base64",
            );
        }
        let telemetry = &self.telemetry;
        let may_have = telemetry.digest_key.is_some() || telemetry.digest_key_file.is_some();
        if redis.url.is_some() && !may_have {
            // The shared data contains digests of national ids. If each process has a key of its own, no other process
            // can compare them.
            mistakes.add(
                "telemetry.digest_key",
                "is missing while redis.url is set",
                "give every replica the same, in BFF_TELEMETRY__DIGEST_KEY_FILE; generate one: head -c 32 /dev/urandom | sha256sum",
            );
        }
    }
}

/// Without a URL the other keys have no effect. Reported for the URL, because the URL may have been refused already.
fn check_unused(redis: &RedisConfig, mistakes: &mut Mistakes) {
    for (key, is_set) in [
        ("redis.username", redis.username.is_some()),
        ("redis.password", redis.password.is_some()),
        ("redis.sentinel_username", redis.sentinel_username.is_some()),
        ("redis.sentinel_password", redis.sentinel_password.is_some()),
        ("redis.ca_file", redis.ca_file.is_some()),
        (
            "redis.client_certificate_file",
            redis.client_certificate_file.is_some(),
        ),
        ("redis.client_key_file", redis.client_key_file.is_some()),
        ("redis.encryption_keys", !redis.encryption_keys.is_empty()),
    ] {
        if is_set {
            mistakes.add(
                "redis.url",
                format!("is missing while {key} is set"),
                format!("set redis.url, or remove {key}"),
            );
        }
    }
}

/// The prefix is part of patterns, so it contains none of their characters.
fn check_prefix(prefix: &str, mistakes: &mut Mistakes) {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":._-/".contains(&byte);
    let what = if prefix.is_empty() {
        "is empty"
    } else if !prefix.bytes().all(is_allowed) {
        "has characters besides letters, digits and : . _ - /"
    } else if prefix.len() > LONGEST_PREFIX {
        "is longer than 64 characters"
    } else {
        return;
    };
    mistakes.add("redis.prefix", what, "give one such as \"engage-bff:\"");
}

fn check_keys(redis: &RedisConfig, mistakes: &mut Mistakes) {
    for key in &redis.encryption_keys {
        let what = match key_bytes(key.expose_secret()) {
            None => "contains one that is not 32 bytes in base64",
            Some(key) if key.iter().all(|byte| *byte == key[0]) => {
                "contains one that repeats a single byte"
            }
            Some(_) => continue,
        };
        mistakes.add(
            "redis.encryption_keys",
            what,
            "generate a random one: head -c 32 /dev/urandom | base64",
        );
    }
}

fn check_user(redis: &RedisConfig, url: &RedisUrl, mistakes: &mut Mistakes) {
    for (key, is_set, is_in_url) in [
        (
            "redis.username",
            redis.username.is_some(),
            url.username.is_some(),
        ),
        (
            "redis.password",
            redis.password.is_some(),
            url.password.is_some(),
        ),
    ] {
        if is_set && is_in_url {
            mistakes.add(key, "is in redis.url too", "give it in one of the two");
        }
    }
    let has_password = redis.password.is_some() || url.password.is_some();
    let may_have = has_password || redis.password_file.is_some();
    if (redis.username.is_some() || url.username.is_some()) && !may_have {
        let key = if redis.username.is_some() {
            "redis.username"
        } else {
            "redis.url"
        };
        let what = if redis.username.is_some() {
            "is set without a password"
        } else {
            "has a user without a password"
        };
        mistakes.add(key, what, "give BFF_REDIS__PASSWORD_FILE");
    }
}

fn check_sentinels(redis: &RedisConfig, url: &RedisUrl, mistakes: &mut Mistakes) {
    for (key, is_set) in [
        ("redis.sentinel_username", redis.sentinel_username.is_some()),
        ("redis.sentinel_password", redis.sentinel_password.is_some()),
    ] {
        if is_set && url.service.is_none() {
            mistakes.add(
                key,
                "is set while redis.url names no sentinels",
                "give redis+sentinel:// or rediss+sentinel://, or remove it",
            );
        }
    }
    let may_have = redis.sentinel_password.is_some() || redis.sentinel_password_file.is_some();
    if redis.sentinel_username.is_some() && !may_have {
        mistakes.add(
            "redis.sentinel_username",
            "is set without a password",
            "give BFF_REDIS__SENTINEL_PASSWORD_FILE",
        );
    }
}

fn check_tls(redis: &RedisConfig, url: &RedisUrl, mistakes: &mut Mistakes) {
    let (authorities, certificate, key) = (
        ("redis.ca_file", &redis.ca_file),
        (
            "redis.client_certificate_file",
            &redis.client_certificate_file,
        ),
        ("redis.client_key_file", &redis.client_key_file),
    );
    for (key, file) in [authorities, certificate, key] {
        if file.is_some() && !url.uses_tls {
            mistakes.add(
                key,
                "is set while redis.url does not use TLS",
                "give rediss:// or rediss+sentinel://, or remove it",
            );
        }
    }
    let mut read = |(key, file): (&str, &Option<std::path::PathBuf>)| {
        let path = file.as_ref()?;
        let bytes = files::bytes(path);
        let bytes = bytes.map_err(|fault| {
            let what = fault.what_at(&files::shown(path));
            mistakes.add(key, what, "give the path of a readable file (PEM)");
        });
        bytes.ok()
    };
    let (authorities, certificate, key) = (read(authorities), read(certificate), read(key));
    if let Some(Err(what)) = authorities.as_deref().map(check_authorities) {
        let path = redis.ca_file.as_deref().map(files::shown);
        mistakes.add(
            "redis.ca_file",
            format!("{what}: {}", path.unwrap_or_default()),
            "give the path of a file of certificates (PEM)",
        );
    }
    match (&redis.client_certificate_file, &redis.client_key_file) {
        (Some(_), Some(_)) => {
            if let (Some(certificate), Some(key)) = (certificate, key)
                && let Err((key, what)) = check_identity(&certificate, &key)
            {
                let key = format!("redis.{key}");
                mistakes.add(key, what, "give the two files of one certificate (PEM)");
            }
        }
        (Some(_), None) => mistakes.add(
            "redis.client_certificate_file",
            "is set without redis.client_key_file",
            "give both, or neither",
        ),
        (None, Some(_)) => mistakes.add(
            "redis.client_key_file",
            "is set without redis.client_certificate_file",
            "give both, or neither",
        ),
        (None, None) => {}
    }
}
