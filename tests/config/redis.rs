//! The section `redis`: what is refused, with its remedy and without any secret; what is printed; warnings.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair};
use secrecy::ExposeSecret;
use tempfile::NamedTempFile;

use crate::{MINIMAL, load, path, refusal, temp_file};

const KEY: &str = "b3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXM=";
const OTHER: &str = "T3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXM=";
const URL: (&str, &str) = ("BFF_REDIS__URL", "redis://127.0.0.1");
const KEYS: (&str, &str) = ("BFF_REDIS__ENCRYPTION_KEYS", KEY);

/// The minimal configuration with the key that a shared tier requires.
fn minimal() -> String {
    format!("{MINIMAL}[telemetry]\ndigest_key = \"the same at every replica\"\n")
}

/// Asserts that these variables cause exactly one mistake, whose message begins with `expected` and shows none of the
/// values, except paths.
#[track_caller]
fn refused(pairs: &[(&str, &str)], expected: &str) {
    let error = refusal(&minimal(), pairs);
    assert!(
        error.starts_with(expected) && error.lines().count() == 1,
        "{expected}\n{error}"
    );
    for (_, value) in pairs.iter().filter(|(name, _)| !name.ends_with("_FILE")) {
        assert!(value.len() < 3 || !error.contains(value), "{error}");
    }
}

#[test]
fn url_and_keys_are_enough() {
    let config = load(&minimal(), &[URL, KEYS]).expect("a configuration");
    let redis = &config.redis;
    assert_eq!(redis.prefix, "engage-bff:");
    assert_eq!(redis.timeout.as_millis(), 50);
    let keys = redis.key_bytes().expect("keys");
    assert_eq!(keys, [*b"open sesame open sesame open ses"]);
    let url = redis.parsed_url().expect("a URL").expect("a valid one");
    assert_eq!(url.hosts, [("127.0.0.1".to_owned(), 6379)]);
    assert!(config.warnings().is_empty());
}

#[test]
fn every_secret_may_be_in_a_file() {
    let url = temp_file("rediss+sentinel://cache.example.com/main\n");
    let (password, sentinel) = (temp_file("pass: %2F\n"), temp_file("other\r\n"));
    let keys = temp_file(&format!("{KEY}\n\n {OTHER}\n"));
    let pairs = [
        ("BFF_REDIS__URL_FILE", path(&url)),
        ("BFF_REDIS__PASSWORD_FILE", path(&password)),
        ("BFF_REDIS__USERNAME", "shop"),
        ("BFF_REDIS__SENTINEL_USERNAME", "shop"),
        ("BFF_REDIS__SENTINEL_PASSWORD_FILE", path(&sentinel)),
        ("BFF_REDIS__ENCRYPTION_KEYS_FILE", path(&keys)),
    ];
    let redis = load(&minimal(), &pairs).expect("a configuration").redis;
    let password = redis.password.as_ref().map(ExposeSecret::expose_secret);
    assert_eq!(password, Some("pass: %2F"));
    assert_eq!(redis.key_bytes().map(|keys| keys.len()), Some(2));
    let again = [&pairs[..], &[URL]].concat();
    let error = refusal(&minimal(), &again);
    assert!(
        error.starts_with("redis.url: is set together with redis.url_file"),
        "{error}"
    );
    let missing = [("BFF_REDIS__URL_FILE", "/nowhere/url"), KEYS];
    refused(
        &missing,
        "redis.url_file: can't be read: no such file: /nowhere/url; ",
    );
}

#[test]
fn invalid_urls_are_refused_without_showing_them() {
    for (url, what) in [
        (
            "http://sesame:6379",
            "has an unknown scheme; give redis://host:port, ",
        ),
        ("unix:///run/sesame.sock", "names a Unix socket; "),
        ("redis://:sesame@", "has no host; "),
        ("redis://sesame:0", "has an invalid port; "),
        (
            "redis://:sesame/1@cache",
            "has a user or a password that is not percent-encoded; ",
        ),
        ("rediss://sesame/#insecure", "has a query or a fragment; "),
        (
            "redis+sentinel://sesame",
            "has no service of the sentinels; ",
        ),
        ("redis://sesame:$PORT", "contains a placeholder; "),
    ] {
        refused(
            &[("BFF_REDIS__URL", url), KEYS],
            &format!("redis.url: {what}"),
        );
        assert!(!refusal(&minimal(), &[("BFF_REDIS__URL", url), KEYS]).contains("sesame"));
    }
}

