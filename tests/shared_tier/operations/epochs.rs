//! Epochs: how they begin and end, and that no data survives its epoch.

use engage_bff::{
    domain::Part,
    shared_tier::protocol::{
        Backend as _, BackendError, EpochId, Position, ReleaseCommand, Subject,
    },
};
use futures_util::FutureExt as _;

use super::budget::command;
use crate::{
    harness::{
        ANNA, ANNAS_MAIL, HOUR, REPLICA, Tier, advance, assert_leased, backend, beat, fetch,
        nothing, offer, parts_of, purge, store, unique,
    },
    redis_server::RedisServer,
};

const CONTACT: Subject = Subject::Contact(ANNA);

/// Asserts that every operation that needs the current epoch fails in another one.
async fn expect_ended(tier: &Tier, lease: crate::harness::Lease) {
    let (backend, epoch) = (&tier.backend, tier.epoch);
    let ended = Some(BackendError::Epoch);
    assert_eq!(tier.try_fetch(fetch(CONTACT)).await.err(), ended);
    assert_eq!(
        backend.store(epoch, store(lease, ANNA, "old")).await.err(),
        ended
    );
    let release = ReleaseCommand {
        subject: CONTACT,
        token: lease.token,
    };
    assert_eq!(backend.release(epoch, release).await.err(), ended);
    assert_eq!(backend.invalidate(epoch, purge(ANNA)).await.err(), ended);
    assert_eq!(backend.advance(epoch, advance()).await.err(), ended);
    assert_eq!(backend.beat(epoch, beat(REPLICA)).await.err(), ended);
    assert_eq!(backend.peek(epoch, CONTACT).await.err(), ended);
    assert_eq!(
        backend.rewrap(epoch, "a".into(), "b".into()).await.err(),
        ended
    );
}

#[tokio::test]
async fn the_first_offer_is_the_epoch_of_all() {
    let server = RedisServer::start();
    let (one, two) = (backend(&server), backend(&server));
    one.connect().await.expect("it accepts connections");
    two.connect().await.expect("it accepts connections");
    let (first, second) = (offer(), offer());
    let opened = one.open(first.clone()).await.expect("an epoch");
    assert_eq!(
        (opened.id, &opened.wrapped_secret),
        (first.id, &first.wrapped_secret)
    );
    assert!(opened.now.0.abs_diff(opened.last.millis) < 50);
    let joined = two.open(second).await.expect("an epoch");
    assert_eq!(
        (joined.id, joined.wrapped_secret),
        (first.id, first.wrapped_secret)
    );
    assert_eq!(joined.last, opened.last);
}

#[tokio::test]
async fn without_a_connection_every_operation_fails_at_once() {
    /// The error of an operation that ends when it is first polled.
    #[track_caller]
    fn error<T>(operation: impl Future<Output = Result<T, BackendError>>) -> Option<BackendError> {
        operation.now_or_never().expect("it ends at once").err()
    }

    let server = RedisServer::start();
    let (backend, epoch) = (backend(&server), EpochId(unique()));
    // A store and a release need a lease; another server grants it.
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let release = ReleaseCommand {
        subject: CONTACT,
        token: lease.token,
    };
    let tokens = command(REPLICA);
    let unreachable = Some(BackendError::Unreachable);
    assert_eq!(error(backend.open(offer())), unreachable);
    assert_eq!(
        error(backend.rewrap(epoch, "a".into(), "b".into())),
        unreachable
    );
    assert_eq!(error(backend.fetch(epoch, fetch(CONTACT))), unreachable);
    assert_eq!(
        error(backend.store(epoch, store(lease, ANNA, "data"))),
        unreachable
    );
    assert_eq!(error(backend.release(epoch, release)), unreachable);
    assert_eq!(error(backend.invalidate(epoch, purge(ANNA))), unreachable);
    assert_eq!(error(backend.advance(epoch, advance())), unreachable);
    assert_eq!(
        error(backend.read_stream(epoch, Position::START, HOUR)),
        unreachable
    );
    assert_eq!(error(backend.beat(epoch, beat(REPLICA))), unreachable);
    assert_eq!(error(backend.lease_tokens(tokens)), unreachable);
    assert_eq!(error(backend.pause(tokens.budget, HOUR)), unreachable);
    assert_eq!(error(backend.peek(epoch, CONTACT)), unreachable);
    assert_eq!(error(backend.sweep(epoch)), unreachable);
    assert_eq!(error(backend.inspect()), unreachable);
}

#[tokio::test]
async fn a_connection_that_broke_is_unreachable_until_it_connects() {
    let mut tier = Tier::start().await;
    tier.server.kill();
    let failed = tier.try_fetch(fetch(CONTACT)).await;
    assert_eq!(failed.err(), Some(BackendError::Unreachable));
    assert_eq!(
        tier.backend.connect().await.err(),
        Some(BackendError::Unreachable)
    );
    tier.server.start_again();
    let failed = tier.try_fetch(fetch(CONTACT)).await;
    assert_eq!(failed.err(), Some(BackendError::Unreachable));
    tier.reopen().await;
    tier.fill(ANNA, "data").await;
}

