//! A client's limits across reloads: its usage still counts, unless the limit itself changes.

use std::time::Duration;

use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO, CIM},
};

use super::{by_id, client};
use crate::harness::{READER, SHOP, TestApp, logs};

/// Reloads a change that does not concern the limits of the client in question.
async fn reload_another_change(app: &TestApp) {
    let reloaded = app
        .reload(|config| {
            config.operations.hosts.push("ops.example.com".to_owned());
            client(config, "reader").channel = Some(engage_bff::domain::Channel::Pos);
        })
        .await
        .expect("a reload");
    assert_eq!(
        reloaded.changed,
        ["auth.clients[reader]", "operations.hosts"]
    );
}

#[tokio::test]
async fn unchanged_rate_keeps_its_count_and_changed_rate_starts_anew() {
    let app = TestApp::with(|config| client(config, "reader").requests_per_second = Some(2)).await;
    for status in [200, 200, 429] {
        assert_eq!(app.get_as(READER, &by_id()).await.status, status);
    }
    reload_another_change(&app).await;
    let refused = app.get_as(READER, &by_id()).await;
    refused.assert_problem(429, "RateLimited");
    app.reload(|config| client(config, "reader").requests_per_second = Some(3))
        .await
        .expect("a reload");
    for status in [200, 200, 200, 429] {
        assert_eq!(app.get_as(READER, &by_id()).await.status, status);
    }
    app.reload(|config| client(config, "reader").requests_per_second = None)
        .await
        .expect("a reload");
    for _ in 0..20 {
        app.get_as(READER, &by_id()).await.assert_ok();
    }
}

#[tokio::test]
async fn requests_in_flight_count_against_the_same_concurrency_limit() {
    let app = TestApp::with(|config| client(config, "reader").max_concurrency = Some(1)).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get_as(READER, &by_id());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    reload_another_change(&app).await;
    let refused = app.get_as(READER, &by_id()).await;
    refused.assert_problem(429, "RateLimited");
    hold.release();
    first.await.expect("no panic").assert_ok();
    app.get_as(READER, &by_id()).await.assert_ok();
}

#[tokio::test]
async fn tripped_enumeration_guard_stays_tripped() {
    let app = TestApp::with(|config| client(config, "reader").unknown_per_minute = Some(2)).await;
    let unknown = |number: usize| format!("email=unknown{number}%40example.com&parts=none");
    for number in 0..2 {
        let answer = app.get_as(READER, &unknown(number)).await;
        answer.assert_problem(404, "ContactNotFound");
    }
    reload_another_change(&app).await;
    let refused = app.get_as(READER, &unknown(2)).await;
    refused.assert_problem(429, "RateLimited");
    assert_eq!(logs().matches("enumeration guard tripped").count(), 1);
    app.advance(Duration::from_secs(60));
    let answer = app.get_as(READER, &unknown(2)).await;
    answer.assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn contacts_sent_before_the_reload_count_towards_the_alarm() {
    let app = TestApp::with(|config| client(config, "reader").people_per_hour = Some(2)).await;
    let alarms = || logs().matches("distinct contacts limit exceeded").count();
    for contact in [ALVA, BO] {
        let query = format!("contactId={}&parts=none", contact.id);
        app.get_as(READER, &query).await.assert_ok();
    }
    reload_another_change(&app).await;
    let query = format!("contactId={}&parts=none", CIM.id);
    app.get_as(READER, &query).await.assert_ok();
    assert_eq!(alarms(), 1);
    let metrics = app.operations("/metrics").await;
    let counted = "engage_bff_client_people_alarms_total{client=\"reader\"} 1";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}

#[tokio::test]
async fn limits_of_other_clients_are_not_touched() {
    let app = TestApp::with(|config| client(config, "shop").requests_per_second = Some(1)).await;
    app.get_as(SHOP, &by_id()).await.assert_ok();
    app.reload(|config| config.auth.clients.retain(|client| client.id != "reader"))
        .await
        .expect("a reload");
    let refused = app.get_as(SHOP, &by_id()).await;
    refused.assert_problem(429, "RateLimited");
}
