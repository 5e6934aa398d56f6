//! Replicas with their throttles, over a network that fails.

use std::collections::VecDeque;

use fastrand::Rng;

use super::{
    super::{TokenCounts, TokenGrant},
    BURST, RATE,
    network::{Faults, Network},
    server::{Command, Millis, Reply, Without},
    strict_bound_is_kept,
};
use crate::{
    clock::Tick,
    engage::admission::{shared_budget::SharedBudget, state::MAX_WAIT, throttle::Throttle},
};

/// The facade's limit of an operation.
const TIMEOUT: Millis = 50;

fn tick(millis: Millis) -> Tick {
    Tick::from(std::time::Duration::from_millis(millis))
}

fn millis(tick: Tick) -> Millis {
    tick.nanos() / 1_000_000
}

/// How requests come.
#[derive(Clone, Copy, Debug)]
enum Load {
    None,
    /// One in so many milliseconds, on average.
    Steady(u64),
    /// So many at once, once in so many milliseconds.
    Bursts(u32, u64),
    /// More than the budget allows.
    Endless,
}

struct Replica {
    id: u64,
    throttle: Throttle,
    load: Load,
    /// When each waiting call came.
    waiting: VecDeque<Millis>,
    number: u64,
    sent: Option<(u64, Millis)>,
    calls: Vec<Millis>,
    waits: Vec<Millis>,
    refused: u64,
    requests: u64,
}

impl Replica {
    fn new(id: u64, now: Millis) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number"
        )]
        let budget = SharedBudget::new(RATE, BURST as u32, 3, tick(now));
        Self {
            id,
            throttle: Throttle::shared(budget, tick(now)),
            load: Load::None,
            waiting: VecDeque::new(),
            number: 0,
            sent: None,
            calls: Vec::new(),
            waits: Vec::new(),
            refused: 0,
            requests: 0,
        }
    }

    fn arrive(&mut self, now: Millis, rng: &mut Rng) {
        let arriving = match self.load {
            Load::Steady(interval) => u32::from(rng.u64(0..interval) == 0),
            Load::Bursts(size, interval) if rng.u64(0..interval) == 0 => size,
            Load::None | Load::Bursts(..) => 0,
            Load::Endless => 20_u32.saturating_sub(u32::try_from(self.waiting.len()).expect("few")),
        };
        self.waiting.extend((0..arriving).map(|_| now));
    }

    /// Starts the calls that may start.
    fn step(&mut self, now: Millis) {
        let throttle = &self.throttle;
        let is_over = |since: &mut Millis| {
            let longest = MAX_WAIT + throttle.returning_for(tick(*since));
            tick(now) >= tick(*since) + longest
        };
        while self.waiting.pop_front_if(is_over).is_some() {
            self.refused += 1;
        }
        while !self.waiting.is_empty()
            && self.throttle.next(tick(now)) <= tick(now)
            && self.throttle.take(tick(now))
        {
            let since = self.waiting.pop_front().expect("one waits");
            self.waits.push(now - since);
            self.calls.push(now);
        }
    }

    /// Sends a request, if one is due; and gives up one that took too long.
    fn exchange(&mut self, index: usize, now: Millis, network: &mut Network, rng: &mut Rng) {
        if self.sent.is_some_and(|(_, at)| now >= at + TIMEOUT) {
            self.sent = None;
            self.throttle.request_failed(tick(now));
        }
        while let Some((number, reply)) = network.reply(index, self.id, now) {
            self.receive(number, reply, now);
        }
        let due = self.throttle.request_due(self.waiting.len(), tick(now));
        if due.expect("shared") > tick(now) {
            return;
        }
        let request = self
            .throttle
            .request(self.waiting.len(), tick(now))
            .expect("shared");
        self.requests += 1;
        self.number += 1;
        self.sent = Some((self.number, now));
        let command = Command {
            replica: self.id,
            number: self.number,
            wanted: request.wanted,
            held: request.held,
            returned: request.returned,
            known_replicas: request.known_replicas,
            // The clock of the server is reckoned late by a message's way.
            lent_until: millis(request.lent_until).saturating_sub(rng.u64(0..10)),
            pause: request.pause_until.map(|until| millis(until) - now),
        };
        network.send(index, command, now);
    }

    fn receive(&mut self, number: u64, reply: Reply, now: Millis) {
        let Some((_, sent_at)) = self.sent.filter(|(of, _)| *of == number) else {
            return;
        };
        self.sent = None;
        let grant = TokenGrant {
            tokens: reply.granted,
            until: tick(sent_at + 100),
            next: tick(now + reply.wait),
            paused_until: reply.pause.map(|rest| tick(now + rest)),
            replicas: reply.replicas,
        };
        if self.throttle.granted(grant, tick(now)).is_some() {
            self.waiting.clear();
        }
    }

    fn tokens(&self, now: Millis) -> TokenCounts {
        self.throttle
            .shared_budget(tick(now))
            .expect("shared")
            .tokens
    }
}

struct World {
    rng: Rng,
    network: Network,
    replicas: Vec<Replica>,
    now: Millis,
    calls: Vec<Millis>,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            network: Network::new(faults, Without::Nothing, seed),
            replicas: (0..3).map(|id| Replica::new(id, 0)).collect(),
            now: 0,
            calls: Vec::new(),
        }
    }

    fn with_loads(loads: [Load; 3]) -> Self {
        let mut world = Self::new(7, Faults::NONE);
        world.run(3000);
        for (replica, load) in world.replicas.iter_mut().zip(loads) {
            replica.load = load;
        }
        world
    }

    fn run(&mut self, millis: Millis) {
        for _ in 0..millis {
            self.now += 1;
            let now = self.now;
            self.network.step(now);
            for index in 0..3 {
                let (has_ended, starts) = self.network.ended(index, now);
                if has_ended {
                    continue;
                }
                if starts {
                    let id = self.replicas[index].id + 3;
                    self.replicas[index] = Replica::new(id, now);
                }
                let replica = &mut self.replicas[index];
                let before = replica.calls.len();
                replica.arrive(now, &mut self.rng);
                replica.step(now);
                replica.exchange(index, now, &mut self.network, &mut self.rng);
                replica.step(now);
                let new = replica.calls.len() - before;
                self.calls.extend((0..new).map(|_| now));
            }
        }
    }

    fn counts(&self) -> TokenCounts {
        let of_each = self.replicas.iter().map(|it| it.tokens(self.now));
        of_each.fold(TokenCounts::default(), |sum, it| TokenCounts {
            leased: sum.leased + it.leased,
            used: sum.used + it.used,
            returned: sum.returned + it.returned,
            lapsed: sum.lapsed + it.lapsed,
        })
    }
}

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
    // Not much more than from a failure to the first token of the own share, and a burst's rest.
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
fn few_leased_tokens_lapse_and_few_requests_are_made() {
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
