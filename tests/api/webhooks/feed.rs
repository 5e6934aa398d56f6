//! Lifetimes depend on the state of the webhook feed.

use engage_bff::config::Config;

use super::{
    ALVA, DEFAULT_WEBHOOK_SECRET, Duration, KEY, TestApp, assert_accepted, by_email, deliver,
    signed, with_secret,
};
use crate::harness::{Answer, let_requests_arrive, logs};

const HOUR: Duration = Duration::from_secs(3600);
/// Just past the fallback lifetime and the stale-while-revalidate window.
const PAST_FALLBACK: Duration = Duration::from_secs(60 + 30 + 1);

/// Lifetimes of hours, which are safe only with a working feed.
fn long_lived(config: &mut Config) {
    with_secret(config);
    // The overview is trusted once its lag has passed since the feed started to work.
    config.engage.overview_lag = Duration::ZERO;
    let cache = &mut config.cache;
    cache.profile_lifetime = 4 * HOUR;
    cache.audiences_lifetime = 4 * HOUR;
    cache.promotions_lifetime = 4 * HOUR;
    cache.vouchers_lifetime = 4 * HOUR;
    cache.points_lifetime = 4 * HOUR;
}

pub(super) async fn state(app: &TestApp) -> String {
    let readyz = app.operations("/readyz").await;
    let state = readyz.at("/webhooks/state");
    let state = state.as_str().expect("text").to_owned();
    let metrics = app.operations("/metrics").await;
    for known in ["unknown", "working", "silent", "failing"] {
        let value = u8::from(known == state);
        let line = format!("engage_bff_webhook_feed_state{{state=\"{known}\"}} {value}\n");
        assert!(metrics.text().contains(&line), "{line}");
    }
    state
}

#[track_caller]
fn assert_refetched(answer: &Answer) {
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
}

#[tokio::test]
async fn lifetimes_are_short_before_the_first_delivery_and_after_silence() {
    let app = TestApp::with(long_lived).await;
    assert_eq!(state(&app).await, "unknown");
    app.get(&by_email()).await.assert_ok();
    assert_eq!(app.get(&by_email()).await.assert_hit().ttl(), 60);
    app.advance(PAST_FALLBACK);
    assert_refetched(&app.get(&by_email()).await);

    assert_accepted(
        &deliver(
            &app,
            "contact.updated",
            "0b8e7a55-93c1-4d2f-9e10-b2c300d41e02",
        )
        .await,
    );
    assert_eq!(state(&app).await, "working");
    // Records from before may have changed without a webhook.
    app.advance(PAST_FALLBACK);
    assert_refetched(&app.get(&by_email()).await);
    app.advance(Duration::from_secs(3600 - 91 - 1));
    let answer = app.get(&by_email()).await;
    answer.assert_hit();
    assert!(answer.ttl() > 2 * 3600, "{}", answer.ttl());

    app.advance(Duration::from_secs(1));
    assert_eq!(state(&app).await, "silent");
    assert_refetched(&app.get(&by_email()).await);
    app.advance(PAST_FALLBACK);
    assert_refetched(&app.get(&by_email()).await);
}

#[tokio::test]
async fn regular_deliveries_keep_lifetimes_long() {
    let app = TestApp::with(long_lived).await;
    assert_accepted(&deliver(&app, "contact.created", "no-contact").await);
    app.advance(Duration::from_secs(1));
    app.get(&by_email()).await.assert_ok();
    for _ in 0..6 {
        app.advance(HOUR / 2);
        let answer = app.get(&by_email()).await;
        answer.assert_hit();
        assert!(answer.ttl() > 0);
        assert_accepted(&deliver(&app, "contact.created", "no-contact").await);
    }
    assert_eq!(state(&app).await, "working");
    let readyz = app.operations("/readyz").await;
    assert_eq!(readyz.at("/webhooks/lastTakenSecondsAgo"), 0.0);
}

