//! The call budget that replicas share.

use std::time::Duration;

use engage_bff::{
    clock::Clock,
    shared_tier::protocol::{Backend as _, BudgetName, ReplicaId, TokenCommand, TokenReply},
};

use crate::harness::{PREFIX, REPLICA, SECOND, Tier, backend, beat, wait};

const BUDGET: BudgetName = BudgetName(*b"an API key \x00\xfe\r\n ");

/// A thousand tokens a second, ten at once.
pub(crate) fn command(replica: ReplicaId) -> TokenCommand {
    TokenCommand {
        budget: BUDGET,
        replica,
        rate: 1000.0,
        burst: 10,
        wanted: 10,
        known_replicas: 1,
        was_cut_off: false,
    }
}

/// One token in ten seconds: none is added during a test.
fn slow() -> TokenCommand {
    TokenCommand {
        rate: 0.1,
        ..command(REPLICA)
    }
}

async fn lease(tier: &Tier, command: TokenCommand) -> TokenReply {
    let reply = tier.backend.lease_tokens(command).await;
    reply.expect("a working server")
}

/// Seen by a heartbeat so many milliseconds ago.
fn note_seen(tier: &Tier, replica: ReplicaId, ago: u64) {
    let redis::Value::Array(time) = tier.server.command(&["TIME"]) else {
        panic!("TIME returns an array");
    };
    let number = |value: &redis::Value| -> u64 {
        let redis::Value::BulkString(text) = value else {
            panic!("TIME returns text");
        };
        String::from_utf8_lossy(text).parse().expect("a number")
    };
    let now = number(&time[0]) * 1000 + number(&time[1]) / 1000;
    let seen = (now - ago).to_string();
    let name = format!("{:016x}", replica.0);
    tier.server
        .command(&["ZADD", &format!("{PREFIX}replicas"), &seen, &name]);
}

#[tokio::test]
async fn a_new_budget_is_empty_and_fills_up_to_its_burst() {
    let tier = Tier::start().await;
    let first = lease(&tier, command(REPLICA)).await;
    assert_eq!((first.granted, first.pause, first.replicas), (0, None, 1));
    assert!(first.wait > Duration::ZERO && first.wait <= Duration::from_millis(1));
    wait(Duration::from_millis(100)).await;
    let full = lease(&tier, command(REPLICA)).await;
    assert_eq!((full.granted, full.wait), (10, Duration::ZERO));
}

#[tokio::test]
async fn no_more_is_granted_than_wanted_and_the_rest_stays() {
    let tier = Tier::start().await;
    lease(&tier, command(REPLICA)).await;
    wait(Duration::from_millis(50)).await;
    let wants = |wanted| TokenCommand { wanted, ..slow() };
    lease(
        &tier,
        TokenCommand {
            wanted: 0,
            ..command(REPLICA)
        },
    )
    .await;
    assert_eq!(lease(&tier, wants(3)).await.granted, 3);
    assert_eq!(lease(&tier, wants(4)).await.granted, 4);
    assert_eq!(lease(&tier, wants(10)).await.granted, 3);
    let none = lease(&tier, wants(10)).await;
    assert_eq!(none.granted, 0);
    assert!(
        none.wait > 9 * SECOND && none.wait <= 10 * SECOND,
        "{none:?}"
    );
}

#[tokio::test]
async fn a_replica_that_was_cut_off_finds_nothing_accumulated() {
    let tier = Tier::start().await;
    lease(&tier, command(REPLICA)).await;
    wait(Duration::from_millis(50)).await;
    let back = TokenCommand {
        was_cut_off: true,
        ..slow()
    };
    assert_eq!(lease(&tier, back).await.granted, 0);
    assert_eq!(lease(&tier, slow()).await.granted, 0);
}

#[tokio::test]
async fn a_pause_stops_all_and_never_shortens_another() {
    let tier = Tier::start().await;
    lease(&tier, command(REPLICA)).await;
    tier.backend
        .pause(BUDGET, Duration::from_millis(900))
        .await
        .expect("it pauses");
    tier.backend
        .pause(BUDGET, Duration::from_millis(1))
        .await
        .expect("it pauses");
    wait(Duration::from_millis(50)).await;
    let paused = lease(&tier, command(ReplicaId(2))).await;
    assert_eq!(paused.granted, 0);
    let rest = paused.pause.expect("it lasts");
    assert!(
        rest > Duration::from_millis(50) && rest <= Duration::from_millis(850),
        "{rest:?}"
    );
    assert!(paused.wait >= rest);
    wait(rest).await;
    let after = lease(&tier, command(ReplicaId(2))).await;
    assert_eq!((after.granted, after.pause), (10, None));
}

#[tokio::test]
async fn a_pause_of_a_new_budget_holds() {
    let tier = Tier::start().await;
    tier.backend
        .pause(BUDGET, 60 * SECOND)
        .await
        .expect("it pauses");
    assert!(
        lease(&tier, command(REPLICA))
            .await
            .pause
            .expect("it lasts")
            > 59 * SECOND
    );
}

