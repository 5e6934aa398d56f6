//! Data that one replica fetched serves the others.

use std::time::Duration;

use engage_bff::{
    cache::{freshness::FetchSource, parts::Origins as _},
    shared_tier::{
        AliasFill, BudgetSettings, NegativeReason, Overtaken, SharedData, SharedFetch, SharedFill,
        Wanted,
    },
};

use crate::{
    replica::{Bench, Replica},
    settings::{BOTH, LIFETIME, contact, email, need, settings},
};

async fn data(replica: &Replica, wanted: Wanted<'_>) -> SharedData {
    match replica.fetch(wanted).await {
        Ok(SharedFetch::Data(data)) => *data,
        other => panic!("no data: {other:?}"),
    }
}

#[tokio::test]
async fn contact_that_one_replica_fetched_is_found_by_another() {
    let (bench, one, two) = Bench::with_two_replicas().await;
    let id = contact(1);
    assert_eq!(one.fill(id).await, Overtaken::default());
    bench.pass(Duration::from_secs(5)).await;
    let found = data(&two, Wanted::Contact(id)).await;
    assert_eq!((found.id, found.parts.present()), (id, BOTH));
    for provenance in found.parts.provenances() {
        assert!(provenance.is_shared);
        assert_eq!(provenance.source, FetchSource::Overview);
        assert_eq!(provenance.age(two.start().now.tick), Duration::from_secs(5));
        assert_eq!(provenance.lifetime, LIFETIME);
    }
    assert_eq!(
        &*found.parts.audiences.expect("audiences").data.audiences[0].id,
        "vip"
    );
    let hits = "shared_tier_operations_total{operation=\"fetch\",outcome=\"hit\"}";
    assert!((two.metric(hits) - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn second_replica_waits_for_the_lease_of_the_first() {
    let (_bench, one, two) = Bench::with_two_replicas().await;
    let id = contact(1);
    let lease = one.lease(Wanted::Contact(id)).await;
    assert!(matches!(
        two.fetch(Wanted::Contact(id)).await,
        Ok(SharedFetch::Busy)
    ));
    one.tier.release(lease).await;
    assert!(matches!(
        two.fetch(Wanted::Contact(id)).await,
        Ok(SharedFetch::Leased(_))
    ));
}

#[tokio::test]
async fn request_for_fresh_data_gets_a_lease_at_once() {
    let (_bench, one, two) = Bench::with_two_replicas().await;
    let id = contact(1);
    one.fill(id).await;
    let _lease = one.lease(Wanted::Contact(contact(2))).await;
    for id in [id, contact(2)] {
        let mut need = need(Wanted::Contact(id));
        need.max_age = Duration::ZERO;
        let found = two.tier.fetch(two.start(), need).await;
        assert!(matches!(found, Ok(SharedFetch::Leased(_))), "{found:?}");
    }
}

#[tokio::test]
async fn data_no_younger_than_in_memory_is_not_taken() {
    let (bench, one, two) = Bench::with_two_replicas().await;
    one.fill(contact(1)).await;
    bench.pass(Duration::from_secs(5)).await;
    for (cached, is_taken) in [(5, false), (6, true)] {
        let mut need = need(Wanted::Contact(contact(1)));
        need.cached[engage_bff::domain::Part::Points] = Some(Duration::from_secs(cached));
        let found = two.tier.fetch(two.start(), need).await.expect("available");
        assert_eq!(matches!(found, SharedFetch::Data(_)), is_taken, "{found:?}");
    }
}

#[tokio::test]
async fn alias_leads_another_replica_to_the_contact() {
    let (_bench, one, two) = Bench::with_two_replicas().await;
    let (id, lookup) = (contact(1), email("alva@example.com"));
    let lease = one.lease(Wanted::Alias(&lookup)).await;
    let fill = AliasFill {
        requested: &lookup,
        source: FetchSource::Overview,
        confirmed: false,
    };
    assert_eq!(one.store(lease, id, Some(fill)).await, Overtaken::default());
    let found = data(&two, Wanted::Alias(&email("alva@example.com"))).await;
    let alias = found.alias.expect("an alias");
    assert_eq!((found.id, alias.confirmed), (id, false));
    // An alias that is not confirmed lives no longer than a negative entry.
    assert!(alias.provenance.lifetime <= Duration::from_secs(30));
    let view = two
        .tier
        .explain(Wanted::Alias(&lookup))
        .await
        .expect("available");
    assert_eq!(view.contact, Some(id));
    let alias = view.alias.expect("an alias");
    assert_eq!(alias.value.source, Some(FetchSource::Overview));
    let held = view.parts.iter().filter(|(_, value)| value.is_some());
    assert_eq!(held.count(), 2);
}

#[tokio::test]
async fn unknown_identifier_is_known_as_such_to_another_replica() {
    let (_bench, one, two) = Bench::with_two_replicas().await;
    let lookup = email("nils@example.com");
    let lease = one.lease(Wanted::Alias(&lookup)).await;
    let start = one.start();
    let fill = SharedFill::Negative {
        requested: &lookup,
        source: FetchSource::Entity,
        why: &NegativeReason::NotFound,
    };
    one.tier.store(lease, start, fill).await;
    match two.fetch(Wanted::Alias(&lookup)).await {
        Ok(SharedFetch::Negative(negative)) => {
            assert_eq!(negative.why, NegativeReason::NotFound);
            assert_eq!(negative.requested_at, start.now.tick);
        }
        other => panic!("no negative entry: {other:?}"),
    }
}

#[tokio::test]
async fn store_after_an_invalidation_elsewhere_is_overtaken() {
    let (_bench, one, two) = Bench::with_two_replicas().await;
    let id = contact(1);
    let lease = one.lease(Wanted::Contact(id)).await;
    two.purge_contact(id).await.expect("shared");
    assert_eq!(one.store(lease, id, None).await.parts, BOTH);
}

/// The tokens that the replica is granted of a requested hundred.
async fn granted(replica: &Replica) -> u32 {
    let request = replica.token_request(100);
    let lease = replica.tier.lease_tokens(request).await;
    lease.expect("available").tokens
}

/// Lets time pass until the shares are lent, and asserts that no token is granted before.
async fn nothing_is_granted_until_the_shares_are_lent(bench: &Bench, [one, two]: [&Replica; 2]) {
    for _ in 0..2 {
        assert_eq!(granted(one).await + granted(two).await, 0);
        bench.pass(Duration::from_secs(2)).await;
    }
    // Neither share had been lent at the end of these seconds.
    assert_eq!(granted(one).await + granted(two).await, 0);
    bench.pass(Duration::from_millis(500)).await;
}

#[tokio::test]
async fn tokens_are_leased_within_the_shared_budget() {
    let (bench, one, two) = Bench::with_two_replicas().await;
    nothing_is_granted_until_the_shares_are_lent(&bench, [&one, &two]).await;
    assert_eq!(granted(&one).await, 10);
    assert_eq!(granted(&two).await, 0);
    assert_eq!(one.tier.known_replicas(), 2);
    two.tier.pause(Duration::from_secs(3)).await;
    let lease = one.tier.lease_tokens(one.token_request(1)).await;
    let lease = lease.expect("available");
    let paused = one.start().now.tick + Duration::from_secs(3);
    assert_eq!((lease.tokens, lease.paused_until), (0, Some(paused)));
}

#[tokio::test]
async fn tokens_are_leased_within_limits_that_were_changed() {
    let (bench, one, two) = Bench::with_two_replicas().await;
    for replica in [&one, &two] {
        replica.tier.replace_budget(BudgetSettings {
            burst: 4,
            ..settings(b"a").budget
        });
    }
    nothing_is_granted_until_the_shares_are_lent(&bench, [&one, &two]).await;
    assert_eq!(granted(&one).await, 4);
    assert_eq!(granted(&two).await, 0);
}
