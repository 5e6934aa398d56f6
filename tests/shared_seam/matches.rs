//! Several contacts share an identifier: what one replica fetched about them serves the other.

use engage_bff::{
    customer::{Error, Found},
    domain::{ContactType, Lookup, PartSet},
    engage,
};
use engage_simulator::Endpoint;

use crate::{
    ALVA,
    replicas::{Replica, RequestOptions, World, by_email, contact_id, digester},
};

/// Requests the contact with Alva's address; if several have it, the one of this type.
async fn prefer(replica: &Replica, contact_type: &str) -> Result<Found, Error> {
    let lookup = Lookup::new(by_email(ALVA).identifier, None, &digester());
    let mut query = replica.query(&lookup, RequestOptions::default());
    query.prefer = ContactType::parse(contact_type);
    query.requested = PartSet::ALWAYS;
    replica.customers.find(&query).await
}

#[tokio::test]
async fn another_replicas_resolution_of_an_untyped_lookup_is_served() {
    let world = World::start().await;
    let id = world.contact(ALVA);
    let [a, b] = world.replicas().await;
    for replica in [&a, &b] {
        let found = prefer(replica, "Contact").await.expect("an answer");
        assert_eq!(found.record.id, contact_id(&id));
    }
    assert_eq!(world.engage.total_calls(), 2);
}

#[tokio::test]
async fn another_replicas_matches_and_profiles_decide_without_a_call() {
    let world = World::start().await;
    let member = world.contact(ALVA);
    let other = world.contact(ALVA);
    let _ = world.engage.contact(&other).contact_type("Contact");
    let [a, b] = world.replicas().await;
    let found = prefer(&a, "Member").await.expect("an answer");
    assert_eq!(found.record.id, contact_id(&member));
    assert_eq!(world.engage.calls(Endpoint::ContactIdLookup), 1);
    let calls = world.engage.total_calls();
    let found = prefer(&b, "Member").await.expect("an answer");
    assert_eq!(found.record.id, contact_id(&member));
    let several = prefer(&b, "Other").await;
    let Err(Error::Upstream(engage::Error::MultipleMatches(matches))) = several else {
        panic!("{several:?}");
    };
    let mut ids = [contact_id(&member), contact_id(&other)];
    let mut listed = matches.ids().to_vec();
    listed.sort_unstable();
    ids.sort_unstable();
    assert_eq!(listed, ids);
    assert!(matches.are_complete());
    assert_eq!(world.engage.total_calls(), calls);
}