#[tokio::test]
async fn two_unreadable_deliveries_and_forgeries_do_not_shorten_lifetimes() {
    let app = TestApp::with(long_lived).await;
    assert_accepted(&deliver(&app, "contact.created", "no-contact").await);
    app.advance(Duration::from_secs(1));
    app.get(&by_email()).await.assert_ok();
    app.advance(HOUR / 2);
    let (headers, body) = app.engage.webhook("contact.updated", ALVA.id);
    for _ in 0..5 {
        let forged = app.deliver(headers.clone(), format!("{body} ")).await;
        forged.assert_problem(401, "Unauthorized");
    }
    app.engage.encrypt_webhooks(Some(KEY));
    // However often the sender retries a delivery, it counts once.
    let (headers, body) = app.engage.webhook("contact.updated", ALVA.id);
    for _ in 0..5 {
        let sealed = app.deliver(headers.clone(), body.clone()).await;
        sealed.assert_problem(503, "WebhookUnreadable");
    }
    let malformed = signed(DEFAULT_WEBHOOK_SECRET, "msg_odd", 1801, "no JSON");
    let malformed = app.deliver(malformed, "no JSON").await;
    malformed.assert_problem(400, "InvalidParameter");
    assert_eq!(state(&app).await, "working");
    app.get(&by_email()).await.assert_hit();
    assert!(!logs().contains("\"alarm\":true"));
    // One line for each kind, with what an operator needs to fix it.
    assert_eq!(
        logs()
            .matches("webhook not understood; change missed")
            .count(),
        2
    );
    for why in ["sealed", "not-json"] {
        assert!(logs().contains(&format!("\"why\":\"{why}\"")), "{why}");
    }
}

#[tokio::test]
async fn three_unreadable_deliveries_shorten_lifetimes_until_their_rate_falls() {
    let app = TestApp::with(long_lived).await;
    assert_accepted(&deliver(&app, "contact.created", "no-contact").await);
    app.advance(Duration::from_secs(1));
    app.get(&by_email()).await.assert_ok();
    app.advance(HOUR / 2);
    app.engage.encrypt_webhooks(Some(KEY));
    for _ in 0..5 {
        let sealed = deliver(&app, "contact.updated", ALVA.id).await;
        sealed.assert_problem(503, "WebhookUnreadable");
    }
    assert_eq!(state(&app).await, "failing");
    assert_refetched(&app.get(&by_email()).await);
    app.engage.encrypt_webhooks(None);
    // The feed is failing until fewer than three, or fewer than one in twenty, of the deliveries in the last five
    // minutes were unreadable.
    for _ in 0..5 {
        assert_accepted(&deliver(&app, "contact.created", "no-contact").await);
        assert_eq!(state(&app).await, "failing");
    }
    app.advance(PAST_FALLBACK);
    assert_refetched(&app.get(&by_email()).await);
    app.advance(Duration::from_secs(300));
    assert_accepted(&deliver(&app, "contact.created", "no-contact").await);
    assert_eq!(state(&app).await, "working");
    app.advance(Duration::from_secs(1));
    assert_refetched(&app.get(&by_email()).await);
    app.advance(HOUR / 2);
    app.get(&by_email()).await.assert_hit();
    assert_eq!(logs().matches("webhook feed failing").count(), 1);
    assert_eq!(logs().matches("no longer failing").count(), 1);
    assert_eq!(logs().matches("\"alarm\":true").count(), 1);
}

#[tokio::test]
async fn silent_feed_does_not_shorten_stale_if_error() {
    use engage_simulator::{Endpoint, Fault};

    let app = TestApp::with(long_lived).await;
    assert_accepted(&deliver(&app, "contact.created", "no-contact").await);
    app.advance(Duration::from_secs(1));
    app.get(&by_email()).await.assert_ok();
    app.engage.fault(Endpoint::All, Fault::ResetBeforeBody);
    app.advance(4 * HOUR);
    assert_eq!(state(&app).await, "silent");
    let answer = app.get(&by_email()).await;
    answer.assert_ok().assert_stale_if_error();
    assert_ne!(answer.at("/degraded"), serde_json::json!([]));
}

#[tokio::test]
async fn start_and_silence_of_the_feed_are_logged_once() {
    let app = TestApp::with(long_lived).await;
    assert_accepted(&deliver(&app, "contact.created", "no-contact").await);
    for _ in 0..3 {
        app.advance(Duration::from_secs(15));
        let_requests_arrive().await;
    }
    assert_eq!(logs().matches("\"webhook feed working\"").count(), 1);
    for _ in 0..3 {
        app.advance(HOUR);
        let_requests_arrive().await;
    }
    assert_eq!(
        logs()
            .matches("webhook feed silent; lifetimes shortened")
            .count(),
        1
    );
}