#[tokio::test]
async fn a_restart_with_its_keys_empties_the_budget_but_keeps_a_pause() {
    let mut tier = Tier::start().await;
    lease(&tier, command(REPLICA)).await;
    wait(Duration::from_millis(50)).await;
    let count = TokenCommand {
        wanted: 0,
        ..command(REPLICA)
    };
    lease(&tier, count).await;
    tier.server.restart_with_keys();
    tier.reopen().await;
    assert_eq!(lease(&tier, slow()).await.granted, 0);
    tier.backend
        .pause(BUDGET, 60 * SECOND)
        .await
        .expect("it pauses");
    tier.server.restart_with_keys();
    tier.reopen().await;
    assert!(lease(&tier, slow()).await.pause.expect("it lasts") > 58 * SECOND);
}

/// How long the next token takes, if it takes a second for all replicas together.
async fn wait_for_one(tier: &Tier, known_replicas: u32) -> (u32, Duration) {
    let command = TokenCommand {
        rate: 1.0,
        known_replicas,
        was_cut_off: true,
        ..command(REPLICA)
    };
    let reply = lease(tier, command).await;
    (reply.replicas, reply.wait)
}

#[tokio::test]
async fn a_replica_that_may_be_cut_off_keeps_its_share() {
    let tier = Tier::start().await;
    tier.beat(beat(REPLICA)).await;
    assert_eq!(wait_for_one(&tier, 1).await, (1, SECOND));
    note_seen(&tier, ReplicaId(2), 0);
    assert_eq!(wait_for_one(&tier, 1).await, (2, SECOND));
    note_seen(&tier, ReplicaId(2), 5000);
    assert_eq!(wait_for_one(&tier, 1).await, (2, 2 * SECOND));
    note_seen(&tier, ReplicaId(2), 605_000);
    assert_eq!(wait_for_one(&tier, 1).await, (1, SECOND));
}

#[tokio::test]
async fn a_replica_that_leaves_leaves_its_share() {
    let tier = Tier::start().await;
    tier.beat(beat(REPLICA)).await;
    tier.beat(beat(ReplicaId(2))).await;
    let mut leaves = beat(ReplicaId(2));
    leaves.leaves = true;
    tier.beat(leaves).await;
    assert_eq!(wait_for_one(&tier, 1).await, (1, SECOND));
}

#[tokio::test]
async fn after_a_flush_the_replicas_known_before_count() {
    let tier = Tier::start().await;
    assert_eq!(wait_for_one(&tier, 4).await, (1, 4 * SECOND));
    // Another one knows less.
    assert_eq!(wait_for_one(&tier, 2).await, (1, 4 * SECOND));
    tier.beat(beat(ReplicaId(2))).await;
    assert_eq!(wait_for_one(&tier, 2).await, (2, 2 * SECOND));
    tier.server.flush();
    assert_eq!(wait_for_one(&tier, 2).await, (1, 2 * SECOND));
}

#[tokio::test]
async fn random_demand_of_three_replicas_never_exceeds_the_budget() {
    let tier = Tier::start().await;
    let clock = Clock::system();
    let (rate, burst) = (200.0, 10);
    let start = clock.tick();
    let mut replicas = Vec::new();
    for number in 1..=3 {
        let backend = backend(&tier.server);
        let clock = clock.clone();
        replicas.push(tokio::spawn(async move {
            backend.connect().await.expect("it accepts connections");
            let mut random = fastrand::Rng::with_seed(number);
            let mut granted = Vec::new();
            while clock.tick().since(start) < Duration::from_millis(1500) {
                let command = TokenCommand {
                    rate,
                    burst,
                    wanted: random.u32(1..20),
                    ..command(ReplicaId(number))
                };
                let sent = clock.tick();
                let reply = backend
                    .lease_tokens(command)
                    .await
                    .expect("a working server");
                granted.push((clock.tick(), sent, reply.granted));
                wait(Duration::from_millis(random.u64(0..30))).await;
            }
            granted
        }));
    }
    let mut granted = Vec::new();
    for replica in replicas {
        granted.extend(replica.await.expect("it ends"));
    }
    // In the order of the replies. The tokens were counted between the request and the reply.
    granted.sort_unstable();
    for (_, from, _) in &granted {
        let mut sum = 0;
        for (until, _, tokens) in granted.iter().filter(|(_, sent, _)| sent >= from) {
            sum += tokens;
            let time = until.since(*from);
            let most = rate * time.as_secs_f64() + f64::from(burst);
            assert!(f64::from(sum) <= most, "{sum} in {time:?}");
        }
    }
    let sum: u32 = granted.iter().map(|(_, _, tokens)| tokens).sum();
    assert!(sum > 200, "{sum}: the budget is used");
}
