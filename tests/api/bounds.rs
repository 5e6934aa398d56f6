//! Memory stays bounded, and a flood of one kind evicts no entries of another.

use std::time::Duration;

use bytesize::ByteSize;
use engage_simulator::{Endpoint, fixtures::ALVA};
use serde_json::json;

use crate::harness::{TestApp, let_requests_arrive};

/// Text that compresses poorly.
fn note(number: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(number);
    std::iter::repeat_with(|| rng.alphanumeric())
        .take(8000)
        .collect()
}

#[tokio::test]
async fn flood_of_unknown_emails_evicts_no_cached_contact() {
    let app = TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await;
    let known = app.engage.contact_ids();
    let known: Vec<_> = known.iter().take(20).collect();
    for id in &known {
        app.get(&format!("contactId={id}")).await.assert_ok();
    }
    for number in 0..2000 {
        let query = format!("email=unknown-{number}@example.com");
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
async fn cache_stays_within_its_size_with_more_contacts_than_fit() {
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
async fn often_read_contact_survives_a_scan_of_other_contacts() {
    let app = TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await;
    let frequent = format!("contactId={}&parts=none", ALVA.id);
    app.get(&frequent).await.assert_ok();
    for number in 0..300 {
        let attributes = json!({
            "email": format!("customer-{number}@example.com"),
            "note": note(number),
        });
        let id = app.engage.create(attributes, "Member");
        app.get(&format!("contactId={id}&parts=none"))
            .await
            .assert_ok();
        app.get(&frequent).await.assert_hit();
    }
}

/// Sets most lifetimes and windows to `lifetime`, and `stale_if_slow` and most time-outs to `timeout`.
fn set_durations(config: &mut engage_bff::config::Config, lifetime: Duration, timeout: Duration) {
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
async fn largest_settings_serve_from_engage_and_from_the_cache() {
    let app = TestApp::with(|config| {
        set_durations(
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
    let calls = app.engage.total_calls();
    // Lifetimes are 21.6 to 24 hours, and a hit in the last tenth refreshes.
    for hours in [0, 10, 9] {
        app.advance(Duration::from_secs(hours * 3600));
        app.get(&query).await.assert_ok().assert_hit();
    }
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), calls);
    // Stale data is served for another day while it is refreshed.
    app.advance(Duration::from_secs(23 * 3600));
    app.get(&query).await.assert_ok().assert_hit();
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    app.operations("/readyz").await.assert_ok();
}

#[tokio::test]
async fn smallest_cache_and_concurrency_settings_serve_requests() {
    let app = TestApp::with(|config| {
        set_durations(config, Duration::from_secs(1), Duration::from_secs(3600));
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
    let _clock = app.run_clock();
    let query = format!("contactId={}", ALVA.id);
    for _ in 0..2 {
        app.get(&query).await.assert_ok();
    }
}
