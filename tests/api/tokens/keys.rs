//! The issuer's keys: not loaded yet, rotated, withdrawn, and requested by tokens with unknown key ids.

use std::time::Duration;

use engage_simulator::fixtures::ALVA;

use super::{claims, get, now, of_alva, spawn, with, with_config};
use crate::{
    harness::{Answer, TILL, TestApp, let_requests_arrive, logs, wait_until},
    issuer::{Issuer, JwksAnswer, JwksServer},
};
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

/// A service that fetches the issuer's keys from this URL.
async fn with_url(issuer: &Issuer, server: &JwksServer) -> TestApp {
    let url = server.url();
    with(issuer, |jwt| {
        jwt.jwks_file = None;
        jwt.jwks_url = Some(url);
    })
    .await
}

fn with_key_id(issuer: &Issuer, id: &str) -> String {
    issuer.sign_with(&of_alva(), |header| header.kid = Some(id.to_owned()))
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    answer.assert_problem(503, "UpstreamUnavailable");
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("www-authenticate"), "");
}

/// The number of alarms about the keys in the log.
fn alarms() -> usize {
    let logs = logs();
    let of_keys = |line: &&str| {
        line.contains("token issuer keys unavailable") && line.contains("\"alarm\":true")
    };
    logs.lines().filter(of_keys).count()
}

#[tokio::test]
async fn valid_token_is_503_until_keys_are_loaded() {
    let issuer = Issuer::new();
    let server = issuer.serve_as(JwksAnswer::Failure).await;
    let app = with_url(&issuer, &server).await;
    let token = issuer.sign(&of_alva());
    assert_unavailable(&get(&app, &token, "/customer/me").await);
    // A token that no key could validate is refused.
    for own in [
        json!({"exp": now() - 60}),
        json!({"iss": "https://evil.example"}),
    ] {
        let token = issuer.sign(&claims(own));
        get(&app, &token, "/customer/me")
            .await
            .assert_problem(401, "Unauthorized");
    }
    let query = format!("contactId={}", ALVA.id);
    app.get_as(TILL, &query).await.assert_ok();
    // The service fetches the keys again within a second, without a request.
    server.publish(&issuer);
    let requests = server.requests();
    app.advance(SECOND);
    wait_until(|| server.requests() > requests).await;
    get(&app, &token, "/customer/me").await.assert_ok();
}

#[tokio::test]
async fn readiness_waits_thirty_seconds_for_the_first_keys() {
    let issuer = Issuer::new();
    let server = issuer.serve_as(JwksAnswer::Failure).await;
    let app = with_url(&issuer, &server).await;
    let ready = async || Answer::of(app.request("/readyz")).await.status;
    assert_eq!(ready().await, 503);
    let details = app.operations("/readyz").await;
    assert_eq!(details.status, 503);
    assert_eq!(details.at("/ready"), false);
    assert_eq!(details.at("/tokenKeys"), "not loaded");
    assert_eq!(Answer::of(app.request("/livez")).await.status, 200);
    app.advance(29 * SECOND);
    assert_eq!(ready().await, 503);
    app.advance(SECOND);
    assert_eq!(ready().await, 200);
    let details = app.operations("/readyz").await;
    assert_eq!(details.assert_ok().at("/tokenKeys"), "not loaded");
    server.publish(&issuer);
    app.advance(5 * SECOND);
    let token = issuer.sign(&of_alva());
    wait_until(|| logs().contains("token issuer keys available again")).await;
    get(&app, &token, "/customer/me").await.assert_ok();
    let details = app.operations("/readyz").await;
    assert_eq!(details.assert_ok().at("/tokenKeys"), "loaded");
}

#[tokio::test]
async fn service_without_an_issuer_or_with_keys_is_ready() {
    let app = TestApp::spawn().await;
    assert_eq!(Answer::of(app.request("/readyz")).await.status, 200);
    let details = app.operations("/readyz").await;
    assert_eq!(details.assert_ok().at("/tokenKeys"), "off");
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let token = issuer.sign(&of_alva());
    get(&app, &token, "/customer/me").await.assert_ok();
    assert_eq!(Answer::of(app.request("/readyz")).await.status, 200);
}

