//! S4: replicas call Engage within one budget.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use engage_bff::config::Config;
use engage_simulator::{Endpoint, Fault, Simulator};
use jiff::Timestamp;
use reqwest::Client;
use tokio::task::JoinSet;

use crate::harness::{Mode, Replicas, Stopwatch, until, wait};

const RATE: f64 = 40.0;
const BURST: u32 = 10;

fn within_the_budget(config: &mut Config) {
    config.engage.requests_per_second = RATE;
    config.engage.burst = BURST;
    config.engage.timeout = Duration::from_secs(10);
    config.redis.timeout = Duration::from_millis(250);
}

/// The greatest number of calls by which any period exceeds what the rate allows in it. It must be at most the burst if
/// calls arrive as soon as they are admitted.
fn greatest_excess(engage: &Simulator) -> f64 {
    let calls = engage.log();
    let times: Vec<Timestamp> = calls.iter().map(|call| call.at).collect();
    let mut greatest = 0.0_f64;
    // The excess of the period that ends with this call and began with the worst earlier one.
    let mut excess = 0.0_f64;
    for (index, at) in times.iter().enumerate() {
        if index > 0 {
            let since = at.duration_since(times[index - 1]).as_secs_f64();
            excess = (excess - since * RATE).max(0.0);
        }
        excess += 1.0;
        greatest = greatest.max(excess);
    }
    greatest
}

/// Records the longest time that a request to the replica took although it waits for nothing, in nanoseconds; each
/// request uses a new connection. Calls that a replica makes one after the other may arrive together after such a
/// delay. Never returns.
async fn note_delays(address: SocketAddr, longest: Arc<AtomicU64>) {
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
    let client = client.build().expect("a client");
    let url = format!("http://{address}/livez");
    loop {
        let stopwatch = Stopwatch::start();
        let answer = client.get(&url).send().await.expect("the replica answers");
        assert_eq!(answer.status(), 200);
        let delay = u64::try_from(stopwatch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        longest.fetch_max(delay, Ordering::Relaxed);
        wait(Duration::from_millis(2)).await;
    }
}

/// Makes misses at all replicas for this long, with failures of the server in between, and asserts that the calls stay
/// within the budget.
async fn misses(long: Duration) {
    let mut replicas = Replicas::with(within_the_budget).await;
    let people = Arc::new(replicas.people());
    let mut tasks = JoinSet::new();
    let delay = Arc::<AtomicU64>::default();
    for replica in &replicas.all {
        tasks.spawn(note_delays(replica.address, Arc::clone(&delay)));
        for _ in 0..20 {
            let (client, people) = (replica.client(), Arc::clone(&people));
            let address = replica.address;
            tasks.spawn(async move {
                loop {
                    let (id, _) = &people[fastrand::usize(..people.len())];
                    let url = format!("http://{address}/customer?contactId={id}&fresh=all");
                    let request = client.get(url).header("x-api-key", crate::harness::TILL);
                    let _ = request.timeout(Duration::from_secs(5)).send().await;
                }
            });
        }
    }
    wait(long / 5).await;
    replicas.redis.restart_empty();
    wait(long / 5).await;
    replicas.all[0].way.set(Mode::Cut);
    wait(long / 5).await;
    replicas.redis.kill();
    wait(long / 5).await;
    replicas.redis.start_again();
    replicas.all[0].way.set(Mode::Open);
    wait(long / 5).await;
    assert!(tasks.try_join_next().is_none(), "a client ended");
    tasks.abort_all();
    let calls = replicas.engage.total_calls();
    let excess = greatest_excess(&replicas.engage);
    let delay = Duration::from_nanos(delay.load(Ordering::Relaxed)).as_secs_f64();
    println!(
        "{calls} calls in {long:?}, {excess:.1} above the rate at most, burst {BURST}; a request took {delay:.3} s at most"
    );
    // The rate limits calls where they are admitted; they are counted where they arrive.
    assert!(excess <= f64::from(BURST) + 1.0 + RATE * delay, "{excess}");
    // The replicas also use most of the budget.
    let allowed = RATE * long.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let used = calls as f64 / allowed;
    assert!(used > 0.3, "{used}");
    replicas.all.clear();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_never_call_more_often_than_the_budget_allows() {
    misses(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn replicas_never_call_more_often_than_the_budget_allows_for_a_minute() {
    misses(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_after_a_429_holds_for_all_replicas() {
    let replicas = Replicas::with(within_the_budget).await;
    let people = replicas.people();
    let too_many = Fault::TooMany {
        retry_after: Some("4".to_owned()),
    };
    replicas.engage.fault_times(Endpoint::All, too_many, 1);
    let refused = replicas.all[0].spawn_get(&format!("contactId={}", people[0].0));
    until(async || {
        replicas
            .engage
            .log()
            .iter()
            .any(|call| call.status == Some(429))
    })
    .await;
    drop(refused);
    wait(Duration::from_secs(1)).await;
    let calls = replicas.engage.total_calls();
    let waiting: Vec<_> = people[1..13]
        .iter()
        .enumerate()
        .map(|(number, (id, _))| replicas.all[number % 3].spawn_get(&format!("contactId={id}")))
        .collect();
    wait(Duration::from_secs(1)).await;
    assert_eq!(replicas.engage.total_calls(), calls);
    for answer in waiting {
        let answer = answer.await.expect("no panic");
        assert_eq!(answer.status, 503);
        assert!(answer.headers.contains_key("retry-after"));
    }
    // Four seconds, and some time for the machine.
    until(async || {
        let query = format!("contactId={}", people[1].0);
        replicas.all[1].get(&query).await.status == 200
    })
    .await;
    replicas.stop().await;
}
