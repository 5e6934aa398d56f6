//! A model of the promises: what the service knows and since when, and which responses it may give.

mod answers;
mod calls;
mod learned;
mod purges;

use std::{collections::HashMap, time::Duration};

use engage_bff::{
    cache::fence::Sequence,
    clock::Tick,
    customer::CustomerQuery,
    domain::{Part, PartMap, PartSet},
};
use proptest::test_runner::TestCaseError;

use crate::{
    exchange::{Mark, Wire},
    ops::Case,
    setup,
    world::{Alias, CONTACTS, Change, Kind, TestLookup, World},
};

/// `Ok` if every promise is kept, otherwise the promise that is broken and how.
pub(crate) type CheckResult = Result<(), TestCaseError>;

/// Fails the case with the name of the broken promise, unless the condition holds.
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
/// The longest back-off of a call that failed.
pub(crate) const MAX_BACK_OFF: Duration = Duration::from_secs(600);
/// How long a 429 pauses calls, and how long calls are spaced out afterwards.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
pub(crate) const REOPENING: Duration = Duration::from_secs(10);
/// `server.request_timeout`.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2500);
/// `engage.timeout`.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A request, and the state when it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) lookup: TestLookup,
    /// The preferred type, for a lookup without a type.
    pub(crate) prefer: Option<Kind>,
    pub(crate) query: CustomerQuery,
    pub(crate) arrival: Mark,
    /// The number of the last change before it arrived.
    pub(crate) change: Change,
    /// Whether the cache was off when it arrived.
    pub(crate) finds_it_off: bool,
}

/// Which data of a contact's part may be served.
#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    /// Only what was fetched after this.
    fetched_after: Mark,
    sequence_after: Sequence,
    /// Only this version or a later one, because an older one was invalidated.
    floor: Change,
    /// Only this version or a later one, because an entity endpoint returned it.
    read: Change,
    /// When it was returned. If two calls began at the same time, either may be the newer.
    read_at: Mark,
    /// When the part was last invalidated, or returned by an entity endpoint.
    since: Tick,
}

/// The service's knowledge, and what follows from it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a plain fact about the case"
)]
pub(crate) struct Model {
    /// The longest lag of the world's overview.
    lag: Duration,
    /// The longest lag that the service expects.
    overview_lag: Duration,
    /// Whether the cache is large enough never to evict.
    remembers: bool,
    knows_custom_key: bool,
    /// Whether aliases are learned.
    learns: bool,
    /// The alarms about identifiers that two contacts share.
    alarms: Vec<learned::Alarm>,
    /// Whether anything was purged, or the cache was off.
    is_disturbed: bool,
    /// Whether the call budget is so small that it may be exhausted, which counts as a fault.
    small_budget: bool,
    bounds: [PartMap<Bound>; CONTACTS],
    /// For each contact, the last change of its identifiers that the service knows.
    learnt: [Change; CONTACTS],
    /// For each purged lookup, the last change before the purge.
    purged: HashMap<TestLookup, Change>,
    /// Purges by identifier, in their order.
    purges: Vec<purges::Purge>,
    /// For each lookup, the contact that it last led to.
    known: HashMap<TestLookup, usize>,
    /// The version of each contact's profile that was last served, while it is certainly cached.
    shown: [Option<Change>; CONTACTS],
    /// When negative entries were last dropped.
    pub(crate) negatives_ended: Mark,
    /// For each lookup, when its own negative entry was last ended.
    negative_ended: HashMap<TestLookup, Mark>,
    /// Since when the cache has been off.
    off_since: Option<Mark>,
    /// When the cache was last switched off or on.
    last_switch: Mark,
    /// When the service last applied an invalidation, a purge or a switch.
    pub(crate) last_notice: Mark,
    /// When the last request arrived.
    pub(crate) last_arrival: Mark,
    /// When the last request for fresh data arrived.
    pub(crate) last_fresh: Mark,
    /// When the world last changed.
    pub(crate) last_change: Mark,
    /// The number of deliveries that have been applied.
    applied: usize,
}

