//! The configuration: defaults, layers, secrets, refusals.

#[path = "config/bounds.rs"]
mod bounds;
#[path = "config/crosses.rs"]
mod crosses;
#[path = "config/files.rs"]
mod files;
#[path = "config/refusals.rs"]
mod refusals;
#[path = "config/secrets.rs"]
mod secrets;
#[path = "config/texts.rs"]
mod texts;
#[path = "config/tokens.rs"]
mod tokens;
#[path = "config/types.rs"]
mod types;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::PathBuf,
    time::Duration,
};

use engage_bff::config::{Config, Mistakes, NationalIdCountry, layers};
use secrecy::ExposeSecret;
use tempfile::NamedTempFile;

/// The minimal valid configuration.
const LEAST: &str = r#"
    [engage]
    base_url = "https://shop.example.com"
    api_key = "a-key"
    [[auth.clients]]
    id = "till"
    key_sha256 = ["cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11"]
    scopes = ["customer:read"]
"#;

/// A file that is deleted at the end of the test.
fn temp_file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a writable directory");
    file.write_all(text.as_bytes()).expect("room for it");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a readable path")
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// The configuration of that file, under that environment.
fn load(file: &str, pairs: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let file = temp_file(file);
    Config::load(Some(file.path()), &environment(pairs))
}

#[track_caller]
fn refusal(file: &str, pairs: &[(&str, &str)]) -> String {
    match load(file, pairs) {
        Ok(_) => panic!("accepted: {file} {pairs:?}"),
        Err(mistakes) => mistakes.to_string(),
    }
}

#[test]
fn operations_hosts_may_list_names_and_addresses() {
    let hosts = "engage-bff, Ops.example.com., 192.0.2.7, 2001:db8::7, engage_bff_1";
    let config = load(LEAST, &[("BFF_OPERATIONS__HOSTS", hosts)]).expect("a configuration");
    assert_eq!(config.operations.hosts.len(), 5);
    assert_eq!(config.operations.hosts[2], "192.0.2.7");
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = load(LEAST, &[]).expect("valid");
    let seconds = Duration::from_secs;
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.request_timeout, Duration::from_millis(2500));
    assert!(!config.server.allow_national_id_in_url);
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
    Config::load(Some(&file), &BTreeMap::new()).expect("valid");
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
            .expect("valid")
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
fn keys_commented_out_in_the_defaults_can_be_set() {
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
        load(&format!("{file}{}", LEAST.replace("[engage]", "")), &[]).expect("valid");
    }
}

#[test]
fn file_overrides_defaults_and_environment_overrides_both() {
    let file = format!(
        "{LEAST}[cache]\npoints_lifetime = \"5s\"\nvouchers_lifetime = \"800ms\"\n\
         [server]\nmax_body = \"65536B\"\n"
    );
    let pairs = [
        ("BFF_CACHE__POINTS_LIFETIME", "7s"),
        ("BFF_ENGAGE__BURST", "3"),
        ("BFF_ENGAGE__REQUESTS_PER_SECOND", "12.5"),
        ("BFF_IDENTIFIERS__CHECK_DIGITS", "false"),
        ("BFF_IDENTIFIERS__NATIONAL_ID_COUNTRY", "FI"),
        ("BFF_ENGAGE__API_VERSION", "v2"),
        ("BFF_SERVER__LISTEN", "[::1]:8081"),
        ("BFF_CACHE__MAX_SIZE", "64MiB"),
        ("BFF_VIEWS__EXPIRING_WITHIN", "30d"),
        ("BFF_TELEMETRY__LOG", "info,engage_bff=debug"),
    ];
    let config = load(&file, &pairs).expect("valid");
    assert_eq!(config.cache.points_lifetime, Duration::from_secs(7));
    assert_eq!(config.cache.vouchers_lifetime, Duration::from_millis(800));
    assert_eq!(config.cache.profile_lifetime, Duration::from_secs(60));
    assert_eq!(config.server.max_body.as_u64(), 65_536);
    assert_eq!(config.engage.burst, 3);
    assert_eq!(config.engage.requests_per_second.to_string(), "12.5");
    assert!(!config.identifiers.check_digits);
    let country = config.identifiers.national_id_country;
    assert_eq!(country, Some(NationalIdCountry::Fi));
    assert_eq!(format!("{:?}", config.engage.api_version), "V2");
    assert_eq!(config.server.listen.to_string(), "[::1]:8081");
    assert_eq!(config.cache.max_size.as_u64(), 64 << 20);
    assert_eq!(
        config.views.expiring_within,
        Duration::from_secs(30 * 24 * 3600)
    );
    assert_eq!(config.telemetry.log, "info,engage_bff=debug");
}

