//! A starting replica is not ready before it has caught up with the tier, and waits for that at most two seconds.
//! Requests that reach its data listener before that wait as well.

use std::time::Duration;

use engage_simulator::fixtures::ALVA;

use crate::{
    replicas::{World, by_email, let_everything_arrive},
    standin::Fault,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn replica_that_starts_is_ready_when_it_has_read_the_stream() {
    let world = World::start(|_| {}).await;
    let slow = Some(Fault::SlowReply);
    let starting = world
        .starting_replica(|connection| connection.set_fault(slow))
        .await;
    // One reply at a time: it connects, opens the epoch, and reads the stream.
    for _ in 0..3 {
        let_everything_arrive().await;
        assert!(!starting.is_ready_for_operators().await);
        world.standin.release();
    }
    starting.connection.set_fault(None);
    world.standin.release();
    world.run_for(SECOND).await;
    assert!(starting.is_ready().await);
    // A later failure of the tier does not affect its readiness.
    starting.connection.cut(true);
    world.run_for(5 * SECOND).await;
    assert!(starting.is_ready().await);
}

#[tokio::test]
async fn replica_without_the_tier_is_ready_two_seconds_after_its_start() {
    let world = World::start(|_| {}).await;
    let starting = world
        .starting_replica(|connection| connection.cut(true))
        .await;
    assert!(!starting.is_ready_for_operators().await);
    world.run_for(SECOND * 19 / 10).await;
    assert!(!starting.is_ready_for_operators().await);
    world.run_for(SECOND / 10).await;
    assert!(starting.is_ready().await);
    let query = by_email(ALVA.email);
    let answer = world.while_time_passes(starting.get(&query)).await;
    answer.assert_status(200);
}

#[tokio::test]
async fn request_at_a_replica_that_starts_waits_until_it_has_joined() {
    let world = World::start(|_| {}).await;
    let query = by_email(ALVA.email);
    world.a.get(&query).await.assert_status(200);
    let calls = world.engage.total_calls();
    let starting = world
        .starting_replica(|connection| connection.set_fault(Some(Fault::SlowReply)))
        .await;
    let request = starting.get(&query);
    tokio::pin!(request);
    // While it connects, opens the epoch, and reads the stream.
    for _ in 0..3 {
        tokio::select! {
            answer = &mut request => panic!("answered with {}", answer.status),
            () = let_everything_arrive() => {}
        }
        world.standin.release();
    }
    starting.connection.set_fault(None);
    world.standin.release();
    let answer = world.while_time_passes(request).await;
    answer.assert_status(200);
    assert!(starting.is_ready().await);
    assert_eq!(world.engage.total_calls(), calls);
}

#[tokio::test]
async fn request_at_a_replica_without_the_tier_waits_for_two_seconds() {
    let world = World::start(|_| {}).await;
    let starting = world
        .starting_replica(|connection| connection.cut(true))
        .await;
    let query = by_email(ALVA.email);
    let request = starting.get(&query);
    tokio::pin!(request);
    tokio::select! {
        answer = &mut request => panic!("answered with {}", answer.status),
        () = world.run_for(SECOND * 19 / 10) => {}
    }
    world.advance(SECOND / 10);
    world.while_time_passes(request).await.assert_status(200);
}

#[tokio::test]
async fn replica_that_is_stopped_while_it_starts_answers_what_waits() {
    let world = World::start(|_| {}).await;
    let starting = world
        .starting_replica(|connection| connection.cut(true))
        .await;
    let query = by_email(ALVA.email);
    let request = starting.get(&query);
    tokio::pin!(request);
    tokio::select! {
        answer = &mut request => panic!("answered with {}", answer.status),
        () = let_everything_arrive() => {}
    }
    starting.stop();
    request.await.assert_status(200);
}

#[tokio::test]
async fn request_at_a_ready_replica_costs_no_call_for_what_others_have() {
    let world = World::start(|_| {}).await;
    let query = by_email(ALVA.email);
    world.a.get(&query).await.assert_status(200);
    let calls = world.engage.total_calls();
    for _ in 0..5 {
        let starting = world.starting_replica(|_| {}).await;
        // Time passes in small steps, so that the replica is ready before the two seconds are over.
        let_everything_arrive().await;
        while !starting.is_ready_for_operators().await {
            world.advance(SECOND / 100);
            let_everything_arrive().await;
        }
        starting.get(&query).await.assert_status(200);
        assert_eq!(world.engage.total_calls(), calls);
    }
}
