//! The issuer's keys: not known yet, replaced, taken back, and asked for by tokens that name made-up ones.

use std::time::Duration;

use engage_simulator::people::ALVA;

use super::{claims, get, now, of_alva, spawn, with, with_config};
use crate::{
    harness::{Answer, TILL, TestApp, arrive, logs, until},
    issuer::{Issuer, JwksAnswer, JwksServer},
};
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

/// A service that reads the issuer's keys from that address.
async fn with_url(issuer: &Issuer, server: &JwksServer) -> TestApp {
    let url = server.url();
    with(issuer, |jwt| {
        jwt.jwks_file = None;
        jwt.jwks_url = Some(url);
    })
    .await
}

fn of_key(issuer: &Issuer, id: &str) -> String {
    issuer.sign_with(&of_alva(), |header| header.kid = Some(id.to_owned()))
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    answer.assert_problem(503, "UpstreamUnavailable");
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("www-authenticate"), "");
}

/// How often the log raises the alarm about the keys.
fn alarms() -> usize {
    let logs = logs();
    let of_keys = |line: &&str| {
        line.contains("the token issuer's keys can't be read") && line.contains("\"alarm\":true")
    };
    logs.lines().filter(of_keys).count()
}

#[tokio::test]
async fn while_no_key_is_known_a_token_that_needs_one_is_a_503() {
    let issuer = Issuer::new();
    let server = issuer.serve_as(JwksAnswer::Failure).await;
    let app = with_url(&issuer, &server).await;
    let token = issuer.sign(&of_alva());
    assert_unavailable(&get(&app, &token, "/customer/me").await);
    // What no key would make good is refused.
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
    // Read again within a second, without a request.
    server.publish(&issuer);
    let asked = server.requests();
    app.advance(SECOND);
    until(|| server.requests() > asked).await;
    get(&app, &token, "/customer/me").await.assert_ok();
}

#[tokio::test]
async fn readiness_waits_for_the_first_keys_but_not_forever() {
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
    until(|| logs().contains("the token issuer's keys can be read again")).await;
    get(&app, &token, "/customer/me").await.assert_ok();
    let details = app.operations("/readyz").await;
    assert_eq!(details.assert_ok().at("/tokenKeys"), "loaded");
}

