//! A webhook that reaches one replica.

use std::time::Duration;

use engage_bff::config::Config;
use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO, CIM},
};
use serde_json::json;

use crate::{
    replicas::{World, by_email, let_everything_arrive, logs, signed},
    standin::{Evicted, Fault, Operation},
};

/// Both replicas have the contact in memory, and then it is renamed.
async fn world_with_a_change() -> (World, String) {
    let world = World::start(|_| {}).await;
    let query = by_email(ALVA.email);
    for replica in [&world.a, &world.b] {
        replica.get(&query).await.assert_status(200);
        replica.get(&query).await.assert_hit();
    }
    world
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    (world, query)
}

/// The greatest age of an overview's data.
const OVERVIEW_LAG: Duration = Duration::from_secs(600);

/// A configuration with a realistic lag.
fn with_lag(config: &mut Config) {
    config.engage.overview_lag = OVERVIEW_LAG;
}

/// The number of announcements about contacts.
fn announced(world: &World) -> usize {
    let calls = world.standin.calls();
    let is_invalidation = |(_, call): &&(usize, Operation)| *call == Operation::Invalidate;
    calls.iter().filter(is_invalidation).count()
}

#[tokio::test]
async fn webhook_at_one_replica_invalidates_at_all() {
    let (world, query) = world_with_a_change().await;
    let webhook = world.engage.webhook("contact.updated", ALVA.id);
    world.a.deliver(&webhook).await.assert_status(204);
    assert_eq!(world.a.get(&query).await.first_name(), "Alvina");
    world.settle().await;
    assert_eq!(world.b.get(&query).await.first_name(), "Alvina");
}

#[tokio::test]
async fn burst_after_a_webhook_makes_each_call_once() {
    let world = World::start(with_lag).await;
    let query = by_email(CIM.email);
    let webhook = world.engage.webhook("contact.updated", CIM.id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.settle().await;
    world.engage.reset_log();
    // The overview has been stored, and the profile is in flight.
    let hold = world.engage.hold(Endpoint::Contact);
    let releases = async {
        world.engage.wait_for_calls(Endpoint::Contact, 1).await;
        world.run_for(Duration::from_millis(300)).await;
        drop(hold);
    };
    let get = |replica: &'static str| {
        let replica = if replica == "a" { &world.a } else { &world.b };
        replica.get(&query)
    };
    let burst = async { tokio::join!(get("a"), get("b"), get("a"), get("b"), releases) };
    let (a, b, c, d, ()) = world.while_time_passes(burst).await;
    for answer in [a, b, c, d] {
        answer.assert_status(200);
    }
    for endpoint in [Endpoint::Overview, Endpoint::Contact] {
        let log = world.engage.log();
        assert_eq!(world.engage.calls(endpoint), 1, "{endpoint:?} {log:?}");
    }
    for replica in [&world.a, &world.b] {
        replica.get(&query).await.assert_hit();
    }
}

#[tokio::test]
async fn new_replica_takes_what_was_fetched_since_an_invalidation() {
    let world = World::start(with_lag).await;
    world.engage.set_overview_lag(OVERVIEW_LAG);
    let query = by_email(CIM.email);
    world.a.get(&query).await.assert_status(200);
    world
        .engage
        .contact(CIM.id)
        .attribute("firstName", json!("Renamed"));
    let webhook = world.engage.webhook("contact.updated", CIM.id);
    world.a.deliver(&webhook).await.assert_status(204);
    assert_eq!(world.a.get(&query).await.first_name(), "Renamed");
    world.run_for(Duration::from_secs(30)).await;
    let new = world.new_replica().await;
    world.engage.reset_log();
    assert_eq!(new.get(&query).await.first_name(), "Renamed");
    let log = world.engage.log();
    assert_eq!(world.engage.total_calls(), 0, "{log:?}");
    // It has learnt that the overview lags: when the tier has no data, it calls the entity endpoint.
    let new = world.new_replica().await;
    while world.standin.evict(Evicted::Contact(0)) {}
    assert_eq!(new.get(&query).await.first_name(), "Renamed");
    assert_eq!(world.engage.calls(Endpoint::Overview), 1);
    assert_eq!(world.engage.calls(Endpoint::Contact), 1);
}

