//! The call budget that replicas share.

use std::time::Duration;

use engage_bff::{
    clock::{Clock, Tick},
    shared_tier::protocol::{
        Backend as _, BudgetName, ReplicaId, ServerTime, TOKEN_LEASE, TokenCommand, TokenReply,
    },
};

use crate::harness::{PREFIX, REPLICA, SECOND, Tier, unique, wait};

const BUDGET: BudgetName = BudgetName(*b"an API key \x00\xfe\r\n ");
const OTHER: ReplicaId = ReplicaId(0xbb);
const LEAVES: ServerTime = ServerTime(u64::MAX);

/// A thousand tokens a second, ten at once. The share is not lent.
pub(crate) fn command(replica: ReplicaId) -> TokenCommand {
    TokenCommand {
        budget: BUDGET,
        replica,
        number: unique(),
        rate: 1000.0,
        burst: 10,
        wanted: 10,
        held: 0,
        returned: 0,
        known_replicas: 1,
        lent_until: ServerTime(0),
    }
}

/// The time of the server.
fn server_time(tier: &Tier) -> u64 {
    let redis::Value::Array(time) = tier.server.command(&["TIME"]) else {
        panic!("TIME returns an array");
    };
    let number = |item: &redis::Value| {
        let redis::Value::BulkString(text) = item else {
            panic!("TIME returns text");
        };
        let number = String::from_utf8_lossy(text).parse::<u64>();
        number.expect("a number")
    };
    number(&time[0]) * 1000 + number(&time[1]) / 1000
}

/// The command of a replica that lends its share for five seconds.
fn lends(tier: &Tier, replica: ReplicaId) -> TokenCommand {
    TokenCommand {
        lent_until: ServerTime(server_time(tier) + 5000),
        ..command(replica)
    }
}

/// One token in ten seconds, so that none is added during a test.
fn slow(tier: &Tier, replica: ReplicaId) -> TokenCommand {
    TokenCommand {
        rate: 0.1,
        ..lends(tier, replica)
    }
}

async fn lease(tier: &Tier, command: TokenCommand) -> TokenReply {
    let reply = tier.backend.lease_tokens(command).await;
    reply.expect("a working server")
}

/// A server where these replicas lend their shares and the bucket is full.
async fn full(replicas: &[ReplicaId]) -> Tier {
    let tier = Tier::start().await;
    for _ in 0..2 {
        for replica in replicas {
            let known_replicas = u32::try_from(replicas.len()).expect("few");
            let nothing = TokenCommand {
                wanted: 0,
                known_replicas,
                ..lends(&tier, *replica)
            };
            lease(&tier, nothing).await;
        }
        wait(TOKEN_LEASE + Duration::from_millis(30)).await;
    }
    tier
}

/// Changes a field of the budget.
fn set(tier: &Tier, field: &str, value: &str) {
    let key = [format!("{PREFIX}b:").as_bytes(), &BUDGET.0].concat();
    let words: [&[u8]; 4] = [b"HSET", &key, field.as_bytes(), value.as_bytes()];
    tier.server.command(&words);
}

/// Repeats the attempt until it takes much less time than tokens are valid, in case the machine pauses.
async fn promptly<T>(attempt: impl AsyncFn(Tier) -> T, replicas: &[ReplicaId]) -> T {
    let clock = Clock::system();
    loop {
        let tier = full(replicas).await;
        let began = clock.tick();
        let result = attempt(tier).await;
        if clock.tick().since(began) < TOKEN_LEASE * 3 / 4 {
            return result;
        }
    }
}

#[tokio::test]
async fn a_new_budget_is_empty_until_old_tokens_lapsed() {
    let clock = Clock::system();
    let tier = loop {
        let tier = Tier::start().await;
        let began = clock.tick();
        let first = lease(&tier, lends(&tier, REPLICA)).await;
        assert_eq!((first.granted, first.pause, first.replicas), (0, None, 1));
        assert_eq!(first.wait, Duration::from_millis(1));
        wait(TOKEN_LEASE / 4).await;
        let early = lease(&tier, lends(&tier, REPLICA)).await;
        // Otherwise the machine paused, and the old tokens may have lapsed.
        if clock.tick().since(began) < TOKEN_LEASE {
            assert_eq!(early.granted, 0);
            break tier;
        }
    };
    wait(TOKEN_LEASE).await;
    let later = lease(&tier, lends(&tier, REPLICA)).await;
    assert_eq!((later.granted, later.wait), (10, Duration::ZERO));
}

