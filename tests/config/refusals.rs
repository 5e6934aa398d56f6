//! Refused configurations: every mistake is reported at once, with its key and its remedy, and no secret is printed.

use crate::{MINIMAL, load, refusal};

/// `MINIMAL` with a change.
pub(crate) fn changed(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    MINIMAL.replace(from, to)
}

#[test]
fn configuration_open_to_anyone_is_refused() {
    let (without_clients, _) = MINIMAL.split_once("[[auth.clients]]").expect("clients");
    let mistake = refusal(without_clients, &[]);
    assert!(mistake.starts_with("auth.clients: is empty"), "{mistake}");
    for listen in [
        "0.0.0.0:8080",
        "[::]:8080",
        "192.168.1.2:8080",
        "203.0.113.9:80",
    ] {
        for file in [without_clients, MINIMAL] {
            let pairs = [
                ("BFF_AUTH__ALLOW_ANONYMOUS", "true"),
                ("BFF_SERVER__LISTEN", listen),
            ];
            let open = refusal(file, &pairs);
            assert!(
                open.starts_with("auth.allow_anonymous: is on while"),
                "{open}"
            );
        }
    }
}

#[test]
fn unusable_client_is_refused_with_its_key() {
    let key = "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11";
    let second = format!(
        "{MINIMAL}[[auth.clients]]\nid = \"till\"\nkey_sha256 = [\"{key}\"]\nscopes = []\n"
    );
    for (file, expected) in [
        (changed("\"till\"", "\"\""), "auth.clients[0].id:"),
        (
            changed(key, &key.to_uppercase()),
            "auth.clients[0].key_sha256:",
        ),
        (changed(key, &key[1..]), "auth.clients[0].key_sha256:"),
        (
            changed(&format!("[\"{key}\"]"), "[]"),
            "auth.clients[0].key_sha256:",
        ),
        (
            changed("[\"customer:read\"]", "[]"),
            "auth.clients[0].scopes:",
        ),
        (
            format!("{MINIMAL}requests_per_second = 0\n"),
            "auth.clients[0].requests_per_second:",
        ),
        (
            format!("{MINIMAL}people_per_hour = 0\n"),
            "auth.clients[0].people_per_hour:",
        ),
        (
            format!("{MINIMAL}people_per_hour = 1000001\n"),
            "auth.clients[0].people_per_hour:",
        ),
        (
            format!("{MINIMAL}changes_per_second = 0\n"),
            "auth.clients[0].changes_per_second:",
        ),
        (second, "auth.clients[1].id:"),
    ] {
        let error = refusal(&file, &[]);
        assert!(error.starts_with(expected), "{expected} {error}");
    }
}

#[test]
fn jwks_url_with_credential_and_wildcard_origin_are_refused() {
    let issuer = [
        ("BFF_AUTH__JWT__ISSUER", "https://login.example.com/"),
        ("BFF_AUTH__JWT__AUDIENCE", "bff"),
        ("BFF_AUTH__JWT__ALGORITHMS", "ES256"),
        ("BFF_AUTH__JWT__CONTACT_ID_CLAIM", "contactId"),
    ];
    let url = "BFF_AUTH__JWT__JWKS_URL";
    let with = |pairs: &[(&'static str, &'static str)]| [&issuer, pairs].concat();
    let error = refusal(
        MINIMAL,
        &with(&[(url, "https://me:sesame@login.example.com/")]),
    );
    assert!(error.starts_with("auth.jwt.jwks_url: is not"), "{error}");
    assert!(!error.contains("sesame"), "{error}");
    let good = (url, "https://login.example.com/jwks");
    load(MINIMAL, &with(&[good])).expect("a valid configuration");
    let pages = ("BFF_SERVER__CORS_ORIGINS", "https://*.example.com");
    let error = refusal(MINIMAL, &with(&[good, pages]));
    assert!(
        error.starts_with("server.cors_origins: has an entry"),
        "{error}"
    );
}

