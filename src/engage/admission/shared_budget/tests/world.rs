//! Replicas with their throttles, the requests that come to them, and the network that joins them.

use std::collections::VecDeque;

use fastrand::Rng;

use super::{
    super::{TokenCounts, TokenGrant},
    BURST, RATE,
    network::{Faults, Network},
    server::{Command, Millis, Reply, Without},
};
use crate::{
    clock::Tick,
    engage::admission::{shared_budget::SharedBudget, state::MAX_WAIT, throttle::Throttle},
};

/// The time-out of an operation of the shared tier.
const TIMEOUT: Millis = 50;

pub(super) fn tick(millis: Millis) -> Tick {
    Tick::from(std::time::Duration::from_millis(millis))
}

fn millis(tick: Tick) -> Millis {
    tick.nanos() / 1_000_000
}

/// How requests come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    None,
    /// One request per this many milliseconds, on average.
    Steady(u64),
    /// This many requests at once, once per this many milliseconds on average.
    Bursts(u32, u64),
    /// More than the budget allows.
    Endless,
}

pub(super) struct Replica {
    id: u64,
    pub(super) throttle: Throttle,
    pub(super) load: Load,
    /// When each waiting call came.
    pub(super) waiting: VecDeque<Millis>,
    number: u64,
    sent: Option<(u64, Millis)>,
    pub(super) calls: Vec<Millis>,
    pub(super) waits: Vec<Millis>,
    pub(super) refused: u64,
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

    /// Refuses the calls that have waited for too long, and starts those that may start.
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
            // The estimate of the server's clock is behind by up to the delay of a message.
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

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) network: Network,
    pub(super) replicas: Vec<Replica>,
    pub(super) now: Millis,
    pub(super) calls: Vec<Millis>,
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            network: Network::new(faults, Without::Nothing, seed),
            replicas: (0..3).map(|id| Replica::new(id, 0)).collect(),
            now: 0,
            calls: Vec::new(),
        }
    }

    pub(super) fn with_loads(loads: [Load; 3]) -> Self {
        let mut world = Self::new(7, Faults::NONE);
        world.run(3000);
        for (replica, load) in world.replicas.iter_mut().zip(loads) {
            replica.load = load;
        }
        world
    }

    pub(super) fn run(&mut self, millis: Millis) {
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

    pub(super) fn counts(&self) -> TokenCounts {
        let of_each = self.replicas.iter().map(|it| it.tokens(self.now));
        of_each.fold(TokenCounts::default(), |sum, it| TokenCounts {
            leased: sum.leased + it.leased,
            used: sum.used + it.used,
            returned: sum.returned + it.returned,
            lapsed: sum.lapsed + it.lapsed,
        })
    }
}
