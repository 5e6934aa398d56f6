//! The shared tier's side of the budget as the protocol describes it, and the same with a rule taken away.

use std::collections::BTreeMap;

use super::{BURST, RATE};

/// Milliseconds of the server's clock.
pub(super) type Millis = u64;

const TOKEN_LEASE: Millis = 100;
const SHARE_MEMORY: Millis = 600_000;

/// What one replica sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) replica: u64,
    pub(super) number: u64,
    pub(super) wanted: u32,
    pub(super) held: u32,
    pub(super) returned: u32,
    pub(super) known_replicas: u32,
    pub(super) lent_until: Millis,
    pub(super) pause: Option<Millis>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) granted: u32,
    pub(super) wait: Millis,
    pub(super) pause: Option<Millis>,
    pub(super) replicas: u32,
}

/// Which rule is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    Nothing,
    /// Leased tokens count as used when they are leased.
    Outstanding,
    /// The bucket fills at the full rate, and tokens are granted, whatever is lent.
    Shares,
    /// A new bucket fills at once, although tokens of the one before may still be used.
    Emptiness,
    /// A new bucket counts only the replicas that have sent it a command.
    Known,
    /// A delayed command takes effect like any other.
    Order,
}

#[derive(Clone, Copy, Debug, Default)]
struct Member {
    number: u64,
    seen: Millis,
    lent_until: Millis,
    /// Tokens that may still be used, and until when.
    held: u32,
    held_until: Millis,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    without: Without,
    /// When the data set began, and with it the bucket.
    began: Millis,
    tokens: f64,
    counted: Millis,
    known: u32,
    paused_until: Millis,
    members: BTreeMap<u64, Member>,
}

impl Server {
    /// A new data set: nothing accumulated, and nothing does while tokens of the one before may still be used.
    pub(super) fn new(without: Without, now: Millis) -> Self {
        let fills_from = match without {
            Without::Emptiness => now,
            _ => now + TOKEN_LEASE,
        };
        Self {
            without,
            began: now,
            tokens: 0.0,
            counted: fills_from,
            known: 1,
            paused_until: 0,
            members: BTreeMap::new(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small positive numbers"
    )]
    pub(super) fn run(&mut self, command: Command, now: Millis) -> Reply {
        self.members
            .retain(|_, member| now < member.seen + SHARE_MEMORY);
        let mut member = self
            .members
            .get(&command.replica)
            .copied()
            .unwrap_or_default();
        let is_delayed = command.number <= member.number && self.without != Without::Order;
        if is_delayed {
            return self.reply(0, 1, now);
        }
        self.known = self.known.max(command.known_replicas);

        // The tokens that accumulated: at the rate of the shares that are still lent, up to the room that there was
        // throughout.
        let others = self
            .members
            .keys()
            .filter(|it| **it != command.replica)
            .count();
        let replicas = self.replicas(others + 1, now);
        let lent = self.lent(now) / f64::from(replicas);
        let before = self.outstanding(self.counted);
        let room = (BURST * lent - f64::from(before)).max(0.0);
        let passed = now.saturating_sub(self.counted) as f64 / 1000.0;
        self.tokens = (self.tokens + RATE * lent * passed).min(room);
        self.counted = self.counted.max(now);

        // What the replica used, and what it gives back.
        let outstanding = if member.held_until > now {
            member.held
        } else {
            0
        };
        let held = command.held.min(outstanding);
        self.tokens += f64::from(command.returned.min(outstanding - held));
        if command.lent_until == Millis::MAX {
            self.members.remove(&command.replica);
            return self.reply(0, 0, now);
        }

        if let Some(pause) = command.pause {
            self.paused_until = self.paused_until.max(now + pause);
        }
        let is_lent = command.lent_until > now || self.without == Without::Shares;
        let is_granted = is_lent && self.paused_until <= now;
        let available = (self.tokens + 1e-9).max(0.0) as u32;
        let granted = if is_granted {
            command.wanted.min(available)
        } else {
            0
        };
        self.tokens -= f64::from(granted);
        member = Member {
            number: command.number.max(member.number),
            seen: now,
            lent_until: member.lent_until.max(command.lent_until),
            held: held + granted,
            held_until: now + TOKEN_LEASE,
        };
        self.members.insert(command.replica, member);
        let mut wait = 0;
        if granted < command.wanted {
            let lent = (self.lent(now) / f64::from(replicas)).max(0.001);
            let next = (1.0 - self.tokens).max(0.0) / (RATE * lent);
            wait = ((next * 1000.0).ceil() as u64).max(1);
        }
        self.reply(granted, wait, now)
    }

    fn reply(&self, granted: u32, wait: Millis, now: Millis) -> Reply {
        Reply {
            granted,
            wait,
            pause: (self.paused_until > now).then(|| self.paused_until - now),
            replicas: self.replicas(self.members.len().max(1), now),
        }
    }

    fn replicas(&self, members: usize, now: Millis) -> u32 {
        let members = u32::try_from(members).expect("few");
        let is_new = now < self.began + SHARE_MEMORY && self.without != Without::Known;
        if is_new {
            members.max(self.known)
        } else {
            members
        }
    }

    fn lent(&self, now: Millis) -> f64 {
        if self.without == Without::Shares {
            return f64::from(self.replicas(self.members.len().max(1), now));
        }
        let lends = |member: &&Member| member.lent_until > now;
        f64::from(u32::try_from(self.members.values().filter(lends).count()).expect("few"))
    }

    fn outstanding(&self, now: Millis) -> u32 {
        if self.without == Without::Outstanding {
            return 0;
        }
        let valid = self
            .members
            .values()
            .filter(|member| member.held_until > now);
        valid.map(|member| member.held).sum()
    }
}
