//! S1: replicas that need the same data at the same time make one call.

use std::time::Duration;

use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO},
};
use futures_util::future::join_all;

use crate::harness::{Answer, Replicas, Stopwatch, until};

/// Sends 100 requests to each of three replicas at once.
async fn burst(replicas: &Replicas, query: &str, id: &str) {
    let requests = replicas
        .all
        .iter()
        .flat_map(|replica| (0..100).map(|_| replica.spawn_get(query)));
    for answer in join_all(requests.collect::<Vec<_>>()).await {
        let answer = answer.expect("no panic");
        answer.assert_ok();
        assert_eq!(answer.at("/contactId"), id);
        assert_eq!(answer.at("/degraded"), serde_json::json!([]));
    }
}

/// How often replicas have connected to the server.
fn connections(replicas: &Replicas) -> u64 {
    let all = replicas.all.iter();
    all.map(|replica| replica.backend.count("connect")).sum()
}

/// Sends two bursts for each of several contacts in turn, until the machine is fast enough for one of them. Asserts
/// that its two bursts made one overview call and one call of the points. A replica that considers the server hung
/// makes its own calls.
async fn bursts_until_fast_enough(query: impl Fn(&str, &str) -> String) {
    let replicas = Replicas::start().await;
    for (id, email) in &replicas.people()[..20] {
        replicas.until_available().await;
        replicas.engage.reset_log();
        let before = connections(&replicas);
        burst(&replicas, &query(id, email), id).await;
        // The alias that led to the contact is shared too.
        burst(&replicas, &format!("contactId={id}"), id).await;
        let is_available = replicas
            .all
            .iter()
            .all(|replica| replica.shared.is_available());
        if connections(&replicas) == before && is_available {
            replicas.assert_calls(1, 1);
            return replicas.stop().await;
        }
    }
    panic!("the machine is too slow for operations within a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_requests_by_id_make_one_overview_and_one_points_call() {
    bursts_until_fast_enough(|id, _| format!("contactId={id}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_requests_make_one_overview_and_one_points_call() {
    bursts_until_fast_enough(|_, email| format!("email={email}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fresh_data_of_one_replica_costs_the_others_no_call() {
    let replicas = Replicas::start().await;
    let [first, second, third] = &replicas.all[..] else {
        panic!("there are three");
    };
    let query = format!("email={}", BO.email);
    let filled = first.get(&format!("{query}&contactType=Contact")).await;
    filled.assert_ok();
    let calls = replicas.engage.total_calls();
    for replica in [second, third] {
        let fetches = replica.backend.count("fetch");
        let answer = replica.get(&format!("{query}&contactType=Contact")).await;
        answer.assert_ok();
        assert!(
            answer.cache_status().ends_with("detail=shared"),
            "{}",
            answer.cache_status()
        );
        // Its age is never understated.
        let as_of = |answer: &Answer| answer.at("/freshness/profile/asOf").to_string();
        assert!(
            as_of(&answer) <= as_of(&filled),
            "{} {}",
            as_of(&answer),
            as_of(&filled)
        );
        // One for the parts of the overview, one for the points.
        assert!(replica.backend.count("fetch") - fetches <= 2);
    }
    assert_eq!(replicas.engage.total_calls(), calls);
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lease_of_a_dead_replica_delays_a_request_and_then_ends() {
    let mut replicas = Replicas::with(|config| {
        config.engage.timeout = Duration::from_secs(3);
        config.server.request_timeout = Duration::from_secs(25);
    })
    .await;
    let hold = replicas.engage.hold(Endpoint::Overview);
    let holder = replicas.all.remove(0);
    let abandoned = holder.request(&format!("contactId={}", ALVA.id));
    let abandoned = tokio::spawn(abandoned.send());
    replicas.engage.wait_for_calls(Endpoint::Overview, 1).await;
    holder.kill();
    let began = Stopwatch::start();
    let waiting = replicas.all[0].spawn_get(&format!("contactId={}", ALVA.id));
    // It waits for the lease, and does not call.
    until(async || replicas.all[0].backend.count("fetch") >= 3).await;
    assert_eq!(replicas.engage.calls(Endpoint::Overview), 1);
    hold.release();
    waiting.await.expect("no panic").assert_ok();
    println!("the dead lease cost {:?}", began.elapsed());
    assert_eq!(replicas.engage.calls(Endpoint::Overview), 2);
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(abandoned.await.expect("no panic").is_err());
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_waits_for_another_replica_beyond_its_deadline() {
    let mut replicas = Replicas::with(|config| {
        config.engage.timeout = Duration::from_secs(60);
        config.server.request_timeout = Duration::from_secs(2);
    })
    .await;
    let _hold = replicas.engage.hold(Endpoint::Overview);
    let holder = replicas.all.remove(0);
    let abandoned = tokio::spawn(holder.request(&format!("contactId={}", ALVA.id)).send());
    replicas.engage.wait_for_calls(Endpoint::Overview, 1).await;
    holder.kill();
    let began = Stopwatch::start();
    let late = replicas.all[0].get(&format!("contactId={}", ALVA.id)).await;
    assert_eq!(late.status, 504);
    println!("answered after {:?}", began.elapsed());
    // The lease ends after a second; the call that this replica then makes itself would last a minute.
    assert!(began.elapsed() < Duration::from_secs(30));
    abandoned.abort();
}
