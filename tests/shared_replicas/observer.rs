//! An observer: reads from three replicas, while contacts change and the server fails in every way, and compares what
//! it reads with what was acknowledged. Nothing older than the bound may be served.
//!
//! ```text
//! OBSERVER_SEED=7 OBSERVER_READS=100000 OBSERVER_CHANGES=5000 scripts/shared-tier-observer
//! ```

mod chaos;
mod ledger;
mod traffic;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engage_bff::clock::Clock;
use tokio::task::JoinSet;

use self::{
    chaos::{Chaos, Disturbance},
    ledger::Ledger,
    traffic::Traffic,
};
use crate::{
    harness::{Replicas, Stopwatch, variable, wait},
    invalidations::without_stale_windows,
};

/// How long data may be served while webhooks or the stream may be missing.
const FALLBACK: Duration = Duration::from_secs(3);
/// The number of contacts that are read and changed.
const PEOPLE: usize = 60;

/// The size of the run.
struct Plan {
    seed: u64,
    reads: usize,
    changes: usize,
    /// The least number of times that each kind of failure happens.
    rounds: usize,
    readers: usize,
    changers: usize,
    /// The pause between two reads of one reader.
    pause: Duration,
    /// No round begins after this time, except the first.
    longest: Duration,
}

/// The state that all tasks share.
struct World {
    replicas: Vec<crate::harness::Replica>,
    engage: engage_simulator::Simulator,
    people: Vec<(String, String)>,
    ledger: Ledger,
    clock: Clock,
    reads: AtomicUsize,
    changes: AtomicUsize,
    is_over: AtomicBool,
}

async fn observe(plan: Plan) {
    println!("OBSERVER_SEED={}", plan.seed);
    let Replicas {
        engage,
        redis,
        all,
        config: _,
    } = Replicas::with(|config| {
        without_stale_windows(config);
        config.webhooks.fallback_lifetime = FALLBACK;
        config.redis.timeout = Duration::from_millis(250);
    })
    .await;
    let people = crate::harness::people(&engage)[..PEOPLE].to_vec();
    let clock = Clock::system();
    let world = Arc::new(World {
        replicas: all,
        engage,
        people,
        ledger: Ledger::new(clock.clone(), FALLBACK),
        clock,
        reads: AtomicUsize::new(0),
        changes: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    let mut tasks = JoinSet::new();
    for number in 0..plan.readers {
        let traffic = Traffic::new(&world, plan.seed + 1000 + number as u64);
        tasks.spawn(traffic.read(plan.pause));
    }
    for number in 0..plan.changers {
        let traffic = Traffic::new(&world, plan.seed + 2000 + number as u64);
        tasks.spawn(traffic.change(plan.pause * 4, plan.reads / plan.changes));
    }
    let watched = Arc::clone(&world);
    tasks.spawn(async move { watched.ledger.note_stalls(&watched.is_over).await });

    let watched = Arc::clone(&world);
    tasks.spawn(async move {
        while !watched.is_over.load(Ordering::Relaxed) {
            let is_cut_off = |replica: &crate::harness::Replica| {
                let status = replica.shared.status();
                let late = Duration::from_millis(800);
                !status.is_available || status.stream_age.is_none_or(|age| age > late)
            };
            if watched.replicas.iter().any(is_cut_off) {
                watched.ledger.note_cut_off();
            }
            wait(Duration::from_millis(20)).await;
        }
    });

    let mut chaos = Chaos::new(&world, redis, plan.seed);
    let is_done = || {
        world.reads.load(Ordering::Relaxed) >= plan.reads
            && world.changes.load(Ordering::Relaxed) >= plan.changes
    };
    let mut rounds = 0;
    let began = Stopwatch::start();
    while rounds < plan.rounds || !is_done() {
        if rounds > 0 && began.elapsed() > plan.longest {
            println!("ended before all was done");
            break;
        }
        for disturbance in chaos.shuffled() {
            chaos.disturb(disturbance).await;
            // The server works for a while.
            wait(Duration::from_millis(1500)).await;
        }
        rounds += 1;
        let [reads, changes] =
            [&world.reads, &world.changes].map(|count| count.load(Ordering::Relaxed));
        println!("round {rounds}: {reads} reads, {changes} changes");
    }
    world.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
    drop(chaos);
    let changes = world.changes.load(Ordering::Relaxed);
    let what = Disturbance::ALL.len();
    println!("{rounds} rounds of {what} ways to fail; {changes} acknowledged changes");
    world.ledger.report();
    assert_eq!(world.engage.unexpected(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_observer_reads_nothing_older_than_the_bound() {
    observe(Plan {
        seed: 7,
        reads: 500,
        changes: 50,
        rounds: 1,
        readers: 6,
        changers: 3,
        pause: Duration::from_millis(20),
        longest: Duration::from_secs(60),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes minutes"]
async fn an_observer_reads_nothing_older_than_the_bound_for_long() {
    let number = |name: &str, default: u64| {
        variable(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let count = |name, default| usize::try_from(number(name, default)).expect("a count");
    observe(Plan {
        seed: number("OBSERVER_SEED", fastrand::u64(1..1_000_000)),
        reads: count("OBSERVER_READS", 100_000),
        changes: count("OBSERVER_CHANGES", 5_000),
        rounds: 3,
        readers: 24,
        changers: 8,
        pause: Duration::from_millis(2),
        longest: Duration::from_secs(60 * number("OBSERVER_MINUTES", 60)),
    })
    .await;
}
