//! The settings of traces: the collector, and the share of recorded requests.

use engage_bff::config::TelemetryConfig;
use http::HeaderMap;

use crate::{MINIMAL, load, refusal, temp_file};

const ENDPOINT: &str = "BFF_TELEMETRY__OTLP_ENDPOINT";
const HEADERS: &str = "BFF_TELEMETRY__OTLP_HEADERS";

fn telemetry(pairs: &[(&str, &str)]) -> TelemetryConfig {
    load(MINIMAL, pairs)
        .expect("a valid configuration")
        .telemetry
}

#[test]
fn traces_are_off_by_default_and_one_in_a_hundred_when_on() {
    let config = telemetry(&[]);
    assert!(config.otlp_url().is_none());
    assert!((config.trace_sample_ratio - 0.01).abs() < f64::EPSILON);
}

#[test]
fn endpoint_without_a_path_gets_the_one_of_otlp() {
    for (given, expected) in [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://10.0.0.7:4318/", "http://10.0.0.7:4318/v1/traces"),
        (
            "https://otlp.example.com/otlp/v1/traces",
            "https://otlp.example.com/otlp/v1/traces",
        ),
        ("https://otlp.example.com/x/", "https://otlp.example.com/x/"),
    ] {
        let url = telemetry(&[(ENDPOINT, given)]).otlp_url();
        let url = url.expect("an endpoint").expect("a valid one");
        assert_eq!(url.as_str(), expected);
    }
}

#[test]
fn unusable_endpoint_is_refused_and_not_printed() {
    for (value, what) in [
        ("collector:4318", "is neither http nor https"),
        ("collector", "is not a URL"),
        ("grpc://collector:4317", "is neither http nor https"),
        ("https://user:hush@collector:4318", "contains a credential"),
        (
            "https://collector:4318/?token=hush",
            "has a query or a fragment",
        ),
        ("https://collector:0", "has port 0"),
        ("https://-collector", "has an invalid host name"),
    ] {
        let error = refusal(MINIMAL, &[(ENDPOINT, value)]);
        let expected = format!("telemetry.otlp_endpoint: {what}; ");
        assert!(error.starts_with(&expected), "{value}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn headers_are_read_as_pairs_from_a_value_or_a_file() {
    let text = "Authorization=Basic%20a2V5OnNlY3JldA==,x-scope-orgid = shop%2Ceu";
    let file = temp_file(&format!("{text}\n"));
    let path = crate::path(&file);
    let in_file = format!("{HEADERS}_FILE");
    let endpoint = (ENDPOINT, "https://otlp.example.com");
    for pair in [(HEADERS, text), (in_file.as_str(), path)] {
        let fields: HeaderMap = telemetry(&[endpoint, pair]).otlp_fields().expect("fields");
        assert_eq!(fields["authorization"], "Basic a2V5OnNlY3JldA==");
        assert_eq!(fields["x-scope-orgid"], "shop,eu");
        assert!(fields.values().all(http::HeaderValue::is_sensitive));
    }
}

#[test]
fn unusable_headers_are_refused_and_not_printed() {
    let endpoint = (ENDPOINT, "https://otlp.example.com");
    for (value, what) in [
        ("Authorization", "has an entry that is not name=value"),
        ("a=hush1,", "has an entry that is not name=value"),
        (
            "na me=hush1",
            "has an entry whose name is not one of a header field",
        ),
        ("a=", "has an entry whose value can't be sent"),
        ("a=hush%2", "has an entry whose value can't be sent"),
        ("a=hush%+9", "has an entry whose value can't be sent"),
        ("a=hush%0d%0ab: c", "has an entry whose value can't be sent"),
        ("a=hush1,A=hush2", "names a field twice"),
        (
            "Content-Type=hush1",
            "names a field that the exporter or the connection sets itself",
        ),
    ] {
        let error = refusal(MINIMAL, &[endpoint, (HEADERS, value)]);
        let expected = format!("telemetry.otlp_headers: {what}; ");
        assert!(error.starts_with(&expected), "{value}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let error = refusal(MINIMAL, &[(HEADERS, "a=hush1")]);
    let expected = "telemetry.otlp_endpoint: is missing while telemetry.otlp_headers is set; ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn headers_over_plain_http_to_another_machine_are_warned_of() {
    for (endpoint, expected) in [
        ("http://collector:4318", 1),
        ("http://127.0.0.1:4318", 0),
        ("https://collector:4318", 0),
    ] {
        let pairs = [(ENDPOINT, endpoint), (HEADERS, "a=b-token")];
        let config = load(MINIMAL, &pairs).expect("a valid configuration");
        let warnings = config.warnings();
        let about = warnings
            .iter()
            .filter(|warning| warning.key() == "telemetry.otlp_headers");
        assert_eq!(about.count(), expected, "{endpoint}");
    }
}

#[test]
fn sample_ratio_is_a_share() {
    for value in ["0.0", "1.0", "0.5"] {
        telemetry(&[("BFF_TELEMETRY__TRACE_SAMPLE_RATIO", value)]);
    }
    for value in ["-0.1", "1.1", "nan"] {
        let error = refusal(MINIMAL, &[("BFF_TELEMETRY__TRACE_SAMPLE_RATIO", value)]);
        let expected = "telemetry.trace_sample_ratio: is out of range; ";
        assert!(error.starts_with(expected), "{value}: {error}");
    }
}
