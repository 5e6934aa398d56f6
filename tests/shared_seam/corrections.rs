//! Data of another replica that turns out to be wrong is corrected by few calls.

use engage_bff::{
    customer::CacheStatus,
    domain::{Lookup, Part},
};
use engage_simulator::Endpoint;

use crate::{
    ALVA, SECOND,
    replicas::{LIFETIME, RequestOptions, World, by_email, contact_id},
};

#[tokio::test]
async fn alias_that_a_newer_profile_contradicts_costs_two_calls_at_most() {
    let world = World::start().await;
    let (old, new) = (world.contact(ALVA), world.contact("bo@example.com"));
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    world.advance(SECOND, &[]).await;
    world.engage.move_email(&old, &new);
    // The other replica reads the former owner's profile, which no longer shows the address.
    let fresh = RequestOptions {
        fresh: Part::Profile.into(),
        ..RequestOptions::default()
    };
    let by_id = Lookup::by_id(contact_id(&old));
    b.ask(&by_id, fresh).await.expect("an answer");
    // Everything about the new contact is cached: only the alias is to be corrected.
    b.ask(&Lookup::by_id(contact_id(&new)), RequestOptions::default())
        .await
        .expect("an answer");
    world.engage.reset_log();
    let found = b.get(ALVA).await.expect("an answer");
    assert_eq!(found.record.id, contact_id(&new));
    assert!(world.engage.total_calls() <= 2, "{:?}", world.engage.log());
    // A fresh request resolves the address again, and finds the new contact too.
    let fresh = b.ask(&by_email(ALVA), fresh).await.expect("an answer");
    assert_eq!(fresh.record.id, contact_id(&new));
}

#[tokio::test]
async fn alias_is_refused_where_only_memory_knows_the_contradicting_profile() {
    let world = World::start().await;
    let (old, new) = (world.contact(ALVA), world.contact("bo@example.com"));
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    world.advance(SECOND, &[]).await;
    world.engage.move_email(&old, &new);
    let fresh = RequestOptions {
        fresh: Part::Profile.into(),
        ..RequestOptions::default()
    };
    b.ask(&Lookup::by_id(contact_id(&old)), fresh)
        .await
        .expect("an answer");
    // The tier loses the contact but not the alias that leads to it, and memory keeps the profile.
    assert!(world.standin.evict(crate::standin::Evicted::Contact(0)));
    world.engage.reset_log();
    let found = b.get(ALVA).await.expect("an answer");
    assert_eq!(found.record.id, contact_id(&new));
    assert_eq!(world.engage.unexpected(), Vec::<String>::new());
    // An identifier of which nothing is known costs two calls, the overview and the points; one more is allowed.
    assert!(world.engage.total_calls() <= 3, "{:?}", world.engage.log());
}

#[tokio::test]
async fn overview_is_not_called_for_parts_of_a_newer_entity_read() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let replicas = world.replicas().await;
    let [a, b] = &replicas;
    let fresh = RequestOptions {
        fresh: Part::Profile.into(),
        ..RequestOptions::default()
    };
    // The tier does not receive the first entity read, only the second one, which returns the same data.
    a.connection.cut(true);
    a.ask(&by_email(ALVA), fresh).await.expect("an answer");
    a.connection.cut(false);
    world.advance(2 * LIFETIME, &replicas).await;
    a.ask(&by_email(ALVA), fresh).await.expect("an answer");
    let found = b.get(ALVA).await.expect("an answer");
    assert_eq!(found.verdict.status, CacheStatus::Shared);
    world.advance(20 * SECOND, &replicas).await;
    world.engage.reset_log();
    let young = RequestOptions {
        max_age: Some(10 * SECOND),
        ..RequestOptions::default()
    };
    let found = b.ask(&by_email(ALVA), young).await.expect("an answer");
    assert_eq!(found.record.id, contact_id(&id));
    assert!(found.verdict.age < SECOND);
    // One for the other parts of the overview, one for the profile, one for the points.
    for endpoint in [
        Endpoint::Overview,
        Endpoint::Contact,
        Endpoint::PointAccounts,
    ] {
        assert_eq!(world.engage.calls(endpoint), 1, "{endpoint:?}");
    }
    assert_eq!(world.engage.total_calls(), 3, "{:?}", world.engage.log());
}

#[tokio::test]
async fn other_type_of_contact_is_not_found_by_another_replicas_alias() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    let _ = world.engage.contact(&id).contact_type("Contact");
    world.advance(SECOND, &[]).await;
    let fresh = RequestOptions {
        fresh: Part::Profile.into(),
        ..RequestOptions::default()
    };
    let by_id = Lookup::by_id(contact_id(&id));
    b.ask(&by_id, fresh).await.expect("an answer");
    world.engage.reset_log();
    let refusal = b.get(ALVA).await.expect_err("no member");
    assert!(refusal.is_not_found(), "{refusal}");
    assert!(world.engage.total_calls() <= 2);
}

#[tokio::test]
async fn resolution_does_not_take_an_alias_of_the_overview() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let [a, b] = world.replicas().await;
    a.get(ALVA).await.expect("an answer");
    // The overview is too large for this replica, so it resolves through the entity endpoint.
    let fault = engage_simulator::Fault::Body(" ".repeat(2 << 20));
    world.engage.fault(Endpoint::Overview, fault);
    assert!(world.standin.evict(crate::standin::Evicted::Contact(0)));
    world.engage.reset_log();
    let found = b.get(ALVA).await.expect("an answer");
    assert_eq!(found.record.id, contact_id(&id));
    assert_eq!(world.engage.calls(Endpoint::ContactIdLookup), 1);
    assert_ne!(found.verdict.status, CacheStatus::Shared);
}
