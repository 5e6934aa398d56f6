//! Repair of the feed's gaps from Engage's list of changes.

use engage_bff::config::Config;
use engage_simulator::{Endpoint, Fault};

use super::{
    ALVA, Duration, LAG, NOBODY, TestApp, assert_taken, by_email, deliver, json, with_secret,
};
use crate::harness::{arrive, logs, until};

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

/// Waits until all three lists were asked for so many times.
async fn polled(app: &TestApp, times: usize) {
    app.engage
        .wait_for_calls(Endpoint::Changes, 3 * times)
        .await;
    until(|| app.engage.in_flight() == 0).await;
    arrive().await;
}

#[tokio::test]
async fn what_changed_while_nothing_was_told_is_asked_for_again() {
    let app = TestApp::with(repairing).await;
    app.engage.set_overview_lag(LAG);
    polled(&app, 1).await;
    app.get(&by_email()).await.assert_ok();
    app.get(NOBODY).await.assert_problem(404, "ContactNotFound");
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.engage
        .create(json!({"email": "nobody@example.com"}), "Member");
    app.get(&by_email()).await.assert_hit();
    app.advance(POLL);
    polled(&app, 2).await;
    let answer = app.get(&by_email()).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    assert_eq!(app.engage.calls(Endpoint::Contact), 1);
    app.engage.set_overview_lag(Duration::ZERO);
    app.get(NOBODY).await.assert_ok();
    app.engage.contact(ALVA.id).delete();
    app.advance(POLL);
    polled(&app, 3).await;
    app.get(&by_email())
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn a_change_just_before_the_start_is_not_taken_from_the_lagging_overview() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.engage.set_overview_lag(LAG);
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    // As if it had been started only now.
    app.advance(POLL);
    polled(&app, 2).await;
    let answer = app.get(&by_email()).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    let log = app.engage.log();
    let first = log
        .iter()
        .find(|call| call.endpoint == Endpoint::Changes)
        .expect("a call");
    // Local time, as in Voyado's example; so far back as the overview may lag, and two minutes.
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
async fn nothing_is_asked_while_webhooks_come_and_the_gap_before_them_is_asked_for_once() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    assert_taken(&deliver(&app, "contact.updated", BO).await);
    for _ in 0..8 {
        app.advance(POLL);
        arrive().await;
    }
    // Once more for the time until the first delivery, and never again.
    polled(&app, 2).await;
    assert_eq!(app.engage.calls(Endpoint::Changes), 6);
    app.get(&by_email()).await.assert_ok();
    // Silent since 600 s: what happened since the last delivery is asked for.
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    for _ in 0..2 {
        app.advance(POLL);
        arrive().await;
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
async fn a_tenant_without_the_list_costs_little_and_says_so_once() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    let refusal = Fault::Status(403, json!({"message": "not switched on"}));
    app.engage.fault(Endpoint::Changes, refusal);
    for _ in 0..5 {
        app.advance(POLL);
        arrive().await;
    }
    assert_eq!(
        logs().matches("polling /contacts/changes failed").count(),
        1
    );
    // Its breaker is its own: contacts are still asked for.
    app.get(&by_email()).await.assert_ok();
    let fresh = app.get(&format!("{}&fresh=profile", by_email())).await;
    fresh.assert_ok();
    // What was not learned is asked for later, from where it was left.
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.engage.clear_faults();
    let before = app.engage.calls(Endpoint::Changes);
    app.advance(POLL);
    app.engage
        .wait_for_calls(Endpoint::Changes, before + 3)
        .await;
    until(|| app.engage.in_flight() == 0).await;
    let answer = app
        .get_until(&by_email(), |answer| {
            answer.at("/profile/firstName") == "Alvina"
        })
        .await;
    answer.assert_ok();
}

/// Ids that Engage lists, of contacts that are not held.
fn ids(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("00000000-0000-4000-8000-{number:012x}"))
}

#[tokio::test]
async fn a_list_of_thirty_thousand_contacts_is_read_to_its_end() {
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

/// Everything is asked for anew, once, and the next poll begins where this one ended.
async fn assert_everything_is_asked_for_again(app: &TestApp, polls: usize) {
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
    until(|| app.engage.in_flight() == 0).await;
    let log = app.engage.log();
    let mut changes = log.iter().filter(|call| call.endpoint == Endpoint::Changes);
    let next = changes.nth(calls).expect("a call");
    let from = next.query.iter().find(|(name, _)| name == "fromDate");
    let wanted = format!("2026-11-23T12:{:02}:00", 58 + polls);
    assert_eq!(from.map(|(_, value)| value), Some(&wanted));
}

#[tokio::test]
async fn more_changes_than_engage_lists_raise_one_fence_around_everything() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.get(&by_email()).await.assert_ok();
    app.engage.set_overview_lag(LAG);
    app.engage.max_changes(0);
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    app.advance(POLL);
    assert_everything_is_asked_for_again(&app, 1).await;
}

#[tokio::test]
async fn a_list_longer_than_is_read_raises_one_fence_around_everything() {
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
    assert_everything_is_asked_for_again(&app, 1).await;
}

#[tokio::test]
async fn three_unreadable_lists_in_a_row_raise_one_fence_around_everything() {
    for body in [json!({"message": "?"}), json!(["nobody"]), json!("text")] {
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
            arrive().await;
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
async fn a_list_that_is_refused_for_ever_costs_what_is_held_once_an_hour() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.engage.max_changes(0);
    app.engage.list_as_updated(ids(1));
    app.advance(POLL);
    until(|| logs().contains("changes unknown; cache invalidated")).await;
    for _ in 0..58 {
        app.engage.list_as_updated(ids(1));
        app.advance(POLL);
        arrive().await;
    }
    assert_eq!(
        logs().matches("changes unknown; cache invalidated").count(),
        1
    );
    assert_eq!(
        logs().matches("polling /contacts/changes failed").count(),
        1
    );
}

#[tokio::test]
async fn an_engage_that_is_down_takes_nothing_that_is_held() {
    let app = TestApp::with(repairing).await;
    polled(&app, 1).await;
    app.get(&by_email()).await.assert_ok();
    app.engage.fault(Endpoint::Changes, Fault::ResetBeforeBody);
    for _ in 0..6 {
        app.advance(POLL);
        arrive().await;
    }
    app.get(&by_email()).await.assert_hit();
}