impl Model {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            lag: setup::lag(case),
            overview_lag: Duration::from_secs(case.overview_lag),
            remembers: case.max_bytes >= 1 << 20,
            knows_custom_key: case.knows_custom_key,
            learns: case.learns,
            alarms: Vec::new(),
            is_disturbed: false,
            small_budget: case.small_budget,
            bounds: [PartMap::default(); CONTACTS],
            learnt: [0; CONTACTS],
            purged: HashMap::new(),
            purges: Vec::new(),
            known: HashMap::new(),
            shown: [None; CONTACTS],
            negatives_ended: Mark::default(),
            negative_ended: HashMap::new(),
            off_since: None,
            last_switch: Mark::default(),
            last_notice: Mark::default(),
            last_arrival: Mark::default(),
            last_fresh: Mark::default(),
            last_change: Mark::default(),
            applied: 0,
        }
    }

    /// Records that an invalidation or a purge was acknowledged; `sequence` was taken just before.
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
            self.is_disturbed = true;
            // Its aliases are dropped too.
            self.known.retain(|_, known| *known != contact);
        }
        if parts.contains(Part::Profile) {
            self.learnt[contact] = world.change();
            self.shown[contact] = None;
        }
        self.last_notice = mark;
    }

    /// Records that a report about an identifier that leads to no cached contact was acknowledged.
    pub(crate) fn negative_ended(&mut self, lookup: TestLookup, mark: Mark) {
        self.negative_ended.insert(lookup, mark);
        self.known.remove(&lookup);
        self.last_notice = mark;
    }

    /// When a call by the lookup must have begun, at the earliest, for its negative result to count.
    pub(crate) fn negative_ended_at(&self, lookup: TestLookup) -> Mark {
        self.negative_ended
            .get(&lookup)
            .copied()
            .unwrap_or_default()
            .max(self.negatives_ended)
    }

    /// Records that a purge of everything was acknowledged. The overview may still lag.
    pub(crate) fn everything_purged(&mut self, world: &World, sequence: Sequence, mark: Mark) {
        self.is_disturbed = true;
        let lagging = world.as_of(mark.tick - self.lag);
        for contact in 0..CONTACTS {
            for part in Part::ALL {
                self.raise(world, contact, part, lagging, sequence, mark);
            }
        }
        self.known.clear();
        self.shown = [None; CONTACTS];
        self.last_notice = mark;
    }

    /// Records that a purge by identifier was acknowledged. It covers the contacts that the service knows to have the
    /// identifier.
    pub(crate) fn purged_by(
        &mut self,
        world: &World,
        wire: &Wire,
        lookup: TestLookup,
        sequence: Sequence,
        mark: Mark,
    ) {
        self.last_notice = mark;
        self.is_disturbed = true;
        let known = if let Alias::Id(contact) = lookup.alias
            && lookup.kind.is_none()
        {
            Some(contact)
        } else {
            let known = self.known.remove(&lookup);
            known.filter(|known| !self.may_be_learned_anew(world, wire, lookup, *known))
        };
        let held = (0..CONTACTS).filter(|contact| {
            let shown = self.shown[*contact];
            let still_has = |shown| world.has_had_since(*contact, lookup, shown);
            shown.is_some_and(still_has)
        });
        let reached: Vec<usize> = known.into_iter().chain(held).collect();
        for contact in reached {
            self.invalidated(world, contact, PartSet::ALL, sequence, mark);
        }
        // Contacts of other types that have the identifier may be dropped too.
        let of_any_type = TestLookup {
            kind: None,
            ..lookup
        };
        for contact in world.now().owners(of_any_type) {
            self.shown[contact] = None;
            self.known.retain(|_, known| *known != contact);
        }
        // Engage resolves an id with a type only through the overview, which may lag.
        if !matches!(lookup.alias, Alias::Id(_)) {
            let lookups =
                purges::equivalent_lookups(lookup.alias).map(|lookup| (lookup, world.change()));
            self.purged.extend(lookups);
            self.register(lookup, sequence, mark);
        }
    }

    /// Records that a request was answered: the service now knows the contact and has its profile cached.
    pub(crate) fn answered(&mut self, caller: &Caller, contact: usize, profile: Change) {
        // Data that was fetched while the cache was off was not stored.
        let is_kept = !self.is_off() && self.last_switch < caller.arrival;
        if self.remembers && is_kept {
            if caller.prefer.is_some() {
                // The contact may have been chosen, so no alias leads to it. The profiles of others were read too.
                self.shown = [None; CONTACTS];
            } else {
                self.known.insert(caller.lookup, contact);
            }
            self.shown[contact] = Some(profile);
        }
    }

    /// The longest lag that the service expects.
    pub(crate) fn overview_lag(&self) -> Duration {
        self.overview_lag
    }

    /// Whether the cache is off.
    pub(crate) fn is_off(&self) -> bool {
        self.off_since.is_some()
    }

    /// Records that the cache was switched off or on.
    pub(crate) fn switched(&mut self, on: bool, mark: Mark) {
        self.off_since = (!on).then_some(mark);
        self.last_switch = mark;
        self.last_notice = mark;
    }

    /// Records that a request was refused: the alias and the profile may have been dropped.
    pub(crate) fn refused(&mut self, caller: &Caller) {
        let lookup = caller.lookup;
        if caller.prefer.is_some() {
            self.shown = [None; CONTACTS];
        }
        if let Some(contact) = self.known.remove(&lookup) {
            self.shown[contact] = None;
        }
        if let Alias::Id(contact) = lookup.alias {
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
        let bound = &mut self.bounds[contact][part];
        let version = world.at(change).contacts[contact].versions[part];
        *bound = Bound {
            fetched_after: mark,
            sequence_after: sequence,
            floor: bound.floor.max(version),
            since: mark.tick,
            ..*bound
        };
    }

    /// Applies the results of entity endpoints after the service has: from then on it must not serve older versions.
    pub(crate) fn apply_reads(&mut self, world: &World, wire: &Wire, whole_pages: bool) {
        for delivery in &wire.deliveries[self.applied..] {
            if delivery.part == Part::Profile && (!delivery.faulty || delivery.is_unreadable) {
                self.apply_purges(world, delivery);
            }
            let in_pages = delivery.part == Part::Vouchers && !whole_pages;
            if !delivery.by_entity || delivery.faulty || !self.remembers || in_pages {
                continue;
            }
            let bound = &mut self.bounds[delivery.contact][delivery.part];
            if delivery.flight < bound.fetched_after {
                continue;
            }
            if delivery.version >= bound.read {
                bound.read = delivery.version;
                bound.read_at = delivery.at;
            }
            bound.since = delivery.at.tick;
            if delivery.part == Part::Profile {
                let learnt = &mut self.learnt[delivery.contact];
                *learnt = delivery.version.max(*learnt);
            }
        }
        self.applied = wire.deliveries.len();
    }
}
