//! S6: every failure of the server is a miss. Requests are answered, a failing server is not called again and again, an
//! invalidation that can't be written is not acknowledged, and everything recovers by itself.

use std::time::Duration;

use engage_simulator::fixtures::ALVA;
use futures_util::future::join_all;
use serde_json::json;

use crate::{
    harness::{Mode, Replicas, until, wait},
    redis_server::RedisServer,
};

/// The longest time of an operation: longer than a busy machine needs for one.
const TIMEOUT: Duration = Duration::from_millis(400);

async fn start() -> Replicas {
    start_with(RedisServer::start()).await
}

async fn start_with(server: RedisServer) -> Replicas {
    Replicas::with_server(server, |config| config.redis.timeout = TIMEOUT).await
}

/// Asserts that every replica answers for some of these contacts, which it has not seen before.
async fn answers(replicas: &Replicas, people: &[(String, String)]) {
    let requests = people.iter().enumerate().map(|(number, (id, email))| {
        let replica = &replicas.all[number % 3];
        let query = if number % 2 == 0 {
            format!("contactId={id}")
        } else {
            format!("email={email}")
        };
        async move {
            let answer = replica.get(&query).await;
            assert_eq!(answer.assert_ok().at("/contactId"), json!(id));
            assert_eq!(answer.at("/degraded"), json!([]));
        }
    });
    join_all(requests).await;
}

/// Checks the replicas while the server fails, and after it has recovered.
async fn survives(
    replicas: &mut Replicas,
    fail: impl AsyncFnOnce(&mut Replicas),
    recover: impl AsyncFnOnce(&mut Replicas),
) {
    let people = replicas.people();
    for replica in &replicas.all {
        replica.of(ALVA.id).await.assert_ok();
    }
    fail(replicas).await;
    answers(replicas, &people[..30]).await;
    for replica in &replicas.all {
        replica.until_unavailable().await;
    }
    // No request tries an operation that is known to fail.
    let tried: Vec<u64> = replicas
        .all
        .iter()
        .map(|replica| replica.backend.by_requests())
        .collect();
    answers(replicas, &people[30..90]).await;
    for (replica, tried) in replicas.all.iter().zip(tried) {
        assert_eq!(replica.backend.by_requests(), tried);
        assert!(!replica.shared.is_available());
    }
    // An invalidation takes effect where it was received, and must be repeated.
    replicas
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("New"));
    let signed = replicas.engage.webhook("contact.updated", ALVA.id);
    assert_eq!(replicas.all[0].deliver(signed.clone()).await, 503);
    assert_eq!(replicas.all[0].purge(ALVA.id).await, 503);
    for body in [json!({"contactId": ALVA.id}), json!({"email": ALVA.email})] {
        assert_eq!(replicas.all[0].report(&body).await, 503);
    }
    assert_eq!(
        replicas.all[0]
            .of(ALVA.id)
            .await
            .assert_ok()
            .at("/profile/firstName"),
        "New"
    );
    recover(replicas).await;
    recovers(replicas, signed, &people[90..]).await;
}

