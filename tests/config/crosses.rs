//! Contradictory values, the log's filter, and warnings.

use crate::{MINIMAL, load, refusal, refusals::changed};

const KEY: &str = "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11";

#[test]
fn log_filter_without_alarms_or_valid_level_is_refused() {
    for (filter, expected) in [
        ("warning", "did you mean \"warn\"?"),
        ("WARNING", "did you mean \"warn\"?"),
        ("verbose", "did you mean \"debug\"?"),
        ("inof", "did you mean \"info\"?"),
        ("information", "did you mean \"info\"?"),
        ("info,hyper", "off, error, warn, info, debug, trace"),
        ("engage_bff", "off, error, warn, info, debug, trace"),
        ("engage_bff=loud", "off, error, warn, info, debug, trace"),
        ("info,engage_bff=3", "off, error, warn, info, debug, trace"),
        ("info,,debug", "remove the comma"),
        ("info, hyper=warn", "remove them"),
        ("off", "alarms"),
        ("OFF", "alarms"),
        ("info,engage_bff=off", "alarms"),
        ("info,engage=off", "alarms"),
        ("info,engage_bff::http=off", "alarms"),
        ("hyper=debug", "alarms"),
        ("engage_bff::http=debug", "alarms"),
        ("info,engage-bff=debug", "did you mean \"engage_bff\"?"),
        ("info,engage_fbf=debug", "did you mean \"engage_bff\"?"),
        (
            "info,engage_bff::htp=debug",
            "did you mean \"engage_bff::http\"?",
        ),
        (
            "info,engage_bff::nothing=debug",
            "a module that the service does not have",
        ),
        ("info,=,[", "off, error, warn, info, debug, trace"),
        ("info,engage_bff::audit=off", "alarms"),
        (
            "info,engage_bff::audits=info",
            "did you mean \"engage_bff::audit\"?",
        ),
    ] {
        let error = refusal(MINIMAL, &[("BFF_TELEMETRY__LOG", filter)]);
        assert!(
            error.starts_with("telemetry.log: ") && error.contains(expected),
            "{filter}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for filter in [
        "info",
        "WARN",
        "error",
        "debug",
        "trace",
        "info,engage_bff=debug",
        "off,engage_bff=info",
        "hyper=off,info",
        "warn,engage_bff::cache=trace",
        "info,engage_bff::http::audit=info",
        // Documented in docs/OPERATIONS.md.
        "warn,engage_bff::audit=info",
        "info,engage_bff::process=debug",
        "engage_bff=info",
        "info,engage_bff[request{id=1}]=debug",
    ] {
        load(MINIMAL, &[("BFF_TELEMETRY__LOG", filter)])
            .unwrap_or_else(|error| panic!("{filter}: {error}"));
    }
}

#[test]
fn filter_that_hides_alarms_by_their_fields_is_refused() {
    for filter in [
        "info,engage_bff[{alarm}]=off",
        "info,engage_bff[]=off",
        "engage_bff[{alarm}]=off,engage_bff=info",
        "e[{message}]=off,e=info,info",
        "info,engage_bff::engage[{alarm}]=off",
    ] {
        let error = refusal(MINIMAL, &[("BFF_TELEMETRY__LOG", filter)]);
        let expected = "telemetry.log: turns off events of the service or of one of its modules, which may be alarms; ";
        assert!(error.starts_with(expected), "{filter}: {error}");
    }
    for filter in [
        "info,engage_bff[request]=off",
        "info,engage_bff[{client=till}]=off",
        "info,hyper[{alarm}]=off",
    ] {
        assert!(
            load(MINIMAL, &[("BFF_TELEMETRY__LOG", filter)]).is_ok(),
            "{filter}"
        );
    }
    let drops = load(
        MINIMAL,
        &[("BFF_TELEMETRY__LOG", "info,engage_bff[{alarm}]=error")],
    );
    let warnings = drops.expect("a configuration").warnings();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.key() == "telemetry.log")
    );
    let error = refusal(MINIMAL, &[("BFF_TELEMETRY__LOG", "info,")]);
    assert!(
        error.starts_with("telemetry.log: has nothing before or after a comma; "),
        "{error}"
    );
}

