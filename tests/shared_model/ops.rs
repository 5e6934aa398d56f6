//! The events of a case and how often they happen.

use std::fmt;

use engage_bff::domain::Part;
use proptest::{collection::vec, prelude::*, sample::select, strategy::Union};

use crate::{
    engage::{CONTACTS, PARTS},
    standin::{Evicted, Operation},
};

/// How many replicas there are.
pub(crate) const REPLICAS: usize = 3;

/// The settings of a case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) has_tier: bool,
    /// Whether the overview lags for as long as the service expects, or not at all.
    pub(crate) lags: bool,
    /// The server's clock minus the replicas', in milliseconds.
    pub(crate) server_offset: i64,
    /// Seeds the jitter.
    pub(crate) seed: u64,
    /// Whether none of the events invalidates anything.
    pub(crate) is_calm: bool,
}

/// A kind of invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The webhook of a change of the part.
    Webhook(Part),
    /// A webhook of an event that may concern every part.
    UnknownEvent,
    Purge,
    PurgeByEmail,
    PurgeEverything,
}

/// A lasting fault of the tier.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TierFault {
    Down,
    SlowReplies,
    SlowRequests,
    Full,
    ReadOnly,
}

/// A span of time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stretch {
    Moment,
    TierTimeout,
    Second,
    Seconds(u32),
    Fallback,
    Lifetime,
}

/// One event. Numbers are taken modulo the number of existing items.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// The simplest event for shrinking.
    Nothing,
    Read {
        replica: usize,
        contact: usize,
        by_email: bool,
        fresh: Option<Part>,
    },
    /// The same read at every replica at once.
    ReadAll {
        contact: usize,
        by_email: bool,
    },
    Cancel(usize),
    Edit(usize, Part),
    Notify {
        replica: usize,
        contact: usize,
        notice: Notice,
    },
    /// An edit and its webhook.
    Change {
        replica: usize,
        contact: usize,
        part: Part,
    },
    Hold(bool),
    ReleaseOne,
    Release,
    EngageFails(usize),
    TierFault(Option<TierFault>),
    LoseReply(Operation),
    LoseRequest(Operation),
    DelayRequest(Operation),
    ReleaseTier,
    Flush,
    RestartTier(bool),
    Snapshot,
    FailOver,
    Evict(Evicted),
    Trim(usize),
    Cut(usize),
    /// Entries of the stream do not arrive at this replica.
    Deafen(usize),
    Mend(usize),
    Restart {
        replica: usize,
        gracefully: bool,
    },
    Advance(Stretch),
}

/// An event, and how many tasks are polled before the next; 0 = until all are idle.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) polls: usize,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.op)?;
        match self.polls {
            0 => Ok(()),
            polls => write!(f, ", then {polls} polls only"),
        }
    }
}

/// A case and its events, printed in lines.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) case: Case,
    pub(crate) steps: Vec<Step>,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.case)?;
        let steps = self.steps.iter();
        for step in steps.filter(|step| !matches!(step.op, Op::Nothing)) {
            write!(f, "\n  {step:?}")?;
        }
        Ok(())
    }
}

/// How often each event happens in a test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Focus {
    pub(crate) name: &'static str,
    pub(crate) has_tier: bool,
    pub(crate) reads: u32,
    /// Reads of fresh data among a hundred.
    pub(crate) fresh: u32,
    pub(crate) cancels: u32,
    pub(crate) edits: u32,
    pub(crate) changes: u32,
    pub(crate) purges: u32,
    pub(crate) holds: u32,
    pub(crate) engage_faults: u32,
    pub(crate) tier_faults: u32,
    pub(crate) losses: u32,
    pub(crate) cuts: u32,
    pub(crate) deafness: u32,
    pub(crate) restarts: u32,
    pub(crate) time: u32,
}

/// A little of everything.
pub(crate) const BALANCED: Focus = Focus {
    name: "balanced",
    has_tier: true,
    reads: 40,
    fresh: 15,
    cancels: 3,
    edits: 6,
    changes: 18,
    purges: 6,
    holds: 8,
    engage_faults: 1,
    tier_faults: 8,
    losses: 6,
    cuts: 6,
    deafness: 4,
    restarts: 3,
    time: 14,
};

impl Focus {
    pub(crate) fn scenarios(self) -> impl Strategy<Value = Scenario> {
        let steps = vec(self.step(), 1..40);
        (self.case(), steps).prop_map(|(case, steps)| Scenario { case, steps })
    }

    fn case(self) -> impl Strategy<Value = Case> {
        let offsets = select(vec![0, 0, 90_000, -90_000]);
        let is_calm = self.changes == 0;
        let has_tier = self.has_tier;
        (any::<bool>(), offsets, any::<u64>()).prop_map(move |(lags, server_offset, seed)| Case {
            has_tier,
            lags,
            server_offset,
            seed,
            is_calm,
        })
    }

    fn step(self) -> impl Strategy<Value = Step> {
        let polls = select(vec![0, 0, 0, 0, 0, 0, 1, 3, 8, 20]);
        (self.op(), polls).prop_map(|(op, polls)| Step { op, polls })
    }

