//! Servers that refuse operations, and the keys that are left on them.

use engage_bff::{
    domain::{Part, PartSet},
    shared_tier::protocol::{
        Backend as _, BackendError, BudgetName, FetchOutcome, MessageName, Position,
        ReleaseCommand, ReplicaId, Subject,
    },
};
use redis::Value;

use crate::harness::{
    ANNA, ANNAS_MAIL, BERT, HOUR, PREFIX, REPLICA, SECOND, Tier, advance, backend_as, backend_in,
    beat, fetch, nothing, offer, parts_of, purge, store,
};

const CONTACT: Subject = Subject::Contact(ANNA);

/// The access rule in the documentation of `shared_tier::redis`.
fn documented_rule() -> Vec<String> {
    rule_in(include_str!("../../../src/shared_tier/redis.rs"))
}

/// The access rule in a text.
fn rule_in(source: &str) -> Vec<String> {
    let start = source.find("ACL SETUSER").expect("it is documented");
    let rule = source[start..].split("```").next().expect("it ends");
    rule.split_whitespace()
        .filter(|word| *word != "//!")
        .map(str::to_owned)
        .collect()
}

/// Runs every operation.
async fn run_all(tier: &mut Tier) -> Result<(), BackendError> {
    let lease = tier.lease(CONTACT).await;
    let mut command = store(lease, ANNA, "data");
    command.entity_only[Part::Points] = HOUR;
    tier.store(command).await;
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    let lease = tier.lease(Subject::Contact(BERT)).await;
    let release = ReleaseCommand {
        subject: Subject::Contact(BERT),
        token: lease.token,
    };
    tier.backend.release(tier.epoch, release).await?;
    let mut command = parts_of(ANNA, &[Part::Points]);
    command.message = Some((MessageName([7; 16]), HOUR));
    command.negatives = true;
    tier.invalidate(command).await;
    let mut command = purge(BERT);
    command.aliases = vec![ANNAS_MAIL];
    tier.invalidate(command).await;
    tier.lease(Subject::Alias(ANNAS_MAIL)).await;
    tier.backend.beat(tier.epoch, beat(REPLICA)).await?;
    let mut leaves = beat(ReplicaId(2));
    leaves.leaves = true;
    tier.backend.beat(tier.epoch, leaves).await?;
    tier.backend
        .lease_tokens(super::budget::command(REPLICA))
        .await?;
    tier.backend.pause(BudgetName([9; 16]), SECOND).await?;
    tier.backend.peek(tier.epoch, CONTACT).await?;
    let read = tier
        .backend
        .read_stream(tier.epoch, Position::START, SECOND);
    assert!(!read.await?.is_empty());
    let open = tier.reopen().await;
    assert!(
        tier.backend
            .rewrap(tier.epoch, open.wrapped_secret, "new".into())
            .await?
    );
    tier.backend.inspect().await?;
    let ended = tier.epoch;
    tier.backend.advance(ended, advance()).await?;
    tier.reopen().await;
    tier.fill(ANNA, "data").await;
    tier.backend.sweep(ended).await.map(drop)
}

fn keys(tier: &Tier) -> Vec<Vec<u8>> {
    let Value::Array(keys) = tier.server.command(&["KEYS", "*"]) else {
        panic!("KEYS returns an array");
    };
    let bytes = keys.into_iter().map(|key| match key {
        Value::BulkString(key) => key,
        other => panic!("{other:?}"),
    });
    bytes.collect()
}

#[tokio::test]
async fn every_key_has_a_ttl_and_begins_with_the_prefix() {
    let mut tier = Tier::start().await;
    let lease = tier.lease(Subject::Contact(BERT)).await;
    tier.store(store(lease, ANNA, "of another contact than leased"))
        .await;
    for round in 0..2 {
        run_all(&mut tier).await.expect("a working server");
        let keys = keys(&tier);
        assert!(keys.len() > 6, "{round}: {keys:?}");
        for key in keys {
            let left = tier.server.command(&[b"PTTL", &key[..]]);
            let text = String::from_utf8_lossy(&key).into_owned();
            assert!(matches!(left, Value::Int(1..)), "{text}: {left:?}");
            assert!(text.starts_with(PREFIX), "{text}");
        }
    }
}

