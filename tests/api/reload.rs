//! Reloads: what changes at once, what continues, and what changes nothing.

mod limits;
mod model;
mod rate;
mod secrets;

use engage_bff::config::{ClientConfig, Config, Scope};
use engage_simulator::fixtures::ALVA;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, READER, SHOP, TestApp, logs},
    issuer::Issuer,
    operators::operate,
    tokens::{of_alva, with_config},
};

/// A key that no client has at first.
const NEW: &str = "test-new-key";
/// printf %s test-new-key | sha256sum
const NEW_DIGEST: &str = "a170cfc4bbfcabeba4051901545a85a0cc8387d6d1962a2f649b51324da9bf3e";

fn by_id() -> String {
    format!("contactId={}", ALVA.id)
}

/// The client with this id.
fn client<'a>(config: &'a mut Config, id: &str) -> &'a mut ClientConfig {
    let mut clients = config.auth.clients.iter_mut();
    clients.find(|client| client.id == id).expect("the client")
}

/// The status of a look-up with this key.
async fn status(app: &TestApp, key: &str) -> u16 {
    app.get_as(key, &by_id()).await.status
}

/// Requests a reload as an operator.
async fn post_reload(app: &TestApp) -> Answer {
    operate(app, Method::POST, "/reload", "").await
}

/// What `/readyz` reports to operators about reloads.
async fn reported(app: &TestApp) -> Value {
    app.operations("/readyz").await.at("/reload")
}

#[tokio::test]
async fn new_key_is_accepted_and_removed_one_refused_at_once() {
    let app = TestApp::spawn().await;
    assert_eq!(
        [status(&app, SHOP).await, status(&app, NEW).await],
        [200, 401]
    );
    let reloaded = app
        .reload(|config| {
            client(config, "shop")
                .key_sha256
                .push(NEW_DIGEST.to_owned());
        })
        .await
        .expect("a reload");
    assert_eq!(reloaded.changed, ["auth.clients[shop]"]);
    assert!(reloaded.needs_restart.is_empty());
    assert_eq!(
        [status(&app, SHOP).await, status(&app, NEW).await],
        [200, 200]
    );
    app.reload(|config| drop(client(config, "shop").key_sha256.remove(0)))
        .await
        .expect("a reload");
    assert_eq!(
        [status(&app, SHOP).await, status(&app, NEW).await],
        [401, 200]
    );
}

#[tokio::test]
async fn removed_client_is_refused_by_the_fast_path_of_a_kept_connection() {
    let app = TestApp::spawn().await;
    app.get_as(READER, &by_id()).await.assert_ok();
    let before = app.fast_path_total();
    // The tests' HTTP client keeps its connection.
    app.get_as(READER, &by_id()).await.assert_ok();
    assert_eq!(app.fast_path_total(), before + 1);
    app.reload(|config| config.auth.clients.retain(|client| client.id != "reader"))
        .await
        .expect("a reload");
    let refused = app.get_as(READER, &by_id()).await;
    refused.assert_problem(401, "Unauthorized");
    assert_eq!(app.fast_path_total(), before + 1);
    app.get_as(SHOP, &by_id()).await.assert_ok();
}

#[tokio::test]
async fn rights_that_were_taken_are_refused_and_the_cache_stays_warm() {
    let app = TestApp::spawn().await;
    let fresh = format!("{}&fresh=points", by_id());
    app.get_as(SHOP, &fresh).await.assert_ok();
    let calls = app.engage.log().len();
    app.reload(|config| client(config, "shop").scopes = vec![Scope::Read])
        .await
        .expect("a reload");
    let refused = app.get_as(SHOP, &fresh).await;
    refused.assert_problem(403, "Forbidden");
    app.get_as(SHOP, &by_id()).await.assert_ok().assert_hit();
    assert_eq!(app.engage.log().len(), calls);
}