    fn op(self) -> impl Strategy<Value = Op> {
        let all: Vec<(u32, BoxedStrategy<Op>)> = vec![
            (1, Just(Op::Nothing).boxed()),
            (self.reads, self.read().boxed()),
            (
                self.reads / 8,
                (contact(), any::<bool>())
                    .prop_map(|(contact, by_email)| Op::ReadAll { contact, by_email })
                    .boxed(),
            ),
            (self.cancels, (0..4usize).prop_map(Op::Cancel).boxed()),
            (
                self.edits,
                (contact(), part())
                    .prop_map(|(contact, part)| Op::Edit(contact, part))
                    .boxed(),
            ),
            (self.changes, change().boxed()),
            (
                self.changes / 3,
                notify(vec![
                    Notice::UnknownEvent,
                    Notice::Webhook(Part::Profile),
                    Notice::Webhook(Part::Points),
                ])
                .boxed(),
            ),
            (
                self.purges,
                notify(vec![
                    Notice::Purge,
                    Notice::Purge,
                    Notice::PurgeByEmail,
                    Notice::PurgeEverything,
                ])
                .boxed(),
            ),
            (self.holds, any::<bool>().prop_map(Op::Hold).boxed()),
            (self.holds, Just(Op::ReleaseOne).boxed()),
            (self.holds, Just(Op::Release).boxed()),
            (
                self.engage_faults,
                (1..3usize).prop_map(Op::EngageFails).boxed(),
            ),
            (self.tier_faults, tier_fault().boxed()),
            (self.losses, loss().boxed()),
            (self.cuts, replica().prop_map(Op::Cut).boxed()),
            (self.deafness, replica().prop_map(Op::Deafen).boxed()),
            (
                self.cuts + self.deafness / 2,
                replica().prop_map(Op::Mend).boxed(),
            ),
            (
                self.restarts,
                (replica(), any::<bool>())
                    .prop_map(|(replica, gracefully)| Op::Restart {
                        replica,
                        gracefully,
                    })
                    .boxed(),
            ),
            (self.time, stretch().prop_map(Op::Advance).boxed()),
        ];
        let some = all.into_iter().filter(|(weight, _)| *weight > 0);
        Union::new_weighted(some.collect())
    }

    fn read(self) -> impl Strategy<Value = Op> {
        let fresh = prop_oneof![
            100 - self.fresh => Just(None),
            self.fresh.max(1) => part().prop_map(Some),
        ];
        let no_fresh = self.fresh == 0;
        (replica(), contact(), any::<bool>(), fresh).prop_map(
            move |(replica, contact, by_email, fresh)| Op::Read {
                replica,
                contact,
                by_email,
                fresh: fresh.filter(|_| !no_fresh),
            },
        )
    }
}

fn replica() -> impl Strategy<Value = usize> {
    0..REPLICAS
}

fn contact() -> impl Strategy<Value = usize> {
    // Mostly the first contact, so that events affect one another.
    prop_oneof![4 => Just(0), 1 => 0..CONTACTS]
}

fn part() -> impl Strategy<Value = Part> {
    select(PARTS.to_vec())
}

fn change() -> impl Strategy<Value = Op> {
    (replica(), contact(), part()).prop_map(|(replica, contact, part)| Op::Change {
        replica,
        contact,
        part,
    })
}

fn notify(notices: Vec<Notice>) -> impl Strategy<Value = Op> {
    (replica(), contact(), select(notices)).prop_map(|(replica, contact, notice)| Op::Notify {
        replica,
        contact,
        notice,
    })
}

fn tier_fault() -> impl Strategy<Value = Op> {
    let operations = select(vec![
        Operation::Connect,
        Operation::Open,
        Operation::Fetch,
        Operation::Store,
        Operation::Release,
        Operation::Invalidate,
        Operation::Advance,
        Operation::ReadStream,
        Operation::Beat,
    ]);
    let faults = select(vec![
        TierFault::Down,
        TierFault::SlowReplies,
        TierFault::SlowRequests,
        TierFault::Full,
        TierFault::ReadOnly,
    ]);
    prop_oneof![
        3 => faults.prop_map(|fault| Op::TierFault(Some(fault))),
        3 => Just(Op::TierFault(None)),
        2 => operations.clone().prop_map(Op::LoseReply),
        1 => operations.clone().prop_map(Op::LoseRequest),
        2 => operations.prop_map(Op::DelayRequest),
        2 => Just(Op::ReleaseTier),
    ]
}

fn loss() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => Just(Op::Flush),
        1 => any::<bool>().prop_map(Op::RestartTier),
        2 => Just(Op::Snapshot),
        2 => Just(Op::FailOver),
        2 => (0..9usize).prop_map(|number| Op::Evict(Evicted::Any(number))),
        1 => (0..2usize).prop_map(|number| Op::Evict(Evicted::Contact(number))),
        2 => Just(Op::Evict(Evicted::Stream)),
        1 => Just(Op::Evict(Evicted::Epoch)),
        2 => (0..3usize).prop_map(Op::Trim),
    ]
}

fn stretch() -> impl Strategy<Value = Stretch> {
    prop_oneof![
        3 => Just(Stretch::Moment),
        3 => Just(Stretch::TierTimeout),
        4 => Just(Stretch::Second),
        3 => (2..7u32).prop_map(Stretch::Seconds),
        2 => Just(Stretch::Fallback),
        1 => Just(Stretch::Lifetime),
    ]
}