#[tokio::test]
async fn every_operation_in_the_current_epoch_except_peek_extends_it() {
    let tier = Tier::start().await;
    let key = format!("{PREFIX}epoch");
    let expect_extended = |operation: &str| {
        let left = tier.server.command(&["PTTL", &key]);
        assert!(
            matches!(left, Value::Int(86_400_000..)),
            "{operation}: {left:?}"
        );
        tier.server.command(&["PEXPIRE", &key, "60000"]);
    };
    expect_extended("open");
    let lease = tier.lease(CONTACT).await;
    expect_extended("fetch, leased");
    tier.store(store(lease, ANNA, "data")).await;
    expect_extended("store");
    tier.fetch(fetch(CONTACT)).await;
    expect_extended("fetch, served");
    let release = ReleaseCommand {
        subject: CONTACT,
        token: lease.token,
    };
    let released = tier.backend.release(tier.epoch, release).await;
    released.expect("a working server");
    expect_extended("release");
    tier.invalidate(nothing()).await;
    expect_extended("invalidate");
    tier.beat(beat(REPLICA)).await;
    expect_extended("beat");
    let opened = tier.backend.open(offer()).await.expect("a working server");
    expect_extended("open again");
    let rewrapped = tier
        .backend
        .rewrap(tier.epoch, opened.wrapped_secret, "new".into());
    assert_eq!(rewrapped.await, Ok(true));
    expect_extended("rewrap");
    let advanced = tier.backend.advance(tier.epoch, advance()).await;
    advanced.expect("a working server");
    expect_extended("advance");
}

#[tokio::test]
async fn a_ttl_is_never_shortened() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    let key = tier.contact_key(ANNA);
    tier.lease(CONTACT).await;
    tier.invalidate(parts_of(ANNA, &[Part::Points])).await;
    let left = tier.server.command(&[b"PTTL", &key[..]]);
    assert!(
        matches!(left, Value::Int(3_590_000..=3_600_000)),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_user_with_the_documented_rights_can_do_everything() {
    let mut tier = Tier::start().await;
    tier.server.command(&documented_rule());
    tier.backend = backend_as(&tier.server, "engage-bff", "PASSWORD");
    tier.reopen().await;
    run_all(&mut tier).await.expect("the rights suffice");
    let info = tier.backend.inspect().await.expect("the rights suffice");
    assert_eq!(info.snapshots, None, "CONFIG is not among them");
}

#[test]
fn documents_contain_the_rights_of_the_tests() {
    for (name, text) in [
        ("OPERATIONS.md", include_str!("../../../docs/OPERATIONS.md")),
        (
            "SHARED-TIER.md",
            include_str!("../../../docs/SHARED-TIER.md"),
        ),
    ] {
        assert_eq!(rule_in(text), documented_rule(), "{name}");
        assert!(text.contains("`+select`"), "{name}");
    }
}

#[tokio::test]
async fn a_user_of_another_database_needs_select_in_addition() {
    let mut tier = Tier::start().await;
    tier.server.command(&documented_rule());
    let backend = || backend_in(&tier.server, 1, "engage-bff", "PASSWORD");
    let refused = backend().connect().await;
    assert_eq!(refused.err(), Some(BackendError::Forbidden));
    tier.server
        .command(&["ACL", "SETUSER", "engage-bff", "+select"]);
    tier.backend = backend();
    tier.reopen().await;
    run_all(&mut tier).await.expect("the rights suffice");
    tier.backend.inspect().await.expect("the rights suffice");
}

#[tokio::test]
async fn the_documented_rights_contain_nothing_unneeded() {
    let rule = documented_rule();
    let commands: Vec<_> = rule.iter().filter(|word| word.starts_with('+')).collect();
    assert!(commands.len() > 20);
    for command in commands {
        // Used by checks of the connection.
        if command == "+ping" {
            continue;
        }
        let mut tier = Tier::start().await;
        let reduced: Vec<_> = rule
            .iter()
            .filter(|word| *word != command)
            .cloned()
            .collect();
        tier.server.command(&reduced);
        tier.backend = backend_as(&tier.server, "engage-bff", "PASSWORD");
        let all = tokio::spawn(async move {
            tier.backend.connect().await?;
            tier.backend.open(offer()).await?;
            run_all(&mut tier).await
        });
        let is_refused = all.await.map_or(true, |result| result.is_err());
        assert!(is_refused, "{command}");
    }
}

#[tokio::test]
async fn a_user_without_rights_or_password_is_forbidden() {
    let tier = Tier::start().await;
    tier.server.command(&[
        "ACL", "SETUSER", "poor", "on", ">secret", "~other:*", "+@all",
    ]);
    let poor = backend_as(&tier.server, "poor", "secret");
    poor.connect().await.expect("the password is right");
    assert_eq!(
        poor.open(offer()).await.err(),
        Some(BackendError::Forbidden)
    );
    let wrong = backend_as(&tier.server, "poor", "wrong");
    assert_eq!(wrong.connect().await.err(), Some(BackendError::Forbidden));
}

#[tokio::test]
async fn a_full_server_refuses_stores_and_leases_but_still_serves() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    let lease = tier.lease(Subject::Contact(BERT)).await;
    let before = keys(&tier).len();
    tier.server.set("maxmemory", "1mb");
    assert_eq!(
        tier.fetch(fetch(CONTACT)).await.outcome,
        FetchOutcome::Served
    );
    let refused = tier
        .backend
        .store(tier.epoch, store(lease, BERT, "more"))
        .await;
    assert_eq!(refused.err(), Some(BackendError::Full));
    let refused = tier.try_fetch(fetch(Subject::Alias(ANNAS_MAIL))).await;
    assert_eq!(refused.err(), Some(BackendError::Full));
    assert_eq!(keys(&tier).len(), before);
    assert!(tier.served(BERT).await.is_empty());
    let busy = tier.peek(Subject::Contact(BERT)).await.busy;
    assert!(!busy.is_zero(), "a store that was refused gave up no lease");
}

