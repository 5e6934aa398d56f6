//! Messages between replicas and the server: delayed, lost, executed late; a server that stops, dies and returns empty;
//! replicas that are cut off, and that end and start.

use fastrand::Rng;

use super::server::{Command, Millis, Reply, Server, Without};

/// The faults of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    /// The longest delay of a message whose connection does not hang, in milliseconds.
    pub(super) latency: u64,
    /// How often a fault begins: on average once in this many milliseconds; 0: never.
    pub(super) interval: u64,
    /// How long a fault lasts at most.
    pub(super) longest: u64,
    /// Whether processes end, too; each leaves a share that is not used for ten minutes.
    pub(super) ends: bool,
}

impl Faults {
    pub(super) const NONE: Faults = Faults {
        latency: 2,
        interval: 0,
        longest: 1,
        ends: false,
    };

    /// Different faults for each seed.
    pub(super) fn of(seed: u64) -> Self {
        fn choice<const N: usize>(values: [u64; N], seed: u64) -> u64 {
            let index = seed % u64::try_from(N).expect("few");
            values[usize::try_from(index).expect("few")]
        }
        Self {
            latency: choice([2, 2, 10, 30], seed),
            interval: choice([0, 4000, 1500, 1500, 600], seed),
            longest: choice([3000, 8000, 300], seed),
            ends: true,
        }
    }
}

/// How long a share that a process lent may be in use after its end.
const LONGEST_LOAN: Millis = 2200;

struct Message<T> {
    replica: usize,
    arrives: Millis,
    content: T,
}

pub(super) struct Network {
    faults: Faults,
    without: Without,
    rng: Rng,
    pub(super) server: Server,
    commands: Vec<Message<Command>>,
    replies: Vec<Message<(u64, u64, Reply)>>,
    down_until: Millis,
    frozen_until: Millis,
    cut_until: [Millis; 3],
    /// When a process that ended is replaced.
    ended_until: [Option<Millis>; 3],
    pub(super) sent: u64,
}

impl Network {
    pub(super) fn new(faults: Faults, without: Without, seed: u64) -> Self {
        Self {
            faults,
            without,
            rng: Rng::with_seed(!seed),
            server: Server::new(without, 0),
            commands: Vec::new(),
            replies: Vec::new(),
            down_until: 0,
            frozen_until: 0,
            cut_until: [0; 3],
            ended_until: [None; 3],
            sent: 0,
        }
    }

    /// The next millisecond: faults begin, and messages that arrived are executed.
    pub(super) fn step(&mut self, now: Millis) {
        if self.faults.interval > 0 && self.rng.u64(0..self.faults.interval) == 0 {
            self.begin_fault(now);
        }
        if now < self.frozen_until {
            return;
        }
        let mut arrived: Vec<_> = self
            .commands
            .extract_if(.., |message| message.arrives <= now)
            .collect();
        self.rng.shuffle(&mut arrived);
        for Message {
            replica,
            content: command,
            ..
        } in arrived
        {
            if now < self.down_until {
                continue;
            }
            let reply = self.server.run(command, now);
            let is_lost = self.faults.interval > 0 && self.rng.u8(0..50) == 0;
            if now >= self.cut_until[replica] && !is_lost {
                self.replies.push(Message {
                    replica,
                    arrives: now + self.rng.u64(0..=self.faults.latency),
                    content: (command.replica, command.number, reply),
                });
            }
        }
    }

    fn begin_fault(&mut self, now: Millis) {
        // Some are as short as a round trip.
        let longest = [self.faults.longest, 20][self.rng.usize(0..2)];
        let until = now + self.rng.u64(1..=longest);
        match self.rng.u8(0..if self.faults.ends { 5 } else { 4 }) {
            0 => self.restart_server(until),
            1 => self.frozen_until = until,
            2 | 3 => self.cut_until[self.rng.usize(0..3)] = until,
            _ => {
                let replica = self.rng.usize(0..3);
                // Not sooner: the loan of the process that ended would count next to that of its successor.
                let until = until.max(now + LONGEST_LOAN);
                let ended = &mut self.ended_until[replica];
                *ended = ended.or(Some(until));
            }
        }
    }

    /// Cuts one replica off.
    pub(super) fn cut(&mut self, replica: usize, until: Millis) {
        self.cut_until[replica] = until;
    }

    /// The server evicts the budget.
    pub(super) fn evict(&mut self, now: Millis) {
        self.server = Server::new(self.without, now);
    }

    /// The server dies, and returns empty. Commands on their way are lost; replies still arrive.
    pub(super) fn restart_server(&mut self, until: Millis) {
        self.down_until = until;
        self.server = Server::new(self.without, until);
        self.commands.clear();
    }

    /// Whether no process of this replica runs, and whether another starts now.
    pub(super) fn ended(&mut self, replica: usize, now: Millis) -> (bool, bool) {
        let until = self.ended_until[replica];
        let starts = until.is_some_and(|until| now >= until);
        if starts {
            self.ended_until[replica] = None;
        }
        (until.is_some() && !starts, starts)
    }

    pub(super) fn send(&mut self, replica: usize, command: Command, now: Millis) {
        self.sent += 1;
        if now < self.cut_until[replica] || now < self.down_until {
            return;
        }
        let arrives = now + self.rng.u64(0..=self.faults.latency);
        // Some connections hang for a while.
        let late = if self.faults.interval > 0 && self.rng.u8(0..100) == 0 {
            self.rng.u64(0..500)
        } else {
            0
        };
        self.commands.push(Message {
            replica,
            arrives: arrives + late,
            content: command,
        });
    }

    /// The next reply that has arrived at this process.
    pub(super) fn reply(&mut self, replica: usize, id: u64, now: Millis) -> Option<(u64, Reply)> {
        let is_there = |message: &Message<_>| message.replica == replica && message.arrives <= now;
        let index = self.replies.iter().position(is_there)?;
        let (to, number, reply) = self.replies.swap_remove(index).content;
        if to != id {
            return self.reply(replica, id, now);
        }
        Some((number, reply))
    }
}
