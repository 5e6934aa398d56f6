//! Values of a wrong type and unknown keys: all are reported, each with its key and the expected form.

use engage_bff::config::layers::DEFAULTS;

use crate::{MINIMAL, load, refusal, refusals::changed};

#[track_caller]
fn keys(error: &str) -> Vec<&str> {
    let keys = error
        .lines()
        .map(|line| line.split_once(": ").expect("a key").0);
    keys.collect()
}

#[test]
fn every_value_of_a_wrong_type_is_reported_at_once() {
    let file = format!(
        "{}[server]\nlisten = \"localhost\"\nmax_connections = -1\nidle_timeout = 75\nallow_national_id_in_url = \"maybe\"\n\
         [cache]\nmax_size = \"big\"\npoints_lifetime = \"soon\"\n[views]\nexpiring_within = \"2w\"\n",
        changed(
            "[\"customer:read\"]",
            "[\"customer:read\", \"customer:write\"]\nview = \"all\""
        )
    );
    let pairs = [
        ("BFF_ENGAGE__BURST", "many"),
        ("BFF_ENGAGE__REQUESTS_PER_SECOND", "fast"),
        ("BFF_ENGAGE__API_VERSION", "v4"),
        ("BFF_ENGAGE__REPLICAS", "-2"),
        ("BFF_IDENTIFIERS__CHECK_DIGITS", "perhaps"),
        ("BFF_CACHE__PROFILE_LIFETIME", "25h"),
    ];
    let error = refusal(&file, &pairs);
    let mut found = keys(&error);
    found.sort_unstable();
    let expected = [
        "auth.clients[0].scopes[1]",
        "auth.clients[0].view",
        "cache.max_size",
        "cache.points_lifetime",
        "cache.profile_lifetime",
        "engage.api_version",
        "engage.burst",
        "engage.replicas",
        "engage.requests_per_second",
        "identifiers.check_digits",
        "server.allow_national_id_in_url",
        "server.idle_timeout",
        "server.listen",
        "server.max_connections",
        "views.expiring_within",
    ];
    assert_eq!(found, expected, "{error}");
}

