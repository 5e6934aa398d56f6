//! Repair of gaps in the feed from Engage's list of changes.

use engage_bff::config::Config;
use engage_simulator::{Endpoint, Fault};

use super::{
    ALVA, Duration, LAG, TestApp, UNKNOWN, assert_accepted, by_email, deliver, json, with_secret,
};
use crate::harness::{events, let_requests_arrive, logs, wait_until};

const POLL: Duration = Duration::from_secs(60);
const BO: &str = "0b8e7a55-93c1-4d2f-9e10-b2c300d41e02";

fn repairing(config: &mut Config) {
    with_secret(config);
    config.webhooks.changes_poll = Some(POLL);
    config.webhooks.silence = Duration::from_secs(600);
    config.webhooks.fallback_lifetime = Duration::from_secs(3600);
    config.cache.profile_lifetime = Duration::from_secs(3600);
    config.cache.points_lifetime = Duration::from_secs(3600);
    config.cache.vouchers_lifetime = Duration::from_secs(3600);
    config.cache.promotions_lifetime = Duration::from_secs(3600);
}

/// Waits until all three lists were fetched this many times.
async fn polled(app: &TestApp, times: usize) {
    app.engage
        .wait_for_calls(Endpoint::Changes, 3 * times)
        .await;
    wait_until(|| app.engage.in_flight() == 0).await;
    let_requests_arrive().await;
}

#[tokio::test]
async fn changes_without_webhooks_are_found_by_polling() {
    let app = TestApp::with(repairing).await;
    app.engage.set_overview_lag(LAG);
    polled(&app, 1).await;
    app.get(&by_email()).await.assert_ok();
    app.get(UNKNOWN)
        .await
        .assert_problem(404, "ContactNotFound");
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.engage
        .create(json!({"email": "unknown@example.com"}), "Member");
    app.get(&by_email()).await.assert_hit();
    app.advance(POLL);
    polled(&app, 2).await;
    let answer = app.get(&by_email()).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    assert_eq!(app.engage.calls(Endpoint::Contact), 1);
    app.engage.set_overview_lag(Duration::ZERO);
    app.get(UNKNOWN).await.assert_ok();
    app.engage.contact(ALVA.id).delete();
    app.advance(POLL);
    polled(&app, 3).await;
    app.get(&by_email())
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn change_found_by_polling_is_not_hidden_by_a_lagging_overview() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.engage.set_overview_lag(LAG);
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    // The list of changes contains the change before the contact is first requested.
    app.advance(POLL);
    polled(&app, 2).await;
    let answer = app.get(&by_email()).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    let log = app.engage.log();
    let first = log
        .iter()
        .find(|call| call.endpoint == Endpoint::Changes)
        .expect("a call");
    // The times are local, as in Voyado's example; the first poll reaches back by the overview lag plus two minutes.
    let from = first.query.iter().find(|(name, _)| name == "fromDate");
    let to = first.query.iter().find(|(name, _)| name == "toDate");
    assert_eq!(
        from.map(|(_, value)| value.as_str()),
        Some("2026-11-23T12:48:00")
    );
    assert_eq!(
        to.map(|(_, value)| value.as_str()),
        Some("2026-11-23T13:00:00")
    );
}

#[tokio::test]
async fn polling_stops_while_webhooks_arrive_and_covers_each_gap_once() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    assert_accepted(&deliver(&app, "contact.updated", BO).await);
    for _ in 0..8 {
        app.advance(POLL);
        let_requests_arrive().await;
    }
    // One more poll for the time until the first delivery, then none.
    polled(&app, 2).await;
    assert_eq!(app.engage.calls(Endpoint::Changes), 6);
    app.get(&by_email()).await.assert_ok();
    // Silent for 600 s: changes since the last poll, which was later than the last delivery, are fetched.
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    for _ in 0..2 {
        app.advance(POLL);
        let_requests_arrive().await;
    }
    polled(&app, 3).await;
    let answer = app.get(&by_email()).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    let log = app.engage.log();
    let third = log
        .iter()
        .filter(|call| call.endpoint == Endpoint::Changes)
        .nth(6)
        .expect("a call");
    let from = third.query.iter().find(|(name, _)| name == "fromDate");
    assert_eq!(
        from.map(|(_, value)| value.as_str()),
        Some("2026-11-23T12:59:00")
    );
}

#[tokio::test]
async fn forbidden_change_list_is_logged_once_and_resumed_later() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    let refusal = Fault::Status(403, json!({"message": "not switched on"}));
    app.engage.fault(Endpoint::Changes, refusal);
    for _ in 0..5 {
        app.advance(POLL);
        let_requests_arrive().await;
    }
    assert_eq!(
        logs().matches("polling /contacts/changes failed").count(),
        1
    );
    // The list has its own breaker: contacts are still fetched.
    app.get(&by_email()).await.assert_ok();
    let fresh = app.get(&format!("{}&fresh=profile", by_email())).await;
    fresh.assert_ok();
    // Missed changes are fetched later, from where the last poll ended.
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.engage.clear_faults();
    let before = app.engage.calls(Endpoint::Changes);
    app.advance(POLL);
    app.engage
        .wait_for_calls(Endpoint::Changes, before + 3)
        .await;
    wait_until(|| app.engage.in_flight() == 0).await;
    let answer = app
        .get_until(&by_email(), |answer| {
            answer.at("/profile/firstName") == "Alvina"
        })
        .await;
    answer.assert_ok();
}