#[test]
fn encryption_keys_have_thirty_two_bytes_and_differ() {
    for (keys, what) in [
        ("", "is empty while redis.url is set; "),
        (
            "b3BlbiBzZXNhbWU=",
            "contains one that is not 32 bytes in base64; ",
        ),
        (
            "b3BlbiBzZXNhbWUgb3BlbiBzZXNhbWUgb3BlbiBzZXMh",
            "contains one that is not 32 bytes",
        ),
        ("changeme", "contains one that is not 32 bytes in base64; "),
        (
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "contains one that repeats a single byte; ",
        ),
        (
            &format!("{KEY},{KEY}"),
            "is the same as redis.encryption_keys; ",
        ),
    ] {
        let pairs = [URL, ("BFF_REDIS__ENCRYPTION_KEYS", keys)];
        refused(&pairs, &format!("redis.encryption_keys: {what}"));
    }
    let both = [("BFF_REDIS__PASSWORD", KEY), URL, KEYS];
    refused(
        &both,
        "redis.encryption_keys: is the same as redis.password; ",
    );
}

#[test]
fn digest_key_is_required_with_a_url() {
    let expected =
        "telemetry.digest_key: is missing while redis.url is set; give every replica the same, ";
    let error = refusal(MINIMAL, &[URL, KEYS]);
    assert!(
        error.starts_with(expected) && error.lines().count() == 1,
        "{error}"
    );
    let key = temp_file("the same at every replica\n");
    let file = ("BFF_TELEMETRY__DIGEST_KEY_FILE", path(&key));
    load(MINIMAL, &[URL, KEYS, file]).expect("a configuration");
    let missing = ("BFF_TELEMETRY__DIGEST_KEY_FILE", "/nowhere/key");
    let error = refusal(MINIMAL, &[URL, KEYS, missing]);
    assert!(
        error.starts_with("telemetry.digest_key_file: ") && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn settings_without_a_url_are_refused() {
    for (name, value) in [
        ("USERNAME", "shop"),
        ("PASSWORD", "open sesame"),
        ("SENTINEL_PASSWORD", "open sesame"),
        ("CA_FILE", "/nowhere"),
        ("CLIENT_KEY_FILE", "/nowhere"),
        ("ENCRYPTION_KEYS", KEY),
    ] {
        let key = name.to_lowercase();
        let expected = format!("redis.url: is missing while redis.{key} is set; ");
        refused(&[(&format!("BFF_REDIS__{name}"), value)], &expected);
    }
}

#[test]
fn users_and_passwords_are_given_once_and_together() {
    let url = |url: &'static str| ("BFF_REDIS__URL", url);
    let (user, password) = (
        ("BFF_REDIS__USERNAME", "shop"),
        ("BFF_REDIS__PASSWORD", "sesame"),
    );
    for (pairs, expected) in [
        (
            vec![URL, user],
            "redis.username: is set without a password; ",
        ),
        (
            vec![url("redis://shop@127.0.0.1")],
            "redis.url: has a user without a password; ",
        ),
        (
            vec![url("redis://:other@127.0.0.1"), password],
            "redis.password: is in redis.url too; ",
        ),
        (
            vec![url("redis://shop:other@127.0.0.1"), user],
            "redis.username: is in redis.url too; ",
        ),
        (
            vec![URL, ("BFF_REDIS__SENTINEL_PASSWORD", "sesame")],
            "redis.sentinel_password: is set while redis.url names no sentinels; ",
        ),
        (
            vec![
                url("redis+sentinel://127.0.0.1/main"),
                ("BFF_REDIS__SENTINEL_USERNAME", "shop"),
            ],
            "redis.sentinel_username: is set without a password; ",
        ),
        (
            vec![URL, ("BFF_REDIS__PASSWORD", "changeme")],
            "redis.password: is a placeholder, which anyone can guess; ",
        ),
    ] {
        refused(&[&pairs[..], &[KEYS]].concat(), expected);
    }
    for pairs in [
        vec![URL, user, password],
        vec![url("redis://shop@127.0.0.1"), password],
        vec![url("redis://shop:other@127.0.0.1")],
    ] {
        load(&minimal(), &[&pairs[..], &[KEYS]].concat()).expect("a configuration");
    }
}

#[test]
fn prefixes_have_no_characters_of_patterns() {
    for (prefix, what) in [
        (
            "bff*",
            "has characters besides letters, digits and : . _ - /",
        ),
        ("bff[a]", "has characters besides letters"),
        ("bff {1}", "has characters besides letters"),
        ("bffå", "has characters besides letters"),
        (&"a".repeat(65), "is longer than 64 characters"),
    ] {
        let error = refusal(&minimal(), &[("BFF_REDIS__PREFIX", prefix)]);
        assert!(
            error.starts_with(&format!("redis.prefix: {what}")) || error.contains("placeholder"),
            "{error}"
        );
    }
    load(&minimal(), &[("BFF_REDIS__PREFIX", "shop/eu-1_bff.2:")]).expect("a configuration");
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// A self-signed certificate and its private key.
fn certificate() -> (NamedTempFile, NamedTempFile) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["engage-bff".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    (
        temp_file(&pem("CERTIFICATE", certificate.der())),
        temp_file(&pem("PRIVATE KEY", &key.serialize_der())),
    )
}

#[test]
fn certificates_are_checked_with_their_keys() {
    let (certificate, key) = certificate();
    let (other, _) = self::certificate();
    let rubbish = temp_file("rubbish");
    let tls = ("BFF_REDIS__URL", "rediss://cache.example.com");
    let authorities = ("BFF_REDIS__CA_FILE", path(&other));
    let identity = |certificate, key| {
        [
            ("BFF_REDIS__CLIENT_CERTIFICATE_FILE", path(certificate)),
            ("BFF_REDIS__CLIENT_KEY_FILE", path(key)),
        ]
    };
    let good = [tls, KEYS, authorities].into_iter();
    let good: Vec<_> = good.chain(identity(&certificate, &key)).collect();
    load(&minimal(), &good).expect("a configuration");
    for (pairs, expected) in [
        (
            vec![("BFF_REDIS__CA_FILE", path(&rubbish))],
            "redis.ca_file: contains no certificate: ",
        ),
        (
            identity(&rubbish, &key).to_vec(),
            "redis.client_certificate_file: contains no certificate; ",
        ),
        (
            identity(&certificate, &rubbish).to_vec(),
            "redis.client_key_file: contains no private key; ",
        ),
        (
            identity(&other, &key).to_vec(),
            "redis.client_key_file: is not the key of redis.client_certificate_file; ",
        ),
        (
            identity(&other, &key)[..1].to_vec(),
            "redis.client_certificate_file: is set without redis.client_key_file; ",
        ),
        (
            identity(&other, &key)[1..].to_vec(),
            "redis.client_key_file: is set without redis.client_certificate_file; ",
        ),
    ] {
        refused(&[&pairs[..], &[tls, KEYS]].concat(), expected);
    }
    fs::remove_file(other.path()).expect("a file");
    refused(
        &[tls, KEYS, authorities],
        "redis.ca_file: can't be read: no such file: ",
    );
}

#[test]
fn certificates_without_tls_are_refused() {
    let (certificate, _) = certificate();
    let authorities = ("BFF_REDIS__CA_FILE", path(&certificate));
    refused(
        &[URL, KEYS, authorities],
        "redis.ca_file: is set while redis.url does not use TLS; ",
    );
}

#[test]
fn printed_configuration_has_the_url_without_its_password() {
    let pairs = [
        (
            "BFF_REDIS__URL",
            "rediss://shop:sesame@cache.example.com:6380",
        ),
        ("BFF_REDIS__ENCRYPTION_KEYS", &format!("{KEY},{OTHER}")),
    ];
    let config = load(&minimal(), &pairs).expect("a configuration");
    let text = toml::to_string_pretty(&config).expect("TOML");
    assert!(
        text.contains("url = \"rediss://********@cache.example.com:6380/0\""),
        "{text}"
    );
    for text in [text, format!("{config:?}")] {
        assert!(
            !text.contains("sesame") && !text.contains(KEY) && !text.contains(OTHER),
            "{text}"
        );
    }
}

#[test]
fn plain_connections_to_other_machines_cause_a_warning() {
    for (url, warned) in [
        ("redis://127.0.0.1", false),
        ("redis://localhost:1", false),
        ("redis://[::1]", false),
        ("rediss://cache.example.com", false),
        ("redis://cache.example.com", true),
        ("redis+sentinel://127.0.0.1,10.0.0.1/main", true),
    ] {
        let config = load(&minimal(), &[("BFF_REDIS__URL", url), KEYS]).expect("a configuration");
        let keys: Vec<_> = config
            .warnings()
            .iter()
            .map(|it| it.key().to_owned())
            .collect();
        assert_eq!(keys.contains(&"redis.url".to_owned()), warned, "{url}");
    }
}