/// Waits until everything works again.
async fn recovers(
    replicas: &Replicas,
    signed: (reqwest::header::HeaderMap, String),
    people: &[(String, String)],
) {
    replicas.until_available().await;
    until(async || replicas.all[0].deliver(signed.clone()).await == 204).await;
    for replica in &replicas.all {
        until(async || replica.of(ALVA.id).await.at("/profile/firstName") == "New").await;
    }
    until(async || {
        // A machine under load may cause a time-out of its own.
        let (id, _) = &people[fastrand::usize(..people.len())];
        replicas.all[0].of(id).await.assert_ok();
        let shared = replicas.all[1].of(id).await;
        shared.assert_ok();
        shared.cache_status().ends_with("detail=shared")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_survived() {
    let mut replicas = start().await;
    survives(
        &mut replicas,
        async |replicas| replicas.redis.kill(),
        async |replicas| replicas.redis.start_again(),
    )
    .await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_survived() {
    let mut replicas = start().await;
    survives(
        &mut replicas,
        async |replicas| replicas.redis.freeze(),
        async |replicas| replicas.redis.thaw(),
    )
    .await;
    replicas.stop().await;
}

/// Sets the mode of every replica's connection to the server.
fn ways(replicas: &Replicas, mode: Mode) {
    for replica in &replicas.all {
        replica.way.set(mode);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_slow_is_survived() {
    let mut replicas = start().await;
    survives(
        &mut replicas,
        async |replicas| ways(replicas, Mode::Slow(3 * TIMEOUT)),
        async |replicas| ways(replicas, Mode::Open),
    )
    .await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_are_survived() {
    let mut replicas = start().await;
    survives(
        &mut replicas,
        async |replicas| ways(replicas, Mode::Cut),
        async |replicas| ways(replicas, Mode::Open),
    )
    .await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_became_read_only_is_survived() {
    let mut replicas = start().await;
    survives(
        &mut replicas,
        // The primary does not exist.
        async |replicas| drop(replicas.redis.command(&["REPLICAOF", "127.0.0.1", "1"])),
        async |replicas| replicas.redis.promote(),
    )
    .await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_became_wrong_is_survived() {
    let mut replicas = start().await;
    survives(
        &mut replicas,
        async |replicas| {
            replicas.redis.set("requirepass", "another");
            // Connections that have authenticated stay authenticated.
            ways(replicas, Mode::Cut);
            ways(replicas, Mode::Open);
        },
        async |replicas| {
            let url = replicas.redis.url_as("default", "another");
            let client = redis::Client::open(url).expect("a valid URL");
            let mut connection = client.get_connection().expect("a running server");
            redis::cmd("CONFIG")
                .arg(&["SET", "requirepass", ""])
                .exec(&mut connection)
                .expect("it accepts it");
        },
    )
    .await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_survived() {
    let mut replicas = start().await;
    let standby = RedisServer::start();
    standby.replicate(&replicas.redis);
    let mut standby = Some(standby);
    survives(
        &mut replicas,
        async |replicas| replicas.redis.kill(),
        async |replicas| {
            let standby = standby.take().expect("there is one");
            standby.promote();
            for replica in &replicas.all {
                replica.way.redirect(standby.port());
            }
            replicas.redis = standby;
        },
    )
    .await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_full_is_survived_and_takes_invalidations() {
    let replicas = start().await;
    let people = replicas.people();
    for replica in &replicas.all {
        replica.of(ALVA.id).await.assert_ok();
    }
    replicas.redis.set("maxmemory-policy", "noeviction");
    replicas.redis.set("maxmemory", "1");
    answers(&replicas, &people[..30]).await;
    replicas
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("New"));
    let signed = replicas.engage.webhook("contact.updated", ALVA.id);
    until(async || replicas.all[0].deliver(signed.clone()).await == 204).await;
    for replica in &replicas.all {
        until(async || replica.of(ALVA.id).await.at("/profile/firstName") == "New").await;
    }
    answers(&replicas, &people[30..60]).await;
    replicas.redis.set("maxmemory", "0");
    recovers(&replicas, signed, &people[60..]).await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_is_survived() {
    let replicas = start().await;
    let people = replicas.people();
    for round in 0..5 {
        replicas.redis.flush();
        answers(&replicas, &people[round * 10..round * 10 + 10]).await;
    }
    replicas
        .engage
        .contact(ALVA.id)
        .attribute("firstName", json!("New"));
    let signed = replicas.engage.webhook("contact.updated", ALVA.id);
    recovers(&replicas, signed, &people[60..]).await;
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_were_corrupted_are_misses() {
    let replicas = start().await;
    let [first, second, third] = &replicas.all[..] else {
        panic!("there are three");
    };
    let query = format!("email={}", ALVA.email);
    first.get(&query).await.assert_ok();
    let corrupt = |change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        for pattern in ["*:c:*", "*:a:*"] {
            for key in replicas.keys(pattern) {
                let fields = replicas.redis.command(&[b"HGETALL", &key[..]]);
                let fields: Vec<(Vec<u8>, Vec<u8>)> =
                    redis::from_redis_value(fields).expect("a hash");
                for (field, value) in fields {
                    let changed = change(value);
                    replicas
                        .redis
                        .command(&[b"HSET", &key[..], &field[..], &changed[..]]);
                }
            }
        }
    };
    // The values get a flipped bit at the end, then become empty, then garbage.
    let flip = |mut value: Vec<u8>| {
        if let Some(last) = value.last_mut() {
            *last ^= 1;
        }
        value
    };
    corrupt(&flip);
    let answer = second.get(&query).await;
    assert_eq!(answer.assert_ok().at("/contactId"), json!(ALVA.id));
    assert_eq!(answer.at("/degraded"), json!([]));
    corrupt(&|_| Vec::new());
    let answer = third.get(&query).await;
    assert_eq!(answer.assert_ok().at("/contactId"), json!(ALVA.id));
    for garbage in [
        &b"garbage"[..],
        &[0xff; 300],
        b"-1",
        b"99999999999999999999",
    ] {
        corrupt(&|_| garbage.to_vec());
        let fourth = replicas.another().await;
        fourth.until_available().await;
        let answer = fourth.get(&query).await;
        assert_eq!(answer.assert_ok().at("/contactId"), json!(ALVA.id));
        assert_eq!(answer.at("/degraded"), json!([]));
        let signed = replicas.engage.webhook("contact.updated", ALVA.id);
        assert_eq!(fourth.deliver(signed.clone()).await, 204);
        // The server works, so the replica keeps using it over the same connection.
        assert!(fourth.shared.is_available());
        assert_eq!(fourth.backend.count("connect"), 1);
        fourth.stop().await;
    }
    // Data that is stored again can be read.
    assert_eq!(first.purge(ALVA.id).await, 204);
    wait(Duration::from_secs(1)).await;
    until(async || {
        first.get(&query).await.assert_ok();
        second.get(&query).await.cache_status().contains("hit")
    })
    .await;
    replicas.stop().await;
}
