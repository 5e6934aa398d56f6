//! Memory stays bounded, and a flood of one kind takes no room from another.

use std::time::Duration;

use bytesize::ByteSize;
use engage_simulator::people::ALVA;
use serde_json::json;

use crate::harness::TestApp;

/// So much text that packing it saves little.
fn note(number: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(number);
    std::iter::repeat_with(|| rng.alphanumeric())
        .take(8000)
        .collect()
}

#[tokio::test]
async fn a_flood_of_unknown_emails_evicts_no_customer() {
    let app = TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await;
    let known = app.engage.contact_ids();
    let known: Vec<_> = known.iter().take(20).collect();
    for id in &known {
        app.get(&format!("contactId={id}")).await.assert_ok();
    }
    for number in 0..2000 {
        let query = format!("email=nobody-{number}@example.com");
        app.get(&query).await.assert_problem(404, "ContactNotFound");
    }
    let calls = app.engage.total_calls();
    for id in &known {
        app.get(&format!("contactId={id}"))
            .await
            .assert_ok()
            .assert_hit();
    }
    assert_eq!(app.engage.total_calls(), calls);
    let counts = app.customers.counts();
    assert!(counts.negatives < 1000, "{counts:?}");
}

#[tokio::test]
async fn more_customers_than_fit_keep_the_cache_within_its_size() {
    let app = TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await;
    for number in 0..400 {
        let attributes = json!({
            "email": format!("customer-{number}@example.com"),
            "note": note(number),
        });
        let id = app.engage.create(attributes, "Member");
        let answer = app.get(&format!("contactId={id}&parts=none")).await;
        answer.assert_ok();
    }
    let counts = app.customers.counts();
    assert!(counts.record_bytes <= 1 << 20, "{counts:?}");
    assert!((10..200).contains(&counts.records), "{counts:?}");
}

#[tokio::test]
async fn who_is_asked_for_often_stays_while_others_are_asked_for_once() {
    let app = TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await;
    let often = format!("contactId={}&parts=none", ALVA.id);
    app.get(&often).await.assert_ok();
    for number in 0..300 {
        let attributes = json!({
            "email": format!("customer-{number}@example.com"),
            "note": note(number),
        });
        let id = app.engage.create(attributes, "Member");
        app.get(&format!("contactId={id}&parts=none"))
            .await
            .assert_ok();
        app.get(&often).await.assert_hit();
    }
}

/// Every duration at one end of what it may be.
fn stretched(config: &mut engage_bff::config::Config, lifetime: Duration, timeout: Duration) {
    let cache = &mut config.cache;
    cache.profile_lifetime = lifetime;
    cache.audiences_lifetime = lifetime;
    cache.promotions_lifetime = lifetime;
    cache.vouchers_lifetime = lifetime;
    cache.points_lifetime = lifetime;
    cache.stale_while_revalidate = lifetime;
    cache.stale_if_error = lifetime;
    cache.negative_lifetime = lifetime;
    config.engage.overview_lag = lifetime;
    cache.stale_if_slow = timeout;
    config.server.request_timeout = timeout;
    config.server.header_timeout = timeout;
    config.server.body_timeout = timeout;
    config.server.write_timeout = timeout;
    config.server.shutdown_grace = timeout;
    config.engage.timeout = timeout;
    config.engage.connect_timeout = timeout;
}

#[tokio::test]
async fn the_largest_settings_answer_from_engage_and_from_memory() {
    let app = TestApp::with(|config| {
        stretched(
            config,
            Duration::from_secs(24 * 3600),
            Duration::from_secs(3600),
        );
        config.server.max_connections = 1_000_000;
        config.engage.max_concurrency = 1_000_000;
        config.engage.burst = 1_000_000;
        config.engage.requests_per_second = 1_000_000.0;
        config.cache.max_size = ByteSize::tib(1);
        config.server.max_body = ByteSize::mib(16);
        for client in &mut config.auth.clients {
            client.requests_per_second = Some(1_000_000);
            client.max_concurrency = Some(1_000_000);
            client.unknown_per_minute = Some(1_000_000);
            client.people_per_hour = Some(1_000_000);
        }
    })
    .await;
    let query = format!("contactId={}", ALVA.id);
    app.get(&query).await.assert_ok();
    for step in [0, 23, 23, 23] {
        app.advance(Duration::from_secs(step * 3600));
        app.get(&query).await;
    }
    app.operations("/readyz").await.assert_ok();
}

#[tokio::test]
async fn the_smallest_settings_answer() {
    let app = TestApp::with(|config| {
        stretched(config, Duration::from_secs(1), Duration::from_secs(3600));
        config.cache.stale_while_revalidate = Duration::ZERO;
        config.cache.stale_if_error = Duration::ZERO;
        config.cache.negative_lifetime = Duration::ZERO;
        config.engage.overview_lag = Duration::ZERO;
        config.cache.stale_if_slow = Duration::ZERO;
        config.server.max_connections = 1;
        config.engage.max_concurrency = 1;
        config.engage.burst = 1;
        config.cache.max_size = ByteSize::mib(1);
        config.server.max_body = ByteSize::b(256);
    })
    .await;
    let _passing = app.let_time_pass();
    let query = format!("contactId={}", ALVA.id);
    for _ in 0..2 {
        app.get(&query).await.assert_ok();
    }
}
