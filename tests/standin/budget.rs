//! The call budget, on the server's clock: shares that are lent, and tokens that are leased from them.

use std::{collections::BTreeMap, time::Duration};

use engage_bff::shared_tier::protocol::{
    LONGEST_LOAN, SHARE_MEMORY, ServerTime, TOKEN_LEASE, TokenCommand, TokenReply,
};

use super::server::millis;

#[derive(Clone, Default)]
pub(super) struct Budget {
    bucket: Option<Bucket>,
    paused_until: u64,
}

/// The tokens of one data set.
#[derive(Clone)]
struct Bucket {
    data_set: u64,
    began: u64,
    tokens: f64,
    counted: u64,
    /// The greatest number of replicas that any of them knew.
    known: u32,
    members: BTreeMap<u64, Member>,
}

/// A replica.
#[derive(Clone, Copy, Default)]
struct Member {
    number: u64,
    seen: u64,
    lent_until: u64,
    /// The tokens that it may still use, and until when.
    held: u32,
    held_until: u64,
}

impl Budget {
    pub(super) fn lease(&mut self, command: TokenCommand, data_set: u64, now: u64) -> TokenReply {
        let kept = self.bucket.take_if(|it| it.data_set == data_set);
        let bucket = kept.unwrap_or_else(|| Bucket::new(data_set, now));
        let bucket = self.bucket.insert(bucket);
        let pause = self.paused_until.saturating_sub(now);
        let (granted, wait) = bucket.lease(command, pause, now);
        TokenReply {
            granted,
            wait: Duration::from_millis(wait),
            pause: (pause > 0).then_some(Duration::from_millis(pause)),
            replicas: bucket.shares(bucket.members.len(), now),
        }
    }

    pub(super) fn pause(&mut self, pause: Duration, now: u64) {
        self.paused_until = self.paused_until.max(now + millis(pause));
    }
}

impl Bucket {
    /// An empty bucket, which stays empty while tokens of another data set may still be used.
    fn new(data_set: u64, now: u64) -> Self {
        Self {
            data_set,
            began: now,
            tokens: 0.0,
            counted: now + millis(TOKEN_LEASE),
            known: 1,
            members: BTreeMap::new(),
        }
    }

    /// Returns how many tokens are leased, and the time until the next.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small positive numbers"
    )]
    fn lease(&mut self, command: TokenCommand, pause: u64, now: u64) -> (u32, u64) {
        let id = command.replica.0;
        self.forget(now);
        let member = self.members.get(&id).copied().unwrap_or_default();
        if command.number <= member.number {
            return (0, 1);
        }
        self.known = self.known.max(command.known_replicas);
        let others = self.members.keys().filter(|it| **it != id).count();
        let shares = f64::from(self.shares(others + 1, now));
        self.fill(&command, shares, now);

        let leased = if member.held_until > now {
            member.held
        } else {
            0
        };
        let held = command.held.min(leased);
        self.tokens += f64::from(command.returned.min(leased - held));
        if command.lent_until == ServerTime(u64::MAX) {
            self.members.remove(&id);
            return (0, 0);
        }
        let mut granted = 0;
        let lent_until = loan(command.lent_until.0, now);
        if lent_until > now && pause == 0 {
            granted = command.wanted.min((self.tokens + 1e-9) as u32);
        }
        self.tokens -= f64::from(granted);
        let member = Member {
            number: command.number,
            seen: now,
            lent_until: member.lent_until.max(lent_until),
            held: held + granted,
            held_until: now + millis(TOKEN_LEASE),
        };
        self.members.insert(id, member);
        if granted == command.wanted {
            return (granted, 0);
        }
        let rate = command.rate * self.lent(now).max(1.0) / shares;
        let wait = ((1.0 - self.tokens).max(0.0) * 1000.0 / rate).ceil() as u64;
        (granted, wait.max(pause).max(1))
    }

    /// Drops replicas that were last seen long ago, and corrects times that are too far in the future, which occur if
    /// the clock was set back.
    fn forget(&mut self, now: u64) {
        self.members
            .retain(|_, member| now < member.seen + millis(SHARE_MEMORY));
        let latest = now + millis(TOKEN_LEASE);
        self.counted = self.counted.min(latest);
        for member in self.members.values_mut() {
            member.lent_until = loan(member.lent_until, now);
            member.held_until = member.held_until.min(latest);
        }
    }

    /// Adds the tokens that accumulated from the lent shares, if there was room.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn fill(&mut self, command: &TokenCommand, shares: f64, now: u64) {
        let lent = self.lent(now) / shares;
        let may_be_used = |member: &&Member| member.held_until > self.counted;
        let outstanding = self.members.values().filter(may_be_used);
        let outstanding: u32 = outstanding.map(|member| member.held).sum();
        let room = (f64::from(command.burst) * lent - f64::from(outstanding)).max(0.0);
        let passed = now.saturating_sub(self.counted) as f64 / 1000.0;
        self.tokens = (self.tokens + command.rate * lent * passed).min(room);
        self.counted = self.counted.max(now);
    }

    /// The number of shares into which the budget is divided.
    fn shares(&self, members: usize, now: u64) -> u32 {
        let members = u32::try_from(members).expect("few replicas").max(1);
        if now < self.began + millis(SHARE_MEMORY) {
            members.max(self.known)
        } else {
            members
        }
    }

    fn lent(&self, now: u64) -> f64 {
        let lends = |member: &&Member| member.lent_until > now;
        let lent = self.members.values().filter(lends).count();
        f64::from(u32::try_from(lent).expect("few replicas"))
    }
}

fn loan(until: u64, now: u64) -> u64 {
    if until <= now + millis(LONGEST_LOAN) {
        until
    } else {
        0
    }
}