#[tokio::test]
async fn new_replica_takes_an_overview_from_after_the_lag() {
    let lag = Duration::from_secs(20);
    let world = World::start(|config| config.engage.overview_lag = lag).await;
    let query = by_email(CIM.email);
    let webhook = world.engage.webhook("contact.updated", CIM.id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.run_for(lag + Duration::from_secs(1)).await;
    world.a.get(&query).await.assert_status(200);
    assert_eq!(world.engage.calls(Endpoint::Contact), 0);
    // The overview was requested before the new replica reads about the invalidation.
    world.settle().await;
    let new = world.new_replica().await;
    world.engage.reset_log();
    new.get(&query).await.assert_status(200);
    let log = world.engage.log();
    assert_eq!(world.engage.total_calls(), 0, "{log:?}");
}

#[tokio::test]
async fn message_that_another_replica_applied_does_nothing() {
    let (world, query) = world_with_a_change().await;
    let webhook = world.engage.webhook("contact.updated", ALVA.id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.settle().await;
    for replica in [&world.a, &world.b] {
        assert_eq!(replica.get(&query).await.first_name(), "Alvina");
    }
    for replica in [&world.b, &world.b, &world.a] {
        replica.deliver(&webhook).await.assert_status(204);
        world.settle().await;
        world.a.get(&query).await.assert_hit();
        world.b.get(&query).await.assert_hit();
    }
    let counted = |outcome| world.b.deliveries("contact.updated", outcome);
    assert_eq!(counted("taken").await, 0);
    assert_eq!(counted("repeated").await, 2);
}

#[tokio::test]
async fn webhook_that_cannot_be_announced_holds_here_and_is_repeated() {
    for fault in [Fault::Unreachable, Fault::LostReply] {
        let (world, query) = world_with_a_change().await;
        let webhook = world.engage.webhook("contact.updated", ALVA.id);
        world
            .standin
            .fault_next(Operation::Invalidate, fault.clone());
        let answer = world.a.deliver(&webhook).await;
        answer.assert_not_shared();
        assert_eq!(
            world.a.get(&query).await.first_name(),
            "Alvina",
            "{fault:?}"
        );
        let counted = |outcome| world.a.deliveries("contact.updated", outcome);
        assert_eq!(counted("not-shared").await, 1);
        // The tier is not connected, so the next attempt can't be announced either.
        world.a.deliver(&webhook).await.assert_not_shared();
        world.run_for(Duration::from_secs(5)).await;
        // Now it can be announced; if only the reply was lost, it had been announced before.
        world.a.deliver(&webhook).await.assert_status(204);
        let is_taken = counted("taken").await == 1;
        assert_eq!(is_taken, fault == Fault::Unreachable);
        world.settle().await;
        assert_eq!(world.b.get(&query).await.first_name(), "Alvina");
        world.a.deliver(&webhook).await.assert_status(204);
        assert_eq!(counted("not-shared").await, 2);
    }
}

#[tokio::test]
async fn sender_that_disconnects_leaves_no_old_data() {
    let (world, query) = world_with_a_change().await;
    let webhook = world.engage.webhook("contact.updated", ALVA.id);
    world
        .standin
        .fault_next(Operation::Invalidate, Fault::SlowReply);
    let before = announced(&world);
    let sent = tokio::spawn(world.a.delivery((&webhook.0, &webhook.1)));
    while announced(&world) == before {
        let_everything_arrive().await;
    }
    sent.abort();
    // The service notices that the connection is closed.
    let_everything_arrive().await;
    world.standin.release();
    world.settle().await;
    // It had been written, so it counts as applied.
    world.a.deliver(&webhook).await.assert_status(204);
    for replica in [&world.a, &world.b] {
        assert_eq!(replica.get(&query).await.first_name(), "Alvina");
    }
}

#[tokio::test]
async fn created_contact_is_found_at_the_other_replica() {
    let world = World::start(|_| {}).await;
    let query = by_email("new@example.com");
    for replica in [&world.a, &world.b] {
        replica.get(&query).await.assert_status(404);
    }
    let id = world.engage.create(
        json!({"email": "new@example.com", "firstName": "Nova"}),
        "Member",
    );
    let webhook = world.engage.webhook("contact.created", &id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.settle().await;
    for replica in [&world.a, &world.b] {
        assert_eq!(replica.get(&query).await.first_name(), "Nova");
    }
}

#[tokio::test]
async fn webhook_with_many_contacts_is_one_announcement() {
    let (world, query) = world_with_a_change().await;
    let others = (0..999).map(|number| format!("00000000-0000-4000-8000-{number:012}"));
    let contacts: Vec<_> = others.chain([ALVA.id.to_owned()]).collect();
    let body = json!({
        "eventId": "1", "eventType": "contact.updated", "isEncrypted": false, "tenant": "t",
        "payload": { "contactIds": contacts },
    });
    let webhook = signed("msg_many", &body.to_string());
    let before = announced(&world);
    for _ in 0..2 {
        world.a.deliver(&webhook).await.assert_status(204);
    }
    assert_eq!(announced(&world), before + 1);
    world.settle().await;
    for replica in [&world.a, &world.b] {
        assert_eq!(replica.get(&query).await.first_name(), "Alvina");
    }
    world.b.deliver(&webhook).await.assert_status(204);
    assert_eq!(world.b.deliveries("contact.updated", "repeated").await, 1);
}

#[tokio::test]
async fn feed_works_at_the_replica_that_gets_no_delivery() {
    let world = World::start(|_| {}).await;
    let states = || async {
        (
            world.a.webhooks_state().await,
            world.b.webhooks_state().await,
        )
    };
    let both = |state: &str| (state.to_owned(), state.to_owned());
    assert_eq!(states().await, both("unknown"));
    let webhook = world.engage.webhook("contact.updated", BO.id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.settle().await;
    assert_eq!(states().await, both("working"));
    for number in 0..3 {
        let sealed = signed(&format!("msg_{number}"), "no JSON");
        world.a.deliver(&sealed).await.assert_status(400);
        // The same delivery at the other replica is not counted again.
        world.settle().await;
        world.b.deliver(&sealed).await.assert_status(400);
        world.settle().await;
        let expected = if number < 2 { "working" } else { "failing" };
        assert_eq!(states().await, both(expected), "{number}");
    }
    assert_eq!(logs().matches("webhook feed failing").count(), 2);
}

#[tokio::test]
async fn without_webhooks_memory_is_trusted_while_the_stream_is_caught_up() {
    let world = World::start(|config| config.webhooks.secrets.clear()).await;
    let query = by_email(ALVA.email);
    world.a.get(&query).await.assert_status(200);
    // Memory is trusted for the whole lifetime, because the stream is caught up.
    assert!(world.a.get(&query).await.assert_hit().ttl() > 3600);
    assert_eq!(world.a.webhooks_state().await, "off");
}

#[tokio::test]
async fn poll_does_not_advance_while_others_cannot_be_reached() {
    let poll = Duration::from_secs(10);
    let world = World::start(|config| config.webhooks.changes_poll = Some(poll)).await;
    let query = by_email(ALVA.email);
    for replica in [&world.a, &world.b] {
        replica.get(&query).await.assert_status(200);
    }
    world
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    let connections = [&world.a.connection, &world.b.connection];
    for wire in connections {
        wire.cut(true);
    }
    world.engage.reset_log();
    world.run_for(poll + Duration::from_secs(5)).await;
    let from = |index: usize| {
        let log = world.engage.log();
        let polls: Vec<_> = log
            .iter()
            .filter(|call| call.endpoint == Endpoint::Changes)
            .map(|call| call.query.clone())
            .collect();
        polls[index].clone()
    };
    let first = from(0);
    assert_eq!(world.a.get(&query).await.first_name(), "Alvina");
    assert_eq!(
        logs().matches("polling /contacts/changes failed").count(),
        2
    );
    world.engage.reset_log();
    world.run_for(poll).await;
    let second = from(0);
    let begin = |query: &[(String, String)]| {
        let from = query.iter().find(|(name, _)| name.contains("from"));
        from.expect("the beginning").1.clone()
    };
    assert_eq!(begin(&second), begin(&first));
    assert_ne!(second, first);
    for wire in connections {
        wire.cut(false);
    }
    world.run_for(poll + Duration::from_secs(5)).await;
    world.engage.reset_log();
    world.run_for(poll).await;
    assert_ne!(begin(&from(0)), begin(&first));
}