#[tokio::test]
async fn no_more_is_granted_than_wanted_and_the_rest_stays() {
    let tier = full(&[REPLICA]).await;
    let wants = |wanted| TokenCommand {
        wanted,
        ..slow(&tier, REPLICA)
    };
    let first = TokenCommand {
        wanted: 3,
        ..lends(&tier, REPLICA)
    };
    assert_eq!(lease(&tier, first).await.granted, 3);
    assert_eq!(lease(&tier, wants(4)).await.granted, 4);
    assert_eq!(lease(&tier, wants(10)).await.granted, 3);
    let none = lease(&tier, wants(10)).await;
    assert_eq!(none.granted, 0);
    assert!(
        none.wait > 8 * SECOND && none.wait <= 10 * SECOND,
        "{none:?}"
    );
}

#[tokio::test]
async fn tokens_that_are_given_back_are_leased_again() {
    let granted = async |tier: Tier| {
        let mut granted = vec![lease(&tier, lends(&tier, REPLICA)).await.granted];
        // Six are held at first. Tokens that were never leased can't be given back.
        for (held, returned) in [(6, 4), (3, 100)] {
            let returns = TokenCommand {
                wanted: 0,
                held,
                returned,
                ..slow(&tier, REPLICA)
            };
            lease(&tier, returns).await;
            granted.push(lease(&tier, slow(&tier, OTHER)).await.granted);
        }
        granted
    };
    assert_eq!(promptly(granted, &[REPLICA, OTHER]).await, [10, 4, 3]);
}

#[tokio::test]
async fn tokens_that_may_be_used_leave_no_room() {
    let tier = full(&[REPLICA, OTHER]).await;
    assert_eq!(lease(&tier, lends(&tier, REPLICA)).await.granted, 10);
    wait(Duration::from_millis(30)).await;
    assert_eq!(lease(&tier, lends(&tier, OTHER)).await.granted, 0);
    // They are reported as used, so new tokens have room.
    let used = TokenCommand {
        wanted: 0,
        ..lends(&tier, REPLICA)
    };
    lease(&tier, used).await;
    wait(Duration::from_millis(30)).await;
    assert_eq!(lease(&tier, lends(&tier, OTHER)).await.granted, 10);
    // These are never reported and lapse.
    wait(TOKEN_LEASE).await;
    assert_eq!(lease(&tier, lends(&tier, REPLICA)).await.granted, 0);
    wait(Duration::from_millis(30)).await;
    assert_eq!(lease(&tier, lends(&tier, REPLICA)).await.granted, 10);
}

#[tokio::test]
async fn a_command_that_was_overtaken_changes_nothing() {
    let tier = full(&[REPLICA, OTHER]).await;
    let delayed = lends(&tier, REPLICA);
    assert_eq!(lease(&tier, lends(&tier, REPLICA)).await.granted, 10);
    let returned = TokenCommand {
        returned: 10,
        ..delayed
    };
    let reply = lease(&tier, returned).await;
    assert_eq!((reply.granted, reply.replicas), (0, 2));
    let leaves = TokenCommand {
        lent_until: LEAVES,
        ..delayed
    };
    lease(&tier, leaves).await;
    let other = lease(&tier, slow(&tier, OTHER)).await;
    assert_eq!((other.granted, other.replicas), (0, 2));
}

#[tokio::test]
async fn a_share_that_is_not_lent_is_granted_nothing() {
    let tier = full(&[REPLICA]).await;
    assert_eq!(lease(&tier, command(OTHER)).await.granted, 0);
    // This time is so far in the future that it comes from another clock.
    let far = TokenCommand {
        lent_until: ServerTime(server_time(&tier) + 60_000),
        ..command(OTHER)
    };
    assert_eq!(lease(&tier, far).await.granted, 0);
    // The other half is left.
    assert_eq!(lease(&tier, lends(&tier, REPLICA)).await.granted, 5);
}

