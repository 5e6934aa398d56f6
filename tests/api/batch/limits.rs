//! The limits of a client apply to each look-up of a batch, and the batch itself is bounded too.

use std::time::Duration;

use engage_bff::config::{ClientConfig, Config};
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM, DORA},
};
use serde_json::{Value, json};

use super::{PATH, Reader, batch, by_id, counted, for_all, send, statuses};
use crate::harness::{Answer, READER, SHOP, TILL, TestApp, let_requests_arrive, logs, wait_until};

/// The defaults with the batch scope for every client, and a changed shop.
fn shop(change: impl FnOnce(&mut ClientConfig)) -> impl FnOnce(&mut Config) {
    |config| {
        for_all(config);
        let clients = &mut config.auth.clients;
        let shop = clients.iter_mut().find(|client| client.id == "shop");
        change(shop.expect("a client of the harness"));
    }
}

fn unknown(numbers: std::ops::Range<u32>) -> Vec<Value> {
    let email = |number| json!({"email": format!("unknown{number}@example.com")});
    numbers.map(email).collect()
}

#[tokio::test]
async fn each_look_up_counts_for_the_clients_rate() {
    let app = TestApp::with(shop(|shop| shop.requests_per_second = Some(5))).await;
    let body = json!({"lookups": vec![json!({"contactId": ALVA.id}); 8]});
    let lines = batch(&app, SHOP, &body).await;
    assert_eq!(statuses(&lines), [200, 200, 200, 200, 200, 429, 429, 429]);
    assert_eq!(lines[7]["problem"]["code"], json!("RateLimited"));
    assert_eq!(lines[7]["problem"]["retryAfter"], json!(1));
    send(&app, SHOP, &body)
        .await
        .assert_problem(429, "RateLimited");
    app.get_as(SHOP, &format!("contactId={}", ALVA.id))
        .await
        .assert_problem(429, "RateLimited");
    assert_eq!(counted(&app, "limited").await, 3);
    // Malformed ones count too.
    app.advance(Duration::from_secs(1));
    let body = json!({"lookups": vec![json!({}); 7]});
    assert_eq!(
        statuses(&batch(&app, SHOP, &body).await),
        [400, 400, 400, 400, 400, 429, 429]
    );
    // Other clients are not affected.
    app.get_as(READER, &format!("contactId={}", ALVA.id))
        .await
        .assert_ok();
}

#[tokio::test]
async fn batch_finds_no_more_unknown_contacts_than_the_guard_allows() {
    let app = TestApp::with(shop(|shop| shop.unknown_per_minute = Some(3))).await;
    let mut lookups = unknown(0..20);
    lookups.push(json!({"contactId": ALVA.id}));
    let lines = batch(&app, SHOP, &json!({"lookups": lookups})).await;
    let of = |status| {
        lines
            .iter()
            .filter(|line| line["status"] == json!(status))
            .count()
    };
    assert_eq!((of(404), of(429), of(200)), (3, 18, 0));
    assert_eq!(app.engage.total_calls(), 3);
    assert_eq!(logs().matches("enumeration guard tripped").count(), 1);
    // What is cached is still served.
    app.get_as(READER, &format!("contactId={}&parts=none", ALVA.id))
        .await
        .assert_ok();
    let body = json!({"lookups": [{"contactId": ALVA.id}, {"contactId": BO.id}]});
    assert_eq!(statuses(&batch(&app, SHOP, &body).await), [200, 429]);
    app.advance(Duration::from_secs(60));
    assert_eq!(statuses(&batch(&app, SHOP, &body).await), [200, 200]);
}

#[tokio::test]
async fn known_contacts_pass_the_guard_however_many_they_are() {
    let app = TestApp::with(shop(|shop| shop.unknown_per_minute = Some(3))).await;
    let ids = app.engage.contact_ids().split_off(5);
    let lines = batch(&app, SHOP, &json!({"lookups": by_id(&ids[..30])})).await;
    assert_eq!(statuses(&lines), [200; 30]);
    assert!(app.engage.max_in_flight() <= 3);
}

#[tokio::test]
async fn unfinished_look_ups_count_as_unknown_for_the_guard() {
    let app = TestApp::with(shop(|shop| shop.unknown_per_minute = Some(12))).await;
    let hold = app.engage.hold(Endpoint::Overview);
    // One batch whose caller disconnects, and one whose deadline passes.
    let body = json!({"lookups": unknown(0..50)});
    let left = Reader::open(&app, SHOP, &body).await;
    app.engage.wait_for_calls(Endpoint::Overview, 8).await;
    drop(left);
    let late = json!({"lookups": unknown(50..100), "deadline": "100ms"});
    let mut late = Reader::open(&app, SHOP, &late).await;
    app.engage.wait_for_calls(Endpoint::Overview, 12).await;
    let_requests_arrive().await;
    app.advance(Duration::from_millis(100));
    while late.next().await.is_some() {}
    hold.release();
    wait_until(|| app.engage.in_flight() == 0).await;
    app.get_as(SHOP, &format!("contactId={}", ALVA.id))
        .await
        .assert_problem(429, "RateLimited");
    assert_eq!(app.engage.total_calls(), 12);
}

