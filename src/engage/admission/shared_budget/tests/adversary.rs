//! Tests the rules alone, against replicas that keep them and otherwise behave as badly as they may: they hold tokens
//! as long as they can, request any number, and spend all that they have at once.

use std::time::Duration;

use fastrand::Rng;

use super::{
    BURST, RATE, TOKEN_LEASE,
    network::{Faults, Network},
    server::{Command, Reply, Without},
    strict_bound_is_kept,
};
use crate::{clock::Tick, rate::Bucket};

/// Which rule the replicas break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaks {
    Nothing,
    /// They call within their own share at once after a failure.
    Loan,
}

struct Replica {
    id: u64,
    number: u64,
    breaks: Breaks,
    replicas: u32,
    tokens: Vec<(u32, u64)>,
    own: Bucket,
    own_from: u64,
    in_contact: bool,
    /// The command in flight: its number, and when it was sent.
    sent: Option<(u64, u64)>,
    next: u64,
    is_hoarding: bool,
}

fn tick(millis: u64) -> Tick {
    Tick::from(Duration::from_millis(millis))
}

impl Replica {
    fn new(id: u64, breaks: Breaks, now: u64) -> Self {
        Self {
            id,
            number: 0,
            breaks,
            replicas: 3,
            tokens: Vec::new(),
            own: Bucket::empty(RATE / 3.0, BURST / 3.0, tick(now)),
            own_from: now,
            in_contact: false,
            sent: None,
            next: now,
            is_hoarding: true,
        }
    }

    fn held(&self, now: u64) -> u32 {
        let valid = self.tokens.iter().filter(|(_, until)| *until > now);
        valid.map(|(count, _)| count).sum()
    }

    /// Makes as many calls as the tokens and the own share allow. Returns how often.
    fn spend(&mut self, now: u64) -> u32 {
        let mut calls = self.held(now);
        self.tokens.clear();
        let may_call = now >= self.own_from || (self.breaks == Breaks::Loan && !self.in_contact);
        while may_call && self.own.take(tick(now)).is_ok() {
            calls += 1;
        }
        calls
    }

    fn command(&mut self, now: u64, rng: &mut Rng) -> Command {
        self.number += 1;
        self.sent = Some((self.number, now));
        let lease = u64::try_from(TOKEN_LEASE.as_millis()).expect("short");
        let mut command = Command {
            replica: self.id,
            number: self.number,
            wanted: 0,
            held: self.held(now),
            returned: 0,
            known_replicas: self.replicas,
            // The server's time as the replica estimates it, which is never later than the real one.
            lent_until: now.saturating_sub(rng.u64(0..20)),
            pause: None,
        };
        if self.in_contact {
            let loan = [200, 2000][rng.usize(0..2)];
            if rng.u8(0..4) == 0 && !self.tokens.is_empty() {
                command.returned = self.tokens.swap_remove(0).0;
                command.held = self.held(now);
            }
            command.wanted = rng.u32(0..13);
            command.lent_until += loan;
            self.own_from = self.own_from.max(now + loan + lease);
            self.own = self.own_share(self.own_from);
        }
        command
    }

    fn own_share(&self, from: u64) -> Bucket {
        let replicas = f64::from(self.replicas);
        let (rate, burst) = (RATE / replicas, BURST / replicas);
        let from = if self.breaks == Breaks::Loan { 0 } else { from };
        Bucket::empty(rate, burst, tick(from))
    }

    fn receive(&mut self, number: u64, reply: Reply, now: u64) {
        let Some((_, sent_at)) = self.sent.filter(|(of, _)| *of == number) else {
            return;
        };
        self.sent = None;
        self.in_contact = true;
        self.replicas = reply.replicas;
        if reply.granted > 0 {
            self.tokens.push((reply.granted, sent_at + 100));
        }
        self.next = now;
    }
}

/// Runs three replicas for a while. Returns the times of their calls.
fn run(seed: u64, faults: Faults, without: Without, breaks: Breaks) -> Vec<u64> {
    let mut rng = Rng::with_seed(seed);
    let mut network = Network::new(faults, without, seed);
    let mut replicas: Vec<Replica> = (0..3).map(|id| Replica::new(id, breaks, 0)).collect();
    let mut calls = Vec::new();
    for now in 0..20_000 {
        network.step(now);
        let all_spend = rng.u16(0..300) == 0;
        for (index, replica) in replicas.iter_mut().enumerate() {
            let (has_ended, starts) = network.ended(index, now);
            if has_ended {
                continue;
            }
            if starts {
                *replica = Replica::new(replica.id + 3, breaks, now);
            }
            while let Some((number, reply)) = network.reply(index, replica.id, now) {
                replica.receive(number, reply, now);
            }
            if replica.sent.is_some_and(|(_, at)| now >= at + 50) {
                replica.sent = None;
                replica.in_contact = false;
                replica.next = now + rng.u64(0..300);
                if breaks == Breaks::Loan {
                    replica.own = replica.own_share(now);
                }
            }
            if rng.u16(0..400) == 0 {
                replica.is_hoarding = !replica.is_hoarding;
            }
            if all_spend || (!replica.is_hoarding && rng.u8(0..8) == 0) {
                let spent = replica.spend(now);
                calls.extend((0..spent).map(|_| now));
            }
            if replica.sent.is_none() && now >= replica.next {
                let pause = [20, 200][rng.usize(0..2)];
                replica.next = now + rng.u64(0..pause);
                let command = replica.command(now, &mut rng);
                network.send(index, command, now);
            }
        }
    }
    calls
}

fn first_failure(without: Without, breaks: Breaks) -> Option<u64> {
    (0..super::cases(100)).find(|seed| {
        let faults = Faults::of(*seed);
        !strict_bound_is_kept(&run(*seed, faults, without, breaks))
    })
}

#[test]
fn rules_keep_the_bound_whatever_replicas_and_network_do() {
    let calls: usize = (0..4)
        .map(|seed| run(seed, Faults::of(seed), Without::Nothing, Breaks::Nothing).len())
        .sum();
    assert!(calls > 400, "{calls}");
    assert_eq!(first_failure(Without::Nothing, Breaks::Nothing), None);
}

#[test]
fn each_rule_that_random_runs_show_is_needed() {
    for (without, breaks) in [
        (Without::Outstanding, Breaks::Nothing),
        (Without::Shares, Breaks::Nothing),
        (Without::Known, Breaks::Nothing),
        (Without::Order, Breaks::Nothing),
        (Without::Nothing, Breaks::Loan),
    ] {
        let failed = first_failure(without, breaks);
        println!("without {without:?}, {breaks:?}: {failed:?}");
        assert!(failed.is_some(), "without {without:?}, {breaks:?}");
    }
}
