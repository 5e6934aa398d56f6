//! An operator's purge at one replica.

use std::time::Duration;

use engage_simulator::fixtures::{ALVA, CIM};
use serde_json::json;

use crate::{
    replicas::{World, by_email, logs},
    standin::{Fault, Operation},
};

/// Both replicas have both contacts in memory, and then both contacts are renamed.
async fn world_with_two_changes() -> World {
    let world = World::start(|_| {}).await;
    for person in [&ALVA, &CIM] {
        for replica in [&world.a, &world.b] {
            let query = by_email(person.email);
            replica.get(&query).await.assert_status(200);
            replica.get(&query).await.assert_hit();
        }
        let contact = world.engage.contact(person.id);
        contact.attribute("firstName", json!("Renamed"));
    }
    world
}

/// The number of purges that took effect at one replica only, according to the audit.
fn held_here_alone() -> usize {
    let event = "cache purged by operator at this replica alone";
    logs().matches(event).count()
}

#[tokio::test]
async fn purge_at_one_replica_holds_at_all() {
    for (what, is_wide) in [
        ("contact", false),
        ("identifier", false),
        ("everything", true),
    ] {
        let world = world_with_two_changes().await;
        let before = held_here_alone();
        let purged = match what {
            "contact" => world.a.purge_contact(ALVA.id).await,
            "identifier" => {
                let body = json!({"any": ALVA.national_id});
                world.a.purge(body).await
            }
            _ => world.a.purge(json!({"all": true})).await,
        };
        purged.assert_status(204);
        world.settle().await;
        for replica in [&world.b, &world.a] {
            let alva = replica.get(&by_email(ALVA.email)).await.first_name();
            assert_eq!(alva, "Renamed", "{what}");
            let cim = replica.get(&by_email(CIM.email)).await.first_name();
            assert_eq!(cim == "Renamed", is_wide, "{what}");
        }
        assert_eq!(held_here_alone(), before);
    }
}

#[tokio::test]
async fn purge_that_cannot_be_announced_takes_effect_only_here() {
    for what in ["contact", "identifier", "everything"] {
        let world = world_with_two_changes().await;
        let before = held_here_alone();
        world.a.connection.cut(true);
        let purged = match what {
            "contact" => world.a.purge_contact(ALVA.id).await,
            "identifier" => world.a.purge(json!({"email": ALVA.email})).await,
            _ => world.a.purge(json!({"all": true})).await,
        };
        purged.assert_not_shared();
        let detail = purged.at("/detail");
        let detail = detail.as_str().expect("text");
        assert!(detail.contains("at this replica only"), "{detail}");
        assert_eq!(held_here_alone(), before + 1);
        let query = by_email(ALVA.email);
        assert_eq!(world.a.get(&query).await.first_name(), "Renamed");
        assert_ne!(world.b.get(&query).await.first_name(), "Renamed", "{what}");
        // The purge is announced automatically once the tier can be reached.
        world.a.connection.cut(false);
        world.run_for(Duration::from_secs(6)).await;
        assert_eq!(world.b.get(&query).await.first_name(), "Renamed", "{what}");
    }
}

/// Data that another replica fetched before the purge is in the tier, and must not come back from there.
#[tokio::test]
async fn purge_that_is_still_to_be_announced_holds_against_the_tier() {
    let world = world_with_two_changes().await;
    let query = by_email(CIM.email);
    world
        .standin
        .fault_next(Operation::Invalidate, Fault::Unreachable);
    world.a.purge_contact(CIM.id).await.assert_not_shared();
    // The replica connects to the tier again during these requests. Each must show the contact's new name.
    for _ in 0..300 {
        let answer = world.while_time_passes(world.a.get(&query)).await;
        assert_eq!(answer.first_name(), "Renamed");
        // Only contacts that are not in memory are looked up in the tier.
        world.a.switch(false).await.assert_status(204);
        world.a.switch(true).await.assert_status(204);
        world.run_for(Duration::from_millis(20)).await;
    }
    assert_eq!(world.b.get(&query).await.first_name(), "Renamed");
}

#[tokio::test]
async fn switch_affects_only_one_replica() {
    let world = world_with_two_changes().await;
    world.a.switch(false).await.assert_status(204);
    world.settle().await;
    let query = by_email(ALVA.email);
    assert_eq!(world.a.get(&query).await.first_name(), "Renamed");
    world.b.get(&query).await.assert_hit();
}

#[tokio::test]
async fn contact_that_engage_does_not_know_any_more_is_gone_everywhere() {
    let world = world_with_two_changes().await;
    world.engage.contact(ALVA.id).delete();
    let by_id = format!("contactId={}&fresh=profile", ALVA.id);
    world.a.get(&by_id).await.assert_status(404);
    world.settle().await;
    for replica in [&world.a, &world.b] {
        let answer = replica.get(&by_email(ALVA.email)).await;
        answer.assert_status(404);
    }
}