#[tokio::test]
async fn distinct_contacts_of_a_batch_count_towards_the_hourly_limit() {
    let app = TestApp::with(shop(|shop| shop.people_per_hour = Some(2))).await;
    let body = json!({"lookups": [
        {"contactId": ALVA.id}, {"email": ALVA.email}, {"contactId": CIM.id},
        {"email": DORA.email},
    ]});
    assert_eq!(
        statuses(&batch(&app, SHOP, &body).await),
        [200, 200, 200, 409]
    );
    let alarms = || logs().matches("distinct contacts limit exceeded").count();
    assert_eq!(alarms(), 0);
    let body = json!({"lookups": [{"contactId": BO.id}]});
    assert_eq!(statuses(&batch(&app, SHOP, &body).await), [200]);
    assert_eq!(alarms(), 1);
}

#[tokio::test]
async fn batch_counts_as_one_concurrent_request_until_its_last_line() {
    let app = TestApp::with(shop(|shop| shop.max_concurrency = Some(1))).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let body = json!({"lookups": [{"contactId": ALVA.id}, {"contactId": BO.id}]});
    let mut reader = Reader::open(&app, SHOP, &body).await;
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    app.get_as(SHOP, &format!("contactId={}", CIM.id))
        .await
        .assert_problem(429, "RateLimited");
    hold.release();
    while reader.next().await.is_some() {}
    app.get_as(SHOP, &format!("contactId={}", CIM.id))
        .await
        .assert_ok();
}

#[tokio::test]
async fn third_batch_of_a_client_at_once_is_429() {
    let app = TestApp::with(for_all).await;
    let hold = app.engage.hold(Endpoint::Overview);
    let ids = app.engage.contact_ids().split_off(5);
    let body = |number: usize| json!({"lookups": by_id(&ids[number * 10..][..10])});
    let mut first = Reader::open(&app, SHOP, &body(0)).await;
    let second = Reader::open(&app, SHOP, &body(1)).await;
    app.engage.wait_for_calls(Endpoint::Overview, 16).await;
    let refused = send(&app, SHOP, &body(2)).await;
    refused.assert_problem(429, "RateLimited");
    assert_eq!(refused.header("retry-after"), "1");
    // Each batch makes eight calls at once, and no more; another client has a limit of its own.
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 16);
    let other = Reader::open(&app, TILL, &body(2)).await;
    app.engage.wait_for_calls(Endpoint::Overview, 24).await;
    drop((second, other));
    hold.release();
    while first.next().await.is_some() {}
    wait_until(|| app.engage.in_flight() == 0).await;
    let_requests_arrive().await;
    assert_eq!(statuses(&batch(&app, SHOP, &body(0)).await), [200; 10]);
    assert_eq!(counted(&app, "abandoned").await, 20);
}

#[tokio::test]
async fn look_up_without_budget_is_tried_again_until_the_deadline() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 2.0;
        config.engage.burst = 1;
    })
    .await;
    let ids = app.engage.contact_ids().split_off(5);
    let body = json!({"lookups": by_id(&ids[..8]), "deadline": "10s"});
    let clock = app.run_clock();
    assert_eq!(statuses(&batch(&app, TILL, &body).await), [200; 8]);
    drop(clock);
    let body = json!({"lookups": by_id(&ids[8..40]), "deadline": "3s"});
    let clock = app.run_clock();
    let lines = batch(&app, TILL, &body).await;
    drop(clock);
    let of = |status| {
        lines
            .iter()
            .filter(|line| line["status"] == json!(status))
            .count()
    };
    assert_eq!(of(200) + of(504), 32, "{lines:?}");
    assert!((3..=9).contains(&of(200)), "{}", of(200));
}

#[tokio::test]
async fn batch_leaves_half_of_the_burst_to_interactive_requests() {
    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 50.0;
        config.engage.burst = 10;
    })
    .await;
    let ids = app.engage.contact_ids().split_off(5);
    let mut reader = Reader::open(&app, TILL, &json!({"lookups": by_id(&ids[..20])})).await;
    for _ in 0..5 {
        assert_eq!(reader.next().await.expect("a line")["status"], json!(200));
    }
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 5);
    // The clock stands still, so these are answered without waiting.
    for id in &ids[20..25] {
        app.get_as(READER, &format!("contactId={id}&parts=none"))
            .await
            .assert_ok();
    }
    // The rest is sent as the budget refills above the half.
    let _clock = app.run_clock();
    for _ in 5..20 {
        assert_eq!(reader.next().await.expect("a line")["status"], json!(200));
    }
}

#[tokio::test]
async fn look_ups_with_an_open_breaker_are_unavailable() {
    let app = TestApp::spawn().await;
    let ids = app.engage.contact_ids().split_off(5);
    app.engage.fault(Endpoint::Overview, Fault::Html502);
    // Retries wait a little, so the clock must advance.
    let _clock = app.run_clock();
    let lines = batch(&app, TILL, &json!({"lookups": by_id(&ids[..40])})).await;
    let codes = |code: &str| {
        let is_it = |line: &&Value| line["problem"]["code"] == json!(code);
        lines.iter().filter(is_it).count()
    };
    let (failed, unavailable) = (codes("UpstreamFailed"), codes("UpstreamUnavailable"));
    assert_eq!(failed + unavailable, 40, "{lines:?}");
    assert!(unavailable > 0);
}

#[tokio::test]
async fn one_event_is_logged_for_a_batch() {
    let app = TestApp::spawn().await;
    let request = app.post_to(PATH, TILL).header("x-request-id", "one-event");
    let body = json!({"view": "storefront", "lookups": vec![json!({"contactId": ALVA.id}); 9]});
    Answer::of(request.body(body.to_string())).await.assert_ok();
    let logs = logs();
    let events: Vec<Value> = logs
        .lines()
        .filter(|line| line.contains("one-event"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["route"], PATH);
    assert_eq!(events[0]["status"], 200);
}