#[test]
fn mistake_names_the_expected_form() {
    for (name, value, expected) in [
        (
            "ENGAGE__API_VERSION",
            "v4",
            "engage.api_version: is not one of the allowed values; give \"v3\" or \"v2\"",
        ),
        (
            "TELEMETRY__LOG_FORMAT",
            "text",
            "telemetry.log_format: is not one of the allowed values; give \"json\" or \"pretty\"",
        ),
        (
            "TELEMETRY__AUDIT",
            "storefront",
            "telemetry.audit: is not one of the allowed values; give \"full\" or \"all\"",
        ),
        (
            "ENGAGE__BURST",
            "many",
            "engage.burst: is not a whole number; ",
        ),
        (
            "ENGAGE__BURST",
            "2.5",
            "engage.burst: is not a whole number; ",
        ),
        (
            "SERVER__MAX_CONNECTIONS",
            "99999999999999999999",
            "server.max_connections: is not a whole number; give one from 1 to 1000000",
        ),
        (
            "ENGAGE__REQUESTS_PER_SECOND",
            "10000000",
            "engage.requests_per_second: is out of range; give 0.001 to 1000000; Engage asks for at most 50",
        ),
        (
            "ENGAGE__REQUESTS_PER_SECOND",
            "fast",
            "engage.requests_per_second: is not a number; ",
        ),
        (
            "AUTH__ALLOW_ANONYMOUS",
            "maybe",
            "auth.allow_anonymous: is neither true nor false; ",
        ),
        (
            "SERVER__LISTEN",
            "localhost:8080",
            "server.listen: is not an address with a port; ",
        ),
        (
            "SERVER__LISTEN",
            "8080",
            "server.listen: is not an address with a port; ",
        ),
        ("CACHE__MAX_SIZE", "big", "cache.max_size: is not a size; "),
        (
            "CACHE__POINTS_LIFETIME",
            "soon",
            "cache.points_lifetime: is not a duration; ",
        ),
        (
            "CACHE__POINTS_LIFETIME",
            "30",
            "cache.points_lifetime: is not a duration; ",
        ),
        (
            "VIEWS__EXPIRING_WITHIN",
            "2w",
            "views.expiring_within: is not a number of days; ",
        ),
        (
            "AUTH__CLIENTS",
            "till",
            "auth.clients: can only be set in the file; ",
        ),
        (
            "AUTH__CLIENTS__0__ID",
            "till",
            "auth.clients: can only be set in the file; ",
        ),
    ] {
        let error = refusal(MINIMAL, &[(&format!("BFF_{name}"), value)]);
        assert!(error.starts_with(expected), "{name}={value}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = refusal(
        &changed(
            "[\"customer:read\"]",
            "[\"customer:read\", \"customer:write\"]",
        ),
        &[],
    );
    let expected = "auth.clients[0].scopes[1]: is not one of the allowed values; give \"customer:read\", \"customer:read:full\", ";
    assert!(error.starts_with(expected), "{error}");
}

/// The keys of the defaults, including sections, and some of the keys of a client and of an issuer.
fn places() -> Vec<String> {
    fn walk(prefix: &str, table: &toml::Table, found: &mut Vec<String>) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            if let toml::Value::Table(inner) = value {
                walk(&format!("{key}."), inner, found);
            }
            found.push(key);
        }
    }
    let mut found = Vec::new();
    walk("", &DEFAULTS.parse().expect("TOML"), &mut found);
    let client = [
        "id",
        "key_sha256",
        "scopes",
        "identifiers",
        "view",
        "channel",
        "max_concurrency",
    ];
    found.extend(client.map(|key| format!("auth.clients[0].{key}")));
    let jwt = [
        "issuer",
        "audience",
        "algorithms",
        "jwks_url",
        "jwks_file",
        "leeway",
        "email_claim",
    ];
    found.extend(jwt.map(|key| format!("auth.jwt.{key}")));
    found
}

/// The settings of an issuer, without those that exclude the key of this place.
fn issuer(place: &str) -> toml::Value {
    let mut issuer: toml::Table =
        "issuer = \"https://login.example.com/\"\naudience = \"bff\"\nalgorithms = [\"ES256\"]\n\
        contact_id_claim = \"contactId\"\njwks_url = \"https://login.example.com/jwks\"\n"
            .parse()
            .expect("TOML");
    if place == "auth.jwt.jwks_file" {
        issuer.remove("jwks_url");
    }
    toml::Value::Table(issuer)
}

/// Sets a value, creating missing tables on the way.
fn put(table: &mut toml::Table, place: &str, value: toml::Value) {
    let place = place.replace("[0]", "");
    let (way, last) = place.rsplit_once('.').unwrap_or(("", &place));
    let mut at = table;
    for key in way.split('.').filter(|key| !key.is_empty()) {
        let next = at
            .entry(key)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = match next {
            toml::Value::Array(items) => items[0].as_table_mut().expect("a table"),
            next => next.as_table_mut().expect("a table"),
        };
    }
    at.insert(last.to_owned(), value);
}

#[test]
fn odd_values_of_keys_are_accepted_or_reported_with_the_key() {
    let values: toml::Table =
        "values = [\"x\", \"\", 0, -1, 1.5, true, [], [\"x\"], [1], [[]], {}, {a = 1}, \
        [{a = 1}], 2026-11-23, \"30s\", 9223372036854775807]"
            .parse()
            .expect("TOML");
    let values = values["values"].as_array().expect("a list");
    let (mut accepted, mut reported) = (0, 0);
    for place in places() {
        for value in values {
            let mut file: toml::Table = MINIMAL.parse().expect("TOML");
            if place.starts_with("auth.jwt.") {
                put(&mut file, "auth.jwt", issuer(&place));
            }
            put(&mut file, &place, value.clone());
            match load(&file.to_string(), &[]) {
                Ok(_) => accepted += 1,
                Err(mistakes) => {
                    let error = mistakes.to_string();
                    let names_it = error.lines().any(|line| line.starts_with(&place));
                    assert!(names_it, "{place} = {value}\n{error}");
                    reported += 1;
                }
            }
        }
    }
    assert!(accepted > 50 && reported > 500, "{accepted} {reported}");
}