#[test]
fn overlapping_listen_addresses_are_refused() {
    for (data, operations) in [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("127.0.0.1:8080", "0.0.0.0:8080"),
        ("[::]:8080", "127.0.0.1:8080"),
        ("[::]:8080", "0.0.0.0:8080"),
        ("[::1]:8080", "[::]:8080"),
        ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
    ] {
        let pairs = [
            ("BFF_SERVER__LISTEN", data),
            ("BFF_OPERATIONS__LISTEN", operations),
            ("BFF_OPERATIONS__TOKEN", "k7Qm2xW9pLr4tYzC"),
        ];
        let error = refusal(MINIMAL, &pairs);
        assert!(
            error.starts_with("operations.listen: "),
            "{data} {operations}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for (data, operations) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("0.0.0.0:0", "127.0.0.1:0"),
        ("127.0.0.1:8080", "127.0.0.2:8080"),
        ("0.0.0.0:8080", "[::1]:8080"),
        ("127.0.0.1:8080", "[::1]:8080"),
        ("127.0.0.1:8080", "127.0.0.1:9090"),
    ] {
        let pairs = [
            ("BFF_SERVER__LISTEN", data),
            ("BFF_OPERATIONS__LISTEN", operations),
        ];
        load(MINIMAL, &pairs).unwrap_or_else(|error| panic!("{data} {operations}: {error}"));
    }
}

#[test]
fn loopback_is_recognised_in_every_form_of_address() {
    for listen in [
        "127.0.0.1:9091",
        "127.0.0.2:9091",
        "[::1]:9091",
        "[::ffff:127.0.0.1]:9091",
    ] {
        let pairs = [
            ("BFF_SERVER__LISTEN", listen),
            ("BFF_AUTH__ALLOW_ANONYMOUS", "true"),
        ];
        load(MINIMAL, &pairs).unwrap_or_else(|error| panic!("{listen}: {error}"));
        load(MINIMAL, &[("BFF_OPERATIONS__LISTEN", listen)])
            .unwrap_or_else(|error| panic!("{listen}: {error}"));
    }
    load(
        MINIMAL,
        &[("BFF_ENGAGE__BASE_URL", "http://[::ffff:127.0.0.1]:8090")],
    )
    .expect("loopback");
    for listen in [
        "[::ffff:192.168.1.2]:9091",
        "[::ffff:0.0.0.0]:9091",
        "[fe80::1]:9091",
    ] {
        let error = refusal(MINIMAL, &[("BFF_OPERATIONS__LISTEN", listen)]);
        assert!(
            error.starts_with("operations.token: is missing while"),
            "{error}"
        );
    }
}

#[test]
fn client_with_contradictory_settings_is_refused() {
    for (file, expected) in [
        (
            format!("{MINIMAL}view = \"full\"\n"),
            "auth.clients[0].view: is \"full\" without the scope customer:read:full; ",
        ),
        (
            changed("[\"customer:read\"]", "[\"customer:fresh\"]"),
            "auth.clients[0].scopes: lacks customer:read",
        ),
        (
            changed("[\"customer:read\"]", "[\"customer:read:full\"]"),
            "auth.clients[0].scopes: lacks customer:read",
        ),
        (
            format!("{MINIMAL}identifiers = []\n"),
            "auth.clients[0].identifiers: is empty; ",
        ),
        (
            changed(KEY, "test-till-key"),
            "auth.clients[0].key_sha256: is not a SHA-256 digest; ",
        ),
        (
            changed(KEY, &KEY.to_uppercase()),
            "auth.clients[0].key_sha256: is not in lower case; ",
        ),
        (
            changed(&format!("[\"{KEY}\"]"), &format!("[\"{KEY}\", \"{KEY}\"]")),
            "auth.clients[0].key_sha256[1]: is listed twice; ",
        ),
    ] {
        let error = refusal(&file, &[]);
        assert!(error.starts_with(expected), "{expected}\n{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            !error.contains("test-till-key") && !error.contains("cf23"),
            "{error}"
        );
    }
    let twice = MINIMAL.split_once("[[auth.clients]]").expect("clients").1;
    let error = refusal(
        &format!("{MINIMAL}[[auth.clients]]{}", twice.replace("cf23", "cf24")),
        &[],
    );
    assert_eq!(
        error,
        "auth.clients[1].id: is also the id of auth.clients[0]; give each client its own id"
    );
}

#[test]
fn guessable_webhook_secrets_are_refused() {
    for (secret, what) in [
        (
            "whsec_Zmlyc3Q=",
            "webhooks.secrets: is shorter than 16 bytes; ",
        ),
        (
            "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "webhooks.secrets: repeats a single byte; ",
        ),
        (
            "whsec_no-base64!",
            "webhooks.secrets: is not \"whsec_\" followed by base64; ",
        ),
        (
            "c2VjcmV0LXdpdGhvdXQtcHJlZml4",
            "webhooks.secrets: is not \"whsec_\" followed by base64; ",
        ),
    ] {
        let error = refusal(MINIMAL, &[("BFF_WEBHOOKS__SECRETS", secret)]);
        assert!(
            error.starts_with(what) && error.lines().count() == 1,
            "{secret}: {error}"
        );
    }
}

#[test]
fn unique_identifiers_are_of_four_kinds_each_listed_once() {
    let custom_key = ("BFF_ENGAGE__CUSTOM_KEY", "externalId");
    let unique = |kinds| ("BFF_IDENTIFIERS__UNIQUE", kinds);
    let all = unique("email,mobilePhone,customKey,socialSecurityNumber");
    let config = load(MINIMAL, &[all, custom_key]).expect("a configuration");
    assert_eq!(config.identifiers.unique.len(), 4);
    let advice = config.advice_about_unique().expect("advice");
    let expected = "identifiers.unique lists email, mobilePhone, customKey, socialSecurityNumber: Engage's API does not tell";
    assert!(advice.starts_with(expected), "{advice}");
    let config = load(MINIMAL, &[]).expect("a configuration");
    assert_eq!(config.advice_about_unique(), None);
    let file = format!("{MINIMAL}[identifiers]\nunique = [\"mobilePhone\", \"email\"]\n");
    let config = load(&file, &[]).expect("a configuration");
    assert_eq!(config.identifiers.unique.len(), 2);
    for (kinds, expected) in [
        (
            "any",
            "identifiers.unique[0]: is not a kind that can be unique",
        ),
        (
            "email,contactId",
            "identifiers.unique[1]: is not a kind that can be unique",
        ),
        (
            "email,mobilePhone,email",
            "identifiers.unique[2]: is listed before",
        ),
        (
            "Email",
            "identifiers.unique[0]: is not one of the allowed values",
        ),
        (
            "firstName",
            "identifiers.unique[0]: is not one of the allowed values",
        ),
    ] {
        let error = refusal(MINIMAL, &[unique(kinds), custom_key]);
        assert!(error.starts_with(expected), "{kinds}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = refusal(MINIMAL, &[unique("customKey")]);
    let expected = "identifiers.unique: lists customKey while engage.custom_key is unset";
    assert!(error.starts_with(expected), "{error}");
}

/// The keys of the warnings.
fn warned(file: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let config = load(file, pairs).unwrap_or_else(|error| panic!("{pairs:?}: {error}"));
    config
        .warnings()
        .iter()
        .map(|warning| warning.key().to_owned())
        .collect()
}

#[test]
fn questionable_settings_cause_warnings() {
    assert!(warned(MINIMAL, &[]).is_empty());
    let secret = (
        "BFF_WEBHOOKS__SECRETS",
        "whsec_oYn8D9SpnpQQHZtlAPhb518LJCuSK89X",
    );
    let many = ("BFF_ENGAGE__REPLICAS", "2");
    for (pairs, key) in [
        (vec![("BFF_TELEMETRY__LOG", "error")], "telemetry.log"),
        (
            vec![("BFF_ENGAGE__REQUESTS_PER_SECOND", "80")],
            "engage.requests_per_second",
        ),
        (
            vec![("BFF_CACHE__POINTS_LIFETIME", "6h")],
            "cache.points_lifetime",
        ),
        (vec![secret, many], "webhooks.secrets"),
        (
            vec![
                ("BFF_ENGAGE__BASE_URL", "http://10.0.0.1"),
                ("BFF_ENGAGE__ALLOW_PLAIN_HTTP", "true"),
            ],
            "engage.allow_plain_http",
        ),
        (
            vec![
                ("BFF_ENGAGE__BASE_URL", "HTTP://10.0.0.1"),
                ("BFF_ENGAGE__ALLOW_PLAIN_HTTP", "true"),
            ],
            "engage.allow_plain_http",
        ),
        (vec![("BFF_CACHE__MAX_SIZE", "1TiB")], "cache.max_size"),
    ] {
        assert_eq!(warned(MINIMAL, &pairs), [key], "{pairs:?}");
    }
    let by_any = format!("{MINIMAL}identifiers = [\"any\"]\n");
    assert_eq!(warned(&by_any, &[]), ["engage.custom_key"]);
    assert!(warned(&by_any, &[("BFF_ENGAGE__CUSTOM_KEY", "memberNumber")]).is_empty());
    // With webhooks, long lifetimes cause no warning, and a single replica receives every webhook.
    assert!(warned(MINIMAL, &[secret, ("BFF_CACHE__POINTS_LIFETIME", "6h")]).is_empty());
}
