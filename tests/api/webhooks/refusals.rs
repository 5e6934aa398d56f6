//! Refused deliveries invalidate nothing, and their ids are not remembered. Those that Engage signed count as missed if
//! they can't be read.

use super::{
    ALVA, DEFAULT_WEBHOOK_SECRET, Duration, KEY, TestApp, assert_accepted, by_email, count,
    deliver, feed::state, headers, json, signed, with_secret,
};
use crate::harness::{Answer, TILL, logs};

fn body() -> String {
    json!({"eventType": "contact.updated", "payload": {"contactId": ALVA.id}}).to_string()
}

#[tokio::test]
async fn forged_altered_and_untimely_deliveries_are_401_without_effect() {
    const OTHER: &str = "whsec_b3RoZXI=";
    let app = TestApp::with(with_secret).await;
    app.get(&by_email()).await.assert_ok();
    let right = |second| signed(DEFAULT_WEBHOOK_SECRET, "msg_1", second, &body());
    let with = |name: &'static str, value: &str| {
        let mut headers = right(0);
        headers.insert(name, value.parse().expect("a value"));
        headers
    };
    let without = |name: &str| {
        let mut headers = right(0);
        headers.remove(name);
        headers
    };
    let twice = |name: &'static str| {
        let mut headers = right(0);
        headers.append(name, headers[name].clone());
        headers
    };
    let signature = right(0)["svix-signature"]
        .to_str()
        .expect("text")
        .to_owned();
    let bare = signature.trim_start_matches("v1,");
    let altered = body().replace("updated", "deleted");
    for (what, headers, body) in [
        ("another secret", signed(OTHER, "msg_1", 0, &body()), body()),
        ("altered", right(0), altered),
        ("a byte more", right(0), format!("{} ", body())),
        ("another id", with("svix-id", "msg_2"), body()),
        ("another time", with("svix-timestamp", "1795435201"), body()),
        ("too old", right(-301), body()),
        ("from the future", right(301), body()),
        ("no time", with("svix-timestamp", "soon"), body()),
        (
            "a time beyond all",
            with("svix-timestamp", "99999999999999999999"),
            body(),
        ),
        (
            "a fraction of a time",
            with("svix-timestamp", "1795435200.0"),
            body(),
        ),
        (
            "another version",
            with("svix-signature", &format!("v2,{bare}")),
            body(),
        ),
        ("no version", with("svix-signature", bare), body()),
        (
            "half a signature",
            with("svix-signature", &signature[..20]),
            body(),
        ),
        ("an empty signature", with("svix-signature", "v1,"), body()),
        ("nothing", with("svix-signature", ""), body()),
        ("an empty id", with("svix-id", ""), body()),
        ("an endless id", with("svix-id", &"m".repeat(300)), body()),
        ("no id", without("svix-id"), body()),
        ("no timestamp", without("svix-timestamp"), body()),
        ("no signature", without("svix-signature"), body()),
        ("two ids", twice("svix-id"), body()),
        ("two timestamps", twice("svix-timestamp"), body()),
        ("two signatures", twice("svix-signature"), body()),
        ("no header at all", headers([]), body()),
        ("nothing at all", headers([]), String::new()),
    ] {
        let answer = app.deliver(headers, body).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        answer.assert_problem(401, "Unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Svix "));
        assert!(!answer.text().contains("msg_1"), "{what}");
    }
    app.get(&by_email()).await.assert_hit();
    // Ids of refused deliveries are not remembered, and the limits of the tolerance are inclusive.
    for (id, second) in [("msg_1", 0), ("msg_3", -300), ("msg_4", 300)] {
        let headers = signed(DEFAULT_WEBHOOK_SECRET, id, second, &body());
        assert_accepted(&app.deliver(headers, body()).await);
    }
    assert_eq!(count(&app, "contact.updated", "taken").await, Some(3));
    assert_eq!(count(&app, "(unread)", "forged").await, Some(10));
    assert_eq!(count(&app, "(unread)", "untimely").await, Some(2));
    assert_eq!(count(&app, "(unread)", "unsigned").await, Some(13));
}

