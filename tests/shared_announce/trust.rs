//! A replica that can't receive announcements of the others distrusts its memory.

use std::time::Duration;

use engage_simulator::fixtures::{ALVA, BO};
use serde_json::json;

use crate::replicas::{World, by_email, logs};

const SECOND: Duration = Duration::from_secs(1);

/// Both replicas have a contact in memory, with a working feed: it is fresh for hours.
async fn trusting_world() -> (World, String) {
    let world = World::start(|_| {}).await;
    let webhook = world.engage.webhook("contact.updated", BO.id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.settle().await;
    let query = by_email(ALVA.email);
    for replica in [&world.a, &world.b] {
        replica.get(&query).await.assert_status(200);
        assert!(replica.get(&query).await.assert_hit().ttl() > 3600);
    }
    (world, query)
}

#[tokio::test]
async fn memory_is_distrusted_two_seconds_after_the_cut_until_it_ends() {
    let (world, query) = trusting_world().await;
    world.b.connection.cut(true);
    world.run_for(3 * SECOND).await;
    let distrusted = world.b.get(&query).await;
    assert!(distrusted.assert_hit().ttl() <= 60);
    assert!(world.a.get(&query).await.assert_hit().ttl() > 3600);
    // The state of the webhook feed is independent of that.
    assert_eq!(world.b.webhooks_state().await, "working");
    world
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    let webhook = world.engage.webhook("contact.updated", ALVA.id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.run_for(2 * SECOND).await;
    assert_ne!(world.b.get(&query).await.first_name(), "Alvina");
    // Past the fallback lifetime and the stale window the contact is fetched again, whatever its remaining lifetime
    // was.
    world.advance(Duration::from_secs(95));
    assert_eq!(world.b.get(&query).await.first_name(), "Alvina");
    world.b.connection.cut(false);
    world.run_for(5 * SECOND).await;
    world.b.get(&query).await.assert_status(200);
    assert!(world.b.get(&query).await.assert_hit().ttl() > 3600);
}

#[tokio::test]
async fn process_that_was_stopped_distrusts_memory_with_its_first_hit() {
    let (world, query) = trusting_world().await;
    // No entry of the stream arrives before the request is answered.
    world.b.connection.cut(true);
    world.advance(100 * SECOND);
    // A call waits until this replica may use its own share of the call budget.
    let (answer, ()) = tokio::join!(world.b.get(&query), world.run_for(5 * SECOND));
    let status = &answer.cache_status;
    assert!(
        !status.contains("; hit") || status.contains("ttl=-"),
        "{status}"
    );
}

#[tokio::test]
async fn memory_is_trusted_again_after_a_cut_without_a_gap() {
    let (world, query) = trusting_world().await;
    world.b.connection.cut(true);
    world.run_for(5 * SECOND).await;
    assert!(world.b.get(&query).await.assert_hit().ttl() <= 60);
    world.b.connection.cut(false);
    world.run_for(5 * SECOND).await;
    world.engage.reset_log();
    assert!(world.b.get(&query).await.assert_hit().ttl() > 3600);
    assert_eq!(world.engage.total_calls(), 0);
}

#[tokio::test]
async fn gap_drops_everything() {
    let (world, query) = trusting_world().await;
    for number in 0..2 {
        let name = format!("Alva {number}");
        world
            .engage
            .contact(ALVA.id)
            .attribute("firstName", json!(name));
        if number == 0 {
            world.standin.restart(false);
        } else {
            world.standin.flush();
        }
        world.run_for(5 * SECOND).await;
        for replica in [&world.a, &world.b] {
            assert_eq!(replica.get(&query).await.first_name(), name);
        }
    }
}

#[tokio::test]
async fn unreadable_announcement_drops_everything() {
    let (world, query) = trusting_world().await;
    world
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    for replica in [&world.a, &world.b] {
        assert_ne!(replica.get(&query).await.first_name(), "Alvina");
    }
    world.announce_unreadable().await;
    world.settle().await;
    for replica in [&world.a, &world.b] {
        assert_eq!(replica.get(&query).await.first_name(), "Alvina");
    }
    let alarm = "announcement unreadable; cache dropped";
    assert_eq!(logs().matches(alarm).count(), 2);
}