#[tokio::test]
async fn hanging_issuer_is_503_at_the_request_timeout() {
    let issuer = Issuer::new();
    let server = issuer.serve_as(JwksAnswer::Silence).await;
    let url = server.url();
    let app = with_config(&issuer, |config| {
        config.server.request_timeout = Duration::from_millis(900);
        let jwt = config.auth.jwt.as_mut().expect("set above");
        jwt.jwks_file = None;
        jwt.jwks_url = Some(url);
    })
    .await;
    let token = issuer.sign(&of_alva());
    let waiting =
        futures_util::future::join_all((0..20).map(|_| get(&app, &token, "/customer/me")));
    let (answers, ()) = tokio::join!(waiting, async {
        let_requests_arrive().await;
        app.advance(Duration::from_millis(900));
    });
    for answer in answers {
        assert_unavailable(&answer);
    }
    // All of them wait for one fetch, which ends at its own timeout.
    assert_eq!(server.requests(), 1);
    server.publish(&issuer);
    for _ in 0..10 {
        app.advance(SECOND);
        let_requests_arrive().await;
    }
    get(&app, &token, "/customer/me").await.assert_ok();
}

#[tokio::test]
async fn rotated_key_is_accepted_at_once_and_withdrawn_key_refused() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let old = issuer.sign(&of_alva());
    get(&app, &old, "/customer/me").await.assert_ok();
    let rotated = issuer.rotate();
    let new = rotated.sign(&of_alva());
    get(&app, &new, "/customer/me").await.assert_ok();
    get(&app, &old, "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    // The same happens without a token that names the new key.
    let third = rotated.rotate_to("three");
    app.advance(600 * SECOND);
    let long = json!({"contactId": ALVA.id, "exp": now() + 3600});
    wait_for_status(&app, &rotated.sign(&claims(long.clone())), 401).await;
    get(&app, &third.sign(&claims(long)), "/customer/me")
        .await
        .assert_ok();
}

/// Repeats the request until the answer has this status.
async fn wait_for_status(app: &TestApp, token: &str, status: u16) {
    for _ in 0..500 {
        if get(app, token, "/customer/me").await.status == status {
            return;
        }
        let_requests_arrive().await;
    }
    panic!("the status never became {status}");
}

#[tokio::test]
async fn loaded_keys_survive_a_broken_or_missing_source() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let token = issuer.sign(&claims(json!({"contactId": ALVA.id, "exp": now() + 3600})));
    get(&app, &token, "/customer/me").await.assert_ok();
    issuer.break_jwks();
    for is_removed in [false, true] {
        if is_removed {
            std::fs::remove_file(issuer.jwks_file()).expect("a file");
        }
        app.advance(700 * SECOND);
        let_requests_arrive().await;
        get(&app, &token, "/customer/me").await.assert_ok();
        // A failed fetch says nothing about an unknown key.
        let unknown = json!({"contactId": ALVA.id, "exp": now() + 3600});
        let unknown = issuer.sign_with(&claims(unknown), |header| {
            header.kid = Some(format!("new {is_removed}"));
        });
        assert_unavailable(&get(&app, &unknown, "/customer/me").await);
    }
    assert_eq!(alarms(), 1);
}

