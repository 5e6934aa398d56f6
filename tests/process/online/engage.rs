//! Engage: each check with its fault.

use std::net::TcpListener;

use bytes::Bytes;
use engage_bff::clock::Clock;
use engage_simulator::{Endpoint, Fault};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use serde_json::json;

use super::Online;
use crate::harness::Engage;

const CALLS: [&str; 4] = [
    "engage-endpoints",
    "engage-contact-type",
    "engage-point-definitions",
    "engage-changes",
];
const AFTER_CONNECTION: [&str; 8] = [
    "engage-tls",
    "engage-key",
    CALLS[0],
    CALLS[1],
    CALLS[2],
    CALLS[3],
    "engage-rate",
    "engage-clock",
];

#[test]
fn unknown_name_fails_and_everything_after_it_is_skipped() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage).with("ENGAGE__BASE_URL", "https://shop.example.invalid");
    let checks = online.check();
    checks.assert(
        "engage-name",
        "failed",
        "shop.example.invalid has no address",
    );
    checks.assert_skipped(&["engage-connection"], "engage-name");
    checks.assert_skipped(&AFTER_CONNECTION, "engage-name");
    assert_eq!(engage.total_calls(), 0);
}

#[test]
fn address_where_nothing_listens_fails() {
    let server = Engage::start();
    let engage = &server.simulator;
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let online = Online::new(engage).with("ENGAGE__BASE_URL", &format!("http://{address}"));
    let checks = online.check();
    checks.assert("engage-connection", "failed", "nothing listens there");
    checks.assert_skipped(&AFTER_CONNECTION, "engage-connection");
}

#[test]
fn refused_key_fails_with_its_reason_and_stops_the_calls() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage).with("ENGAGE__API_KEY", "another-key");
    let checks = online.check();
    checks.assert("engage-key", "failed", "API key not accepted");
    checks.assert_skipped(&CALLS, "engage-key");
    checks.assert_only(&["engage-key"]);
    assert_eq!(engage.total_calls(), 1);
    engage.forbid(true);
    let checks = Online::new(engage).check();
    checks.assert("engage-key", "failed", "request forbidden");
    let remedy = checks.of("engage-key")["remedy"].as_str().expect("text");
    assert!(remedy.contains("list of allowed addresses"), "{remedy}");
}

#[test]
fn server_that_is_not_engage_or_does_not_work_fails_the_key() {
    let server = Engage::start();
    let engage = &server.simulator;
    for (fault, what, remedy) in [
        (Fault::HtmlOk200, "invalid response", "engage.base_url"),
        (
            Fault::Status(404, json!("no such page")),
            "404",
            "engage.base_url",
        ),
        (Fault::Status(500, json!({})), "500", "ask Voyado"),
        (Fault::Hang, "timeout", "engage.timeout"),
        (Fault::ResetBeforeBody, "unreachable", "ask Voyado"),
    ] {
        engage.fault(Endpoint::Overview, fault);
        let online = Online::new(engage).with("ENGAGE__TIMEOUT", "500ms");
        let checks = online.check();
        checks.assert("engage-key", "failed", what);
        let said = checks.of("engage-key")["remedy"].as_str().expect("text");
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn key_without_a_right_fails_the_endpoints_by_name() {
    let server = Engage::start();
    let engage = &server.simulator;
    for endpoint in [Endpoint::Promotions, Endpoint::Vouchers] {
        engage.fault(endpoint, Fault::Status(403, json!({})));
    }
    let checks = Online::new(engage).check();
    checks.assert(
        "engage-endpoints",
        "failed",
        "promotions, vouchers: request forbidden",
    );
    checks.assert_only(&["engage-endpoints"]);
}

#[test]
fn contact_type_that_the_tenant_lacks_fails() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage).with("ENGAGE__DEFAULT_CONTACT_TYPE", "Klubb");
    let checks = online.check();
    checks.assert("engage-contact-type", "failed", "no contact type Klubb");
    checks.assert_only(&["engage-contact-type"]);
}

