//! What may happen, and how often: strategies that proptest shrinks.

mod drawn;

use std::fmt;

use engage_bff::{
    config::ApiVersion,
    domain::{Part, PartSet},
};

use crate::{paper::Fault, world::Who};

/// What is set up for a whole case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) version: ApiVersion,
    /// `engage.overview_lag`, in seconds.
    pub(crate) overview_lag: u64,
    /// How many quarters of that the world's overview lags at most.
    pub(crate) lag_quarters: u32,
    /// `cache.max_size`, in bytes.
    pub(crate) max_bytes: u64,
    /// How many vouchers a page holds.
    pub(crate) page: usize,
    /// Whether the budget of upstream calls is small.
    pub(crate) frugal: bool,
    /// Whether the tenant's custom key is known to be the member number.
    pub(crate) knows_custom_key: bool,
    /// Seeds the jitter.
    pub(crate) seed: u64,
}

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) who: Who,
    /// Whether the contact type is spelled in capitals.
    pub(crate) shouted: bool,
    pub(crate) asked: PartSet,
    pub(crate) fresh: PartSet,
    /// In seconds.
    pub(crate) max_age: Option<u64>,
    pub(crate) only_if_cached: bool,
    pub(crate) stale_if_error: bool,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stretch {
    Moment,
    Second,
    HalfOfPatience,
    Patience,
    HalfALifetime,
    Lifetime,
    StaleWhileRevalidate,
    StaleIfError,
    OverviewLag,
    /// The overview's lag but for a second.
    NearlyOverviewLag,
}

/// One event. Numbers of calls, callers and answers count modulo those that there are.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// What others shrink to.
    Nothing,
    Ask(Ask),
    Cancel(usize),
    RenderAgain(usize),
    Edit(usize, Part),
    MoveEmail {
        email: usize,
        to: usize,
        swap: bool,
    },
    MoveKey {
        key: usize,
        to: usize,
        swap: bool,
    },
    ShareEmail {
        email: usize,
        with: usize,
    },
    Retype(usize),
    Delete(usize),
    Recreate(usize),
    Invalidate(usize, PartSet),
    /// The webhook `contact.updated`.
    Updated(usize),
    /// The webhook `contact.deleted`.
    Deleted(usize),
    Purge(usize),
    PurgeBy(Who),
    PurgeEverything,
    /// The cache goes off, or on again.
    Switch(bool),
    EndNegatives,
    /// The content of a call's answer is read, with so many quarters of the world's lag.
    Read(usize, u32),
    Deliver(usize),
    Fail(usize, Fault),
    AnswerAll,
    Advance(Stretch),
    Evict,
}

/// An event, and how many tasks get their turn before the next; 0 = until nothing moves any more.
#[derive(Clone)]
pub(crate) struct Move {
    pub(crate) op: Op,
    pub(crate) polls: usize,
}

impl fmt::Debug for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.op)?;
        match self.polls {
            0 => Ok(()),
            polls => write!(f, ", then {polls} turns only"),
        }
    }
}

/// A case and its events, told in lines.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) case: Case,
    pub(crate) moves: Vec<Move>,
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.case)?;
        let moves = self.moves.iter();
        for told in moves.filter(|told| !matches!(told.op, Op::Nothing)) {
            write!(f, "\n  {told:?}")?;
        }
        Ok(())
    }
}

/// How often what happens, and what is special about a test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Focus {
    pub(crate) name: &'static str,
    pub(crate) asks: u32,
    /// Of a hundred questions.
    pub(crate) fresh: u32,
    /// Of a hundred questions.
    pub(crate) directives: u32,
    pub(crate) cancels: u32,
    pub(crate) edits: u32,
    pub(crate) moves: u32,
    pub(crate) lives: u32,
    pub(crate) invalidations: u32,
    pub(crate) purges: u32,
    pub(crate) switches: u32,
    pub(crate) faults: u32,
    pub(crate) time: u32,
    pub(crate) long_time: u32,
    pub(crate) evictions: u32,
    pub(crate) small_budget: bool,
}

/// A little of everything.
pub(crate) const BALANCED: Focus = Focus {
    name: "balanced",
    asks: 30,
    fresh: 25,
    directives: 15,
    cancels: 4,
    edits: 12,
    moves: 4,
    lives: 3,
    invalidations: 9,
    purges: 4,
    switches: 0,
    faults: 3,
    time: 7,
    long_time: 4,
    evictions: 0,
    small_budget: false,
};
