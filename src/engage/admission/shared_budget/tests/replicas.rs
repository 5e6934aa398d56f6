//! What all replicas together do, over a network that fails.

use fastrand::Rng;

use super::{
    super::TokenCounts,
    network::Faults,
    server::Millis,
    strict_bound_is_kept,
    world::{Load, Replica, World, tick},
};

fn random_load(rng: &mut Rng) -> Load {
    match rng.u8(0..5) {
        0 => Load::None,
        1 => Load::Steady([15, 40, 200, 2000][rng.usize(0..4)]),
        2 => Load::Bursts(rng.u32(2..30), rng.u64(100..3000)),
        3 => Load::Bursts(12, 400),
        _ => Load::Endless,
    }
}

#[test]
fn calls_of_all_replicas_keep_the_bound_through_every_failure() {
    let mut calls = 0;
    for seed in 0..super::cases(60) {
        let mut world = World::new(seed, Faults::of(seed));
        for _ in 0..20 {
            let index = world.rng.usize(0..3);
            world.replicas[index].load = random_load(&mut world.rng);
            world.run(1000);
        }
        assert!(strict_bound_is_kept(&world.calls), "seed {seed}");
        calls += world.calls.len();
    }
    println!("{calls} calls");
}

#[test]
fn load_within_the_shares_is_refused_nowhere() {
    let mut longest = 0;
    for seed in 0..super::cases(60) {
        let faults = Faults {
            ends: false,
            ..Faults::of(seed)
        };
        let mut world = World::new(seed, faults);
        for _ in 0..20 {
            for replica in &mut world.replicas {
                // Six tenths of a share at most.
                replica.load = Load::Steady(world.rng.u64(100..200));
            }
            world.run(1000);
        }
        assert!(strict_bound_is_kept(&world.calls), "seed {seed}");
        let refused: u64 = world.replicas.iter().map(|it| it.refused).sum();
        assert_eq!(refused, 0, "seed {seed}");
        let waits = world.replicas.iter().flat_map(|it| it.waits.iter());
        longest = longest.max(waits.copied().max().expect("calls"));
    }
    println!("{longest} ms at most");
    // Not much more than the time from a failure to the first token of the own share, plus the time for the calls that
    // have queued up by then.
    assert!(longest <= 800, "{longest} ms");
}

#[test]
fn budget_that_is_evicted_again_and_again_refuses_nothing_within_the_shares() {
    for every in [20, 50, 100, 150, 1000] {
        let mut world = World::with_loads([Load::Steady(150); 3]);
        for _ in 0..10_000 / every {
            world.network.evict(world.now);
            world.run(every);
        }
        let refused: u64 = world.replicas.iter().map(|it| it.refused).sum();
        let waits = world.replicas.iter().flat_map(|it| it.waits.iter());
        println!("every {every} ms: {:?} ms at most", waits.max());
        assert_eq!(refused, 0, "every {every} ms");
        assert!(strict_bound_is_kept(&world.calls), "every {every} ms");
    }
}

#[test]
fn bound_is_kept_under_each_load() {
    for (name, loads) in [
        ("idle", [Load::None; 3]),
        ("steady, 10 calls a second", [Load::Steady(300); 3]),
        ("steady, 40 calls a second", [Load::Steady(75); 3]),
        ("bursts of ten, one a second", [Load::Bursts(10, 3000); 3]),
        ("one busy", [Load::Endless, Load::None, Load::Steady(1000)]),
        ("all busy", [Load::Endless; 3]),
    ] {
        let mut world = World::with_loads(loads);
        let before = world.network.sent;
        world.run(60_000);
        let counts = world.counts();
        let mut waits: Vec<Millis> = world
            .replicas
            .iter()
            .flat_map(|it| it.waits.iter().copied())
            .collect();
        waits.sort_unstable();
        let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or(0);
        println!(
            "{name}: {} calls, {} requests, {counts:?}, waits: half {} ms, 95% {} ms; refused {}",
            world.calls.len(),
            world.network.sent - before,
            at(50),
            at(95),
            world.replicas.iter().map(|it| it.refused).sum::<u64>(),
        );
        assert!(strict_bound_is_kept(&world.calls), "{name}");
    }
}