#[test]
fn invalid_values_are_refused_with_their_key() {
    for (name, value) in [
        ("ENGAGE__BASE_URL", ""),
        ("ENGAGE__BASE_URL", "shop.example.com"),
        ("ENGAGE__BASE_URL", "http://shop.example.com"),
        ("ENGAGE__BASE_URL", "ftp://127.0.0.1"),
        ("ENGAGE__BASE_URL", "https://shop.example.com/api"),
        ("ENGAGE__BASE_URL", "https://shop.example.com?a=b"),
        ("ENGAGE__BASE_URL", "https://user:password@shop.example.com"),
        ("ENGAGE__BASE_URL", "http://127.0.0.1.example.com"),
        ("ENGAGE__BASE_URL", "https://%7Bclient%7D.example.com"),
        ("ENGAGE__BASE_URL", "https://shop..example.com"),
        ("ENGAGE__API_KEY", ""),
        ("ENGAGE__API_KEY", "two words"),
        ("ENGAGE__API_KEY", "line\nbreak"),
        ("ENGAGE__USER_AGENT", ""),
        ("ENGAGE__USER_AGENT", "a\nb"),
        // Engage requires Product/Version.
        ("ENGAGE__USER_AGENT", "shop"),
        ("ENGAGE__USER_AGENT", "/1.0"),
        ("ENGAGE__USER_AGENT", "my shop/1.0"),
        ("ENGAGE__DEFAULT_CONTACT_TYPE", "two words"),
        ("ENGAGE__TIME_ZONE", "Sweden/Stockholm"),
        ("ENGAGE__REQUESTS_PER_SECOND", "0"),
        ("ENGAGE__REQUESTS_PER_SECOND", "-1"),
        ("ENGAGE__REQUESTS_PER_SECOND", "nan"),
        ("ENGAGE__REQUESTS_PER_SECOND", "inf"),
        ("ENGAGE__REQUESTS_PER_SECOND", "1e-30"),
        ("ENGAGE__BURST", "0"),
        ("ENGAGE__REPLICAS", "0"),
        ("ENGAGE__MAX_CONCURRENCY", "0"),
        ("OPERATIONS__TOKEN", ""),
        ("OPERATIONS__TOKEN", "two words"),
        ("OPERATIONS__HOSTS", "*"),
        ("OPERATIONS__HOSTS", "*.example.com"),
        ("OPERATIONS__HOSTS", "ops.example.com:9090"),
        ("OPERATIONS__HOSTS", "https://ops.example.com"),
        ("OPERATIONS__HOSTS", "ops.example.com/"),
        ("OPERATIONS__HOSTS", "x@ops.example.com"),
        ("OPERATIONS__HOSTS", "ops example"),
        ("OPERATIONS__HOSTS", "ops..example.com"),
        ("OPERATIONS__HOSTS", "-ops.example.com"),
        ("OPERATIONS__HOSTS", "räksmörgås.example"),
        ("OPERATIONS__HOSTS", "[::1]"),
        ("ENGAGE__TIMEOUT", "0s"),
        ("ENGAGE__CONNECT_TIMEOUT", "0s"),
        ("SERVER__REQUEST_TIMEOUT", "0s"),
        ("SERVER__HEADER_TIMEOUT", "0s"),
        ("SERVER__BODY_TIMEOUT", "0s"),
        ("SERVER__IDLE_TIMEOUT", "0s"),
        ("SERVER__WRITE_TIMEOUT", "0s"),
        ("SERVER__MAX_CONNECTIONS", "0"),
        ("SERVER__MAX_BODY", "10B"),
        ("SERVER__SHUTDOWN_DELAY", "301s"),
        ("SERVER__CORS_ORIGINS", "*"),
        ("SERVER__CORS_ORIGINS", "https://shop.example.com/"),
        ("SERVER__CORS_ORIGINS", "http://shop.example.com"),
        ("SERVER__CORS_ORIGINS", "shop.example.com"),
        ("SERVER__CORS_ORIGINS", "null"),
        ("SERVER__CORS_ORIGINS", "https://shop.example.com"),
        ("CACHE__MAX_SIZE", "1KiB"),
        ("CACHE__STALE_IF_ERROR", "29s"),
        ("CACHE__POINTS_LIFETIME", "25h"),
        ("CACHE__PROFILE_LIFETIME", "0s"),
        ("CACHE__POINTS_LIFETIME", "99ms"),
        ("CACHE__AUDIENCES_LIFETIME", "25h"),
        ("CACHE__STALE_IF_ERROR", "25h"),
        ("IDENTIFIERS__PHONE_REGION", "Sweden"),
        ("TELEMETRY__LOG", "info,=,["),
        (
            "VIEWS__STOREFRONT__ATTRIBUTES",
            "shoeSize,socialSecurityNumber",
        ),
        ("VIEWS__STOREFRONT__ATTRIBUTES", "shoeSize,*"),
    ] {
        assert_refused(name, value);
    }
}

