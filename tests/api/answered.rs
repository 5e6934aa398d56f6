//! The log event `answered`: which caller sent the request, and which contact the response was about.

use engage_simulator::{
    DEFAULT_WEBHOOK_SECRET,
    fixtures::{ALVA, BO},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    audit::{digest, with_digests},
    harness::{Answer, READER, SHOP, TILL, TestApp, events},
    issuer::Issuer,
    tokens::{claims, of_alva, with_config},
};

/// Sends the request with this id, and returns its event.
async fn logged(request: RequestBuilder, request_id: &str) -> Value {
    Answer::of(request.header("x-request-id", request_id)).await;
    event(request_id)
}

/// The only event of the request.
#[track_caller]
fn event(request_id: &str) -> Value {
    let mut events = events("answered");
    events.retain(|event| event["request_id"] == request_id);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[tokio::test]
async fn client_is_named_in_refusals_and_an_unidentified_caller_is_not() {
    let app = TestApp::with(|config| {
        config.auth.clients[2].requests_per_second = Some(1);
    })
    .await;
    let by_id = format!("contactId={}", ALVA.id);
    for (request, id, status, client) in [
        (app.customer("wrong", &by_id), "wrong-key", 401, None),
        (app.request("/customer"), "no-key", 401, None),
        (
            app.customer(SHOP, &format!("{by_id}&view=full")),
            "forbidden",
            403,
            Some("shop"),
        ),
        (app.customer(READER, &by_id), "miss", 200, Some("reader")),
        (app.customer(READER, &by_id), "limited", 429, Some("reader")),
        (app.customer(TILL, "email=none"), "bad", 400, Some("till")),
        (
            app.post_to("/customer/prefetch", TILL).body("{}"),
            "routed",
            400,
            Some("till"),
        ),
        (
            app.request("/nowhere").header("x-api-key", SHOP),
            "nowhere",
            404,
            Some("shop"),
        ),
    ] {
        let event = logged(request, id).await;
        assert_eq!(event["status"], status, "{id}");
        assert_eq!(event.get("client").and_then(Value::as_str), client, "{id}");
    }
}

#[tokio::test]
async fn shopper_is_named_as_such_and_a_limited_one_too() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        let jwt = config.auth.jwt.as_mut().expect("an issuer");
        jwt.requests_per_second = Some(1);
    })
    .await;
    let token = issuer.sign(&of_alva());
    let own = || app.request("/customer/me").bearer_auth(&token);
    let event = logged(own(), "own").await;
    assert_eq!(
        (&event["status"], &event["client"]),
        (&json!(200), &json!("(shoppers)"))
    );
    let event = logged(own(), "limited").await;
    assert_eq!(
        (&event["status"], &event["client"]),
        (&json!(429), &json!("(shoppers)"))
    );
    let bo = issuer.sign(&claims(json!({"contactId": BO.id})));
    let by_shop = app.request("/customer/me").bearer_auth(bo);
    let event = logged(by_shop.header("x-api-key", SHOP), "by-shop").await;
    assert_eq!(event["client"], "shop");
}

#[tokio::test]
async fn contact_is_a_digest_where_a_customer_was_sent() {
    let app = with_digests(|_| {}).await;
    let by_email = format!("email={}", ALVA.email);
    let miss = logged(app.customer(SHOP, &by_email), "miss").await;
    assert_eq!(miss["contact"], digest(ALVA.id));
    assert_eq!(miss["cache"], "miss");
    assert_eq!(miss["level"], "INFO");
    let known = app.fast_path_total();
    let hit = logged(app.customer(SHOP, &by_email), "hit").await;
    assert_eq!(app.fast_path_total(), known + 1);
    // Plain hits are answered by the fast path and logged with the same fields, at debug level.
    for (field, value) in [
        ("contact", json!(digest(ALVA.id))),
        ("cache", json!("hit")),
        ("client", json!("shop")),
        ("route", json!("/customer")),
        ("level", json!("DEBUG")),
    ] {
        assert_eq!(hit[field], value, "{field}");
    }
    let regular = app.customer(SHOP, &by_email).header("accept", "*/*");
    let regular = logged(regular.header("cache-control", "max-age=9"), "regular").await;
    assert_eq!(regular["contact"], digest(ALVA.id));
    let unknown = app.customer(SHOP, "email=unknown@example.com");
    let unknown = logged(unknown, "unknown").await;
    assert_eq!(unknown.get("contact"), None);
    assert_eq!(unknown["code"], "ContactNotFound");
}

#[tokio::test]
async fn preflight_is_logged_at_debug() {
    let app = with_config(&Issuer::new(), |config| {
        config.server.cors_origins = vec!["https://shop.example.com".to_owned()];
    })
    .await;
    let preflight = app
        .request("/customer/me")
        .header("x-request-id", "preflight")
        .header("origin", "https://shop.example.com")
        .header("access-control-request-method", "GET");
    let mut preflight = preflight.build().expect("a request");
    *preflight.method_mut() = Method::OPTIONS;
    assert_eq!(app.execute(preflight).await.status, 200);
    let event = event("preflight");
    assert_eq!(
        (&event["level"], &event["method"]),
        (&json!("DEBUG"), &json!("OPTIONS"))
    );
}

#[tokio::test]
async fn access_log_shows_every_request_of_callers_at_info() {
    for fast_path in [true, false] {
        let app = with_digests(|config| {
            config.telemetry.access_log = true;
            config.server.fast_path = fast_path;
            config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
        })
        .await;
        let name = |what: &str| format!("{what}-{fast_path}");
        let by_id = format!("contactId={}", ALVA.id);
        for (what, cache) in [("miss", "miss"), ("hit", "hit")] {
            let event = logged(app.customer(SHOP, &by_id), &name(what)).await;
            assert_eq!(event["level"], "INFO");
            assert_eq!(event["cache"], cache);
            assert_eq!(event["client"], "shop");
            assert_eq!(event["contact"], digest(ALVA.id));
        }
        assert_eq!(app.fast_path_total(), u64::from(fast_path));
        let (mut headers, body) = app.engage.webhook("contact.updated", ALVA.id);
        headers.insert("x-request-id", name("webhook").parse().expect("a value"));
        assert_eq!(app.deliver(headers, body).await.status, 204);
        assert_eq!(event(&name("webhook"))["level"], "INFO");
        // Probes stay at debug level, because they come every second.
        let probe = logged(app.request("/livez"), &name("probe")).await;
        assert_eq!(probe["level"], "DEBUG");
    }
}