#[tokio::test]
async fn a_pause_stops_all_and_never_shortens_another() {
    let tier = full(&[REPLICA, OTHER]).await;
    for millis in [900, 1] {
        let pause = Duration::from_millis(millis);
        tier.backend.pause(BUDGET, pause).await.expect("it pauses");
    }
    wait(Duration::from_millis(50)).await;
    let paused = lease(&tier, lends(&tier, OTHER)).await;
    assert_eq!(paused.granted, 0);
    let rest = paused.pause.expect("it lasts");
    assert!(rest <= Duration::from_millis(850), "{rest:?}");
    assert!(paused.wait >= rest);
    wait(rest).await;
    let after = lease(&tier, lends(&tier, OTHER)).await;
    assert_eq!((after.granted, after.pause), (10, None));
}

#[tokio::test]
async fn a_pause_of_a_new_budget_holds() {
    let tier = Tier::start().await;
    tier.backend
        .pause(BUDGET, 60 * SECOND)
        .await
        .expect("it pauses");
    for _ in 0..2 {
        let reply = lease(&tier, lends(&tier, REPLICA)).await;
        assert!(reply.pause.expect("it lasts") > 58 * SECOND);
    }
}

#[tokio::test]
async fn a_restart_with_its_keys_empties_the_budget_but_keeps_a_pause() {
    let mut tier = full(&[REPLICA]).await;
    tier.server.restart_with_keys();
    tier.reopen().await;
    assert_eq!(lease(&tier, slow(&tier, REPLICA)).await.granted, 0);
    tier.backend
        .pause(BUDGET, 60 * SECOND)
        .await
        .expect("it pauses");
    tier.server.restart_with_keys();
    tier.reopen().await;
    let reply = lease(&tier, slow(&tier, REPLICA)).await;
    assert!(reply.pause.expect("it lasts") > 57 * SECOND);
}

/// The number of replicas, and how many times as long the next token takes as with all shares lent.
async fn shares(tier: &Tier, known_replicas: u32) -> (u32, u64) {
    // The budget is empty: the next token takes a minute with all shares.
    set(tier, "tokens", "0");
    let command = TokenCommand {
        rate: 1.0 / 60.0,
        wanted: 1,
        known_replicas,
        ..lends(tier, REPLICA)
    };
    let reply = lease(tier, command).await;
    // A small amount may have accumulated.
    (reply.replicas, reply.wait.as_secs().div_ceil(60))
}

#[tokio::test]
async fn a_possibly_cut_off_replica_keeps_its_share_for_a_while() {
    let tier = Tier::start().await;
    assert_eq!(shares(&tier, 1).await, (1, 1));
    lease(&tier, command(OTHER)).await;
    assert_eq!(shares(&tier, 1).await, (2, 2));
    lease(&tier, lends(&tier, OTHER)).await;
    assert_eq!(shares(&tier, 1).await, (2, 1));
    for (ago, result) in [(590_000, (2, 2)), (601_000, (1, 1))] {
        let seen = server_time(&tier) - ago;
        let member = format!("{} {seen} {seen} 0 {seen}", unique());
        set(&tier, &format!("r:{:016x}", OTHER.0), &member);
        assert_eq!(shares(&tier, 1).await, result);
    }
}

#[tokio::test]
async fn departing_replica_gives_back_its_share_and_tokens() {
    let outcome = async |tier: Tier| {
        assert_eq!(lease(&tier, lends(&tier, OTHER)).await.granted, 10);
        let leaves = TokenCommand {
            returned: 7,
            lent_until: LEAVES,
            ..slow(&tier, OTHER)
        };
        let reply = lease(&tier, leaves).await;
        assert_eq!(reply.granted, 0);
        // Otherwise the greatest known number counts.
        let began = server_time(&tier) - 601_000;
        set(&tier, "began", &began.to_string());
        let reply = lease(&tier, slow(&tier, REPLICA)).await;
        (reply.granted, reply.replicas)
    };
    assert_eq!(promptly(outcome, &[REPLICA, OTHER]).await, (7, 1));
}

