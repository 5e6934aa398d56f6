//! Fetch, store and release.

use std::time::Duration;

use engage_bff::{
    domain::{Part, PartMap, PartSet},
    shared_tier::protocol::{
        Backend as _, FetchCommand, FetchOutcome, NewValue, ReleaseCommand, ServerTime,
        StoreCommand, Subject,
    },
};

use crate::harness::{
    ANNA, ANNAS_MAIL, BERT, HOUR, SECOND, Tier, assert_busy, assert_leased, fetch, store, value,
    wait,
};

const CONTACT: Subject = Subject::Contact(ANNA);

#[tokio::test]
async fn what_one_flight_stores_serves_the_next() {
    let tier = Tier::start().await;
    let first = tier.fetch(fetch(CONTACT)).await;
    assert_leased(&first);
    let stored = tier.fill(ANNA, "data").await;
    assert_eq!(stored.stored, PartSet::ALL);
    assert_eq!(stored.overtaken, PartSet::EMPTY);
    let next = tier.fetch(fetch(CONTACT)).await;
    assert_eq!(next.outcome, FetchOutcome::Served);
    for part in Part::ALL {
        let value = next.parts[part].as_ref().expect("it is served");
        assert_eq!(value.sealed, format!("data {}", part.as_str()));
        assert_eq!(value.lifetime, HOUR);
        assert!(value.age < SECOND && value.requested_at <= next.now);
    }
    assert_eq!(next.entity_only, PartMap::splat(Duration::ZERO));
    let other = tier.fetch(fetch(Subject::Contact(BERT))).await;
    assert_leased(&other);
}

#[tokio::test]
async fn all_parts_are_returned_not_only_the_needed_ones() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    let command = FetchCommand {
        needed: PartSet::of(&[Part::Profile]),
        ..fetch(CONTACT)
    };
    let reply = tier.fetch(command).await;
    assert_eq!(reply.outcome, FetchOutcome::Served);
    assert!(reply.parts.iter().all(|(_, value)| value.is_some()));
}

#[tokio::test]
async fn another_flight_waits_until_the_lease_is_given_up() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let FetchOutcome::Busy(rest) = tier.fetch(fetch(CONTACT)).await.outcome else {
        panic!("it is leased");
    };
    assert!(rest > 8 * SECOND && rest <= 10 * SECOND, "{rest:?}");
    let release = ReleaseCommand {
        subject: CONTACT,
        token: lease.token,
    };
    tier.backend
        .release(tier.epoch, release)
        .await
        .expect("it is given up");
    let next = tier.fetch(fetch(CONTACT)).await;
    assert_leased(&next);
}

#[tokio::test]
async fn a_replica_does_not_wait_for_its_own_lease() {
    let tier = Tier::start().await;
    for subject in [CONTACT, Subject::Alias(ANNAS_MAIL)] {
        let first = fetch(subject);
        let mut second = first.clone();
        second.lease.token.0 += 1;
        for own in [&first, &second] {
            let reply = tier.fetch(own.clone()).await;
            assert_leased(&reply);
        }
        // Each lease is given up separately.
        let release = ReleaseCommand {
            subject,
            token: first.lease.token,
        };
        let released = tier.backend.release(tier.epoch, release).await;
        released.expect("it is given up");
        let other = tier.fetch(fetch(subject)).await;
        assert_busy(&other);
    }
}

#[tokio::test]
async fn a_lease_delays_no_request_for_other_parts() {
    let tier = Tier::start().await;
    let points = FetchCommand {
        fetched: PartSet::of(&[Part::Points]),
        ..fetch(CONTACT)
    };
    tier.fetch(points.clone()).await;
    let rest = FetchCommand {
        fetched: PartSet::of(&[Part::Profile, Part::Vouchers]),
        ..fetch(CONTACT)
    };
    let other = tier.fetch(rest).await;
    assert_leased(&other);
    let same = tier
        .fetch(FetchCommand {
            lease: fetch(CONTACT).lease,
            ..points
        })
        .await;
    assert_busy(&same);
}

