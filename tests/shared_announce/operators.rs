//! What operators see of the tier: readiness, metrics, and its data about an identifier.

use std::time::Duration;

use engage_bff::domain::{ContactId, Digester};
use engage_simulator::fixtures::{ALVA, CIM};
use serde_json::{Value, json};

use crate::{
    contract,
    replicas::{Answer, DIGEST_KEY, Replica, World, by_email},
    standin::{Fault, Operation},
};

const SECOND: Duration = Duration::from_secs(1);

fn digest(id: &str) -> String {
    let id = ContactId::parse(id).expect("an id");
    let digester = Digester::with_key(DIGEST_KEY.as_bytes());
    id.digest(&digester).to_string()
}

/// The tier's part of the explanation of an identifier. Asserts that the explanation contains nothing personal.
async fn explained(replica: &Replica, identifier: Value) -> Value {
    let answer = replica.explain(identifier).await;
    answer.assert_status(200);
    let text = String::from_utf8(answer.body.clone()).expect("text");
    for personal in [
        ALVA.id,
        ALVA.email,
        ALVA.national_id,
        &ALVA.phone[1..],
        "Alva",
    ] {
        assert!(!text.contains(personal), "{personal}: {text}");
    }
    answer.at("/sharedTier")
}

async fn readiness(replica: &Replica) -> Answer {
    let answer = replica.operations("/readyz").await;
    answer.assert_status(200);
    answer
}

#[tokio::test]
async fn readiness_describes_the_tier_and_does_not_depend_on_it() {
    let world = World::start(|_| {}).await;
    let connected = readiness(&world.b).await.at("/sharedTier");
    let seconds = |value: &Value| value.as_f64().expect("a number");
    assert_eq!(connected["state"], "connected");
    assert_eq!(connected["available"], true);
    assert_eq!(connected["replicas"], 2);
    assert_eq!(connected["memoryDistrusted"], false);
    assert!(seconds(&connected["sinceSeconds"]) >= 1.0);
    assert!(seconds(&connected["caughtUpSecondsAgo"]) < 1.0);
    for trip in ["last", "average"] {
        let trip = seconds(&connected["roundTripMilliseconds"][trip]);
        assert!((0.0..100.0).contains(&trip), "{connected}");
    }
    let gaps = connected["gaps"].as_u64().expect("a number");
    world.b.connection.cut(true);
    world.run_for(3 * SECOND).await;
    let cut = readiness(&world.b).await;
    assert_eq!(cut.at("/ready"), true);
    assert_eq!(cut.at("/sharedTier/state"), "unreachable");
    assert_eq!(cut.at("/sharedTier/available"), false);
    assert_eq!(cut.at("/sharedTier/memoryDistrusted"), true);
    assert!(seconds(&cut.at("/sharedTier/caughtUpSecondsAgo")) > 2.0);
    assert!(seconds(&cut.at("/sharedTier/sinceSeconds")) > 2.0);
    world.standin.flush();
    world.b.connection.cut(false);
    world.run_for(5 * SECOND).await;
    let again = readiness(&world.b).await.at("/sharedTier");
    assert_eq!(again["state"], "connected");
    assert_eq!(again["memoryDistrusted"], false);
    assert!(again["gaps"].as_u64().expect("a number") > gaps, "{again}");
}

