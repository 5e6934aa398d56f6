//! The connection to Engage: who may vouch for it, which HTTP is spoken, and what becomes of an Engage
//! that can't prove who it is.

mod front;
mod streams;

use std::time::Duration;

use engage_bff::config::Config;
use engage_simulator::{Endpoint, people::ALVA};
use http::Version;
use serde_json::json;

use self::front::{Authority, Front, Proof};
use crate::harness::{COLD_CALLS, TestApp, logs};

/// After that long connections are made anew, and everything that is held is too old.
const NEW_POOL: Duration = Duration::from_secs(301);
const LATE: i32 = 2100;
const BOTH: [&str; 2] = ["h2", "http/1.1"];

/// The service, which asks the simulator through the front.
async fn behind(front: &mut Front, change: impl FnOnce(&mut Config)) -> TestApp {
    let mut simulator = String::new();
    let app = TestApp::with(|config| {
        simulator = std::mem::replace(&mut config.engage.base_url, front.base_url());
        change(config);
    })
    .await;
    front.serve(simulator);
    app
}

/// The same, with that authority and no other.
async fn trusting(authority: &Authority, front: &mut Front) -> TestApp {
    behind(front, |config| {
        config.engage.ca_file = Some(authority.file());
    })
    .await
}

fn of(id: &str) -> String {
    format!("contactId={id}&parts=none")
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_http_1_else() {
    let authority = Authority::new();
    for (offers, version) in [
        (&BOTH[..], Version::HTTP_2),
        (&["h2"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let mut front = Front::bind(authority.vouch_for("localhost", LATE, offers)).await;
        let app = trusting(&authority, &mut front).await;
        let answer = app.get(&format!("contactId={}", ALVA.id)).await;
        answer.assert_ok();
        assert_eq!(answer.at("/points/balance"), json!(317.5));
        assert_eq!(front.versions(), [version; COLD_CALLS], "{offers:?}");
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
async fn over_http_2_many_calls_at_once_share_one_connection() {
    let authority = Authority::new();
    let mut front = Front::bind(authority.vouch_for("localhost", LATE, &BOTH)).await;
    let app = trusting(&authority, &mut front).await;
    app.get(&of(ALVA.id)).await.assert_ok();
    let hold = app.engage.hold(Endpoint::All);
    let ids = app.engage.contact_ids();
    let asked: Vec<_> = ids[5..25].iter().map(|id| app.ask(&of(id))).collect();
    app.engage.wait_for_calls(Endpoint::All, 21).await;
    hold.release();
    for asked in asked {
        asked.await.expect("an answer").assert_ok();
    }
    assert_eq!(front.connections(), 1);
}

#[tokio::test]
async fn who_can_not_prove_to_be_engage_is_told_nothing_and_people_are_called() {
    let authority = Authority::new();
    let good = authority.vouch_for("localhost", LATE, &BOTH);
    for (what, bad) in [
        ("expired", authority.vouch_for("localhost", 2020, &BOTH)),
        (
            "of another name",
            authority.vouch_for("engage.example.com", LATE, &BOTH),
        ),
        (
            "of a stranger",
            Authority::new().vouch_for("localhost", LATE, &BOTH),
        ),
        ("none", Proof::NONE),
    ] {
        let mut front = Front::bind(good.clone()).await;
        let app = trusting(&authority, &mut front).await;
        for id in &app.engage.contact_ids()[5..17] {
            app.get(&of(id)).await.assert_ok();
        }
        app.get(&of(ALVA.id)).await.assert_ok();
        front.prove(bad);
        app.advance(NEW_POOL);
        let (calls, connections) = (app.engage.total_calls(), front.connections());
        let alarms = logs().matches("TLS handshake").count();
        let stale = app.get(&of(ALVA.id)).await;
        stale.assert_stale_if_error();
        assert_eq!(stale.at("/degraded"), json!(["profile"]), "{what}");
        let cold = &app.engage.contact_ids()[20];
        let told = app.get(&of(cold)).await;
        told.assert_problem(502, "UpstreamFailed");
        // There was credit for a retry of each.
        assert_eq!(front.connections() - connections, 2, "{what}");
        assert_eq!(app.engage.total_calls(), calls, "{what}");
        let logs = logs();
        assert_eq!(logs.matches("TLS handshake").count() - alarms, 2, "{what}");
        let mut lines = logs.lines();
        let alarm = lines.rfind(|line| line.contains("TLS handshake"));
        let alarm = alarm.expect("a line");
        assert!(alarm.contains("\"alarm\":true"), "{alarm}");

        front.prove(good.clone());
        app.get(&of(cold)).await.assert_ok();
        let healed = app.get(&of(ALVA.id)).await;
        assert_eq!(healed.assert_ok().at("/degraded"), json!([]), "{what}");
    }
}

#[tokio::test]
async fn without_a_file_of_its_own_only_the_usual_authorities_count() {
    let authority = Authority::new();
    let mut front = Front::bind(authority.vouch_for("localhost", LATE, &BOTH)).await;
    let app = behind(&mut front, |_| {}).await;
    let told = app.get(&of(ALVA.id)).await;
    told.assert_problem(502, "UpstreamFailed");
    assert_eq!(app.engage.total_calls(), 0);
    assert!(logs().contains("TLS handshake"), "{}", logs());
}