#[tokio::test]
async fn a_flush_ends_the_epoch() {
    let mut tier = Tier::start().await;
    let (lease, before) = (tier.lease(CONTACT).await, tier.epoch);
    tier.server.flush();
    expect_ended(&tier, lease).await;
    assert_eq!(
        tier.server.command(&["DBSIZE"]),
        redis::Value::Int(0),
        "nothing was written"
    );
    assert_ne!(tier.reopen().await.id, before);
}

#[tokio::test]
async fn a_restart_with_its_keys_ends_the_epoch() {
    let mut tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    let (lease, before) = (tier.lease(CONTACT).await, tier.epoch);
    tier.server.restart_with_keys();
    tier.backend
        .connect()
        .await
        .expect("it accepts connections");
    expect_ended(&tier, lease).await;
    assert_ne!(tier.reopen().await.id, before);
    let next = tier.fetch(fetch(CONTACT)).await;
    assert_leased(&next);
}

#[tokio::test]
async fn a_failover_to_a_replica_ends_the_epoch() {
    let mut tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    let (lease, before) = (tier.lease(CONTACT).await, tier.epoch);
    let replica = RedisServer::start();
    replica.replicate(&tier.server);
    tier.backend = backend(&replica);
    assert_eq!(
        tier.backend.connect().await,
        Err(BackendError::ReadOnly),
        "until it takes over"
    );
    replica.promote();
    let connected = tier.backend.connect().await;
    connected.expect("it accepts connections");
    expect_ended(&tier, lease).await;
    assert_ne!(tier.reopen().await.id, before);
    assert!(tier.served(ANNA).await.is_empty());
}

#[tokio::test]
async fn an_advance_ends_the_epoch() {
    let mut tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    let lease = tier.lease(CONTACT).await;
    let command = advance();
    let next = command.next.clone();
    tier.backend
        .advance(tier.epoch, command)
        .await
        .expect("it ends");
    expect_ended(&tier, lease).await;
    let open = tier.reopen().await;
    assert_eq!(
        (open.id, open.wrapped_secret),
        (next.id, next.wrapped_secret)
    );
    for subject in [CONTACT, Subject::Alias(ANNAS_MAIL)] {
        let reply = tier.fetch(fetch(subject)).await;
        assert_leased(&reply);
    }
}

#[tokio::test]
async fn the_number_of_negative_invalidations_begins_at_zero() {
    let mut tier = Tier::start().await;
    let mut command = nothing();
    command.negatives = true;
    tier.invalidate(command).await;
    assert_eq!(tier.lease(CONTACT).await.grant.negatives, 1);
    tier.backend
        .advance(tier.epoch, advance())
        .await
        .expect("it ends");
    tier.reopen().await;
    assert_eq!(tier.lease(CONTACT).await.grant.negatives, 0);
}

#[tokio::test]
async fn a_wrapped_secret_is_replaced_if_it_is_the_old_one() {
    let mut tier = Tier::start().await;
    let old = tier.reopen().await.wrapped_secret;
    let rewrap = |old, new: &'static str| tier.backend.rewrap(tier.epoch, old, new.into());
    assert_eq!(rewrap(old.clone(), "new").await, Ok(true));
    assert_eq!(rewrap(old, "newer").await, Ok(false));
    let epoch = tier.epoch;
    let open = tier.reopen().await;
    assert_eq!((open.id, open.wrapped_secret), (epoch, "new".into()));
}

#[tokio::test]
async fn a_sweep_removes_the_keys_of_an_ended_epoch_but_its_stream() {
    let mut tier = Tier::start().await;
    let ended = tier.epoch;
    for number in 0..700_u16 {
        let mut name = ANNA;
        name.0[..2].copy_from_slice(&number.to_be_bytes());
        tier.fill(name, "data").await;
    }
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    tier.invalidate(parts_of(ANNA, &[Part::Points])).await;
    let stream = tier.stream();
    tier.backend
        .advance(ended, advance())
        .await
        .expect("it ends");
    tier.reopen().await;
    tier.fill(ANNA, "kept").await;
    // 701 contacts, an alias, and the marks.
    assert_eq!(tier.backend.sweep(ended).await, Ok(703));
    assert_eq!(tier.backend.sweep(ended).await, Ok(0));
    assert_eq!(tier.backend.sweep(EpochId(unique())).await, Ok(0));
    assert_eq!(tier.served(ANNA).await.len(), Part::COUNT);
    assert_eq!(
        tier.server.command(&["EXISTS", &stream]),
        redis::Value::Int(1)
    );
}
