//! Log limit for callers without a valid credential: a bounded number of events, whatever they send, and no client's
//! event is lost.

use std::time::Duration;

use engage_bff::config::Config;
use engage_simulator::{DEFAULT_WEBHOOK_SECRET, fixtures::ALVA};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{
    harness::{Answer, READER, TILL, TestApp, events, logs, wait_until},
    issuer::Issuer,
    operators::operate,
    tokens::{of_alva, with_config},
    wire::{connect, rest},
};

/// The number of events logged in a burst.
const AT_ONCE: usize = 60;
const LEFT_OUT: &str = "log events suppressed";
const OPERATOR: &str = "an-operators-token";

/// The number of logged requests whose id starts with this.
fn logged(request_id: &str) -> usize {
    let matches = |event: &Value| {
        event["request_id"]
            .as_str()
            .expect("an id")
            .starts_with(request_id)
    };
    events("answered").into_iter().filter(matches).count()
}

async fn send(request: RequestBuilder, request_id: &str) -> u16 {
    Answer::of(request.header("x-request-id", request_id))
        .await
        .status
}

async fn dropped(app: &TestApp) -> u64 {
    let metrics = app.operations("/metrics").await;
    let name = "engage_bff_log_events_dropped_total{log=\"strangers\"} ";
    let mut values = metrics
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix(name));
    values
        .next()
        .expect("the series")
        .parse()
        .expect("a number")
}

/// Sends this many requests without a credential.
async fn flood(app: &TestApp, times: usize) {
    for _ in 0..times {
        assert_eq!(send(app.request("/customer"), "flood").await, 401);
    }
}

#[tokio::test]
async fn unauthenticated_flood_is_logged_sixty_times_then_once_a_second() {
    let app = TestApp::spawn().await;
    flood(&app, 200).await;
    assert_eq!(logged("flood"), AT_ONCE);
    assert_eq!(dropped(&app).await, 140);
    assert_eq!(
        send(app.customer(TILL, "email=none"), "of-a-client").await,
        400
    );
    assert_eq!(logged("of-a-client"), 1);
    app.advance(Duration::from_secs(5));
    flood(&app, 20).await;
    assert_eq!(logged("flood"), AT_ONCE + 5);
    assert_eq!(events(LEFT_OUT).len(), 0);
    app.advance(Duration::from_secs(55));
    wait_until(|| !events(LEFT_OUT).is_empty()).await;
    let left_out = events(LEFT_OUT);
    assert_eq!(left_out.len(), 1);
    assert_eq!(left_out[0]["count"], 155);
    assert_eq!(left_out[0]["about"], "requests");
    assert_eq!(left_out[0]["level"], "WARN");
    assert_eq!(dropped(&app).await, 155);
    flood(&app, 100).await;
    assert_eq!(logged("flood"), AT_ONCE + 5 + 55);
    app.stop().await.expect("a clean end");
    wait_until(|| events(LEFT_OUT).len() == 2).await;
    assert_eq!(events(LEFT_OUT)[1]["count"], 45);
}

fn configure(config: &mut Config) {
    config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
    config.operations.token = Some(OPERATOR.into());
}

fn with_method(request: RequestBuilder, method: Method) -> reqwest::Request {
    let mut request = request.build().expect("a request");
    *request.method_mut() = method;
    request
}

