//! The promises as a model: what the service was told and when, and whether an answer may be given.

mod answers;
mod purges;

use std::{collections::HashMap, time::Duration};

use engage_bff::{
    cache::fence::Sequence,
    clock::Tick,
    customer::CustomerQuery,
    domain::{Part, PartSet},
};
use proptest::test_runner::TestCaseError;

use crate::{
    exchange::{Mark, Wire},
    ops::Case,
    setup,
    world::{Alias, Change, PEOPLE, Who, World},
};

/// Whether a promise holds; if not, which one and how.
pub(crate) type Verdict = Result<(), TestCaseError>;

/// Ends the case with the name of the promise that was broken, unless the condition holds.
macro_rules! demand {
    ($condition:expr, $promise:literal, $($text:tt)*) => {
        if !$condition {
            let text = format!($($text)*);
            return Err(proptest::test_runner::TestCaseError::fail(
                format!(concat!("broken promise ", $promise, ": {}"), text),
            ));
        }
    };
}
pub(crate) use demand;

/// The lifetime of each part; aliases live as long as the profile.
pub(crate) const fn lifetime(part: Part) -> Duration {
    match part {
        Part::Profile | Part::Promotions | Part::Vouchers => Duration::from_secs(60),
        Part::Audiences => Duration::from_secs(120),
        Part::Points => Duration::from_secs(30),
    }
}
/// `cache.stale_while_revalidate`.
pub(crate) const STALE_WHILE_REVALIDATE: Duration = Duration::from_secs(30);
/// `cache.stale_if_error`.
pub(crate) const STALE_IF_ERROR: Duration = Duration::from_secs(300);
/// `cache.stale_if_slow`.
pub(crate) const STALE_IF_SLOW: Duration = Duration::from_millis(300);
/// `cache.negative_lifetime`.
pub(crate) const NEGATIVE_LIFETIME: Duration = Duration::from_secs(30);
/// `server.request_timeout`.
/// The longest time for which a call that failed is not made again.
pub(crate) const MAX_BACK_OFF: Duration = Duration::from_secs(600);
/// How long a 429 pauses calls, and how long they come slowly afterwards.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
pub(crate) const REOPENING: Duration = Duration::from_secs(10);
pub(crate) const PATIENCE: Duration = Duration::from_millis(2500);
/// `engage.timeout`.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Who asked what, and when.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    pub(crate) query: CustomerQuery,
    pub(crate) arrival: Mark,
    /// The last change before it came.
    pub(crate) change: Change,
    /// Whether the cache was off when it came.
    pub(crate) finds_it_off: bool,
}

/// What may be shown of a contact's part.
#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    /// Only what was asked for later.
    asked_after: Mark,
    stamped_after: Sequence,
    /// Only what is not older than this: it was invalidated.
    floor: Change,
    /// Only what is not older than this: an entity endpoint told it.
    read: Change,
    /// When that was read. Of two calls at the same time neither need be the newer.
    read_at: Mark,
    /// When something of that was last said.
    since: Tick,
}

/// What the service was told, and what follows from it.
#[derive(Debug)]
pub(crate) struct Model {
    /// How far the world's overview lags at most.
    lag: Duration,
    /// How far the service believes that it may lag.
    overview_lag: Duration,
    /// Whether what was read is never forgotten, for want of room.
    remembers: bool,
    knows_custom_key: bool,
    /// Whether the budget may be spent, which is a fault too.
    frugal: bool,
    bounds: [[Bound; 5]; PEOPLE],
    /// The last change that the service knows of, concerning whether a contact bears a name.
    learnt: [Change; PEOPLE],
    /// Names that were purged: the last change that the service knows of.
    purged: HashMap<Who, Change>,
    /// Purges by identifier, in their order.
    purges: Vec<purges::Purge>,
    /// Whom a name was last seen to lead to.
    known: HashMap<Who, usize>,
    /// The profile that was last shown of each, as long as it is surely held.
    shown: [Option<Change>; PEOPLE],
    /// When the last negative answers were ended.
    pub(crate) negatives_ended: Mark,
    /// Since when the cache is off.
    off_since: Option<Mark>,
    /// When it last went off or on.
    last_switch: Mark,
    /// When the service was last told of something.
    pub(crate) last_news: Mark,
    /// When the last caller came.
    pub(crate) last_arrival: Mark,
    /// When the last caller came that wanted something fresh.
    pub(crate) last_fresh: Mark,
    /// When the world last changed.
    pub(crate) last_change: Mark,
    /// Up to which telling entity reads have been taken in.
    taken_in: usize,
}

