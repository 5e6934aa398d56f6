//! Invalidations, and the change from one epoch to the next.

use std::time::Duration;

use engage_bff::{
    domain::PartSet,
    shared_tier::{
        Announced, Announcement, InvalidationScope, Overtaken, SharedFetch, StreamEvent, Wanted,
    },
};

use crate::{
    replica::{Bench, settle},
    settings::contact,
    standin::Operation,
};

fn applied(payload: &[u8]) -> Vec<StreamEvent> {
    vec![StreamEvent::Apply(payload.to_vec())]
}

#[tokio::test]
async fn invalidation_reaches_the_other_replicas_and_not_its_own() {
    let (_bench, mut one, mut two) = Bench::with_two_replicas().await;
    assert_eq!(one.purge_contact(contact(1)).await, Ok(Announced::Written));
    settle().await;
    assert_eq!(two.events(), applied(b"purge"));
    assert_eq!(one.events(), []);
}

#[tokio::test]
async fn message_that_was_announced_before_is_repeated() {
    let (_bench, one, two) = Bench::with_two_replicas().await;
    for (replica, expected) in [(&one, Announced::Written), (&two, Announced::Repeated)] {
        let announcement = Announcement {
            scope: InvalidationScope::Contacts {
                contacts: &[(contact(1), PartSet::INVALIDATABLE, false)],
                aliases: &[],
                negatives: true,
            },
            message: Some("msg_1"),
            payload: b"change".to_vec(),
        };
        assert_eq!(replica.tier.announce(announcement).await, Ok(expected));
    }
}

#[tokio::test]
async fn purge_of_everything_leads_all_replicas_to_the_next_epoch() {
    let (bench, mut one, mut two) = Bench::with_two_replicas().await;
    let lease = two.lease(Wanted::Contact(contact(2))).await;
    one.fill(contact(1)).await;
    assert_eq!(
        one.announce(InvalidationScope::Everything, b"all").await,
        Ok(Announced::Written)
    );
    assert!(one.tier.is_available());
    settle().await;
    assert!(two.tier.is_available());
    assert_eq!(two.events(), applied(b"all"));
    assert_eq!(one.events(), []);
    for replica in [&one, &two] {
        let found = replica.fetch(Wanted::Contact(contact(1))).await;
        assert!(
            matches!(found, Ok(SharedFetch::Leased(_) | SharedFetch::Busy)),
            "{found:?}"
        );
    }
    // Data leased in the old epoch is overtaken.
    let overtaken = two.store(lease, contact(2), None).await;
    assert_eq!(overtaken.parts, PartSet::ALL);
    settle().await;
    assert_eq!(bench.server.counts()[0], 1, "the old epoch was removed");
    // The stream continues without a gap.
    bench.pass(Duration::from_secs(1)).await;
    let before = one.start().now.tick - Duration::from_secs(1);
    assert!(two.caught_up().is_some_and(|tick| tick >= before));
    one.purge_contact(contact(1)).await.expect("shared");
    settle().await;
    assert_eq!(two.events(), applied(b"purge"));
}

#[tokio::test]
async fn two_quick_purges_of_everything_are_followed_in_order() {
    let (bench, mut one, mut two) = Bench::with_two_replicas().await;
    let mut three = bench.replica().await;
    // Without a pause, so that nothing is read in between: `two` still uses an epoch that has ended.
    one.announce(InvalidationScope::Everything, b"first")
        .await
        .expect("shared");
    two.announce(InvalidationScope::Everything, b"second")
        .await
        .expect("shared");
    settle().await;
    assert_eq!(one.events(), applied(b"second"));
    assert_eq!(two.events(), applied(b"first"));
    let both = [b"first".to_vec(), b"second".to_vec()].map(StreamEvent::Apply);
    assert_eq!(three.events(), both);
    for replica in [&one, &two, &three] {
        assert!(replica.tier.is_available());
        assert_eq!(replica.tier.status().gaps, 0);
    }
}

#[tokio::test]
async fn replica_that_was_away_follows_through_ended_epochs_without_a_gap() {
    let (bench, one, mut two) = Bench::with_two_replicas().await;
    two.wire().cut(true);
    settle().await;
    one.purge_contact(contact(1)).await.expect("shared");
    one.announce(InvalidationScope::Everything, b"first")
        .await
        .expect("shared");
    one.announce(InvalidationScope::Everything, b"second")
        .await
        .expect("shared");
    assert!(!two.tier.is_available());
    two.wire().cut(false);
    bench.pass(Duration::from_secs(1)).await;
    assert!(two.tier.is_available());
    let all = [b"purge".to_vec(), b"first".to_vec(), b"second".to_vec()];
    assert_eq!(two.events(), all.map(StreamEvent::Apply));
}

#[tokio::test]
async fn operation_in_an_ended_epoch_misses_until_the_next_is_opened() {
    let (bench, one, two) = Bench::with_two_replicas().await;
    one.announce(InvalidationScope::Everything, b"all")
        .await
        .expect("shared");
    let lease = two.fetch(Wanted::Contact(contact(1))).await;
    assert!(lease.is_err(), "{lease:?}");
    assert!(!two.tier.is_available());
    settle().await;
    assert!(two.tier.is_available());
    assert_eq!(two.tier.status().gaps, 0);
    let connects = bench.server.calls();
    let connects = connects
        .iter()
        .filter(|(_, kind)| *kind == Operation::Connect);
    assert_eq!(connects.count(), 2, "no new connection");
}

#[tokio::test]
async fn fill_that_can_not_be_stored_counts_as_not_overtaken() {
    let bench = Bench::new();
    let one = bench.replica().await;
    let lease = one.lease(Wanted::Contact(contact(1))).await;
    one.wire().cut(true);
    let overtaken = one.store(lease, contact(1), None).await;
    assert_eq!(overtaken, Overtaken::default());
}

#[tokio::test]
async fn replica_that_leaves_does_not_count_any_more() {
    let (bench, one, two) = Bench::with_two_replicas().await;
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(one.tier.known_replicas(), 2);
    two.tier.leave().await;
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(one.tier.known_replicas(), 1);
}
