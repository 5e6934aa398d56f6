//! The connection to Engage: trusted certificate authorities, HTTP versions, and an Engage whose certificate is not
//! valid.

mod proxy;
mod reload;
mod streams;

use std::time::Duration;

use engage_bff::config::Config;
use engage_simulator::{Endpoint, fixtures::ALVA};
use http::Version;
use serde_json::json;

use self::proxy::{CertificateAuthority, Identity, TlsProxy};
use crate::harness::{COLD_CALLS, TestApp, logs};

/// After this time connections are replaced, and every cached part except the audiences has expired.
const NEW_POOL: Duration = Duration::from_secs(301);
const VALID_UNTIL: i32 = 2100;
const BOTH_VERSIONS: [&str; 2] = ["h2", "http/1.1"];

/// The service, which calls the simulator through the TLS proxy.
async fn behind(proxy: &mut TlsProxy, change: impl FnOnce(&mut Config)) -> TestApp {
    let mut simulator = String::new();
    let app = TestApp::with(|config| {
        simulator = std::mem::replace(&mut config.engage.base_url, proxy.base_url());
        change(config);
    })
    .await;
    proxy.serve(simulator);
    app
}

/// Like `behind`, trusting only this certificate authority.
async fn trusting(authority: &CertificateAuthority, proxy: &mut TlsProxy) -> TestApp {
    behind(proxy, |config| {
        config.engage.ca_file = Some(authority.file());
    })
    .await
}

fn of(id: &str) -> String {
    format!("contactId={id}&parts=none")
}

#[tokio::test]
async fn http_2_is_used_if_offered_and_http_1_1_otherwise() {
    let authority = CertificateAuthority::new();
    for (offers, version) in [
        (&BOTH_VERSIONS[..], Version::HTTP_2),
        (&["h2"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let mut proxy = TlsProxy::bind(authority.issue("localhost", VALID_UNTIL, offers)).await;
        let app = trusting(&authority, &mut proxy).await;
        let answer = app.get(&format!("contactId={}", ALVA.id)).await;
        answer.assert_ok();
        assert_eq!(answer.at("/points/balance"), json!(317.5));
        assert_eq!(proxy.versions(), [version; COLD_CALLS], "{offers:?}");
        for call in app.engage.log() {
            assert!(
                call.headers.api_key && call.headers.content_type,
                "{call:?}"
            );
            assert!(call.headers.accept && call.headers.user_agent, "{call:?}");
        }
    }
}

#[tokio::test]
async fn concurrent_http_2_calls_share_one_connection() {
    let authority = CertificateAuthority::new();
    let mut proxy = TlsProxy::bind(authority.issue("localhost", VALID_UNTIL, &BOTH_VERSIONS)).await;
    let app = trusting(&authority, &mut proxy).await;
    app.get(&of(ALVA.id)).await.assert_ok();
    let hold = app.engage.hold(Endpoint::All);
    let ids = app.engage.contact_ids();
    let pending: Vec<_> = ids[5..25].iter().map(|id| app.spawn_get(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 21).await;
    hold.release();
    for pending in pending {
        pending.await.expect("an answer").assert_ok();
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn invalid_certificate_gets_no_request_and_raises_an_alarm() {
    let authority = CertificateAuthority::new();
    let valid = authority.issue("localhost", VALID_UNTIL, &BOTH_VERSIONS);
    for (what, invalid) in [
        (
            "expired",
            authority.issue("localhost", 2020, &BOTH_VERSIONS),
        ),
        (
            "of another name",
            authority.issue("engage.example.com", VALID_UNTIL, &BOTH_VERSIONS),
        ),
        (
            "of an unknown authority",
            CertificateAuthority::new().issue("localhost", VALID_UNTIL, &BOTH_VERSIONS),
        ),
        ("none", Identity::NONE),
    ] {
        let mut proxy = TlsProxy::bind(valid.clone()).await;
        let app = trusting(&authority, &mut proxy).await;
        for id in &app.engage.contact_ids()[5..17] {
            app.get(&of(id)).await.assert_ok();
        }
        app.get(&of(ALVA.id)).await.assert_ok();
        proxy.set_identity(invalid);
        app.advance(NEW_POOL);
        let (calls, connections) = (app.engage.total_calls(), proxy.connections());
        let alarms = logs().matches("TLS handshake").count();
        let stale = app.get(&of(ALVA.id)).await;
        stale.assert_stale_if_error();
        assert_eq!(stale.at("/degraded"), json!(["profile"]), "{what}");
        let cold = &app.engage.contact_ids()[20];
        let answer = app.get(&of(cold)).await;
        answer.assert_problem(502, "UpstreamFailed");
        // Neither call was retried, although there was credit for both.
        assert_eq!(proxy.connections() - connections, 2, "{what}");
        assert_eq!(app.engage.total_calls(), calls, "{what}");
        let logs = logs();
        assert_eq!(logs.matches("TLS handshake").count() - alarms, 2, "{what}");
        let mut lines = logs.lines();
        let alarm = lines.rfind(|line| line.contains("TLS handshake"));
        let alarm = alarm.expect("a line");
        assert!(alarm.contains("\"alarm\":true"), "{alarm}");

        proxy.set_identity(valid.clone());
        app.get(&of(cold)).await.assert_ok();
        let healed = app.get(&of(ALVA.id)).await;
        assert_eq!(healed.assert_ok().at("/degraded"), json!([]), "{what}");
    }
}

#[tokio::test]
async fn without_ca_file_only_public_authorities_are_trusted() {
    let authority = CertificateAuthority::new();
    let mut proxy = TlsProxy::bind(authority.issue("localhost", VALID_UNTIL, &BOTH_VERSIONS)).await;
    let app = behind(&mut proxy, |_| {}).await;
    let answer = app.get(&of(ALVA.id)).await;
    answer.assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.total_calls(), 0);
    assert!(logs().contains("TLS handshake"), "{}", logs());
}