#[tokio::test]
async fn metrics_include_those_of_the_tier() {
    let world = World::start(|_| {}).await;
    world.a.get(&by_email(ALVA.email)).await.assert_status(200);
    let metrics = world.a.operations("/metrics").await;
    let text = String::from_utf8(metrics.body).expect("text");
    for line in [
        "engage_bff_shared_tier_available 1\n",
        "engage_bff_shared_tier_replicas 2\n",
        "engage_bff_shared_tier_caught_up_seconds 0.",
        "engage_bff_shared_tier_operations_total{operation=\"fetch\",outcome=\"leased\"} ",
        "engage_bff_shared_tier_operation_duration_seconds_count{operation=\"store\"} ",
        "engage_bff_shared_tier_announcements_total{outcome=\"written\"} ",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[tokio::test]
async fn explanation_shows_what_another_replica_stored() {
    let world = World::start(|_| {}).await;
    let by_address = json!({"email": ALVA.email});
    let nothing = json!({"name": null, "negative": null, "busySeconds": 0.0, "contacts": []});
    assert_eq!(explained(&world.b, by_address.clone()).await, nothing);
    world.a.get(&by_email(ALVA.email)).await.assert_status(200);
    world.run_for(2 * SECOND).await;
    let tier = explained(&world.b, by_address).await;
    assert_eq!(tier["name"]["contact"], digest(ALVA.id));
    assert_eq!(tier["name"]["assured"], true);
    assert_eq!(tier["contacts"][0]["contact"], digest(ALVA.id));
    // It was read through the alias.
    assert_eq!(tier["contacts"][0]["busySeconds"], Value::Null);
    for value in [&tier["name"], &tier["contacts"][0]["parts"]["profile"]] {
        assert_eq!(value["readable"], true, "{value}");
        assert_eq!(value["source"], "overview", "{value}");
        let age = value["ageSeconds"].as_f64().expect("a number");
        assert!((1.0..5.0).contains(&age), "{value}");
        let left = value["ttlSeconds"].as_f64().expect("a number");
        assert!((12_000.0..4.0 * 3600.0).contains(&left), "{value}");
    }
    // The same contact by its id, and at a replica that has it in memory.
    let by_id = explained(&world.b, json!({"contactId": ALVA.id})).await;
    assert_eq!(by_id["name"], Value::Null);
    for replica in [&world.a, &world.b] {
        let tier = explained(replica, json!({"contactId": ALVA.id})).await;
        assert_eq!(tier["contacts"].as_array().map(Vec::len), Some(1));
        assert_eq!(tier["contacts"][0]["busySeconds"], 0.0);
        assert_eq!(
            tier["contacts"][0]["parts"]["profile"]["source"],
            "overview"
        );
    }
}

#[tokio::test]
async fn explanation_shows_eight_contacts_at_most_first_that_of_the_alias() {
    let world = World::start(|_| {}).await;
    world.a.get(&by_email(ALVA.email)).await.assert_status(200);
    for _ in 0..8 {
        let attributes = json!({"email": ALVA.email});
        let id = world.engage.create(attributes, "Member");
        let by_id = format!("contactId={id}");
        world.b.get(&by_id).await.assert_status(200);
    }
    let answer = world.b.explain(json!({"email": ALVA.email})).await;
    assert_eq!(answer.at("/contacts").as_array().map(Vec::len), Some(8));
    let tier = answer.at("/sharedTier");
    let contacts = tier["contacts"].as_array().expect("a list");
    assert_eq!(contacts.len(), 8, "{tier}");
    assert_eq!(contacts[0]["contact"], digest(ALVA.id));
    let alias_only = contacts.iter().filter(|of| of["busySeconds"].is_null());
    assert_eq!(alias_only.count(), 1, "{tier}");
}

#[tokio::test]
async fn explanation_shows_negative_entries_and_entity_only_parts() {
    let world = World::start(|config| config.engage.overview_lag = 600 * SECOND).await;
    let unknown = "unknown@example.com";
    world.a.get(&by_email(unknown)).await.assert_status(404);
    let tier = explained(&world.b, json!({"email": unknown})).await;
    assert_eq!(tier["name"], Value::Null);
    assert_eq!(tier["negative"]["readable"], true);
    world.a.get(&by_email(ALVA.email)).await.assert_status(200);
    let webhook = world.engage.webhook("contact.updated", ALVA.id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.settle().await;
    let tier = explained(&world.b, json!({"contactId": ALVA.id})).await;
    let contact = &tier["contacts"][0];
    assert_eq!(contact["parts"]["profile"], Value::Null);
    let left = contact["entityOnlySeconds"]["profile"].as_f64();
    let left = left.expect("a number");
    assert!((590.0..600.0).contains(&left), "{contact}");
}

#[tokio::test]
async fn every_documented_member_of_the_tier_is_answered_with_a_value() {
    let world = World::start(|config| config.engage.overview_lag = 600 * SECOND).await;
    let unknown = "unknown@example.com";
    world.a.get(&by_email(unknown)).await.assert_status(404);
    world.a.get(&by_email(ALVA.email)).await.assert_status(200);
    world.run_for(2 * SECOND).await;
    readiness(&world.b).await;
    for identifier in [
        json!({"email": unknown}),
        json!({"email": ALVA.email}),
        json!({"contactId": ALVA.id}),
    ] {
        explained(&world.b, identifier).await;
    }
    let webhook = world.engage.webhook("contact.updated", ALVA.id);
    world.a.deliver(&webhook).await.assert_status(204);
    world.settle().await;
    explained(&world.b, json!({"contactId": ALVA.id})).await;
    let schemas = ["SharedTier", "SharedContent", "Budget"];
    let mut never_seen = contract::never_seen(&contract::OPERATIONS, &schemas);
    // The webhook marks only the profile as a part that only its entity endpoint may fill, so the members for the other
    // parts have no value.
    never_seen.retain(|member| !member.contains("/SharedTimes/"));
    assert_eq!(never_seen, Vec::<String>::new());
}

#[tokio::test]
async fn explanation_says_that_the_tier_is_unavailable() {
    let world = World::start(|_| {}).await;
    let query = json!({"email": CIM.email});
    // The next read of the tier hangs until it times out.
    world
        .standin
        .fault_next(Operation::Peek, Fault::SlowRequest);
    let hangs = explained(&world.b, query.clone());
    assert_eq!(world.while_time_passes(hangs).await, "unavailable");
    world.run_for(2 * SECOND).await;
    assert_eq!(explained(&world.b, query.clone()).await["busySeconds"], 0.0);
    world.b.connection.cut(true);
    world.run_for(SECOND).await;
    assert_eq!(explained(&world.b, query).await, "unavailable");
}