#[tokio::test]
async fn after_a_flush_the_replicas_known_before_count_for_a_while() {
    let tier = Tier::start().await;
    assert_eq!(shares(&tier, 4).await, (4, 4));
    // Another replica knows of fewer replicas.
    assert_eq!(shares(&tier, 2).await, (4, 4));
    tier.server.flush();
    assert_eq!(shares(&tier, 2).await, (2, 2));
    let began = server_time(&tier) - 601_000;
    set(&tier, "began", &began.to_string());
    assert_eq!(shares(&tier, 2).await, (1, 1));
}

#[tokio::test]
async fn a_clock_that_was_set_back_stops_the_budget_briefly() {
    let tier = full(&[REPLICA, OTHER]).await;
    let future = server_time(&tier) + 3_600_000;
    set(&tier, "at", &format!("{future}000"));
    let member = format!("{} {future} {future} 10 {future}", unique());
    set(&tier, &format!("r:{:016x}", OTHER.0), &member);
    assert_eq!(shares(&tier, 2).await, (2, 2));
    wait(TOKEN_LEASE + Duration::from_millis(30)).await;
    lease(&tier, lends(&tier, OTHER)).await;
    wait(Duration::from_millis(30)).await;
    assert_eq!(lease(&tier, lends(&tier, REPLICA)).await.granted, 10);
}

/// A replica that follows the rules and otherwise behaves at random.
struct Client {
    clock: Clock,
    random: fastrand::Rng,
    /// The held tokens, and until when they are valid.
    tokens: Vec<(u32, Tick)>,
    calls: Vec<Tick>,
}

impl Client {
    fn held(&self, now: Tick) -> u32 {
        let valid = self.tokens.iter().filter(|(_, until)| now < *until);
        valid.map(|(tokens, _)| tokens).sum()
    }

    /// Makes calls with all tokens that are valid.
    fn spend(&mut self) {
        let now = self.clock.tick();
        for _ in 0..self.held(now) {
            self.calls.push(now);
        }
        self.tokens.clear();
    }

    async fn step(&mut self, tier: &Tier, replica: ReplicaId) {
        match self.random.u8(0..4) {
            0 => self.spend(),
            // As late as allowed.
            1 => {
                if let Some((_, until)) = self.tokens.first() {
                    let left = until.since(self.clock.tick());
                    wait(left.saturating_sub(Duration::from_millis(10))).await;
                    self.spend();
                }
            }
            _ => {}
        }
        let now = self.clock.tick();
        self.tokens.retain(|(_, until)| now < *until);
        let mut returned = 0;
        if self.random.bool() && !self.tokens.is_empty() {
            returned = self.tokens.swap_remove(0).0;
        }
        let lapses = self.clock.tick() + TOKEN_LEASE;
        let command = TokenCommand {
            rate: 200.0,
            wanted: self.random.u32(0..15),
            held: self.held(now),
            returned,
            known_replicas: 3,
            ..lends(tier, replica)
        };
        let reply = lease(tier, command).await;
        if reply.granted > 0 {
            self.tokens.push((reply.granted, lapses));
        }
        wait(Duration::from_millis(self.random.u64(0..40))).await;
    }
}

#[tokio::test]
async fn random_calls_of_three_replicas_never_exceed_the_budget() {
    let clock = Clock::system();
    let first = Tier::start().await;
    let replicas = (1..=3).map(|number| {
        let (tier, clock) = (&first, clock.clone());
        async move {
            let mut client = Client {
                clock,
                random: fastrand::Rng::with_seed(number),
                tokens: Vec::new(),
                calls: Vec::new(),
            };
            for _ in 0..50 {
                client.step(tier, ReplicaId(number)).await;
            }
            client.calls
        }
    });
    let mut calls = futures_util::future::join_all(replicas).await.concat();
    calls.sort_unstable();
    // The server counts in whole milliseconds.
    let slack = Duration::from_millis(5);
    for (index, from) in calls.iter().enumerate() {
        for (count, until) in calls[index..].iter().enumerate() {
            let time = until.since(*from) + slack;
            let most = 200.0 * time.as_secs_f64() + 10.0;
            let count = f64::from(u32::try_from(count + 1).expect("few"));
            assert!(count <= most, "{count} in {time:?}");
        }
    }
    println!("{} calls", calls.len());
    assert!(calls.len() > 100, "{}: the budget is used", calls.len());
}