#[tokio::test]
async fn replayed_delivery_has_no_effect_within_the_tolerance_and_is_401_after() {
    let app = TestApp::with(with_secret).await;
    // Signed as far ahead as allowed, so its timestamp stays valid for twice the tolerance.
    let recorded = signed(DEFAULT_WEBHOOK_SECRET, "msg_1", 300, &body());
    assert_accepted(&app.deliver(recorded.clone(), body()).await);
    app.get(&by_email()).await.assert_ok();
    for _ in 0..12 {
        app.advance(Duration::from_secs(50));
        app.get(&by_email()).await.assert_ok();
        assert_accepted(&app.deliver(recorded.clone(), body()).await);
        app.get(&by_email()).await.assert_hit();
    }
    app.advance(Duration::from_secs(1));
    let answer = app.deliver(recorded, body()).await;
    answer.assert_problem(401, "Unauthorized");
    assert_eq!(count(&app, "contact.updated", "taken").await, Some(1));
}

#[tokio::test]
async fn webhook_path_is_404_without_a_secret() {
    let app = TestApp::spawn().await;
    let answer = deliver(&app, "contact.updated", ALVA.id).await;
    answer.assert_problem(404, "NotFound");
    let readyz = app.operations("/readyz").await;
    assert_eq!(readyz.at("/webhooks/state"), "off");
}

#[tokio::test]
async fn other_methods_and_paths_than_the_webhooks_are_refused() {
    let app = TestApp::with(with_secret).await;
    let request = app.request("/webhooks/engage").header("x-api-key", TILL);
    let answer = Answer::of(request).await;
    answer.assert_problem(405, "MethodNotAllowed");
    assert_eq!(answer.header("allow"), "POST");
    for path in ["/webhooks/engage/", "/webhooks", "/Webhooks/engage"] {
        let answer = Answer::of(app.request(path)).await;
        answer.assert_problem(401, "Unauthorized");
    }
}

#[tokio::test]
async fn signed_body_that_is_no_json_object_is_400() {
    let app = TestApp::with(with_secret).await;
    for (index, body) in ["", "no JSON", "[]", "\"text\"", "{\"eventType\":", "{} {}"]
        .into_iter()
        .enumerate()
    {
        let headers = signed(DEFAULT_WEBHOOK_SECRET, &format!("msg_{index}"), 0, body);
        let answer = app.deliver(headers, body.to_owned()).await;
        answer.assert_problem(400, "InvalidParameter");
    }
    let invalid = b"{\"eventType\":\"\xff\"}".to_vec();
    let headers = signed_bytes("msg_bytes", &invalid);
    let answer = app.deliver(headers, invalid).await;
    answer.assert_problem(400, "InvalidParameter");
    assert_eq!(state(&app).await, "failing");
    assert_eq!(logs().matches("webhook feed failing").count(), 1);
}

/// Like `signed`, at the start time, for bytes that are not text.
fn signed_bytes(id: &str, body: &[u8]) -> reqwest::header::HeaderMap {
    use aws_lc_rs::hmac;
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let secret = DEFAULT_WEBHOOK_SECRET.trim_start_matches("whsec_");
    let key = STANDARD.decode(secret).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let text = [id.as_bytes(), b".1795435200.", body].concat();
    let signature = format!("v1,{}", STANDARD.encode(hmac::sign(&key, &text)));
    headers([
        ("svix-id", id),
        ("svix-timestamp", "1795435200"),
        ("svix-signature", &signature),
    ])
}

