//! If invalidations may have been missed, memory is dropped; if none can have been missed, it is kept.

use std::time::Duration;

use engage_bff::shared_tier::{InvalidationScope, SharedFetch, StreamEvent, Wanted};

use crate::{
    replica::{Bench, settle},
    settings::contact,
    standin::{Evicted, Fault, Operation},
};

#[tokio::test]
async fn first_connection_drops_memory_and_replays_the_stream() {
    let bench = Bench::new();
    let one = bench.replica().await;
    one.purge_contact(contact(1)).await.expect("shared");
    let age = Duration::from_secs(3);
    bench.pass(age).await;
    let mut late = bench.replica_with_keys(&[1]);
    settle().await;
    let past = StreamEvent::ApplyPast(b"purge".to_vec(), age);
    assert_eq!(late.events(), [StreamEvent::Gap, past]);
    // Later entries are new.
    one.purge_contact(contact(2)).await.expect("shared");
    settle().await;
    assert_eq!(late.events(), [StreamEvent::Apply(b"purge".to_vec())]);
    assert_eq!(late.tier.status().gaps, 0);
}

#[tokio::test]
async fn trimmed_stream_is_a_gap_for_a_replica_that_was_away() {
    let (bench, one, mut two) = Bench::with_two_replicas().await;
    two.wire().cut(true);
    settle().await;
    for _ in 0..3 {
        one.purge_contact(contact(1)).await.expect("shared");
    }
    bench.server.trim_stream(1);
    two.wire().cut(false);
    bench.pass(Duration::from_secs(1)).await;
    let expected = [StreamEvent::Gap, StreamEvent::Apply(b"purge".to_vec())];
    assert_eq!(two.events(), expected);
    assert_eq!(two.tier.status().gaps, 1);
    let gaps = "shared_tier_stream_gaps_total{reason=\"chain\"}";
    assert!((two.metric(gaps) - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn short_cut_is_no_gap() {
    let (bench, one, mut two) = Bench::with_two_replicas().await;
    two.wire().cut(true);
    settle().await;
    one.purge_contact(contact(1)).await.expect("shared");
    two.wire().cut(false);
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(two.events(), [StreamEvent::Apply(b"purge".to_vec())]);
    assert!(two.tier.is_available());
}

#[tokio::test]
async fn flush_restart_and_failover_are_gaps_within_a_second() {
    for what in ["flush", "restart", "empty restart", "failover"] {
        let (bench, mut one, mut two) = Bench::with_two_replicas().await;
        bench.server.take_snapshot();
        one.fill(contact(1)).await;
        match what {
            "flush" => bench.server.flush(),
            "restart" => bench.server.restart(true),
            "empty restart" => bench.server.restart(false),
            _ => bench.server.fail_over(),
        }
        bench.pass(Duration::from_secs(1)).await;
        for replica in [&mut one, &mut two] {
            assert_eq!(replica.events(), [StreamEvent::Gap], "{what}");
            assert!(replica.tier.is_available(), "{what}");
        }
        let found = two.fetch(Wanted::Contact(contact(1))).await;
        assert!(
            matches!(found, Ok(SharedFetch::Leased(_))),
            "{what}: {found:?}"
        );
        one.purge_contact(contact(1)).await.expect("shared");
        settle().await;
        assert_eq!(two.events(), [StreamEvent::Apply(b"purge".to_vec())]);
    }
}

#[tokio::test]
async fn evicted_stream_or_epoch_is_a_gap() {
    for key in [Evicted::Stream, Evicted::Epoch] {
        let (bench, one, mut two) = Bench::with_two_replicas().await;
        bench.pass(Duration::from_secs(1)).await;
        assert!(bench.server.evict(key));
        bench.pass(Duration::from_secs(2)).await;
        assert_eq!(two.events().first(), Some(&StreamEvent::Gap), "{key:?}");
        assert!(
            one.tier.is_available() && two.tier.is_available(),
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_caught_up_while_the_stream_hangs() {
    let (bench, one, mut two) = Bench::with_two_replicas().await;
    bench.pass(Duration::from_secs(2)).await;
    let now = two.start().now.tick;
    let caught_up = two.caught_up().expect("it has caught up");
    assert!(now.since(caught_up) <= Duration::from_millis(600));
    // Only one replica's operations hang.
    two.wire().set_fault(Some(Fault::SlowReply));
    one.purge_contact(contact(1)).await.expect("shared");
    let cut = two.start().now.tick;
    bench.pass(Duration::from_secs(5)).await;
    assert!(two.caught_up().is_none_or(|tick| tick <= cut));
    let age = two.tier.status().stream_age.expect("it had caught up");
    assert!(age >= Duration::from_secs(5));
}

#[tokio::test]
async fn replica_is_not_available_before_its_stream_has_caught_up() {
    let bench = Bench::new();
    let one = bench.replica_with_keys(&[1]);
    bench
        .server
        .fault_next(Operation::ReadStream, Fault::SlowReply);
    settle().await;
    assert_eq!(one.tier.status().state, "catching up");
    assert!(one.fetch(Wanted::Contact(contact(1))).await.is_err());
    bench.server.release();
    settle().await;
    assert!(one.tier.is_available());
}

#[tokio::test]
async fn acknowledged_invalidation_is_applied_before_a_later_caught_up() {
    let (bench, one, mut two) = Bench::with_two_replicas().await;
    for round in 0..20_u8 {
        let scope = if round % 5 == 4 {
            InvalidationScope::Everything
        } else {
            InvalidationScope::Contacts {
                contacts: &[],
                aliases: &[],
                negatives: false,
            }
        };
        let payload = [round];
        bench
            .pass(Duration::from_millis(u64::from(round) * 70))
            .await;
        one.announce(scope, &payload).await.expect("shared");
        let acknowledged = two.start().now.tick;
        bench.pass(Duration::from_secs(1)).await;
        let events = two.all_events();
        let applied = events
            .iter()
            .position(|event| *event == StreamEvent::Apply(payload.into()));
        let later = events
            .iter()
            .position(|event| matches!(event, StreamEvent::CaughtUp(tick) if *tick > acknowledged));
        assert!(applied.expect("applied") < later.expect("caught up"));
    }
}
