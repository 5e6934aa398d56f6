//! Every number, size and duration has bounds, and the service starts with every accepted value that these tests try.

use engage_bff::{
    app::App,
    clock::Clock,
    config::{Config, layers::DEFAULTS},
};
use proptest::prelude::*;
use toml::{Table, Value};

use crate::{MINIMAL, load, refusal};

/// The variables of all numbers, sizes and durations, each with a value far above any useful one.
fn quantities() -> Vec<(String, &'static str)> {
    fn walk(prefix: &str, table: &Table, found: &mut Vec<(String, &'static str)>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.to_uppercase());
            match value {
                Value::Table(inner) => walk(&format!("{name}__"), inner, found),
                Value::Integer(_) => found.push((name, "2147483647")),
                Value::Float(_) => found.push((name, "1e300")),
                Value::String(text) if text.ends_with('B') => found.push((name, "9000000TiB")),
                Value::String(text) if text.ends_with('d') => found.push((name, "9000d")),
                Value::String(text)
                    if text.starts_with(|first: char| first.is_ascii_digit())
                        && text.ends_with(['s', 'm', 'h']) =>
                {
                    found.push((name, "8000h"));
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk("BFF_", &DEFAULTS.parse().expect("TOML"), &mut found);
    let poll = ("BFF_WEBHOOKS__CHANGES_POLL".to_owned(), "8000h");
    found.push(poll);
    assert!(found.len() > 25, "{found:?}");
    found
}

#[test]
fn every_number_size_and_duration_has_an_upper_bound() {
    for (name, huge) in quantities() {
        let error = refusal(MINIMAL, &[(&name, huge)]);
        let key = name
            .trim_start_matches("BFF_")
            .to_lowercase()
            .replace("__", ".");
        assert!(
            error
                .lines()
                .any(|line| line.starts_with(&format!("{key}: "))),
            "{name}={huge}: {error}"
        );
    }
    for (key, value) in [
        ("requests_per_second", "4294967295"),
        ("max_concurrency", "9223372036854775807"),
        ("unknown_per_minute", "4294967295"),
        ("people_per_hour", "4294967295"),
        ("changes_per_second", "101"),
    ] {
        let error = refusal(&format!("{MINIMAL}{key} = {value}\n"), &[]);
        assert!(
            error.starts_with(&format!("auth.clients[0].{key}: is more than ")),
            "{error}"
        );
    }
}

#[test]
fn duration_longer_than_a_year_or_finer_than_a_millisecond_is_refused() {
    // The bound of this key, a day, is another mistake.
    for (value, mistake) in [
        ("5000000h", "is longer than a year"),
        ("31536000001s", "is longer than a year"),
        ("9000h", "is longer than a year"),
        ("99999999999999999999h", "is not a duration"),
        ("584y", "is not a duration"),
    ] {
        let error = refusal(MINIMAL, &[("BFF_CACHE__NEGATIVE_LIFETIME", value)]);
        let expected = format!("cache.negative_lifetime: {mistake}; ");
        assert!(error.starts_with(&expected), "{value}: {error}");
    }
    for value in ["1ns", "1500us", "0.4ms"] {
        let error = refusal(MINIMAL, &[("BFF_SERVER__REQUEST_TIMEOUT", value)]);
        let expected = "server.request_timeout: is not a duration; ";
        assert!(error.starts_with(expected), "{value}: {error}");
    }
}

/// Builds the service on free ports.
async fn start(mut config: Config) -> Result<(), String> {
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.operations.listen = config.server.listen;
    let built = App::build(&config, Clock::system()).await;
    let app = built.map_err(|error| format!("{error:#}"))?;
    // Serving a connection uses durations in arithmetic, which must not overflow.
    let (stream, far) = tokio::io::duplex(1024);
    drop(far);
    app.serve_peer(stream).await;
    Ok(())
}

/// Values within, at and beyond the bounds of the keys for which `quantities` gives the value `huge`.
fn extremes(huge: &str) -> Vec<&'static str> {
    if huge.ends_with("TiB") {
        vec![
            "0B",
            "256B",
            "1KiB",
            "64KiB",
            "1MiB",
            "16MiB",
            "64MiB",
            "1GiB",
            "1TiB",
            "9000000TiB",
        ]
    } else if huge.ends_with('h') {
        vec![
            "0s", "1ms", "1s", "5s", "30s", "60s", "10m", "1h", "24h", "8784h", "9000h", "5000000h",
        ]
    } else if huge.ends_with('d') {
        vec!["1d", "365d", "366d"]
    } else if huge == "1e300" {
        vec![
            "0", "-1", "nan", "inf", "1e-300", "0.001", "0.1", "50", "1000000", "1e300",
        ]
    } else {
        vec![
            "0",
            "1",
            "10",
            "1000",
            "100000",
            "1000000",
            "2147483647",
            "4294967295",
            "18446744073709551615",
        ]
    }
}

fn settings() -> impl Strategy<Value = Vec<(String, &'static str)>> {
    let all: Vec<_> = quantities()
        .into_iter()
        .map(|(name, huge)| {
            prop::option::weighted(0.1, prop::sample::select(extremes(huge)))
                .prop_map(move |value| value.map(|value| (name.clone(), value)))
        })
        .collect();
    all.prop_map(|chosen| chosen.into_iter().flatten().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn service_starts_with_every_accepted_combination_of_values(chosen in settings()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        // One at a time, so that a refused value does not hide the others.
        for (name, value) in &chosen {
            pairs.push((name, value));
            if load(MINIMAL, &pairs).is_err() {
                pairs.pop();
            }
        }
        let config = load(MINIMAL, &pairs).expect("a valid configuration");
        let started = runtime.block_on(start(config));
        prop_assert!(started.is_ok(), "{pairs:?} {started:?}");
    }
}

#[test]
fn each_accepted_extreme_value_starts() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut accepted = 0;
    for (name, huge) in quantities() {
        for value in extremes(huge) {
            if let Ok(config) = load(MINIMAL, &[(&name, value)]) {
                let started = runtime.block_on(start(config));
                assert!(started.is_ok(), "{name}={value}: {started:?}");
                accepted += 1;
            }
        }
    }
    assert!(accepted > 60, "{accepted}");
    for key in [
        "requests_per_second",
        "max_concurrency",
        "unknown_per_minute",
        "people_per_hour",
    ] {
        let config =
            load(&format!("{MINIMAL}{key} = 1000000\n"), &[]).expect("a valid configuration");
        runtime.block_on(start(config)).expect("it starts");
    }
    let most = format!("{MINIMAL}changes_per_second = 100\n");
    let config = load(&most, &[]).expect("a valid configuration");
    assert_eq!(config.auth.clients[0].changes_per_second, 100);
    runtime.block_on(start(config)).expect("it starts");
}