#[test]
fn every_missing_or_unknown_key_is_reported() {
    let file = changed("id = \"till\"", "name = \"till\"").replace("scopes", "scope");
    let error = refusal(
        &format!("{file}[cache]\nmax_bytes = \"1GiB\"\n[caches]\nx = 1\n"),
        &[("BFF_ENGAGE__BURTS", "1")],
    );
    for expected in [
        "auth.clients[0].id: is missing; ",
        "auth.clients[0].scopes: is missing; ",
        "auth.clients[0].name: is an unknown key; ",
        "auth.clients[0].scope: is an unknown key; did you mean scopes?",
        "cache.max_bytes: is an unknown key; ",
        "caches: is an unknown key; did you mean cache?",
        "engage.burts: is an unknown key; did you mean burst?",
    ] {
        assert!(
            error.lines().any(|line| line.starts_with(expected)),
            "{expected}\n{error}"
        );
    }
    assert_eq!(error.lines().count(), 7, "{error}");
}

#[test]
fn syntax_error_names_place_and_cause_without_a_value() {
    for (line, cause) in [
        ("api_key = \"sesame-4711", "line 3, column "),
        (
            "api_key = sesame-4711",
            "a value that is neither quoted nor a number",
        ),
        ("burst = 08", "line 3, column "),
        ("[server", "unclosed table"),
        ("burst = 3\nburst = 4", "burst is there twice"),
    ] {
        let error = refusal(&format!("[engage]\nreplicas = 1\n{line}\n"), &[]);
        let first = error.lines().next().unwrap_or_default();
        assert!(
            first.contains(": is not TOML: line ") && first.contains(", column "),
            "{error}"
        );
        assert!(first.contains(cause), "{cause}: {error}");
        assert!(
            !error.contains("sesame") && !error.contains("4711"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn service_variables_of_kubernetes_are_ignored() {
    for (name, value) in [
        ("BFF__CANARY_SERVICE_HOST", "10.0.0.1"),
        ("BFF__CANARY_SERVICE_PORT", "8080"),
        ("BFF__CANARY_SERVICE_PORT_HTTP", "8080"),
        ("BFF__CANARY_PORT", "tcp://10.0.0.1:8080"),
        ("BFF__CANARY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("BFF__CANARY_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("BFF__CANARY_PORT_8080_TCP_PORT", "8080"),
        ("BFF__CANARY_PORT_8080_TCP_PROTO", "tcp"),
        ("BFF_NEW__CANARY_PORT_53_UDP_PROTO", "udp"),
        ("BFF_ENGAGE__X_SERVICE_HOST", "10.0.0.1"),
        ("BFF_ENGAGE__X_SERVICE_HOST", "fd00::1"),
        ("BFF_ENGAGE__X_SERVICE_PORT", "80"),
        ("BFF_ENGAGE__X_PORT", "tcp://10.0.0.1:80"),
        ("BFF_ENGAGE__X_PORT", "tcp://[fd00::1]:80"),
        ("BFF_ENGAGE__X_PORT_80_TCP_ADDR", "10.0.0.1"),
    ] {
        load(MINIMAL, &[(name, value)]).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, value) in [
        ("BFF_CACHE__TYPO", "1"),
        ("BFF_SERVER__PORT", "8080"),
        ("BFF_SERVER__LISTEN_PORT", "8080"),
        ("BFF_ENGAGE__SERVICE_HOST", "shop.example.com"),
        ("BFF__CANARY", "1"),
        ("BFF__CANARY_PORT_HTTP_TCP", "1"),
        ("BFF_CACHES__MAX_SIZE", "1GiB"),
    ] {
        let error = refusal(MINIMAL, &[(name, value)]);
        assert!(
            error.contains("unknown key") && error.lines().count() == 1,
            "{name}: {error}"
        );
    }
}
