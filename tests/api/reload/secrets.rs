//! Secrets and hosts that a reload replaces without a restart.

use engage_simulator::{
    DEFAULT_WEBHOOK_SECRET, Endpoint,
    fixtures::{ALVA, BO, CIM},
};
use http::header::AUTHORIZATION;
use reqwest::Method;
use serde_json::json;

use super::{by_id, client, post_reload, status};
use crate::{
    harness::{Answer, READER, SHOP, TestApp, let_requests_arrive, logs, wait_until},
    issuer::{Issuer, JwksAnswer},
    tokens::{of_alva, with_config},
};

const FIRST_TOKEN: &str = "a-first-operators-token";
const SECOND_TOKEN: &str = "a-second-operators-token";
const SECOND_SECRET: &str = "whsec_YSBzZWNvbmQgc2VjcmV0IG9mIHRlc3Rz";

/// Requests a reload with this operators' token.
async fn post_reload_with(app: &TestApp, token: &str) -> Answer {
    let request = app.operations_request("/reload");
    let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    let mut request = request.build().expect("a request");
    *request.method_mut() = Method::POST;
    app.execute(request).await
}

#[tokio::test]
async fn operators_token_is_replaced_with_the_reload_that_it_requests() {
    let app = TestApp::with(|config| config.operations.token = Some(FIRST_TOKEN.into())).await;
    app.configure(|config| config.operations.token = Some(SECOND_TOKEN.into()));
    post_reload(&app).await.assert_problem(401, "Unauthorized");
    let answer = post_reload_with(&app, FIRST_TOKEN).await;
    assert_eq!(
        answer.assert_ok().json(),
        json!({"changed": ["operations.token"], "needsRestart": []})
    );
    let refused = post_reload_with(&app, FIRST_TOKEN).await;
    refused.assert_problem(401, "Unauthorized");
    post_reload_with(&app, SECOND_TOKEN).await.assert_ok();
    let logs = logs();
    let requested = logs.matches("configuration reload requested by operator");
    assert_eq!(requested.count(), 2);
    assert!(!logs.contains(FIRST_TOKEN) && !logs.contains(SECOND_TOKEN));
}

#[tokio::test]
async fn host_of_the_operations_listener_is_accepted_after_a_reload() {
    let app = TestApp::spawn().await;
    let named = async || {
        let request = app
            .operations_request("/livez")
            .header("host", "ops.example.com");
        Answer::of(request).await.status
    };
    assert_eq!(named().await, 403);
    app.reload(|config| config.operations.hosts = vec!["ops.example.com".to_owned()])
        .await
        .expect("a reload");
    assert_eq!(named().await, 200);
    app.reload(|config| config.operations.hosts.clear())
        .await
        .expect("a reload");
    assert_eq!(named().await, 403);
}

#[tokio::test]
async fn webhook_secret_is_rotated_and_webhooks_are_turned_off() {
    let with = |secrets: &'static [&str]| {
        move |config: &mut engage_bff::config::Config| {
            config.webhooks.secrets = secrets.iter().map(|secret| (*secret).into()).collect();
        }
    };
    let app = TestApp::with(with(&[DEFAULT_WEBHOOK_SECRET])).await;
    let deliver = async || {
        let (headers, body) = app.engage.webhook("contact.updated", ALVA.id);
        app.deliver(headers, body).await.status
    };
    assert_eq!(deliver().await, 204);
    for (secrets, expected) in [
        (with(&[DEFAULT_WEBHOOK_SECRET, SECOND_SECRET]), 204),
        (with(&[SECOND_SECRET]), 401),
        (with(&[DEFAULT_WEBHOOK_SECRET]), 204),
        (with(&[]), 404),
    ] {
        app.reload(secrets).await.expect("a reload");
        assert_eq!(deliver().await, expected);
    }
    let again = app.reload(with(&[DEFAULT_WEBHOOK_SECRET])).await;
    assert_eq!(again.expect("a reload").needs_restart, ["webhooks.secrets"]);
}