#[test]
fn lists_are_read_from_the_environment() {
    let pairs = [
        (
            "BFF_VIEWS__STOREFRONT__ATTRIBUTES",
            "shoeSize,favouriteSports",
        ),
        ("BFF_VIEWS__FULL__ATTRIBUTES", "rfm"),
    ];
    let config = load(LEAST, &pairs).expect("valid");
    assert_eq!(
        config.views.storefront.attributes,
        ["shoeSize", "favouriteSports"]
    );
    assert_eq!(config.views.full.attributes, ["rfm"]);
}

#[test]
fn text_that_looks_like_a_number_is_kept_unchanged() {
    for value in [
        "0123456789",
        "1e5",
        "00",
        "12.50",
        "true",
        "+1",
        "18446744073709551616",
        "1_000",
    ] {
        let pairs = [
            ("BFF_ENGAGE__API_KEY", value),
            ("BFF_TELEMETRY__DIGEST_KEY", value),
            ("BFF_ENGAGE__DEFAULT_POINT_DEFINITION", value),
        ];
        // Unchecked: some of these values are not valid secrets.
        let config = layers::read(None, &environment(&pairs)).expect("readable");
        let key = config.engage.api_key.as_ref().expect("a key");
        assert_eq!(key.expose_secret(), value);
        let key = config.telemetry.digest_key.as_ref().expect("a key");
        assert_eq!(key.expose_secret(), value);
        assert_eq!(
            config.engage.default_point_definition.as_deref(),
            Some(value)
        );
    }
}

#[test]
fn variables_without_two_underscores_after_the_prefix_are_ignored() {
    let pairs = [
        ("BFF_SERVICE_HOST", "10.0.0.1"),
        ("BFF_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("BFF_ENGAGE_API_KEY", "ignored"),
        ("MY_BFF_ENGAGE__BURST", "7"),
        ("bff_engage__burst", "7"),
        ("PATH", "/bin"),
    ];
    let config = load(LEAST, &pairs).expect("valid");
    assert_eq!(config.engage.burst, 10);
    let key = config.engage.api_key.expect("a key");
    assert_eq!(key.expose_secret(), "a-key");
}

#[test]
fn secret_is_read_from_the_file_at_its_path() {
    let keyless = LEAST.replace("api_key = \"a-key\"", "");
    for (text, key) in [
        ("from-a-file", "from-a-file"),
        ("line\n", "line"),
        ("windows\r\n", "windows"),
    ] {
        let secret = temp_file(text);
        let longer = temp_file(&format!("sixteen-or-more-{text}"));
        let pairs = [
            ("BFF_ENGAGE__API_KEY_FILE", path(&secret)),
            ("BFF_TELEMETRY__DIGEST_KEY_FILE", path(&longer)),
        ];
        let config = load(&keyless, &pairs).expect("valid");
        let found = config.engage.api_key.expect("a secret");
        assert_eq!(found.expose_secret(), key);
        let found = config.telemetry.digest_key.expect("a secret");
        assert_eq!(found.expose_secret(), format!("sixteen-or-more-{key}"));
    }
    let [first, second] = [
        "whsec_Zmlyc3QtaW52ZW50ZWQtc2VjcmV0",
        "whsec_c2Vjb25kLWludmVudGVkLXNlY3JldA==",
    ];
    let secrets = temp_file(&format!("{first}\n\n{second}\r\n"));
    let pairs = [("BFF_WEBHOOKS__SECRETS_FILE", path(&secrets))];
    let config = load(LEAST, &pairs).expect("valid");
    let found = config.webhooks.secrets.iter();
    let found: Vec<&str> = found.map(ExposeSecret::expose_secret).collect();
    assert_eq!(found, [first, second]);
    let both = [pairs[0], ("BFF_WEBHOOKS__SECRETS", first)];
    let twice = refusal(LEAST, &both);
    assert!(
        twice.starts_with("webhooks.secrets: is set together with"),
        "{twice}"
    );
    let secret = temp_file("other");
    let pairs = [("BFF_ENGAGE__API_KEY_FILE", path(&secret))];
    let twice = refusal(LEAST, &pairs);
    assert!(
        twice.starts_with("engage.api_key: is set together with"),
        "{twice}"
    );
    let pairs = [("BFF_ENGAGE__API_KEY_FILE", "/nowhere/at-all")];
    let missing = refusal(&keyless, &pairs);
    assert!(
        missing.starts_with("engage.api_key_file: can't be read"),
        "{missing}"
    );
    let empty = temp_file("\n");
    let pairs = [("BFF_ENGAGE__API_KEY_FILE", path(&empty))];
    let empty = refusal(&keyless, &pairs);
    assert!(
        empty.starts_with("engage.api_key_file: is empty"),
        "{empty}"
    );
}
