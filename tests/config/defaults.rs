//! The default file, and the two files of settings that come with the service.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use engage_bff::config::{Config, layers};

use crate::{MINIMAL, environment, load};

#[test]
fn defaults_have_the_expected_values() {
    let config = load(MINIMAL, &[]).expect("a valid configuration");
    let seconds = Duration::from_secs;
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.request_timeout, Duration::from_millis(2500));
    assert!(!config.server.allow_national_id_in_url);
    assert!(config.server.fast_path);
    let engage = &config.engage;
    assert_eq!(engage.requests_per_second.to_string(), "50");
    assert_eq!((engage.burst, engage.max_concurrency), (10, 32));
    assert_eq!(engage.overview_lag, seconds(600));
    assert_eq!(engage.time_zone, "Europe/Stockholm");
    assert_eq!(format!("{:?}", engage.api_version), "V3");
    assert!(engage.default_contact_type.is_none() && engage.custom_key.is_none());
    let cache = &config.cache;
    assert_eq!(cache.max_size.as_u64(), 512 << 20);
    assert_eq!(cache.profile_lifetime, seconds(60));
    assert_eq!(cache.audiences_lifetime, seconds(3600));
    assert_eq!(cache.promotions_lifetime, seconds(60));
    assert_eq!(cache.vouchers_lifetime, seconds(60));
    assert_eq!(cache.points_lifetime, seconds(30));
    assert_eq!(cache.history_lifetime, seconds(60));
    assert_eq!(cache.stale_while_revalidate, seconds(30));
    assert_eq!(cache.stale_if_error, seconds(3600));
    assert_eq!(cache.stale_if_slow, Duration::from_millis(300));
    assert_eq!(cache.negative_lifetime, seconds(30));
    let webhooks = &config.webhooks;
    assert!(webhooks.secrets.is_empty() && webhooks.encryption_key.is_none());
    assert_eq!(webhooks.tolerance, seconds(300));
    assert_eq!(webhooks.max_body.as_u64(), 256 << 10);
    assert!(webhooks.changes_poll.is_none());
    assert!(!config.auth.allow_anonymous);
    assert!(config.views.storefront.attributes.is_empty());
    assert_eq!(config.views.full.attributes, ["*"]);
    assert_eq!(config.views.expiring_within, seconds(14 * 24 * 3600));
    assert_eq!(config.identifiers.phone_region, "SE");
    assert!(config.identifiers.check_digits);
    assert!(config.identifiers.national_id_country.is_none());
    assert!(config.identifiers.unique.is_empty());
    let client = &config.auth.clients[0];
    let kinds: Vec<_> = client
        .identifiers
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    assert_eq!(kinds, ["contactId", "email", "mobilePhone", "customKey"]);
    assert_eq!(format!("{:?}", client.view), "Storefront");
    assert!(client.channel.is_none() && client.requests_per_second.is_none());
}

#[test]
fn demo_configuration_is_valid() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/demo.toml");
    Config::load(Some(&file), &BTreeMap::new()).expect("a valid configuration");
}

#[test]
fn settings_with_webhooks_have_longer_lifetimes_than_the_defaults() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/with-webhooks.toml");
    let pairs = [
        ("BFF_ENGAGE__BASE_URL", "https://shop.example.com"),
        ("BFF_ENGAGE__API_KEY", "a-key"),
        ("BFF_AUTH__ALLOW_ANONYMOUS", "true"),
    ];
    let lifetimes = |file| {
        let cache = Config::load(file, &environment(&pairs))
            .expect("a valid configuration")
            .cache;
        [
            cache.profile_lifetime,
            cache.audiences_lifetime,
            cache.promotions_lifetime,
            cache.vouchers_lifetime,
            cache.points_lifetime,
            cache.stale_while_revalidate,
        ]
    };
    let pairs = lifetimes(Some(&*file)).into_iter().zip(lifetimes(None));
    for (with_webhooks, default) in pairs {
        assert!(with_webhooks > default, "{with_webhooks:?} {default:?}");
    }
}

/// The fields of a section, from serde's message about an unknown one.
fn fields(section: &str) -> Vec<String> {
    let text = match section {
        "" => "zzz = 1".to_owned(),
        "auth.clients" => "[[auth.clients]]\nzzz = 1".to_owned(),
        _ => format!("[{section}]\nzzz = 1"),
    };
    let parsed: Result<Config, toml::de::Error> = toml::from_str(&text);
    let error = parsed.expect_err("no such key");
    let (_, known) = error.message().split_once("expected ").expect("a list");
    let names = known.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// Every key that the program reads, such as `engage.burst`.
fn known_keys(section: &str) -> BTreeSet<String> {
    let tables = ["views.storefront", "views.full", "auth.clients", "auth.jwt"];
    let mut keys = BTreeSet::new();
    for field in fields(section) {
        let key = if section.is_empty() {
            field
        } else {
            format!("{section}.{field}")
        };
        if section.is_empty() || tables.contains(&key.as_str()) {
            keys.extend(known_keys(&key));
        }
        if !section.is_empty() && !key.starts_with("views.s") | key.contains("attributes") {
            keys.insert(key);
        }
    }
    keys.remove("views.full");
    keys.remove("auth.jwt");
    keys
}

/// The key of a line of the defaults, which may be commented out.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")?;
    let is_key = key
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_key.then_some(key)
}

#[test]
fn default_file_shows_and_explains_every_key() {
    let mut shown = BTreeSet::new();
    let mut section = String::new();
    let mut example = None;
    let mut is_explained = false;
    for line in layers::DEFAULTS.lines() {
        if line == "# [[auth.clients]]" {
            example = Some("auth.clients".to_owned());
        } else if line == "# [auth.jwt]" {
            example = Some("auth.jwt".to_owned());
        } else if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
            is_explained = false;
        } else if let Some(key) = key_of(line) {
            if !line.starts_with('#') {
                example = None;
            }
            assert!(is_explained, "{key} of [{section}] has no comment");
            shown.insert(format!("{}.{key}", example.as_deref().unwrap_or(&section)));
        } else if line.starts_with("# ") {
            is_explained = true;
        } else if line.is_empty() {
            is_explained = false;
        }
    }
    assert_eq!(shown, known_keys(""));
}

#[test]
fn three_commented_out_keys_of_engage_can_be_set() {
    let text = layers::DEFAULTS.replace("# [[auth.clients]]", "\n# no example");
    for (section, line) in [
        ("engage", "default_contact_type"),
        ("engage", "default_point_definition"),
        ("engage", "custom_key"),
    ] {
        let commented = text
            .lines()
            .find_map(|shown| shown.strip_prefix(&format!("# {line}")))
            .expect("a line of the defaults");
        let file = format!("[{section}]\n{line}{commented}\n");
        load(&format!("{file}{}", MINIMAL.replace("[engage]", "")), &[])
            .expect("a valid configuration");
    }
}