#[test]
fn wrong_point_definition_fails_and_unset_one_warns_if_several_exist() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage).with("ENGAGE__DEFAULT_POINT_DEFINITION", "77");
    let checks = online.check();
    let name = "engage-point-definitions";
    checks
        .assert(name, "failed", "none of the tenant's")
        .assert_only(&[name]);
    let mut online = Online::new(engage);
    online
        .environment
        .retain(|(key, _)| !key.ends_with("POINT_DEFINITION"));
    let checks = online.check();
    checks
        .assert(name, "warning", "2 kinds of points")
        .assert_only(&[name]);
    engage.fault(Endpoint::PointDefinitions, Fault::Status(404, json!({})));
    let checks = online.check();
    checks
        .assert(name, "warning", "does not list")
        .assert_only(&[name]);
    let calls = engage.calls(Endpoint::PointDefinitions);
    let checks = online.with("ENGAGE__POINT_NAMES", "false").check();
    checks.assert(name, "skipped", "engage.point_names is off");
    assert_eq!(engage.calls(Endpoint::PointDefinitions), calls);
}

#[test]
fn unavailable_list_of_changes_fails_only_if_polling_is_configured() {
    let server = Engage::start();
    let engage = &server.simulator;
    for fault in [403, 404, 400] {
        engage.fault(Endpoint::Changes, Fault::Status(fault, json!({})));
        let checks = Online::new(engage).check();
        checks
            .assert("engage-changes", "ok", "not available")
            .assert_only(&[]);
        let online = Online::new(engage)
            .with(
                "WEBHOOKS__SECRETS",
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            )
            .with("WEBHOOKS__CHANGES_POLL", "1m");
        let checks = online.check();
        checks.assert("engage-changes", "failed", "not listed");
        checks.assert_only(&["engage-changes"]);
    }
}

#[test]
fn rate_above_the_documented_limit_warns_and_429_fails_only_engage_rate() {
    let server = Engage::start();
    let engage = &server.simulator;
    let online = Online::new(engage).with("ENGAGE__REQUESTS_PER_SECOND", "60");
    let checks = online.check();
    checks
        .assert("engage-rate", "warning", "60 calls a second")
        .assert_only(&["engage-rate"]);
    for endpoint in [
        Endpoint::Overview,
        Endpoint::PointDefinitions,
        Endpoint::Changes,
    ] {
        engage.clear_faults();
        engage.fault(
            endpoint,
            Fault::TooMany {
                retry_after: Some("1".to_owned()),
            },
        );
        let checks = Online::new(engage).check();
        checks.assert("engage-rate", "failed", "429");
        checks.assert_only(&["engage-rate"]);
        checks.assert_skipped(&["engage-changes"], "engage-rate");
    }
}

#[test]
fn checks_do_not_wait_for_the_call_budget_of_one_of_many_replicas() {
    let server = Engage::start();
    let online = Online::new(&server.simulator)
        .with("ENGAGE__REQUESTS_PER_SECOND", "5")
        .with("ENGAGE__BURST", "10")
        .with("ENGAGE__REPLICAS", "10");
    let checks = online.check();
    checks
        .assert("engage-rate", "ok", "10 replicas together")
        .assert_only(&[]);
}

/// A response about an unknown contact, dated at this time.
fn answer_at(time: Timestamp) -> Fault {
    let body = r#"{"errorCode":"ContactNotFound","message":"Contact not found."}"#;
    let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
    let date = date.expect("a date");
    Fault::Raw(Bytes::from(format!(
        "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ndate: {date}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )))
}

#[test]
fn clock_off_by_half_a_minute_warns_and_by_an_hour_fails() {
    let server = Engage::start();
    let engage = &server.simulator;
    for (seconds, status, what) in [
        (1, "ok", "agree"),
        (30, "warning", "s behind the server's"),
        (-30, "warning", "s ahead of the server's"),
        (3600, "failed", "too early or too late"),
    ] {
        let time = Clock::system().now().wall + SignedDuration::from_secs(seconds);
        engage.fault(Endpoint::All, answer_at(time));
        let checks = Online::new(engage).check();
        checks.assert("engage-clock", status, what);
    }
}
