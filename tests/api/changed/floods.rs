//! A client that sends a flood of reports: its rate bounds what it costs other clients and how much memory it uses.

use std::time::Duration;

use engage_bff::config::{Config, Scope};
use engage_simulator::fixtures::ALVA;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{alvas_email, assert_taken, by_email, count, report, report_as};
use crate::harness::{COLD_CALLS, READER, SHOP, TILL, TestApp};

/// The most calls that one report makes necessary: an entity call for each part.
const CALLS: usize = 4;

fn with_changed_scope(config: &mut Config) {
    for client in &mut config.auth.clients {
        client.scopes = vec![Scope::Read, Scope::Changed];
        client.view = engage_bff::config::ClientView::Storefront;
    }
}

#[tokio::test]
async fn reports_beyond_the_rate_are_429_with_rate_limit_headers() {
    let app = TestApp::with(with_changed_scope).await;
    for _ in 0..100 {
        assert_taken(&report(&app, alvas_email()).await);
    }
    let answer = report(&app, alvas_email()).await;
    answer.assert_problem(429, "RateLimited");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("ratelimit"), "\"changes\";r=0;t=1");
    assert_eq!(answer.header("ratelimit-policy"), "\"changes\";q=10;w=1");
    // Other requests of the client, and other clients, are not affected.
    app.get(&by_email()).await.assert_ok();
    assert_taken(&report_as(&app, SHOP, alvas_email()).await);
    app.advance(Duration::from_secs(1));
    for _ in 0..10 {
        assert_taken(&report(&app, alvas_email()).await);
    }
    let answer = report(&app, alvas_email()).await;
    answer.assert_problem(429, "RateLimited");
}

#[tokio::test]
async fn refused_reports_do_not_count_against_the_rate() {
    let app = TestApp::with(with_changed_scope).await;
    for _ in 0..120 {
        let body = json!({"contactId": ALVA.id, "parts": []});
        report(&app, body)
            .await
            .assert_problem(400, "InvalidParameter");
    }
    assert_taken(&report(&app, alvas_email()).await);
}

#[tokio::test]
async fn flood_costs_another_client_no_more_than_the_rate_allows() {
    let app = TestApp::with(|config| {
        with_changed_scope(config);
        config.engage.requests_per_second = 50.0;
        config.engage.burst = 10;
        let hour = Duration::from_secs(60 * 60);
        let cache = &mut config.cache;
        cache.profile_lifetime = hour;
        cache.promotions_lifetime = hour;
        cache.vouchers_lifetime = hour;
        cache.points_lifetime = hour;
    })
    .await;
    let customers: Vec<_> = app.engage.contact_ids().into_iter().take(10).collect();
    let ask_for_all = async || {
        let _clock = app.run_clock();
        for id in &customers {
            let answer = app.get_as(SHOP, &format!("contactId={id}")).await;
            assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
        }
    };
    ask_for_all().await;
    assert!(app.engage.total_calls() <= customers.len() * COLD_CALLS);
    app.engage.reset_log();
    let mut taken = 0;
    for _ in 0..2 {
        for id in customers.iter().cycle().take(120) {
            let answer = report_as(&app, READER, json!({"contactId": id})).await;
            match answer.status {
                204 => taken += 1,
                _ => drop(answer.assert_problem(429, "RateLimited").status),
            }
        }
        ask_for_all().await;
    }
    let calls = app.engage.total_calls();
    assert!(calls <= taken * CALLS, "{calls} calls for {taken} reports");
    let limited = count(&app, "reader", "limited").await;
    assert!(limited.is_some_and(|limited| limited > 0), "{limited:?}");
    assert_eq!(count(&app, "shop", "limited").await, Some(0));
}

#[tokio::test]
async fn flood_of_unknown_customers_leaves_no_more_fences_than_the_burst() {
    let app = TestApp::with(with_changed_scope).await;
    app.get(&by_email()).await.assert_ok();
    for number in 0..300u128 {
        report_as(
            &app,
            TILL,
            json!({"contactId": Uuid::from_u128(number + 1).to_string()}),
        )
        .await;
        let body = json!({"email": format!("unknown-{number}@example.com")});
        report_as(&app, READER, body).await;
    }
    let stats = app.operations("/cache/stats").await;
    assert_eq!(stats.at("/fences"), json!({"contacts": 100, "names": 100}));
    // Entries of other contacts are unchanged.
    app.get(&by_email()).await.assert_ok().assert_hit();
    let negatives: Value = stats.at("/negatives");
    assert_eq!(negatives, 0);
}