#[tokio::test]
async fn unknown_key_ids_cause_one_fetch_in_three_seconds() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let good = issuer.sign(&of_alva());
    get(&app, &good, "/customer/me").await.assert_ok();
    get(&app, &with_key_id(&issuer, "unknown"), "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    assert_eq!(server.requests(), 2);
    // For a minute the key is known to be absent, so no fetch is made.
    get(&app, &with_key_id(&issuer, "unknown"), "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    assert_eq!(server.requests(), 2);
    for round in 0..10 {
        for each in 0..20 {
            let unknown = with_key_id(&issuer, &format!("{round}/{each}"));
            let answer = get(&app, &unknown, "/customer/me").await;
            // The next fetch starts later than this caller's deadline.
            assert!([401, 503].contains(&answer.status), "{}", answer.text());
        }
        get(&app, &good, "/customer/me").await.assert_ok();
        app.advance(3 * SECOND);
        let_requests_arrive().await;
        // When the token is sent again, that fetch decides: it did not contain the key.
        get(
            &app,
            &with_key_id(&issuer, &format!("{round}/19")),
            "/customer/me",
        )
        .await
        .assert_problem(401, "Unauthorized");
    }
    assert!(server.requests() <= 12, "{}", server.requests());
    // The flood continues, and the issuer rotates its key.
    let rotated = issuer.rotate();
    server.publish(&rotated);
    let new = rotated.sign(&of_alva());
    get(&app, &with_key_id(&issuer, "one more"), "/customer/me").await;
    let first = get(&app, &new, "/customer/me").await;
    if first.status != 200 {
        assert_unavailable(&first);
        app.advance(3 * SECOND);
        let_requests_arrive().await;
        get(&app, &new, "/customer/me").await.assert_ok();
    }
}

#[tokio::test]
async fn unknown_key_id_waits_for_an_imminent_fetch() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let good = issuer.sign(&of_alva());
    get(&app, &good, "/customer/me").await.assert_ok();
    get(&app, &with_key_id(&issuer, "unknown"), "/customer/me").await;
    assert_eq!(server.requests(), 2);
    let rotated = issuer.rotate();
    server.publish(&rotated);
    app.advance(SECOND);
    let new = rotated.sign(&of_alva());
    let (answers, ()) = tokio::join!(
        futures_util::future::join_all((0..20).map(|_| get(&app, &new, "/customer/me"))),
        async {
            let_requests_arrive().await;
            assert_eq!(server.requests(), 2);
            app.advance(2 * SECOND);
        }
    );
    for answer in answers {
        answer.assert_ok();
    }
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn token_without_a_key_id_triggers_one_fetch_a_minute() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let without_key_id = |issuer: &Issuer| issuer.sign_with(&of_alva(), |header| header.kid = None);
    get(&app, &without_key_id(&issuer), "/customer/me")
        .await
        .assert_ok();
    assert_eq!(server.requests(), 1);
    let rotated = issuer.rotate();
    server.publish(&rotated);
    get(&app, &without_key_id(&rotated), "/customer/me")
        .await
        .assert_ok();
    assert_eq!(server.requests(), 2);
    // A token that no fetch validates stays refused, and causes no further fetch for a minute.
    let unknown = without_key_id(&issuer);
    get(&app, &unknown, "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    app.advance(3 * SECOND);
    wait_until(|| server.requests() == 3).await;
    let_requests_arrive().await;
    for _ in 0..3 {
        get(&app, &unknown, "/customer/me")
            .await
            .assert_problem(401, "Unauthorized");
        app.advance(3 * SECOND);
        let_requests_arrive().await;
    }
    assert_eq!(server.requests(), 3);
    app.advance(60 * SECOND);
    let_requests_arrive().await;
    assert_eq!(server.requests(), 3, "no request asks for it");
    get(&app, &unknown, "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    wait_until(|| server.requests() == 4).await;
}

#[tokio::test]
async fn token_without_a_key_id_is_503_while_the_issuer_fails() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let without_key_id = |issuer: &Issuer| issuer.sign_with(&of_alva(), |header| header.kid = None);
    get(&app, &without_key_id(&issuer), "/customer/me")
        .await
        .assert_ok();
    let rotated = issuer.rotate();
    server.answer(JwksAnswer::Failure);
    // During its own fetch, and while the next fetch may not start yet.
    for _ in 0..2 {
        assert_unavailable(&get(&app, &without_key_id(&rotated), "/customer/me").await);
        get(&app, &without_key_id(&issuer), "/customer/me")
            .await
            .assert_ok();
    }
    server.publish(&rotated);
    app.advance(3 * SECOND);
    wait_until(|| server.requests() == 3).await;
    wait_for_status(&app, &without_key_id(&rotated), 200).await;
}

#[tokio::test]
async fn key_fetch_sends_accept_encoding_identity() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    get(&app, &issuer.sign(&of_alva()), "/customer/me")
        .await
        .assert_ok();
    let head = server.head();
    assert!(head.contains("\r\naccept-encoding: identity\r\n"), "{head}");
}

#[tokio::test]
async fn absent_key_is_found_by_a_later_fetch() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let good = issuer.sign(&of_alva());
    get(&app, &good, "/customer/me").await.assert_ok();
    // The issuer signs with a key before publishing it.
    let early = issuer.with_id("early");
    let token = early.sign(&of_alva());
    get(&app, &token, "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    issuer.publish_with(&[&issuer, &early]);
    get(&app, &token, "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    app.advance(60 * SECOND);
    get(&app, &token, "/customer/me").await.assert_ok();
}

#[tokio::test]
async fn failing_key_source_raises_one_alarm_until_it_recovers() {
    let issuer = Issuer::new();
    let server = issuer.serve_as(JwksAnswer::Failure).await;
    let app = with_url(&issuer, &server).await;
    for _ in 0..20 {
        app.advance(SECOND);
        let_requests_arrive().await;
    }
    assert!(server.requests() > 5, "{}", server.requests());
    assert_eq!(alarms(), 1);
    server.publish(&issuer);
    app.advance(5 * SECOND);
    wait_until(|| logs().contains("token issuer keys available again")).await;
    server.answer(JwksAnswer::Failure);
    app.advance(600 * SECOND);
    wait_until(|| alarms() == 2).await;
}

#[tokio::test]
async fn repeated_requests_cause_one_fetch_for_an_unknown_key() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let token = issuer.sign(&of_alva());
    let unknown = with_key_id(&issuer, "x");
    for _ in 0..20 {
        let (good, bad) = tokio::join!(
            get(&app, &token, "/customer/me"),
            get(&app, &unknown, "/customer/me")
        );
        good.assert_ok();
        bad.assert_problem(401, "Unauthorized");
    }
    // Once at the start, and once for the unknown key.
    assert_eq!(server.requests(), 2);
}
