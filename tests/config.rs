//! The configuration: defaults, layers, secrets, refusals.

#[path = "config/bounds.rs"]
mod bounds;
#[path = "config/crosses.rs"]
mod crosses;
#[path = "config/defaults.rs"]
mod defaults;
#[path = "config/files.rs"]
mod files;
#[path = "config/messages.rs"]
mod messages;
#[path = "config/otlp.rs"]
mod otlp;
#[path = "config/redis.rs"]
mod redis;
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

use std::{collections::BTreeMap, io::Write, time::Duration};

use engage_bff::config::{Config, Mistakes, NationalIdCountry, layers};
use secrecy::ExposeSecret;
use tempfile::NamedTempFile;

/// The minimal valid configuration.
const MINIMAL: &str = r#"
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
    file.write_all(text.as_bytes()).expect("free disk space");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a readable path")
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// The configuration from that file and that environment.
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
    let config = load(MINIMAL, &[("BFF_OPERATIONS__HOSTS", hosts)]).expect("a configuration");
    assert_eq!(config.operations.hosts.len(), 5);
    assert_eq!(config.operations.hosts[2], "192.0.2.7");
}

#[test]
fn file_overrides_defaults_and_environment_overrides_both() {
    let file = format!(
        "{MINIMAL}[cache]\npoints_lifetime = \"5s\"\nvouchers_lifetime = \"800ms\"\n\
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
    let config = load(&file, &pairs).expect("a valid configuration");
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
    let config = load(MINIMAL, &pairs).expect("a valid configuration");
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
fn unrelated_variables_are_ignored() {
    let pairs = [
        ("BFF_SERVICE_HOST", "10.0.0.1"),
        ("BFF_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("BFF_RELEASE_API_KEY", "ignored"),
        ("MY_BFF_ENGAGE__BURST", "7"),
        ("PATH", "/bin"),
    ];
    let config = load(MINIMAL, &pairs).expect("a valid configuration");
    assert_eq!(config.engage.burst, 10);
    let key = config.engage.api_key.expect("a key");
    assert_eq!(key.expose_secret(), "a-key");
}

#[test]
fn secret_is_read_from_the_file_at_its_path() {
    let keyless = MINIMAL.replace("api_key = \"a-key\"", "");
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
        let config = load(&keyless, &pairs).expect("a valid configuration");
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
    let config = load(MINIMAL, &pairs).expect("a valid configuration");
    let found = config.webhooks.secrets.iter();
    let found: Vec<&str> = found.map(ExposeSecret::expose_secret).collect();
    assert_eq!(found, [first, second]);
    let both = [pairs[0], ("BFF_WEBHOOKS__SECRETS", first)];
    let twice = refusal(MINIMAL, &both);
    assert!(
        twice.starts_with("webhooks.secrets: is set together with"),
        "{twice}"
    );
    let secret = temp_file("other");
    let pairs = [("BFF_ENGAGE__API_KEY_FILE", path(&secret))];
    let twice = refusal(MINIMAL, &pairs);
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
