//! Determines which versions a replica may serve.

use std::{collections::HashMap, time::Duration};

use engage_bff::{clock::Tick, domain::Part};
use proptest::test_runner::TestCaseError;

use crate::{
    engage::{CONTACTS, Engage, PARTS, Version},
    replicas::{FALLBACK, LIFETIME, OVERVIEW_LAG},
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

/// The time that a replica may need to find the tier again after a fault.
pub(crate) const RECOVERY: Duration = Duration::from_secs(10);
/// After the tier fails, a replica makes no calls until its share of the call budget is no longer lent: up to 0.3 s,
/// and a wide margin.
pub(crate) const BUDGET_PAUSE: Duration = Duration::from_secs(3);
/// A replica that can't read the stream for this long distrusts its memory: 2 s, the interval of a heartbeat, and a
/// margin.
const DISTRUST: Duration = Duration::from_secs(3);

/// The oldest versions that may be served after an invalidation, for each contact and part.
pub(crate) type Floors = [[Version; PARTS.len()]; CONTACTS];

/// How a replica knows about an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    /// It applied the invalidation: for a while only entity endpoints fill what it covered.
    Applied,
    /// It started with an empty memory, and knows what the tier knows about it.
    FromTier,
    /// It dropped its memory; an overview, which may lag, may fill it again.
    Dropped,
}

/// An acknowledged invalidation.
struct Ack {
    at: Tick,
    floors: Floors,
    /// The same if the lagging overview may have filled the part since.
    lagging: Floors,
    /// Whether the tier may have lost the information about which parts only entity endpoints may fill.
    is_lost: bool,
    /// Whether it took effect only at the replica that acknowledged it.
    is_local: bool,
    /// The replicas that must know it, by incarnation.
    reached: HashMap<usize, Knowledge>,
}

/// How the tier's faults affect a replica.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    pub(crate) incarnation: usize,
    /// Since when the tier has not disturbed it; `None` while it does.
    pub(crate) calm_since: Option<Tick>,
    /// Whether it is one of the first replicas, and the tier has never disturbed it.
    pub(crate) was_calm: bool,
    /// Since when it certainly has not been able to read the stream.
    pub(crate) dark_since: Option<Tick>,
}

impl Health {
    /// Whether it certainly reads the stream.
    pub(crate) fn knows_all(&self, now: Tick) -> bool {
        self.calm_since
            .is_some_and(|since| self.was_calm || now.since(since) >= RECOVERY)
    }
}

/// All acknowledged invalidations.
#[derive(Default)]
pub(crate) struct Oracle {
    acks: Vec<Ack>,
    /// Whether a replica owes the tier a wide invalidation. When it is written, which may be at any time, the tier
    /// forgets which parts only entity endpoints may fill.
    forgets: bool,
}

impl Oracle {
    /// Records that a replica acknowledged an invalidation.
    pub(crate) fn acknowledged(
        &mut self,
        engage: &Engage,
        floors: Floors,
        is_local: bool,
        incarnation: usize,
        at: Tick,
    ) {
        let mut lagging = Floors::default();
        for contact in 0..CONTACTS {
            for (index, part) in PARTS.into_iter().enumerate() {
                let shown = engage.version_at(contact, part, at - engage.lag);
                lagging[contact][index] = shown.min(floors[contact][index]);
            }
        }
        self.acks.push(Ack {
            at,
            floors,
            lagging,
            is_lost: false,
            is_local,
            reached: HashMap::from([(incarnation, Knowledge::Applied)]),
        });
    }

    /// Records that all tasks are idle: if the replica can read the stream, it has read it.
    pub(crate) fn spread(&mut self, health: &Health, now: Tick) {
        if !health.knows_all(now) {
            return;
        }
        for ack in self.acks.iter_mut().filter(|ack| !ack.is_local) {
            let was_calm = health.calm_since.is_some_and(|since| since <= ack.at);
            let knowledge = if was_calm {
                Knowledge::Applied
            } else {
                Knowledge::Dropped
            };
            ack.reached.entry(health.incarnation).or_insert(knowledge);
        }
    }

    /// Records that a replica started with an empty memory: the data that it finds in the tier must not be older than
    /// any invalidation.
    pub(crate) fn started(&mut self, incarnation: usize, has_tier: bool) {
        let knowledge = if has_tier {
            Knowledge::FromTier
        } else {
            Knowledge::Dropped
        };
        for ack in self.acks.iter_mut().filter(|ack| !ack.is_local) {
            ack.reached.insert(incarnation, knowledge);
        }
    }

    /// Records that a wide invalidation has not been written yet, but will be.
    pub(crate) fn owes(&mut self) {
        self.forgets = true;
    }

    /// Records that the tier may have lost its data, or may be unreachable.
    pub(crate) fn lost(&mut self) {
        for ack in &mut self.acks {
            ack.is_lost = true;
        }
    }

    /// The oldest versions that the replica may serve to a request that it receives now, each with the promise.
    pub(crate) fn floors(
        &self,
        engage: &Engage,
        health: &Health,
        contact: usize,
        now: Tick,
    ) -> [(Version, &'static str); PARTS.len()] {
        let is_dark = health
            .dark_since
            .is_some_and(|since| now.since(since) >= DISTRUST);
        let lifetime = if is_dark { FALLBACK } else { LIFETIME };
        let age = engage.lag + lifetime;
        let mut index = 0;
        PARTS.map(|part| {
            let invalidated = self.acks.iter().filter_map(|ack| {
                let floors = match ack.reached.get(&health.incarnation)? {
                    Knowledge::FromTier if !ack.is_lost && !self.forgets => &ack.floors,
                    Knowledge::Applied => &ack.floors,
                    Knowledge::FromTier | Knowledge::Dropped => &ack.lagging,
                };
                Some(floors[contact][index])
            });
            let invalidated = invalidated.max();
            index += 1;
            let by_age = engage.version_at(contact, part, now - age);
            let promise = if is_dark { "S2" } else { "P2" };
            (by_age, promise).max((invalidated.unwrap_or(0), "S3"))
        })
    }
}

/// The oldest versions that may be served after an invalidation of these parts of a contact.
pub(crate) fn floors_of(engage: &Engage, contact: usize, parts: &[Part]) -> Floors {
    let mut floors = Floors::default();
    for (index, part) in PARTS.into_iter().enumerate() {
        if parts.contains(&part) {
            floors[contact][index] = engage.version(contact, part);
        }
    }
    floors
}

/// The oldest versions that may be served after an invalidation that lets the lagging overview fill every part.
pub(crate) fn lagging_floors(engage: &Engage, contacts: &[usize], now: Tick) -> Floors {
    debug_assert!(engage.lag <= OVERVIEW_LAG);
    let mut floors = Floors::default();
    for contact in contacts {
        for (index, part) in PARTS.into_iter().enumerate() {
            floors[*contact][index] = engage.version_at(*contact, part, now - engage.lag);
        }
    }
    floors
}
