//! A failure costs at most one time-out, and only once.

use std::time::Duration;

use engage_bff::shared_tier::{
    Announced, InvalidationScope, NotShared, SharedFetch, Unavailable, Wanted,
    protocol::BackendError,
};

use crate::{
    replica::{Bench, settle},
    settings::contact,
    standin::{Fault, Operation},
};

/// The operations at the server, without those of the background task.
fn requests(bench: &Bench) -> usize {
    let is_request = |kind: Operation| {
        matches!(
            kind,
            Operation::Fetch | Operation::Store | Operation::Invalidate | Operation::LeaseTokens
        )
    };
    let calls = bench.server.calls();
    calls
        .into_iter()
        .filter(|(_, kind)| is_request(*kind))
        .count()
}

#[tokio::test]
async fn each_failure_is_a_miss_and_the_next_costs_nothing() {
    for error in [
        BackendError::Unreachable,
        BackendError::ReadOnly,
        BackendError::Forbidden,
        BackendError::Unexpected,
    ] {
        let bench = Bench::new();
        let one = bench.replica().await;
        let before = requests(&bench);
        let fault = Fault::Error(error.clone());
        bench.server.fault_next(Operation::Fetch, fault);
        let wanted = Wanted::Contact(contact(1));
        for _ in 0..3 {
            assert_eq!(
                one.fetch(wanted).await.err(),
                Some(Unavailable),
                "{error:?}"
            );
            assert_eq!(one.purge_contact(contact(1)).await, Err(NotShared));
            assert!(one.tier.lease_tokens(one.token_request(1)).await.is_err());
        }
        assert_eq!(requests(&bench) - before, 1, "{error:?}");
        // The background task connects again.
        bench.pass(Duration::from_millis(500)).await;
        assert!(
            matches!(one.fetch(wanted).await, Ok(SharedFetch::Leased(_))),
            "{error:?}"
        );
        assert_eq!(one.tier.status().gaps, 0);
    }
}

#[tokio::test]
async fn server_that_hangs_costs_one_timeout_once() {
    let bench = Bench::new();
    let one = bench.replica().await;
    bench.server.set_fault(Some(Fault::SlowReply));
    let tier = one.tier.clone();
    let start = one.start();
    let waiting = tokio::spawn(async move {
        let need = crate::settings::need(Wanted::Contact(contact(1)));
        tier.fetch(start, need).await
    });
    settle().await;
    bench.clock.advance(Duration::from_millis(49));
    settle().await;
    assert!(!waiting.is_finished());
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(waiting.await.expect("it ends").err(), Some(Unavailable));
    // The clock stands still, so the next operation does not wait.
    assert!(one.fetch(Wanted::Contact(contact(2))).await.is_err());
    assert_eq!(one.tier.status().state, "timeout");
    bench.pass(Duration::from_secs(10)).await;
    assert!(one.fetch(Wanted::Contact(contact(2))).await.is_err());
    bench.server.set_fault(None);
    bench.server.release();
    bench.pass(Duration::from_secs(5)).await;
    assert!(one.tier.is_available());
}

#[tokio::test]
async fn full_server_fails_each_write_and_stays_connected() {
    let bench = Bench::new();
    let one = bench.replica().await;
    bench.server.refuse_writes(Some(BackendError::Full));
    assert_eq!(one.purge_contact(contact(1)).await, Err(NotShared));
    assert!(one.tier.is_available());
    bench.pass(Duration::from_secs(2)).await;
    assert!(one.tier.is_available());
    bench.server.refuse_writes(None);
    assert_eq!(one.purge_contact(contact(1)).await, Ok(Announced::Written));
    let full = "shared_tier_operations_total{operation=\"invalidate\",outcome=\"full\"}";
    assert!(one.metric(full) > 0.0);
}

#[tokio::test]
async fn attempts_to_connect_become_rarer() {
    let bench = Bench::new();
    let one = bench.replica_with_keys(&[1]);
    one.wire()
        .set_fault(Some(Fault::Error(BackendError::Unreachable)));
    settle().await;
    let connects = || {
        let calls = bench.server.calls();
        calls
            .iter()
            .filter(|(_, kind)| *kind == Operation::Connect)
            .count()
    };
    bench.pass(Duration::from_secs(2)).await;
    let first = connects();
    assert!((4..=7).contains(&first), "{first}");
    bench.pass(Duration::from_secs(20)).await;
    let later = connects() - first;
    assert!((9..=21).contains(&later), "{later}");
    one.wire().set_fault(None);
    bench.pass(Duration::from_secs(2)).await;
    assert!(one.tier.is_available());
}

#[tokio::test]
async fn replica_with_another_key_does_not_use_the_tier() {
    let bench = Bench::new();
    let one = bench.replica().await;
    let mut other = bench.replica_with_keys(&[9]);
    settle().await;
    assert_eq!(other.tier.status().state, "wrong key");
    assert!(other.fetch(Wanted::Contact(contact(1))).await.is_err());
    assert_eq!(other.purge_contact(contact(1)).await, Err(NotShared));
    assert_eq!(other.events(), []);
    assert!(one.tier.is_available());
    // The connection is tried again, at growing intervals.
    let opens = || {
        let calls = bench.server.calls();
        calls
            .iter()
            .filter(|(_, kind)| *kind == Operation::Open)
            .count()
    };
    let before = opens();
    bench.pass(Duration::from_secs(30)).await;
    assert!((2..=4).contains(&(opens() - before)));
}

#[tokio::test]
async fn secret_is_wrapped_anew_by_the_first_key() {
    let bench = Bench::new();
    let one = bench.replica().await;
    one.fill(contact(1)).await;
    // The new key comes first, and the old key can still unwrap the secret, so it is wrapped again with the new key.
    let two = bench.replica_with_keys(&[2, 1]);
    settle().await;
    assert!(matches!(
        two.fetch(Wanted::Contact(contact(1))).await,
        Ok(SharedFetch::Data(_))
    ));
    let three = bench.replica_with_keys(&[2]);
    settle().await;
    assert!(matches!(
        three.fetch(Wanted::Contact(contact(1))).await,
        Ok(SharedFetch::Data(_))
    ));
    let old = bench.replica_with_keys(&[1]);
    settle().await;
    assert_eq!(old.tier.status().state, "wrong key");
}

#[tokio::test]
async fn lost_reply_to_an_announcement_is_not_shared() {
    let (bench, one, mut two) = Bench::with_two_replicas().await;
    for (operation, scope) in [
        (
            Operation::Invalidate,
            InvalidationScope::Contacts {
                contacts: &[],
                aliases: &[],
                negatives: true,
            },
        ),
        (Operation::Advance, InvalidationScope::Everything),
    ] {
        bench.server.fault_next(operation, Fault::LostReply);
        assert_eq!(one.announce(scope, b"lost").await, Err(NotShared));
        bench.pass(Duration::from_secs(1)).await;
        // It was written nevertheless.
        assert_eq!(two.events().len(), 1);
        assert!(one.tier.is_available() && two.tier.is_available());
        assert_eq!((one.tier.status().gaps, two.tier.status().gaps), (0, 0));
    }
}