#[tokio::test]
async fn a_flight_that_does_not_wait_is_granted_a_lease_too() {
    let tier = Tier::start().await;
    let first = tier.lease(CONTACT).await;
    let second = tier.lease(CONTACT).await;
    assert_eq!(
        tier.store(store(second, ANNA, "second")).await.stored,
        PartSet::ALL
    );
    // This request is older than the stored one, so its values replace nothing.
    let first = StoreCommand {
        requested_at: ServerTime(first.at.0 - 1),
        ..store(first, ANNA, "first")
    };
    let reply = tier.store(first).await;
    assert_eq!(
        (reply.stored, reply.overtaken),
        (PartSet::EMPTY, PartSet::EMPTY)
    );
    assert!(
        tier.served(ANNA)
            .await
            .iter()
            .all(|text| text.starts_with("second"))
    );
}

#[tokio::test]
async fn a_flight_never_waits_for_its_own_lease() {
    let tier = Tier::start().await;
    let command = fetch(CONTACT);
    tier.fetch(command.clone()).await;
    let again = tier.fetch(command).await;
    assert_leased(&again);
}

#[tokio::test]
async fn a_lease_ends_by_itself() {
    let tier = Tier::start().await;
    let mut command = fetch(CONTACT);
    command.lease.busy = Duration::from_millis(400);
    tier.fetch(command).await;
    let busy = tier.fetch(fetch(CONTACT)).await;
    assert_busy(&busy);
    wait(Duration::from_millis(420)).await;
    let next = tier.fetch(fetch(CONTACT)).await;
    assert_leased(&next);
}

#[tokio::test]
async fn many_leases_of_one_contact_do_not_pile_up() {
    let tier = Tier::start().await;
    let mut leases = Vec::new();
    for _ in 0..40 {
        leases.push(tier.lease(CONTACT).await);
    }
    let key = tier.contact_key(ANNA);
    let size = tier.server.command(&[b"HSTRLEN", &key[..], b"l"]);
    assert!(matches!(size, redis::Value::Int(1..=600)), "{size:?}");
    // A lease that was pushed out may still store.
    assert_eq!(
        tier.store(store(leases[0], ANNA, "x")).await.stored,
        PartSet::ALL
    );
}

#[tokio::test]
async fn data_of_the_accepted_age_or_older_is_not_returned() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let command = StoreCommand {
        requested_at: ServerTime(lease.at.0 - 5000),
        ..store(lease, ANNA, "five seconds old")
    };
    tier.store(command).await;
    let accepts = |age| FetchCommand {
        max_age: PartMap::splat(age),
        ..fetch(CONTACT)
    };
    assert_eq!(
        tier.fetch(accepts(20 * SECOND)).await.outcome,
        FetchOutcome::Served
    );
    let reply = tier.fetch(accepts(5 * SECOND)).await;
    assert_leased(&reply);
    assert_eq!(reply.parts, PartMap::default());
}

#[tokio::test]
async fn data_past_its_lifetime_is_not_returned() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let mut command = store(lease, ANNA, "data");
    command.requested_at = ServerTime(lease.at.0 - 2000);
    command.parts[Part::Points] = Some(NewValue {
        lifetime: 2 * SECOND,
        ..value("old")
    });
    tier.store(command).await;
    let reply = tier.fetch(fetch(CONTACT)).await;
    assert!(reply.parts[Part::Points].is_none() && reply.parts[Part::Profile].is_some());
    assert_leased(&reply);
}

#[tokio::test]
async fn value_with_a_request_time_in_the_future_has_age_zero() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let command = StoreCommand {
        requested_at: ServerTime(lease.at.0 + 60_000),
        ..store(lease, ANNA, "ahead")
    };
    tier.store(command).await;
    let reply = tier.fetch(fetch(CONTACT)).await;
    let value = reply.parts[Part::Profile].as_ref().expect("it is served");
    assert_eq!(value.age, Duration::ZERO);
    assert_eq!(value.requested_at, ServerTime(lease.at.0 + 60_000));
}

#[tokio::test]
async fn sealed_bytes_come_back_unchanged() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let mut command = store(lease, ANNA, "");
    command.parts[Part::Vouchers] = Some(NewValue {
        lifetime: HOUR,
        sealed: bytes.clone().into(),
    });
    command.parts[Part::Points] = Some(value(""));
    tier.store(command).await;
    let reply = tier.fetch(fetch(CONTACT)).await;
    assert_eq!(
        reply.parts[Part::Vouchers]
            .as_ref()
            .expect("it is served")
            .sealed,
        bytes
    );
    assert!(
        reply.parts[Part::Points]
            .as_ref()
            .expect("it is served")
            .sealed
            .is_empty()
    );
}