#[test]
fn call_waits_for_a_round_trip_only_at_the_start_of_a_burst() {
    let mut world = World::with_loads([Load::None; 3]);
    let mut waits = Vec::new();
    for burst in 0..20 {
        world.run(2000);
        for _ in 0..6 {
            let now = world.now + 1;
            let replica = &mut world.replicas[burst % 3];
            replica.waiting.push_back(now);
            // More than a token takes to accumulate, and a round trip.
            world.run(30);
        }
        waits.push(std::mem::take(&mut world.replicas[burst % 3].waits));
    }
    for of_burst in waits {
        assert_eq!(of_burst.len(), 6);
        assert!(of_burst[0] <= 5, "{of_burst:?}");
        assert!(of_burst[1..].iter().all(|wait| *wait == 0), "{of_burst:?}");
    }
}

#[test]
fn burst_of_one_replica_is_the_burst_of_all() {
    let mut world = World::with_loads([Load::None; 3]);
    world.run(2000);
    let now = world.now + 1;
    world.replicas[1].waiting.extend([now; 10]);
    world.run(10);
    assert_eq!(world.calls.len(), 10);
}

#[test]
fn idle_replica_only_renews_its_loan() {
    let mut world = World::with_loads([Load::None; 3]);
    let before = world.network.sent;
    world.run(60_000);
    let requests = world.network.sent - before;
    // Three replicas, every 100 ms and a round trip.
    assert!((1680..=1800).contains(&requests), "{requests}");
    assert_eq!(world.counts(), TokenCounts::default());
}

#[test]
fn pause_of_one_replica_pauses_all_within_a_quarter_of_a_second() {
    for seed in 0..20 {
        let mut world = World::with_loads([Load::Endless; 3]);
        world.run(500 + seed * 37);
        let at = tick(world.now);
        let five = std::time::Duration::from_secs(5);
        world.replicas[0].throttle.pause_calls(Some(five), at, at);
        world.replicas[0].waiting.clear();
        world.run(250);
        let before = world.calls.len();
        world.run(4700);
        assert_eq!(world.calls.len(), before, "seed {seed}");
        for replica in &world.replicas {
            let rest = replica.throttle.pause(tick(world.now));
            let rest = rest.expect("still paused").as_millis();
            assert!((20..=60).contains(&rest), "{rest} ms");
        }
        world.run(1000);
        let resumed = world.calls.len() - before;
        assert!((1..=15).contains(&resumed), "{resumed} in the first second");
    }
}

#[test]
fn replicas_without_the_tier_use_their_shares_after_the_loan() {
    let mut world = World::with_loads([Load::Endless; 3]);
    world.run(3000);
    let from = world.now;
    world.network.restart_server(Millis::MAX / 2);
    world.run(10_000);
    let first = world.calls.iter().find(|at| **at > from + 150);
    let first = first.expect("calls go on") - from;
    assert!((300..=400).contains(&first), "{first} ms");
    let later = world.calls.iter().filter(|at| **at > from + 2000).count();
    assert!((390..=401).contains(&later), "{later} in eight seconds");
    assert!(strict_bound_is_kept(&world.calls));
}

#[test]
fn share_of_a_cut_off_replica_is_not_lent_meanwhile() {
    let mut world = World::with_loads([Load::Endless; 3]);
    world.run(3000);
    let from = world.now;
    world.network.cut(0, from + 10_000);
    world.run(9000);
    let of = |replica: &Replica| {
        let later = replica.calls.iter().filter(|at| **at > from + 2000);
        later.count()
    };
    let alone = of(&world.replicas[0]);
    let others = of(&world.replicas[1]) + of(&world.replicas[2]);
    assert!((113..=118).contains(&alone), "{alone}");
    assert!((220..=236).contains(&others), "{others}");
    world.run(10_000);
    let recent = world.calls.iter().filter(|at| **at > world.now - 5000);
    let recent = recent.count();
    assert!((235..=260).contains(&recent), "{recent}");
    assert!(strict_bound_is_kept(&world.calls));
}