#[tokio::test]
async fn a_service_without_an_issuer_or_with_its_keys_is_ready_at_once() {
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
async fn an_issuer_that_hangs_holds_no_caller_beyond_the_request_timeout() {
    let issuer = Issuer::new();
    let server = issuer.serve_as(JwksAnswer::Silence).await;
    let url = server.url();
    let app = with_config(&issuer, |config| {
        config.server.request_timeout = Duration::from_millis(900);
        let jwt = config.auth.jwt.as_mut().expect("it was set");
        jwt.jwks_file = None;
        jwt.jwks_url = Some(url);
    })
    .await;
    let token = issuer.sign(&of_alva());
    let waiting =
        futures_util::future::join_all((0..20).map(|_| get(&app, &token, "/customer/me")));
    let (answers, ()) = tokio::join!(waiting, async {
        arrive().await;
        app.advance(Duration::from_millis(900));
    });
    for answer in answers {
        assert_unavailable(&answer);
    }
    // All of them wait for one reading, which its own time-out ends.
    assert_eq!(server.requests(), 1);
    server.publish(&issuer);
    for _ in 0..10 {
        app.advance(SECOND);
        arrive().await;
    }
    get(&app, &token, "/customer/me").await.assert_ok();
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_a_key_taken_back_ends() {
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
    // Without any token that names it, the same.
    let third = rotated.rotate_to("three");
    app.advance(600 * SECOND);
    let long = json!({"contactId": ALVA.id, "exp": now() + 3600});
    until_status(&app, &rotated.sign(&claims(long.clone())), 401).await;
    get(&app, &third.sign(&claims(long)), "/customer/me")
        .await
        .assert_ok();
}

/// Asks until the answer has the status.
async fn until_status(app: &TestApp, token: &str, status: u16) {
    for _ in 0..500 {
        if get(app, token, "/customer/me").await.status == status {
            return;
        }
        arrive().await;
    }
    panic!("the status never was {status}");
}

#[tokio::test]
async fn keys_outlive_a_source_that_fails_or_is_gone() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let token = issuer.sign(&claims(json!({"contactId": ALVA.id, "exp": now() + 3600})));
    get(&app, &token, "/customer/me").await.assert_ok();
    issuer.break_jwks();
    for gone in [false, true] {
        if gone {
            std::fs::remove_file(issuer.jwks_file()).expect("a file");
        }
        app.advance(700 * SECOND);
        arrive().await;
        get(&app, &token, "/customer/me").await.assert_ok();
        // Of an unknown key a failed reading says nothing.
        let unknown = json!({"contactId": ALVA.id, "exp": now() + 3600});
        let unknown = issuer.sign_with(&claims(unknown), |header| {
            header.kid = Some(format!("new {gone}"));
        });
        assert_unavailable(&get(&app, &unknown, "/customer/me").await);
    }
    assert_eq!(alarms(), 1);
}

#[tokio::test]
async fn made_up_keys_cause_one_reading_in_seconds_and_hold_no_rotation_back() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let good = issuer.sign(&of_alva());
    get(&app, &good, "/customer/me").await.assert_ok();
    get(&app, &of_key(&issuer, "made up"), "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    assert_eq!(server.requests(), 2);
    // Known to be absent for a minute.
    get(&app, &of_key(&issuer, "made up"), "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    assert_eq!(server.requests(), 2);
    for round in 0..10 {
        for each in 0..20 {
            let made_up = of_key(&issuer, &format!("{round}/{each}"));
            let answer = get(&app, &made_up, "/customer/me").await;
            // The next reading is later than this caller waits.
            assert!([401, 503].contains(&answer.status), "{}", answer.text());
        }
        get(&app, &good, "/customer/me").await.assert_ok();
        app.advance(3 * SECOND);
        arrive().await;
        // Its retry is answered from what that reading did not show.
        get(
            &app,
            &of_key(&issuer, &format!("{round}/19")),
            "/customer/me",
        )
        .await
        .assert_problem(401, "Unauthorized");
    }
    assert!(server.requests() <= 12, "{}", server.requests());
    // The flood goes on, and the issuer changes its key.
    let rotated = issuer.rotate();
    server.publish(&rotated);
    let new = rotated.sign(&of_alva());
    get(&app, &of_key(&issuer, "one more"), "/customer/me").await;
    let first = get(&app, &new, "/customer/me").await;
    if first.status != 200 {
        assert_unavailable(&first);
        app.advance(3 * SECOND);
        arrive().await;
        get(&app, &new, "/customer/me").await.assert_ok();
    }
}

#[tokio::test]
async fn an_unknown_key_waits_for_the_next_reading_if_that_is_soon() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let good = issuer.sign(&of_alva());
    get(&app, &good, "/customer/me").await.assert_ok();
    get(&app, &of_key(&issuer, "made up"), "/customer/me").await;
    assert_eq!(server.requests(), 2);
    let rotated = issuer.rotate();
    server.publish(&rotated);
    app.advance(SECOND);
    let new = rotated.sign(&of_alva());
    let (answers, ()) = tokio::join!(
        futures_util::future::join_all((0..20).map(|_| get(&app, &new, "/customer/me"))),
        async {
            arrive().await;
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
async fn a_new_key_is_found_by_a_token_that_names_none() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let nameless = |issuer: &Issuer| issuer.sign_with(&of_alva(), |header| header.kid = None);
    get(&app, &nameless(&issuer), "/customer/me")
        .await
        .assert_ok();
    assert_eq!(server.requests(), 1);
    let rotated = issuer.rotate();
    server.publish(&rotated);
    get(&app, &nameless(&rotated), "/customer/me")
        .await
        .assert_ok();
    assert_eq!(server.requests(), 2);
    // What no reading makes good stays refused, and is not looked for again for a minute.
    let made_up = nameless(&issuer);
    get(&app, &made_up, "/customer/me")
        .await
        .assert_problem(401, "Unauthorized");
    app.advance(3 * SECOND);
    until(|| server.requests() == 3).await;
    arrive().await;
    for _ in 0..3 {
        get(&app, &made_up, "/customer/me")
            .await
            .assert_problem(401, "Unauthorized");
        app.advance(3 * SECOND);
        arrive().await;
    }
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn while_the_issuer_fails_a_token_that_names_no_key_is_unknown_and_not_refused() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let nameless = |issuer: &Issuer| issuer.sign_with(&of_alva(), |header| header.kid = None);
    get(&app, &nameless(&issuer), "/customer/me")
        .await
        .assert_ok();
    let rotated = issuer.rotate();
    server.answer(JwksAnswer::Failure);
    // Its own reading, and while the next may not begin yet.
    for _ in 0..2 {
        assert_unavailable(&get(&app, &nameless(&rotated), "/customer/me").await);
        get(&app, &nameless(&issuer), "/customer/me")
            .await
            .assert_ok();
    }
    server.publish(&rotated);
    app.advance(3 * SECOND);
    until(|| server.requests() == 3).await;
    until_status(&app, &nameless(&rotated), 200).await;
}

#[tokio::test]
async fn the_issuer_is_told_that_nothing_but_plain_answers_is_read() {
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
async fn a_key_that_was_absent_is_found_by_any_later_reading() {
    let issuer = Issuer::new();
    let app = spawn(&issuer).await;
    let good = issuer.sign(&of_alva());
    get(&app, &good, "/customer/me").await.assert_ok();
    // The issuer signs with a key before it publishes it.
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
async fn a_failing_source_raises_one_alarm_until_it_works_again() {
    let issuer = Issuer::new();
    let server = issuer.serve_as(JwksAnswer::Failure).await;
    let app = with_url(&issuer, &server).await;
    for _ in 0..20 {
        app.advance(SECOND);
        arrive().await;
    }
    assert!(server.requests() > 5, "{}", server.requests());
    assert_eq!(alarms(), 1);
    server.publish(&issuer);
    app.advance(5 * SECOND);
    until(|| logs().contains("the token issuer's keys can be read again")).await;
    server.answer(JwksAnswer::Failure);
    app.advance(600 * SECOND);
    until(|| alarms() == 2).await;
}

#[tokio::test]
async fn keys_come_from_a_url_which_is_asked_once_however_many_ask() {
    let issuer = Issuer::new();
    let server = issuer.serve().await;
    let app = with_url(&issuer, &server).await;
    let token = issuer.sign(&of_alva());
    let unknown = of_key(&issuer, "x");
    for _ in 0..20 {
        let (good, bad) = tokio::join!(
            get(&app, &token, "/customer/me"),
            get(&app, &unknown, "/customer/me")
        );
        good.assert_ok();
        bad.assert_problem(401, "Unauthorized");
    }
    // Once at the start, and once for the key that it did not show.
    assert_eq!(server.requests(), 2);
}
