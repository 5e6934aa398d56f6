//! What a store refuses: the parts that an invalidation since its lease covers, or everything if that can't be known.

use engage_bff::{
    domain::{Part, PartSet},
    shared_tier::protocol::{MAX_ENTRIES_SINCE, Subject},
};

use crate::harness::{
    ANNA, ANNAS_MAIL, BERT, Lease, REPLICA, Tier, beat, negative, nothing, parts_of, purge, store,
};

const CONTACT: Subject = Subject::Contact(ANNA);

async fn expect_all_overtaken(tier: &Tier, lease: Lease) {
    let reply = tier.store(store(lease, ANNA, "old")).await;
    assert_eq!(
        (reply.overtaken, reply.stored),
        (PartSet::ALL, PartSet::EMPTY)
    );
    assert!(tier.served(ANNA).await.is_empty());
}

#[tokio::test]
async fn an_invalidation_since_the_lease_refuses_only_its_parts() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    tier.invalidate(parts_of(ANNA, &[Part::Points, Part::Vouchers]))
        .await;
    let reply = tier.store(store(lease, ANNA, "old")).await;
    assert_eq!(
        reply.overtaken,
        PartSet::of(&[Part::Points, Part::Vouchers])
    );
    assert_eq!(
        reply.stored,
        PartSet::of(&[Part::Profile, Part::Audiences, Part::Promotions])
    );
}

#[tokio::test]
async fn several_invalidations_since_the_lease_add_up() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    tier.invalidate(parts_of(ANNA, &[Part::Points])).await;
    tier.invalidate(parts_of(BERT, &[Part::Profile])).await;
    tier.invalidate(nothing()).await;
    tier.invalidate(parts_of(ANNA, &[Part::Vouchers])).await;
    let reply = tier.store(store(lease, ANNA, "old")).await;
    assert_eq!(
        reply.overtaken,
        PartSet::of(&[Part::Points, Part::Vouchers])
    );
}

#[tokio::test]
async fn a_lease_after_the_invalidation_stores_everything() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "old").await;
    tier.invalidate(parts_of(ANNA, &[Part::Points])).await;
    assert_eq!(tier.served(ANNA).await.len(), 4);
    tier.lease(Subject::Contact(BERT)).await;
    // Waits, because values requested in the same millisecond as the remaining ones would not replace them.
    crate::harness::wait(std::time::Duration::from_millis(2)).await;
    assert_eq!(tier.fill(ANNA, "new").await.stored, PartSet::ALL);
}

#[tokio::test]
async fn a_purge_since_the_lease_refuses_everything() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    tier.invalidate(purge(ANNA)).await;
    expect_all_overtaken(&tier, lease).await;
}

#[tokio::test]
async fn an_invalidation_of_negatives_refuses_no_parts() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let mut command = nothing();
    command.negatives = true;
    tier.invalidate(command).await;
    assert_eq!(
        tier.store(store(lease, ANNA, "data")).await.stored,
        PartSet::ALL
    );
}

#[tokio::test]
async fn a_heartbeat_since_the_lease_refuses_nothing() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let mut command = beat(REPLICA);
    command.interval = std::time::Duration::ZERO;
    let before = tier.entries(lease.grant.position).await.len();
    tier.beat(command).await;
    assert_eq!(tier.entries(lease.grant.position).await.len(), before + 1);
    assert_eq!(
        tier.store(store(lease, ANNA, "data")).await.stored,
        PartSet::ALL
    );
}

#[tokio::test]
async fn a_lost_stream_refuses_everything() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    tier.server.command(&["DEL", &tier.stream()]);
    expect_all_overtaken(&tier, lease).await;
}

#[tokio::test]
async fn a_lost_stream_that_began_anew_refuses_everything() {
    let tier = Tier::start().await;
    for _ in 0..50 {
        let lease = tier.lease(CONTACT).await;
        tier.server.command(&["DEL", &tier.stream()]);
        tier.invalidate(nothing()).await;
        expect_all_overtaken(&tier, lease).await;
    }
}