/// Asserts that this value of a variable is refused, with its key and a remedy.
#[track_caller]
fn assert_refused(name: &str, value: &str) {
    let key = name.to_lowercase().replace("__", ".");
    let error = refusal(MINIMAL, &[(&format!("BFF_{name}"), value)]);
    let item = format!("{key}[");
    assert!(
        error.starts_with(&format!("{key}: ")) || error.starts_with(&item),
        "{name}={value}: {error}"
    );
    let (_, remedy) = error.split_once("; ").unwrap_or_default();
    assert!(!remedy.is_empty(), "{error}");
}

#[test]
fn invalid_webhook_settings_are_refused() {
    for (name, value) in [
        ("WEBHOOKS__SECRETS", "whsec_"),
        ("WEBHOOKS__SECRETS", "whsec_c2VjcmV0,c2VjcmV0"),
        ("WEBHOOKS__SECRETS", "whsec_no base64"),
        ("WEBHOOKS__ENCRYPTION_KEY", "too-short"),
        (
            "WEBHOOKS__ENCRYPTION_KEY",
            "thirty-two-bytes-but-not-asci\u{e5}!",
        ),
        ("WEBHOOKS__TOLERANCE", "0s"),
        ("WEBHOOKS__TOLERANCE", "2h"),
        ("WEBHOOKS__SILENCE", "0s"),
        ("WEBHOOKS__FALLBACK_LIFETIME", "0s"),
        ("WEBHOOKS__MAX_BODY", "1023B"),
        ("WEBHOOKS__CHANGES_POLL", "60s"),
    ] {
        assert_refused(name, value);
    }
}

#[test]
fn https_and_loopback_base_urls_are_accepted() {
    for url in [
        "https://shop.voyado.com",
        "https://shop.voyado.com/",
        "https://shop.voyado.com:8443",
        "http://127.0.0.1:8090",
        "http://localhost:8090",
        "http://[::1]:8090",
    ] {
        let pairs = [("BFF_ENGAGE__BASE_URL", url)];
        crate::load(MINIMAL, &pairs).unwrap_or_else(|mistakes| panic!("{url}: {mistakes}"));
    }
}

#[test]
fn unknown_keys_are_refused_in_every_layer() {
    for file in [
        format!("{MINIMAL}[caches]\nmax_size = \"1GiB\"\n"),
        format!("{MINIMAL}[cache]\nmax_bytes = \"1GiB\"\n"),
        format!("{MINIMAL}colour = \"red\"\n"),
        format!("{MINIMAL}[views.storefront]\nattribute = []\n"),
        format!("{MINIMAL}[server.limits]\nbody = 1\n"),
        format!("colour = \"red\"\n{MINIMAL}"),
    ] {
        let error = refusal(&file, &[]);
        assert!(error.contains("unknown key"), "{error}");
    }
    for name in [
        "BFF_CACHES__MAX_SIZE",
        "BFF_CACHE__MAX_BYTES",
        "BFF_ENGAGE__API__KEY",
        "BFF_A__B",
    ] {
        let error = refusal(MINIMAL, &[(name, "1")]);
        assert!(error.contains("unknown key"), "{name}: {error}");
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let error = refusal(
        "",
        &[("BFF_ENGAGE__BURST", "0"), ("BFF_CACHE__MAX_SIZE", "1B")],
    );
    let keys: Vec<&str> = error
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(key, _)| key)
        .collect();
    let expected = [
        "engage.base_url",
        "engage.api_key",
        "engage.burst",
        "cache.max_size",
        "auth.clients",
    ];
    assert_eq!(keys, expected, "{error}");
}

