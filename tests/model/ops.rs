//! The events of a case and how often they happen.

mod strategies;

use std::fmt;

use engage_bff::{
    config::ApiVersion,
    domain::{Part, PartSet},
};

use crate::{
    responses::Fault,
    world::{Kind, TestLookup},
};

/// The settings of a case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) version: ApiVersion,
    /// `engage.overview_lag`, in seconds.
    pub(crate) overview_lag: u64,
    /// The longest lag of the world's overview, in quarters of that.
    pub(crate) lag_quarters: u32,
    /// `cache.max_size`, in bytes.
    pub(crate) max_bytes: u64,
    /// How many vouchers a page holds.
    pub(crate) page: usize,
    /// Whether the budget of upstream calls is small.
    pub(crate) small_budget: bool,
    /// Whether the tenant's custom key is known to be the member number.
    pub(crate) knows_custom_key: bool,
    /// Whether `identifiers.unique` lists the kinds, so that aliases are learned.
    pub(crate) learns: bool,
    /// Seeds the jitter.
    pub(crate) seed: u64,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) lookup: TestLookup,
    /// The preferred type, for a lookup without a type.
    pub(crate) prefer: Option<Kind>,
    /// Whether the contact type is written in capitals.
    pub(crate) shouted: bool,
    pub(crate) asked: PartSet,
    pub(crate) fresh: PartSet,
    /// In seconds.
    pub(crate) max_age: Option<u64>,
    pub(crate) only_if_cached: bool,
    pub(crate) stale_if_error: bool,
}

/// A span of time.
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
    /// A second less than the overview's lag.
    NearlyOverviewLag,
}

/// One event. Numbers of calls, requests and answers are taken modulo how many there are.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// The simplest event for shrinking.
    Nothing,
    Request(Request),
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
    ShareKey {
        key: usize,
        with: usize,
    },
    Retype(usize),
    /// Makes the contact protected, or unprotected again.
    Protect(usize),
    Delete(usize),
    Recreate(usize),
    Invalidate(usize, PartSet),
    /// A caller reports that parts of a customer have changed.
    Changed(TestLookup, PartSet),
    /// The webhook `contact.updated`.
    Updated(usize),
    /// The webhook `contact.deleted`.
    Deleted(usize),
    Purge(usize),
    PurgeBy(TestLookup),
    PurgeEverything,
    /// Switches the cache off or on.
    Switch(bool),
    DropNegatives,
    /// Reads the response to a call from the world: for an overview as it was this many quarters of its lag ago,
    /// otherwise as it is.
    Read(usize, u32),
    Deliver(usize),
    Fail(usize, Fault),
    AnswerAll,
    Advance(Stretch),
    Evict,
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

/// How often each event happens in a test, and its special settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Focus {
    pub(crate) name: &'static str,
    pub(crate) requests: u32,
    /// Requests for fresh data among a hundred.
    pub(crate) fresh: u32,
    /// Requests with directives among a hundred.
    pub(crate) directives: u32,
    pub(crate) cancels: u32,
    pub(crate) edits: u32,
    pub(crate) alias_moves: u32,
    pub(crate) lives: u32,
    pub(crate) invalidations: u32,
    pub(crate) purges: u32,
    pub(crate) switches: u32,
    pub(crate) faults: u32,
    pub(crate) time: u32,
    pub(crate) long_time: u32,
    pub(crate) evictions: u32,
    pub(crate) small_budget: bool,
    /// Whether aliases are learned in every case; otherwise in half of them.
    pub(crate) learns: bool,
}

/// A little of everything.
pub(crate) const BALANCED: Focus = Focus {
    name: "balanced",
    requests: 30,
    fresh: 25,
    directives: 15,
    cancels: 4,
    edits: 12,
    alias_moves: 4,
    lives: 3,
    invalidations: 9,
    purges: 4,
    switches: 0,
    faults: 3,
    time: 7,
    long_time: 4,
    evictions: 0,
    small_budget: false,
    learns: false,
};