#[tokio::test]
async fn configuration_with_a_mistake_changes_nothing_and_is_reported() {
    let app = TestApp::spawn().await;
    app.configure(|config| {
        config.auth.clients.retain(|client| client.id != "reader");
        config.engage.burst = 0;
        config.webhooks.secrets = vec!["no secret".into()];
    });
    let refused = post_reload(&app).await;
    refused.assert_problem(422, "InvalidConfiguration");
    assert_eq!(refused.at("/title"), "Unprocessable Content");
    let detail = refused.at("/detail");
    let detail = detail.as_str().expect("text");
    assert!(detail.contains("engage.burst: "), "{detail}");
    assert!(detail.contains("webhooks.secrets: "), "{detail}");
    assert!(!detail.contains("no secret"), "{detail}");
    assert_eq!(status(&app, READER).await, 200);
    let reported = reported(&app).await;
    assert_eq!(reported["failed"], true);
    assert_eq!(reported["at"], "2026-11-23T12:00:00Z");
    let metrics = app.operations("/metrics").await;
    for line in [
        "engage_bff_reloads_total{outcome=\"failed\"} 1",
        "engage_bff_reloads_total{outcome=\"succeeded\"} 0",
        "engage_bff_last_reload_failed 1",
        "engage_bff_last_reload_success_timestamp_seconds 1795435200",
    ] {
        assert!(metrics.text().contains(line), "{line}");
    }
    let logs = logs();
    let alarm = logs
        .lines()
        .find(|line| line.contains("configuration reload failed; nothing changed"))
        .expect("an event");
    assert!(alarm.contains("\"level\":\"ERROR\"") && alarm.contains("\"alarm\":true"));
    assert!(alarm.contains("engage.burst: "), "{alarm}");
}

#[tokio::test]
async fn settings_that_need_a_restart_are_named_and_stay_as_they_were() {
    let app = TestApp::spawn().await;
    app.configure(|config| {
        config.auth.clients.retain(|client| client.id != "reader");
        config.views.storefront.attributes = vec!["shoeSize".to_owned()];
        config.telemetry.digest_key = Some("k7Qm2xW9pLr4tYzC".into());
        config.telemetry.otlp_endpoint = Some("https://collector.example.com".to_owned());
        config.telemetry.otlp_headers = Some("x-token=k7Qm2xW9pLr4tYzD".into());
        config.telemetry.trace_sample_ratio = 0.5;
        config.webhooks.secrets = vec![engage_simulator::DEFAULT_WEBHOOK_SECRET.into()];
    });
    let needing = json!([
        "telemetry.digest_key",
        "telemetry.otlp_endpoint",
        "telemetry.otlp_headers",
        "telemetry.trace_sample_ratio",
        "views.storefront.attributes",
        "webhooks.secrets"
    ]);
    let answer = post_reload(&app).await;
    answer.assert_ok();
    assert_eq!(
        answer.json(),
        json!({"changed": ["auth.clients[reader]"], "needsRestart": needing})
    );
    assert_eq!(status(&app, READER).await, 401);
    // They are named for as long as they differ.
    let again = post_reload(&app).await;
    assert_eq!(
        again.json(),
        json!({"changed": [], "needsRestart": needing})
    );
    let (headers, body) = app.engage.webhook("contact.updated", ALVA.id);
    assert_eq!(app.deliver(headers, body).await.status, 404);
    let reported = reported(&app).await;
    assert_eq!(reported["failed"], false);
    assert_eq!(reported["needsRestart"], needing);
    let logs = logs();
    let named = |key: &str| {
        let event = "\"message\":\"setting changed; needs a restart\"";
        let key = format!("\"key\":\"{key}\"");
        logs.lines()
            .any(|line| line.contains(event) && line.contains(&key))
    };
    for key in needing.as_array().expect("a list") {
        assert!(named(key.as_str().expect("a key")), "{key}");
    }
    assert!(!logs.contains("k7Qm2xW9pLr4tYzC") && !logs.contains("shoeSize"));
}

#[tokio::test]
async fn configuration_that_is_valid_only_after_a_restart_changes_nothing() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.server.cors_origins = vec!["https://shop.example.com".to_owned()];
    })
    .await;
    // The origins stay until a restart, and without an issuer they would let pages send requests without a token.
    let refused = app
        .reload(|config| {
            config.server.cors_origins.clear();
            config.auth.jwt = None;
        })
        .await
        .expect_err("a refusal")
        .to_string();
    assert!(refused.contains("server.cors_origins: "), "{refused}");
    assert!(
        refused.contains("configuration: is valid only after a restart"),
        "{refused}"
    );
    let token = issuer.sign(&of_alva());
    let request = app.request("/customer/me");
    let request = request.header("authorization", format!("Bearer {token}"));
    Answer::of(request).await.assert_ok();
}