/// Ids that Engage lists, of contacts that are not cached.
fn ids(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("00000000-0000-4000-8000-{number:012x}"))
}

#[tokio::test]
async fn list_of_thirty_thousand_changes_is_read_completely() {
    let app = TestApp::with(repairing).await;
    app.engage.set_overview_lag(LAG);
    polled(&app, 1).await;
    app.get(&by_email()).await.assert_ok();
    app.engage.list_as_updated(ids(30_000));
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.advance(POLL);
    let answer = app
        .get_until(&by_email(), |answer| {
            answer.at("/profile/firstName") == "Alvina"
        })
        .await;
    answer.assert_ok();
    assert!(!logs().contains("polling /contacts/changes failed"));
}

/// Asserts that everything is refetched once, and that the next poll's period starts two minutes before the end of the
/// failed one's.
async fn assert_everything_is_refetched(app: &TestApp, polls: usize) {
    let answer = app
        .get_until(&by_email(), |answer| {
            answer.at("/profile/firstName") == "Alvina"
        })
        .await;
    answer.assert_ok();
    assert_eq!(
        logs().matches("changes unknown; cache invalidated").count(),
        1
    );
    app.get(&by_email()).await.assert_hit();
    let calls = app.engage.calls(Endpoint::Changes);
    app.engage.clear_faults();
    app.engage.max_changes(250_000);
    app.advance(POLL);
    app.engage
        .wait_for_calls(Endpoint::Changes, calls + 3)
        .await;
    wait_until(|| app.engage.in_flight() == 0).await;
    let log = app.engage.log();
    let mut changes = log.iter().filter(|call| call.endpoint == Endpoint::Changes);
    let next = changes.nth(calls).expect("a call");
    let from = next.query.iter().find(|(name, _)| name == "fromDate");
    let expected = format!("2026-11-23T12:{:02}:00", 58 + polls);
    assert_eq!(from.map(|(_, value)| value), Some(&expected));
}

#[tokio::test]
async fn refused_change_list_invalidates_everything_once() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.get(&by_email()).await.assert_ok();
    app.engage.set_overview_lag(LAG);
    app.engage.max_changes(0);
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.advance(POLL);
    assert_everything_is_refetched(&app, 1).await;
}

#[tokio::test]
async fn change_list_above_the_limit_invalidates_everything_once() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.get(&by_email()).await.assert_ok();
    app.engage.max_changes(usize::MAX);
    let too_many = serde_json::Value::from(ids(250_001).collect::<Vec<_>>());
    app.engage
        .fault(Endpoint::Changes, Fault::Status(200, too_many));
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.advance(POLL);
    assert_everything_is_refetched(&app, 1).await;
}

#[tokio::test]
async fn three_unreadable_change_lists_in_a_row_invalidate_everything() {
    for body in [json!({"message": "?"}), json!(["unknown"]), json!("text")] {
        let app = TestApp::with(repairing).await;
        polled(&app, 1).await;
        app.get(&by_email()).await.assert_ok();
        app.engage
            .contact(ALVA.id)
            .attribute("firstName", json!("Alvina"));
        app.engage
            .fault(Endpoint::Changes, Fault::Status(200, body));
        for _ in 0..2 {
            app.advance(POLL);
            let_requests_arrive().await;
            app.get(&by_email()).await.assert_hit();
        }
        app.advance(POLL);
        let answer = app
            .get_until(&by_email(), |answer| {
                answer.at("/profile/firstName") == "Alvina"
            })
            .await;
        answer.assert_ok();
    }
    assert_eq!(
        logs().matches("changes unknown; cache invalidated").count(),
        3
    );
}

#[tokio::test]
async fn permanently_refused_change_list_invalidates_once_an_hour() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.engage.max_changes(0);
    app.engage.list_as_updated(ids(1));
    app.advance(POLL);
    wait_until(|| logs().contains("changes unknown; cache invalidated")).await;
    for _ in 0..58 {
        app.engage.list_as_updated(ids(1));
        app.advance(POLL);
        let_requests_arrive().await;
    }
    assert_eq!(
        logs().matches("changes unknown; cache invalidated").count(),
        1
    );
    assert_eq!(
        logs().matches("polling /contacts/changes failed").count(),
        1
    );
    // An hour after the first.
    for _ in 0..2 {
        app.engage.list_as_updated(ids(1));
        app.advance(POLL);
        let_requests_arrive().await;
    }
    assert_eq!(events("changes unknown; cache invalidated").len(), 2);
}

#[tokio::test]
async fn unreachable_change_list_invalidates_nothing() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.get(&by_email()).await.assert_ok();
    app.engage.fault(Endpoint::Changes, Fault::ResetBeforeBody);
    for _ in 0..6 {
        app.advance(POLL);
        let_requests_arrive().await;
    }
    app.get(&by_email()).await.assert_hit();
}
