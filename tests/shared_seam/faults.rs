//! If the tier fails in any way at any step, the service behaves as without the tier.

use engage_bff::shared_tier::protocol::BackendError;

use crate::{
    ALVA, SECOND, balance,
    replicas::{ASKED, LIFETIME, RequestOptions, TIMEOUT, World, by_email},
    standin::{Fault, Operation},
};

const STEPS: [Operation; 3] = [Operation::Fetch, Operation::Store, Operation::Release];

fn faults() -> Vec<Fault> {
    let errors = [
        BackendError::Unreachable,
        BackendError::Epoch,
        BackendError::ReadOnly,
        BackendError::Full,
        BackendError::Forbidden,
        BackendError::Unexpected,
    ];
    let errors = errors.into_iter().map(Fault::Error);
    [Fault::Unreachable, Fault::LostReply]
        .into_iter()
        .chain(errors)
        .collect()
}

#[tokio::test]
async fn failing_tier_costs_no_answer_and_no_more_calls_than_none() {
    for step in STEPS {
        for fault in faults() {
            let world = World::start().await;
            let id = world.contact(ALVA);
            let lone = world.lone_replica();
            lone.get(ALVA).await.expect("an answer");
            let without = world.engage.total_calls();
            let replicas = world.replicas().await;
            for replica in &replicas {
                world.engage.reset_log();
                world.standin.fault_next(step, fault.clone());
                let found = replica.get(ALVA).await;
                let found = found.unwrap_or_else(|error| panic!("{step:?} {fault:?}: {error}"));
                assert_eq!(found.shown, ASKED, "{step:?} {fault:?}");
                assert!(world.engage.total_calls() <= without, "{step:?} {fault:?}");
                world.standin.release();
                world.advance(5 * SECOND, &replicas).await;
            }
            // The tier recovers by itself: when everything has expired, one replica fetches for both.
            let _ = world.engage.contact(&id).points("30");
            world.advance(2 * LIFETIME, &replicas).await;
            world.engage.reset_log();
            for replica in &replicas {
                world.advance(SECOND, &replicas).await;
                let found = replica.get(ALVA).await.expect("an answer");
                assert_eq!(found.shown, ASKED, "{step:?} {fault:?}");
                assert_eq!(balance(&found), "30", "{step:?} {fault:?}");
                assert_eq!(world.engage.total_calls(), without, "{step:?} {fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn orphaned_lease_delays_no_call_of_its_own_replica() {
    let world = World::start().await;
    world.contact(ALVA);
    let replicas = world.replicas().await;
    world.standin.fault_next(Operation::Fetch, Fault::LostReply);
    replicas[0].get(ALVA).await.expect("an answer");
    world.advance(SECOND, &replicas).await;
    let newer = RequestOptions {
        max_age: Some(SECOND / 2),
        ..RequestOptions::default()
    };
    // The clock stands still, so that no lease ends.
    let request = replicas[0].spawn_ask(&by_email(ALVA), newer);
    let found = tokio::time::timeout(5 * SECOND, request).await;
    let found = found.expect("it does not wait").expect("no panic");
    assert_eq!(found.expect("an answer").shown, ASKED);
}

#[tokio::test]
async fn hanging_tier_delays_an_answer_only_by_its_time_out() {
    for step in [Operation::Fetch, Operation::Store] {
        for fault in [Fault::SlowReply, Fault::SlowRequest] {
            let world = World::start().await;
            world.contact(ALVA);
            let replicas = world.replicas().await;
            world.standin.fault_next(step, fault.clone());
            let request = replicas[0].spawn_get(ALVA);
            let has_begun = || world.standin.calls().iter().any(|(_, call)| *call == step);
            while !has_begun() {
                tokio::task::yield_now().await;
            }
            // After this step the clock stands still.
            world.advance(TIMEOUT, &[]).await;
            let found = tokio::time::timeout(5 * SECOND, request).await;
            let found = found.unwrap_or_else(|_| panic!("{step:?} {fault:?}: it still waits"));
            let found = found.expect("no panic").expect("an answer");
            assert_eq!(found.shown, ASKED, "{step:?} {fault:?}");
            world.standin.release();
        }
    }
}
