//! Replicas, and then the server, are restarted under load: no request fails, and restarts of replicas cause no
//! repeated call. The balancer knows nothing of the shared tier: only readiness determines where requests go.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engage_simulator::Simulator;
use reqwest::Client;
use tokio::task::JoinSet;

use crate::harness::{Answer, Mode, Replicas, TILL, until, wait};

/// Requests a second.
const RATE: u32 = 300;
const CALLERS: u32 = 30;
/// How often readiness is checked.
const CHECK: Duration = Duration::from_millis(50);

/// A balancer within its callers: uses ready replicas in turn, and another one only if a connection is refused.
struct Balancer {
    /// Whether each replica was ready when it was last checked.
    members: Mutex<BTreeMap<SocketAddr, bool>>,
    next: AtomicUsize,
    client: Client,
    asked: AtomicUsize,
    refused: AtomicUsize,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Balancer {
    /// A balancer without replicas.
    fn new() -> Self {
        Self {
            members: Mutex::default(),
            next: AtomicUsize::new(0),
            client: Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .build()
                .expect("a client"),
            asked: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            failures: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, bool>> {
        self.members.lock().expect("no panic")
    }

    /// Adds a replica, and waits until it is ready.
    async fn add(&self, address: SocketAddr) {
        self.members().insert(address, false);
        until(async || self.ready().contains(&address)).await;
    }

    fn remove(&self, address: SocketAddr) {
        self.members().remove(&address);
    }

    fn ready(&self) -> Vec<SocketAddr> {
        let members = self.members();
        let ready = members.iter().filter(|(_, is_ready)| **is_ready);
        ready.map(|(address, _)| *address).collect()
    }

    /// Checks every replica repeatedly until the run is over.
    async fn check(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let addresses: Vec<SocketAddr> = self.members().keys().copied().collect();
            for address in addresses {
                let request = self.client.get(format!("http://{address}/readyz"));
                let answer = Answer::try_of(request).await;
                let is_ready = answer.is_ok_and(|answer| answer.status == 200);
                if let Some(known) = self.members().get_mut(&address) {
                    *known = is_ready;
                }
            }
            wait(CHECK).await;
        }
    }

    async fn get(&self, query: &str) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        for _ in 0..10 {
            let addresses = self.ready();
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(address) = addresses.get(number % addresses.len().max(1)) else {
                wait(CHECK).await;
                continue;
            };
            let url = format!("http://{address}/customer?{query}");
            let request = self.client.get(url).header("x-api-key", TILL);
            let failure = match Answer::try_of(request).await {
                Ok(answer) if answer.status == 200 => return,
                Err(error) if error.is_connect() => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Ok(answer) => format!("{} {}", answer.status, answer.cache_status()),
                Err(error) => format!("{error:?}"),
            };
            return self.failures.lock().expect("no panic").push(failure);
        }
        let failure = "refused by all".to_owned();
        self.failures.lock().expect("no panic").push(failure);
    }
}

/// Calls for one part of one contact beyond the first.
fn repeated_calls(engage: &Simulator) -> usize {
    let mut calls: Vec<_> = engage
        .log()
        .into_iter()
        .map(|call| format!("{} {:?}", call.path, call.query))
        .collect();
    let all = calls.len();
    calls.sort();
    calls.dedup();
    all - calls.len()
}

async fn restart_all(rounds: usize, between: Duration) {
    let mut replicas = Replicas::with(|config| {
        config.server.shutdown_delay = Duration::from_millis(300);
        // Nothing expires during the test.
        for lifetime in [
            &mut config.cache.profile_lifetime,
            &mut config.cache.audiences_lifetime,
            &mut config.cache.promotions_lifetime,
            &mut config.cache.vouchers_lifetime,
            &mut config.cache.points_lifetime,
            &mut config.webhooks.fallback_lifetime,
        ] {
            *lifetime = Duration::from_secs(3600);
        }
    })
    .await;
    let people = Arc::new(replicas.people()[..100].to_vec());
    let balancer = Arc::new(Balancer::new());
    let checking = Arc::clone(&balancer);
    let checking = tokio::spawn(async move { checking.check().await });
    for replica in &replicas.all {
        balancer.add(replica.address).await;
    }
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (balancer, people) = (Arc::clone(&balancer), Arc::clone(&people));
        callers.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) * CALLERS / RATE);
            while !balancer.is_over.load(Ordering::Relaxed) {
                ticks.tick().await;
                let (id, _) = &people[fastrand::usize(..people.len())];
                balancer.get(&format!("contactId={id}")).await;
            }
        });
    }
    wait(between).await;
    for _ in 0..rounds {
        for number in 0..3 {
            let old = replicas.all.remove(0);
            let address = old.address;
            old.stop().await;
            balancer.remove(address);
            let new = replicas.another().await;
            // Otherwise it would have read the stream before its readiness is checked.
            new.way.set(Mode::Slow(Duration::from_millis(50)));
            balancer.add(new.address).await;
            new.way.set(Mode::Open);
            replicas.all.push(new);
            println!("restarted replica {number}");
            wait(between).await;
        }
    }
    let repeated = repeated_calls(&replicas.engage);
    println!("calls for what was fresh, while replicas were restarted: {repeated}");
    assert_eq!(repeated, 0);
    for _ in 0..rounds {
        replicas.redis.restart_with_keys();
        replicas.until_available().await;
        wait(between).await;
    }
    balancer.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = callers.join_next().await {
        ended.expect("no panic");
    }
    checking.await.expect("no panic");
    let failures = balancer.failures.lock().expect("no panic").clone();
    println!(
        "{} requests, {} refused connections, {} failures, {} calls, {} of them again",
        balancer.asked.load(Ordering::Relaxed),
        balancer.refused.load(Ordering::Relaxed),
        failures.len(),
        replicas.engage.total_calls(),
        repeated_calls(&replicas.engage),
    );
    assert!(
        failures.is_empty(),
        "{:#?}",
        &failures[..failures.len().min(10)]
    );
    // Memory is dropped with each restart of the server; while the server is down, each replica makes its own calls.
    assert!(repeated_calls(&replicas.engage) <= rounds * 3 * 2 * people.len());
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_fail_no_request_and_repeat_no_call() {
    restart_all(1, Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn rolling_restarts_fail_no_request_and_repeat_no_call_for_long() {
    restart_all(4, Duration::from_secs(3)).await;
}