#[test]
fn secret_in_the_wrong_key_is_not_printed() {
    const SECRET: &str = "sesame-open-4711";
    for key in [
        "SERVER__LISTEN",
        "SERVER__REQUEST_TIMEOUT",
        "SERVER__MAX_BODY",
        "SERVER__MAX_CONNECTIONS",
        "SERVER__ALLOW_NATIONAL_ID_IN_URL",
        "ENGAGE__BASE_URL",
        "ENGAGE__API_VERSION",
        "ENGAGE__CUSTOM_KEY",
        "ENGAGE__MAX_RESPONSE_SIZE",
        "ENGAGE__TIMEOUT",
        "ENGAGE__REQUESTS_PER_SECOND",
        "ENGAGE__BURST",
        "ENGAGE__TIME_ZONE",
        "CACHE__MAX_SIZE",
        "CACHE__POINTS_LIFETIME",
        "AUTH__ALLOW_ANONYMOUS",
        "AUTH__CLIENTS",
        "VIEWS__EXPIRING_WITHIN",
        "IDENTIFIERS__PHONE_REGION",
        "TELEMETRY__LOG_FORMAT",
        "WEBHOOKS__SECRETS",
        "WEBHOOKS__TOLERANCE",
        "WEBHOOKS__CHANGES_POLL",
        "WEBHOOKS__ENCRYPTION_KEY",
        "ENGAGE",
    ] {
        // A name without two underscores is not read from the environment.
        let error = if key == "ENGAGE" {
            refusal(&format!("engage = \"{SECRET}\""), &[])
        } else {
            refusal(MINIMAL, &[(&format!("BFF_{key}"), SECRET)])
        };
        assert!(
            !error.contains(SECRET) && !error.contains("4711"),
            "{key}: {error}"
        );
        let last = key.rsplit("__").next().unwrap_or_default().to_lowercase();
        assert!(error.contains(&last), "{key}: {error}");
    }
    for file in [
        format!("[engage]\napi_key = \"{SECRET}"),
        format!("[engage]\napi_key = {SECRET}\n"),
        format!("[engage]\napi_key = [\"{SECRET}\"]\n"),
        format!("[engage\napi_key = \"{SECRET}\"\n"),
        format!("[engage]\napi_key = \"{SECRET}\"\napi_key = \"{SECRET}\"\n"),
        format!("{SECRET}\n"),
        changed("[\"customer:read\"]", &format!("[\"{SECRET}\"]")),
        format!("{MINIMAL}identifiers = [\"{SECRET}\"]\n"),
        format!("{MINIMAL}view = \"{SECRET}\"\n"),
        format!("{MINIMAL}channel = \"{SECRET}\"\n"),
        changed(
            "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11",
            SECRET,
        ),
    ] {
        let error = refusal(&file, &[]);
        assert!(
            !error.contains(SECRET) && !error.contains("4711"),
            "{file}: {error}"
        );
    }
}

#[test]
fn operations_listener_beyond_loopback_needs_a_token() {
    for listen in ["0.0.0.0:9090", "[::]:9090", "192.168.1.2:9090"] {
        let open = [("BFF_OPERATIONS__LISTEN", listen)];
        let error = refusal(MINIMAL, &open);
        assert!(
            error.starts_with("operations.token: is missing while"),
            "{error}"
        );
    }
}

#[test]
fn burst_that_is_no_multiple_of_replicas_is_refused() {
    let error = refusal(MINIMAL, &[("BFF_ENGAGE__REPLICAS", "3")]);
    assert!(
        error.starts_with("engage.burst: is not a multiple"),
        "{error}"
    );
}

#[test]
fn rate_too_low_for_the_replicas_is_refused() {
    let pairs = [
        ("BFF_ENGAGE__REPLICAS", "10"),
        ("BFF_ENGAGE__REQUESTS_PER_SECOND", "0.005"),
    ];
    let error = refusal(MINIMAL, &pairs);
    let expected = "engage.requests_per_second: is too low to be divided";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn configuration_of_two_tenants_is_refused() {
    let one = "base_url = \"https://shop.example.com\"";
    let two = "[\"https://shop.example.com\", \"https://other.example.com\"]";
    let list = changed(one, &format!("base_url = {two}"));
    let keys = changed("api_key = \"a-key\"", "api_key = [\"a-key\", \"b-key\"]");
    let twice = format!("{MINIMAL}[engage]\nbase_url = \"https://other.example.com\"\n");
    let tables = changed("[engage]", "[[engage]]");
    let named = format!("{MINIMAL}[engage.other]\nbase_url = \"https://other.example.com\"\n");
    for (file, expected) in [
        (list, "engage.base_url: is not a string; "),
        (keys, "engage.api_key: is not a string; "),
        (twice, "engage is there twice"),
        (tables, "engage[0]: is not a string; "),
        (named, "engage.other: is an unknown key; "),
    ] {
        let error = refusal(&file, &[]);
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("-key"), "{error}");
    }
}