#[tokio::test]
async fn a_full_server_still_accepts_invalidations() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    let lease = tier.lease(CONTACT).await;
    tier.server.set("maxmemory", "1mb");
    let mut command = purge(ANNA);
    command.message = Some((MessageName([7; 16]), HOUR));
    tier.invalidate(command).await;
    tier.beat(beat(REPLICA)).await;
    let leased = tier
        .backend
        .lease_tokens(super::budget::command(REPLICA))
        .await;
    leased.expect("a few bytes are written");
    assert!(tier.served(ANNA).await.is_empty());
    tier.server.set("maxmemory", "0");
    let reply = tier.store(store(lease, ANNA, "old")).await;
    assert_eq!(
        (reply.overtaken, reply.stored),
        (PartSet::ALL, PartSet::EMPTY)
    );
    tier.backend
        .advance(tier.epoch, advance())
        .await
        .expect("it ends");
}

#[tokio::test]
async fn a_server_that_can_not_save_changes_nothing() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    let before = keys(&tier).len();
    tier.server.fail_to_save();
    let refused = tier.backend.invalidate(tier.epoch, purge(ANNA)).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(keys(&tier).len(), before);
    assert_eq!(
        tier.server.command(&["XLEN", &tier.stream()]),
        Value::Int(1)
    );
    assert_eq!(tier.served(ANNA).await.len(), Part::COUNT);
}

#[tokio::test]
async fn a_read_only_server_changes_nothing() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    let lease = tier.lease(CONTACT).await;
    let primary = crate::redis_server::RedisServer::start();
    // It keeps its keys, because the primary does not answer.
    let port = primary.port().to_string();
    primary.freeze();
    tier.server.command(&["REPLICAOF", "127.0.0.1", &port]);
    let read_only = Some(BackendError::ReadOnly);
    let (backend, epoch) = (&tier.backend, tier.epoch);
    assert_eq!(
        backend.invalidate(epoch, purge(ANNA)).await.err(),
        read_only
    );
    assert_eq!(
        backend.store(epoch, store(lease, ANNA, "x")).await.err(),
        read_only
    );
    assert_eq!(backend.beat(epoch, beat(REPLICA)).await.err(), read_only);
    assert_eq!(backend.advance(epoch, advance()).await.err(), read_only);
    assert_eq!(backend.invalidate(epoch, nothing()).await.err(), read_only);
    assert_eq!(backend.open(offer()).await.err(), read_only);
    let budget = super::budget::command(REPLICA);
    assert_eq!(backend.lease_tokens(budget).await.err(), read_only);
    let length = tier.server.command(&["XLEN", &tier.stream()]);
    assert_eq!(length, Value::Int(1));
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let tier =
        Tier::start_with(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let info = tier.backend.inspect().await.expect("a working server");
    assert!(
        ["redis", "valkey"].contains(&info.server.as_str()),
        "{}",
        info.server
    );
    assert!(info.version.split('.').count() == 3, "{}", info.version);
    assert_eq!(info.mode, "standalone");
    assert_eq!(info.eviction_policy, "allkeys-lru");
    assert_eq!(info.max_memory, Some(50 << 20));
    assert!(info.used_memory > 100_000);
    assert!(!info.appends && info.replicas == 0);
    assert_eq!(info.snapshots, Some(false));
    tier.server.set("save", "60 1");
    let info = tier.backend.inspect().await.expect("a working server");
    assert_eq!(info.snapshots, Some(true));
}