#[tokio::test]
async fn body_above_the_limit_is_413_with_or_without_a_length() {
    let app = TestApp::with(|config| {
        with_secret(config);
        config.webhooks.max_body = bytesize::ByteSize::kib(1);
    })
    .await;
    let body = |length: usize| {
        let text = json!({"eventType": "x", "payload": {}, "filler": ""}).to_string();
        let filler = "x".repeat(length - text.len());
        text.replace("\"filler\":\"\"", &format!("\"filler\":\"{filler}\""))
    };
    for (id, length, status) in [
        ("msg_1", 1024, 204),
        ("msg_2", 1025, 413),
        ("msg_3", 300_000, 413),
    ] {
        let body = body(length);
        assert_eq!(body.len(), length);
        let headers = signed(DEFAULT_WEBHOOK_SECRET, id, 0, &body);
        let announced = app.deliver(headers, body.clone()).await;
        assert_eq!(announced.status, status);
        let headers = signed(DEFAULT_WEBHOOK_SECRET, &format!("{id}b"), 0, &body);
        let pieces: Vec<Result<_, std::io::Error>> = vec![Ok(body)];
        let pieces = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let unannounced = app.deliver(headers, pieces).await;
        assert_eq!(unannounced.status, status);
    }
    // The oversized deliveries were signed with Engage's secret, so their changes count as missed.
    assert_eq!(count(&app, "(unread)", "too-large").await, Some(4));
    assert_eq!(state(&app).await, "failing");
}

#[tokio::test]
async fn oversized_forgeries_do_not_affect_the_feed_state() {
    let app = TestApp::with(|config| {
        with_secret(config);
        config.webhooks.max_body = bytesize::ByteSize::kib(1);
    })
    .await;
    assert_accepted(&deliver(&app, "contact.created", ALVA.id).await);
    for number in 0..5 {
        let id = format!("msg_{number}");
        let headers = signed("whsec_b3RoZXI=", &id, 0, "x");
        let answer = app.deliver(headers, "x".repeat(2000)).await;
        answer.assert_problem(401, "Unauthorized");
        // Too large to be read to its end.
        let headers = signed("whsec_b3RoZXI=", &id, 0, "x");
        let answer = app.deliver(headers, "x".repeat((4 << 20) + 1)).await;
        answer.assert_problem(413, "PayloadTooLarge");
    }
    assert_eq!(state(&app).await, "working");
}

/// Asserts that an encrypted payload is refused and counted as missed if the service has this key or none, and that it
/// is accepted once it is readable.
async fn assert_sealed_is_refused(key: Option<&str>) {
    let app = TestApp::with(|config| {
        with_secret(config);
        config.webhooks.encryption_key = key.map(Into::into);
    })
    .await;
    app.get(&by_email()).await.assert_ok();
    app.engage.encrypt_webhooks(Some(KEY));
    for _ in 0..2 {
        let answer = deliver(&app, "contact.updated", ALVA.id).await;
        answer.assert_problem(503, "WebhookUnreadable");
    }
    let (sealed, body) = app.engage.webhook("contact.updated", ALVA.id);
    for _ in 0..2 {
        let answer = app.deliver(sealed.clone(), body.clone()).await;
        answer.assert_problem(503, "WebhookUnreadable");
    }
    assert_eq!(count(&app, "(unread)", "sealed").await, Some(4));
    let readyz = app.operations("/readyz").await;
    assert_eq!(readyz.status, 200);
    assert_eq!(readyz.at("/webhooks/state"), "failing");
    assert_eq!(logs().matches("webhook feed failing").count(), 1);
    // The id was not remembered: the same message is accepted once it is readable.
    let id = sealed["svix-id"].to_str().expect("text");
    let headers = signed(DEFAULT_WEBHOOK_SECRET, id, 0, &self::body());
    assert_accepted(&app.deliver(headers, self::body()).await);
    assert_eq!(count(&app, "contact.updated", "taken").await, Some(1));
    assert_eq!(state(&app).await, "failing");
    app.advance(Duration::from_secs(301));
    assert_eq!(state(&app).await, "working");
}

#[tokio::test]
async fn encrypted_payload_without_a_key_is_503_and_can_be_resent() {
    assert_sealed_is_refused(None).await;
}

#[tokio::test]
async fn encrypted_payload_with_another_key_is_503_and_can_be_resent() {
    assert_sealed_is_refused(Some("another-key-of-thirty-two-chars!")).await;
}