#[tokio::test]
async fn engages_key_is_replaced_and_calls_in_flight_finish() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get_as(SHOP, &by_id());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.engage.accept_api_keys(&["another-engage-key"]);
    let reloaded = app
        .reload(|config| config.engage.api_key = Some("another-engage-key".into()))
        .await
        .expect("a reload");
    assert_eq!(reloaded.changed, ["engage.api_key"]);
    hold.release();
    first.await.expect("no panic").assert_ok();
    let other = format!("contactId={}&parts=none", BO.id);
    app.get_as(SHOP, &other).await.assert_ok();
    // Entries that were cached before stay.
    app.get_as(SHOP, &by_id()).await.assert_ok().assert_hit();
    app.engage.accept_api_keys(&[]);
    let third = format!("contactId={}&parts=none", CIM.id);
    let refused = app.get_as(SHOP, &third).await;
    refused.assert_problem(502, "UpstreamUnauthorized");
}

#[tokio::test]
async fn authorities_of_engage_that_can_not_be_read_change_nothing() {
    let app = TestApp::spawn().await;
    let refused = app
        .reload(|config| {
            config.engage.ca_file = Some("/nowhere/authorities.pem".into());
            config.auth.clients.retain(|client| client.id != "reader");
        })
        .await
        .expect_err("a refusal");
    assert!(
        refused.to_string().contains("engage.ca_file: "),
        "{refused}"
    );
    assert_eq!(status(&app, READER).await, 200);
}

async fn status_of(app: &TestApp, token: &str) -> u16 {
    let request = app.request("/customer/me");
    Answer::of(request.header(AUTHORIZATION, format!("Bearer {token}")))
        .await
        .status
}

#[tokio::test]
async fn reload_reads_the_issuers_keys_again() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = issuer.sign(&of_alva());
    assert_eq!(status_of(&app, &token).await, 200);
    let rotated = issuer.rotate();
    let reloaded = app.reload(|_| {}).await.expect("a reload");
    assert_eq!(reloaded.changed, ["auth.jwt.jwks_file"]);
    // The keys are read in the background.
    let mut last = status_of(&app, &token).await;
    for _ in 0..1000 {
        if last == 401 {
            break;
        }
        let_requests_arrive().await;
        last = status_of(&app, &token).await;
    }
    assert_eq!(last, 401);
    assert_eq!(status_of(&app, &rotated.sign(&of_alva())).await, 200);
}

#[tokio::test]
async fn issuers_keys_at_another_place_are_read_before_anything_changes() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = issuer.sign(&of_alva());
    let other = issuer.with_id("other");
    let server = other.serve_as(JwksAnswer::Failure).await;
    let url = server.url();
    let elsewhere = |config: &mut engage_bff::config::Config| {
        let jwt = config.auth.jwt.as_mut().expect("an issuer");
        jwt.jwks_file = None;
        jwt.jwks_url = Some(url.clone());
        client(config, "shop").requests_per_second = Some(7);
    };
    let refused = app.reload(elsewhere).await.expect_err("a refusal");
    assert!(
        refused.to_string().contains("auth.jwt.jwks_url: "),
        "{refused}"
    );
    assert_eq!(status_of(&app, &token).await, 200);
    server.publish(&other);
    app.reload(elsewhere).await.expect("a reload");
    assert_eq!(status_of(&app, &token).await, 401);
    assert_eq!(status_of(&app, &other.sign(&of_alva())).await, 200);
    // The background task uses the new place from then on.
    wait_until(|| server.requests() >= 3).await;
}

#[tokio::test]
async fn issuer_is_added_and_removed() {
    let issuer = Issuer::new();
    let app = TestApp::spawn().await;
    let token = issuer.sign(&of_alva());
    assert_eq!(status_of(&app, &token).await, 401);
    let jwt = crate::tokens::jwt(&issuer);
    app.reload(|config| config.auth.jwt = Some(jwt))
        .await
        .expect("a reload");
    assert_eq!(status_of(&app, &token).await, 200);
    app.reload(|config| config.auth.jwt = None)
        .await
        .expect("a reload");
    assert_eq!(status_of(&app, &token).await, 401);
}

#[tokio::test]
async fn request_in_flight_keeps_the_rights_with_which_it_came() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get_as(READER, &by_id());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.reload(|config| config.auth.clients.retain(|client| client.id != "reader"))
        .await
        .expect("a reload");
    hold.release();
    first.await.expect("no panic").assert_ok();
    assert_eq!(status(&app, READER).await, 401);
}
