//! S5: a hit does not use the server.

use engage_simulator::fixtures::ALVA;

use crate::harness::Replicas;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hits_send_the_server_nothing() {
    let replicas = Replicas::start().await;
    let replica = &replicas.all[0];
    let query = format!("email={}", ALVA.email);
    replica.get(&query).await.assert_ok();
    let commands = || -> u64 {
        let count = replicas.redis.info("stats", "total_commands_processed");
        count
            .and_then(|count| count.parse().ok())
            .expect("a number")
    };
    let (tried, before) = (replica.backend.by_requests(), commands());
    for _ in 0..1000 {
        let answer = replica.get(&query).await;
        assert!(
            answer.cache_status().starts_with("engage-bff; hit; ttl="),
            "{answer:?}"
        );
    }
    assert_eq!(replica.backend.by_requests(), tried);
    // Heartbeats and reads of the stream continue.
    let others = commands() - before;
    println!("commands of three replicas during 1,000 hits: {others}");
    assert!(others < 1000, "{others}");
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hits_are_served_while_the_server_hangs() {
    let replicas = Replicas::start().await;
    let query = format!("email={}", ALVA.email);
    for replica in &replicas.all {
        replica.get(&query).await.assert_ok();
    }
    replicas.redis.freeze();
    for _ in 0..100 {
        for replica in &replicas.all {
            let answer = replica.get(&query).await;
            assert!(
                answer.cache_status().starts_with("engage-bff; hit; ttl="),
                "{answer:?}"
            );
        }
    }
    replicas.redis.thaw();
    replicas.until_available().await;
    replicas.stop().await;
}