impl Model {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            lag: setup::lag(case),
            overview_lag: Duration::from_secs(case.overview_lag),
            remembers: case.max_bytes >= 1 << 20,
            knows_custom_key: case.knows_custom_key,
            frugal: case.frugal,
            bounds: [[Bound::default(); 5]; PEOPLE],
            learnt: [0; PEOPLE],
            purged: HashMap::new(),
            purges: Vec::new(),
            known: HashMap::new(),
            shown: [None; PEOPLE],
            negatives_ended: Mark::default(),
            off_since: None,
            last_switch: Mark::default(),
            last_news: Mark::default(),
            last_arrival: Mark::default(),
            last_fresh: Mark::default(),
            last_change: Mark::default(),
            taken_in: 0,
        }
    }

    /// An invalidation or a purge was acknowledged; `sequence` was taken just before.
    pub(crate) fn invalidated(
        &mut self,
        world: &World,
        contact: usize,
        parts: PartSet,
        sequence: Sequence,
        mark: Mark,
    ) {
        let lagging = world.as_of(mark.tick - self.lag);
        for part in parts.iter() {
            let change = if part == Part::Audiences {
                lagging
            } else {
                world.change()
            };
            self.raise(world, contact, part, change, sequence, mark);
        }
        if parts == PartSet::ALL {
            // Its names are gone too.
            self.known.retain(|_, known| *known != contact);
        }
        if parts.contains(Part::Profile) {
            self.learnt[contact] = world.change();
            self.shown[contact] = None;
        }
        self.last_news = mark;
    }

    /// A purge of everything was acknowledged: the overview may still lag.
    pub(crate) fn everything_purged(&mut self, world: &World, sequence: Sequence, mark: Mark) {
        let lagging = world.as_of(mark.tick - self.lag);
        for contact in 0..PEOPLE {
            for part in Part::ALL {
                self.raise(world, contact, part, lagging, sequence, mark);
            }
        }
        self.known.clear();
        self.shown = [None; PEOPLE];
        self.last_news = mark;
    }

    /// A purge by name was acknowledged: it reaches whom the service knows the name to lead to.
    pub(crate) fn purged_by(&mut self, world: &World, who: Who, sequence: Sequence, mark: Mark) {
        self.last_news = mark;
        let known = match who {
            Who {
                name: Alias::Id(contact),
                kind: None,
            } => Some(contact),
            _ => self.known.remove(&who),
        };
        let held = (0..PEOPLE).filter(|contact| {
            let shown = self.shown[*contact];
            let still_bears = |shown| world.has_borne_since(*contact, who, shown);
            shown.is_some_and(still_bears)
        });
        let reached: Vec<usize> = known.into_iter().chain(held).collect();
        for contact in reached {
            self.invalidated(world, contact, PartSet::ALL, sequence, mark);
        }
        // Whoever bears the name and is of another type may be gone as well.
        let whoever = Who { kind: None, ..who };
        for contact in world.now().bearers(whoever) {
            self.shown[contact] = None;
            self.known.retain(|_, known| *known != contact);
        }
        // Engage resolves an id with a type in the overview alone, which may lag.
        if !matches!(who.name, Alias::Id(_)) {
            let ways = purges::ways(who.name).map(|who| (who, world.change()));
            self.purged.extend(ways);
            self.register(who, sequence, mark);
        }
    }

    /// An answer was given: the service knows now whom the name leads to, and holds the profile.
    pub(crate) fn answered(&mut self, caller: &Caller, contact: usize, profile: Change) {
        // Of what was told while the cache was off nothing was kept.
        let is_kept = !self.is_off() && self.last_switch < caller.arrival;
        if self.remembers && is_kept {
            self.known.insert(caller.who, contact);
            self.shown[contact] = Some(profile);
        }
    }

    /// How far the service believes that the overview may lag.
    pub(crate) fn overview_lag(&self) -> Duration {
        self.overview_lag
    }

    /// Whether the cache is off.
    pub(crate) fn is_off(&self) -> bool {
        self.off_since.is_some()
    }

    /// The cache went off, or on again.
    pub(crate) fn switched(&mut self, on: bool, mark: Mark) {
        self.off_since = (!on).then_some(mark);
        self.last_switch = mark;
        self.last_news = mark;
    }

    /// No answer was given: what the name leads to, and who that is, may be forgotten.
    pub(crate) fn refused(&mut self, who: Who) {
        if let Some(contact) = self.known.remove(&who) {
            self.shown[contact] = None;
        }
        if let Alias::Id(contact) = who.name {
            self.shown[contact] = None;
        }
    }

    fn raise(
        &mut self,
        world: &World,
        contact: usize,
        part: Part,
        change: Change,
        sequence: Sequence,
        mark: Mark,
    ) {
        let bound = &mut self.bounds[contact][part as usize];
        let version = world.at(change).people[contact].versions[part as usize];
        *bound = Bound {
            asked_after: mark,
            stamped_after: sequence,
            floor: bound.floor.max(version),
            since: mark.tick,
            ..*bound
        };
    }

    /// What entity endpoints told, once the service has taken it in: from then on it must not go back
    /// in time.
    pub(crate) fn take_in(&mut self, world: &World, wire: &Wire, whole_pages: bool) {
        for telling in &wire.told[self.taken_in..] {
            if telling.part == Part::Profile && !telling.faulty {
                self.heed_purges(world, telling);
            }
            let in_pages = telling.part == Part::Vouchers && !whole_pages;
            if !telling.by_entity || telling.faulty || !self.remembers || in_pages {
                continue;
            }
            let bound = &mut self.bounds[telling.contact][telling.part as usize];
            if telling.flight < bound.asked_after {
                continue;
            }
            if telling.version >= bound.read {
                bound.read = telling.version;
                bound.read_at = telling.at;
            }
            bound.since = telling.at.tick;
            if telling.part == Part::Profile {
                let learnt = &mut self.learnt[telling.contact];
                *learnt = telling.version.max(*learnt);
            }
        }
        self.taken_in = wire.told.len();
    }
}
