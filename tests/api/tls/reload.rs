//! `engage.ca_file` is replaced while calls are made.

use super::*;
use crate::harness::{alarms, events};

/// Writes the file of the authority, and reloads the configuration, which names it. Returns the keys that changed.
async fn reload(app: &TestApp, authority: &CertificateAuthority) -> Vec<String> {
    authority.file();
    let reloaded = app.try_reload().await.expect("a reload");
    assert!(reloaded.needs_restart.is_empty());
    reloaded.changed
}

async fn metric(app: &TestApp, series: &str) -> String {
    let metrics = app.operations("/metrics").await;
    let mut lines = metrics.text().lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.expect("the series").to_owned()
}

#[tokio::test]
async fn call_in_flight_finishes_and_the_next_trusts_the_new_authority() {
    let (before, after) = (CertificateAuthority::new(), CertificateAuthority::new());
    let mut proxy = TlsProxy::bind(before.issue("localhost", VALID_UNTIL, &BOTH_VERSIONS)).await;
    let app = trusting(&before, &mut proxy).await;
    let ids = app.engage.contact_ids();
    let hold = app.engage.hold(Endpoint::All);
    let in_flight = app.spawn_get(&of(&ids[5]));
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    proxy.set_identity(after.issue("localhost", VALID_UNTIL, &BOTH_VERSIONS));
    assert_eq!(reload(&app, &after).await, ["engage.ca_file"]);
    hold.release();
    in_flight.await.expect("an answer").assert_ok();
    assert_eq!(proxy.connections(), 1);
    app.get(&of(&ids[6])).await.assert_ok();
    app.get(&of(&ids[7])).await.assert_ok();
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn file_that_is_no_certificate_changes_nothing_and_is_a_failed_reload() {
    let authority = CertificateAuthority::new();
    let mut proxy = TlsProxy::bind(authority.issue("localhost", VALID_UNTIL, &BOTH_VERSIONS)).await;
    let app = trusting(&authority, &mut proxy).await;
    let ids = app.engage.contact_ids();
    app.get(&of(&ids[5])).await.assert_ok();
    std::fs::write(authority.file(), "no certificate").expect("a file");
    let refused = app.try_reload().await.expect_err("a refusal").to_string();
    assert!(refused.starts_with("engage.ca_file: "), "{refused}");
    let failed = "engage_bff_reloads_total{outcome=\"failed\"}";
    assert_eq!(metric(&app, failed).await, "1");
    assert_eq!(metric(&app, "engage_bff_last_reload_failed").await, "1");
    // The earlier connections stay in use, and new ones are made as before.
    app.get(&of(&ids[6])).await.assert_ok();
    assert_eq!(proxy.connections(), 1);
    app.advance(NEW_POOL);
    app.get(&of(&ids[7])).await.assert_ok();
    assert_eq!(proxy.connections(), 2);
    // The same as at the start: nothing changes, and the reload succeeds.
    assert_eq!(reload(&app, &authority).await, [""; 0]);
    assert_eq!(metric(&app, "engage_bff_last_reload_failed").await, "0");
}

#[tokio::test]
async fn authority_of_another_server_is_an_alarm_until_it_is_corrected() {
    let (right, wrong) = (CertificateAuthority::new(), CertificateAuthority::new());
    let mut proxy = TlsProxy::bind(right.issue("localhost", VALID_UNTIL, &BOTH_VERSIONS)).await;
    let app = trusting(&right, &mut proxy).await;
    let ids = app.engage.contact_ids();
    app.get(&of(&ids[5])).await.assert_ok();
    assert_eq!(reload(&app, &wrong).await, ["engage.ca_file"]);
    let calls = app.engage.total_calls();
    let refused = app.get(&of(&ids[6])).await;
    refused.assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.total_calls(), calls);
    let failed = events("engage TLS handshake failed");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["alarm"], true);
    assert_eq!(alarms(), 1);
    assert_eq!(reload(&app, &right).await, ["engage.ca_file"]);
    app.get(&of(&ids[7])).await.assert_ok();
    assert_eq!(alarms(), 1);
}