#[tokio::test]
async fn a_lease_granted_while_no_stream_existed_stores_nothing() {
    let tier = Tier::start().await;
    tier.server.command(&["DEL", &tier.stream()]);
    let lease = tier.lease(CONTACT).await;
    tier.invalidate(nothing()).await;
    expect_all_overtaken(&tier, lease).await;
    let lease = tier.lease(CONTACT).await;
    assert_eq!(
        tier.store(store(lease, ANNA, "data")).await.stored,
        PartSet::ALL
    );
}

#[tokio::test]
async fn a_trimmed_stream_refuses_everything() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    tier.invalidate(nothing()).await;
    tier.server
        .command(&["XTRIM", &tier.stream(), "MAXLEN", "1"]);
    expect_all_overtaken(&tier, lease).await;
}

#[tokio::test]
async fn a_missing_entry_in_between_refuses_everything() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    tier.invalidate(nothing()).await;
    let missing = tier.entries(lease.grant.position).await[0].position;
    tier.invalidate(nothing()).await;
    let missing = format!("{}-{}", missing.millis, missing.number);
    tier.server.command(&["XDEL", &tier.stream(), &missing]);
    expect_all_overtaken(&tier, lease).await;
}

#[tokio::test]
async fn an_entry_that_is_not_chained_refuses_everything() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    tier.server
        .command(&["XADD", &tier.stream(), "*", "k", "h"]);
    expect_all_overtaken(&tier, lease).await;
}

#[tokio::test]
async fn as_many_entries_as_allowed_refuse_nothing_and_one_more_everything() {
    let tier = Tier::start().await;
    let (allowed, refused) = (
        tier.lease(Subject::Contact(BERT)).await,
        tier.lease(CONTACT).await,
    );
    for _ in 0..MAX_ENTRIES_SINCE {
        tier.invalidate(nothing()).await;
    }
    assert_eq!(
        tier.store(store(allowed, BERT, "data")).await.stored,
        PartSet::ALL
    );
    tier.invalidate(nothing()).await;
    expect_all_overtaken(&tier, refused).await;
}

#[tokio::test]
async fn a_broken_chain_refuses_a_negative_value() {
    let tier = Tier::start().await;
    let lease = tier.lease(Subject::Alias(ANNAS_MAIL)).await;
    tier.server.command(&["DEL", &tier.stream()]);
    let reply = tier.store(negative(lease)).await;
    assert!(reply.alias_overtaken && !reply.alias_stored);
    assert_eq!(reply.overtaken, PartSet::EMPTY);
}

#[tokio::test]
async fn a_purge_since_the_lease_refuses_the_alias() {
    let tier = Tier::start().await;
    let lease = tier.lease(Subject::Alias(ANNAS_MAIL)).await;
    tier.invalidate(purge(ANNA)).await;
    let mut command = store(lease, ANNA, "old");
    command.alias = Some(crate::harness::value("alias"));
    let reply = tier.store(command).await;
    assert!(reply.alias_overtaken && !reply.alias_stored);
    assert_eq!(
        (reply.overtaken, reply.stored),
        (PartSet::ALL, PartSet::EMPTY)
    );
}

#[tokio::test]
async fn an_invalidation_of_the_alias_refuses_it_but_no_parts() {
    let tier = Tier::start().await;
    let lease = tier.lease(Subject::Alias(ANNAS_MAIL)).await;
    let mut command = nothing();
    command.aliases = vec![ANNAS_MAIL];
    tier.invalidate(command).await;
    let mut command = store(lease, ANNA, "data");
    command.alias = Some(crate::harness::value("alias"));
    let reply = tier.store(command).await;
    assert!(reply.alias_overtaken && !reply.alias_stored);
    assert_eq!(reply.stored, PartSet::ALL);
}