/// Sends every kind of request without a valid credential, all with this request id.
async fn send_all_kinds(app: &TestApp, id: &'static str) {
    let named = |request: RequestBuilder| request.header("x-request-id", id);
    for request in [
        app.customer("no-such-key", "email=a%40example.com"),
        app.request("/nowhere"),
        app.request("/livez"),
        app.request("/customer/me")
            .header("authorization", "Bearer a.b.c"),
        app.request("/customer/me").bearer_auth("A".repeat(9000)),
        app.post("no-such-key").body("{}"),
    ] {
        Answer::of(named(request)).await;
    }
    let preflight = named(app.request("/customer/me"))
        .header("origin", "https://shop.example.com")
        .header("access-control-request-method", "GET");
    app.execute(with_method(preflight, Method::OPTIONS)).await;
    let delete = named(app.request("/customer"));
    app.execute(with_method(delete, Method::DELETE)).await;
    let unsigned = named(app.request("/webhooks/engage"));
    app.execute(with_method(unsigned, Method::POST)).await;
    let (mut forged, _) = app.engage.webhook("contact.updated", ALVA.id);
    forged.insert("x-request-id", id.parse().expect("a value"));
    assert_eq!(app.deliver(forged, "{}").await.status, 401);
    let mut stream = connect(app).await;
    let framed_oddly = format!(
        "GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\nConnection: close\r\n\
         Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    );
    stream
        .write_all(framed_oddly.as_bytes())
        .await
        .expect("sent");
    rest(&mut stream).await;
}

/// Sends every kind of logged request with a valid credential. Returns their number.
async fn send_as_clients(app: &TestApp, token: &str, id: &'static str) -> usize {
    let named = |request: RequestBuilder| request.header("x-request-id", id);
    let mut sent = 0;
    for (request, status) in [
        (app.customer(TILL, "email=none"), 400),
        (app.customer(TILL, &format!("contactId={}", ALVA.id)), 200),
        (
            app.customer(READER, &format!("contactId={}&view=full", ALVA.id)),
            403,
        ),
        (app.request("/nowhere").header("x-api-key", TILL), 404),
        (app.post(TILL).body("no JSON"), 400),
        (app.request("/customer/me").bearer_auth(token), 200),
        (
            app.operations_request("/nowhere").bearer_auth(OPERATOR),
            404,
        ),
        (
            app.operations_request("/cache/stats").bearer_auth(OPERATOR),
            200,
        ),
    ] {
        let answer = Answer::of(named(request)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        sent += 1;
    }
    let (mut genuine, body) = app.engage.webhook("contact.updated", ALVA.id);
    genuine.insert("x-request-id", id.parse().expect("a value"));
    assert_eq!(app.deliver(genuine, body).await.status, 204);
    sent + 1
}

#[tokio::test]
async fn log_limit_covers_unauthenticated_requests_and_no_client() {
    for origins in [vec![], vec!["https://shop.example.com".to_owned()]] {
        let id: [&'static str; 2] = if origins.is_empty() {
            ["anonymous-1", "client-1"]
        } else {
            ["anonymous-2", "client-2"]
        };
        let issuer = Issuer::new();
        let app = with_config(&issuer, |config| {
            configure(config);
            config.server.cors_origins = origins;
        })
        .await;
        flood(&app, AT_ONCE).await;
        let lost = dropped(&app).await;
        send_all_kinds(&app, id[0]).await;
        assert_eq!(logged(id[0]), 0, "{:?}", events("answered").last());
        let refused = dropped(&app).await - lost;
        assert!(refused >= 11, "{refused}");
        let sent = send_as_clients(&app, &issuer.sign(&of_alva()), id[1]).await;
        assert_eq!(logged(id[1]), sent);
    }
}

#[tokio::test]
async fn operations_listener_has_its_own_log_limit() {
    let app = TestApp::with(configure).await;
    flood(&app, 2 * AT_ONCE).await;
    let attempt = |target: &'static str, id| send(app.operations_request(target), id);
    assert_eq!(attempt("/cache/stats", "first").await, 401);
    assert_eq!(logged("first"), 1);
    for turn in 0..2 * AT_ONCE {
        let targets = ["/cache/stats", "/nowhere", "/cache/explain"];
        attempt(targets[turn % 3], "refused").await;
    }
    assert_eq!(logged("refused") + 1, AT_ONCE);
    let request = app.operations_request("/cache/stats").bearer_auth(OPERATOR);
    assert_eq!(send(request, "an-operator").await, 200);
    assert_eq!(logged("an-operator"), 1);
    assert_eq!(
        operate(&app, Method::PUT, "/cache/enabled", "false")
            .await
            .status,
        401
    );
    assert!(!logs().contains("cache switched by operator"));
}

#[tokio::test]
async fn oversized_tokens_are_logged_sixty_times() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let huge = "A".repeat(9000);
    for _ in 0..AT_ONCE + 20 {
        let request = app.request("/customer/me").bearer_auth(&huge);
        assert_eq!(send(request, "huge").await, 401);
    }
    assert_eq!(events("token refused").len(), AT_ONCE);
    assert_eq!(logged("huge"), AT_ONCE);
    assert_eq!(dropped(&app).await, 40);
}
