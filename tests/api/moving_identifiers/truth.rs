//! The truth: which contact had which identifier at what time, and what was invalidated or shown since.

use std::{cell::Cell, collections::HashMap, rc::Rc, time::Duration};

use engage_bff::customer::{FetchSource, Found};
use jiff::Timestamp;

use super::{
    Outcome,
    people::{Slot, State, Target, Wanted, value_of},
};
use crate::harness::START;

/// A moment: the time since the start, and the position among the events, several of which may have the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    place: usize,
}

/// The present moment, shared with the look-ups.
#[derive(Clone, Default)]
pub(crate) struct Time(Rc<Cell<Moment>>);

impl Time {
    pub(crate) fn now(&self) -> Moment {
        self.0.get()
    }

    /// Marks an event.
    pub(crate) fn mark(&self) -> Moment {
        let mut now = self.now();
        now.place += 1;
        self.0.set(now);
        now
    }

    fn advance(&self, by: Duration) {
        let mut now = self.now();
        now.at += by;
        self.0.set(now);
    }
}

/// A contact's profile, as requested at this moment, showed an identifier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    slot: Slot,
    requested_at: Duration,
    /// Whether it came from the entity endpoint, which does not lag.
    by_entity: bool,
}

impl Claim {
    /// What the profile of a response shows. It does not contain national ids.
    pub(crate) fn of(found: &Found) -> Vec<Self> {
        let parts = found.record.parts().expect("an undamaged record");
        let profile = parts.profile.expect("a profile");
        let start: Timestamp = START.parse().expect("a time");
        let since_start = profile.provenance.as_of.duration_since(start);
        let requested_at = Duration::try_from(since_start).expect("after the start");
        let by_entity = profile.provenance.source == FetchSource::Entity;
        let profile = &profile.data;
        let Some(contact_type) = profile.identity.contact_type.only() else {
            return Vec::new();
        };
        let fields = [
            &profile.email,
            &profile.mobile_phone,
            &profile.member_number,
        ];
        let claim = |(kind, text): (usize, &Option<Box<str>>)| {
            let slot = Slot {
                kind,
                value: value_of(kind, text.as_deref()?)?,
                is_member: contact_type.folded() == "member",
            };
            Some(Self {
                slot,
                requested_at,
                by_entity,
            })
        };
        fields.into_iter().enumerate().filter_map(claim).collect()
    }
}

/// The least time for which a profile is fresh: lifetimes are shortened at random.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(54);

/// The state of a contact from a moment on.
type Since = (Moment, State);

pub(crate) struct Truth {
    time: Time,
    /// The states of each contact, the present one last.
    histories: Vec<Vec<Since>>,
    /// When each contact was invalidated.
    invalidated: Vec<Vec<Moment>>,
    /// When the newest profile of a contact that showed an identifier was requested: any profile, and one without a
    /// lag.
    shown: HashMap<Slot, HashMap<usize, [Duration; 2]>>,
    window: Duration,
    lag: Duration,
}

impl Truth {
    pub(crate) fn new(states: &[State], window: Duration, lag: Duration) -> Self {
        Self {
            time: Time::default(),
            histories: states
                .iter()
                .map(|state| vec![(Moment::default(), *state)])
                .collect(),
            invalidated: vec![Vec::new(); states.len()],
            shown: HashMap::new(),
            window,
            lag,
        }
    }

    pub(crate) fn time(&self) -> Time {
        self.time.clone()
    }

    /// Lets time pass. Forgets what is too old to matter.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.time.advance(by);
        let oldest = self
            .time
            .now()
            .at
            .saturating_sub(2 * (self.window + self.lag));
        for history in &mut self.histories {
            let ended = history[1..]
                .iter()
                .take_while(|(since, _)| since.at < oldest)
                .count();
            history.drain(..ended);
        }
    }

    pub(crate) fn note_state(&mut self, states: &[State]) {
        let now = self.time.mark();
        for (history, state) in self.histories.iter_mut().zip(states) {
            if history.last().is_none_or(|(_, last)| last != state) {
                history.push((now, *state));
            }
        }
    }

    /// Records that the service acknowledged a change of a contact.
    pub(crate) fn note_invalidated(&mut self, person: usize) {
        let now = self.time.mark();
        self.invalidated[person].push(now);
    }

    /// Records that the service answered with a contact's profile.
    pub(crate) fn note_shown(&mut self, person: usize, claims: &[Claim]) {
        for claim in claims {
            let shown = self.shown.entry(claim.slot).or_default();
            let newest = shown.entry(person).or_default();
            newest[0] = newest[0].max(claim.requested_at);
            if claim.by_entity {
                newest[1] = newest[1].max(claim.requested_at);
            }
        }
    }

    /// Whether an answer about this contact is right.
    pub(crate) fn check(
        &self,
        wanted: &Wanted,
        person: usize,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let slot = match wanted.target {
            Target::Contact(asked) if asked == person => return Ok(()),
            Target::Contact(asked) => return Err(format!("{asked} is answered with {person}")),
            Target::Value(slot) => slot,
        };
        let Outcome { began, ended, .. } = *outcome;
        let mut invalidated = self.invalidated[person].iter().rev();
        let invalidated = invalidated.find(|at| **at < began).copied();
        let invalidated = invalidated.unwrap_or_default();
        let shown = self.shown.get(&slot).into_iter().flatten();
        let shown = shown.filter(|(other, _)| **other != person);
        // While the contact that showed it is certainly cached, lagging data is not trusted.
        let is_cached = |at: Duration| at + SHORTEST_LIFETIME > began.at;
        let since_shown = |[any, by_entity]: &[Duration; 2]| {
            let by_entity = Some(*by_entity).filter(|at| is_cached(*at));
            by_entity
                .unwrap_or_default()
                .max(any.saturating_sub(self.lag))
        };
        let shown = shown.map(|(_, at)| since_shown(at)).max();
        let windows = began.at.saturating_sub(self.window + self.lag);
        for (since, why) in [
            (windows, "within the windows and the lag"),
            (shown.unwrap_or_default(), "since another contact showed it"),
            (invalidated.at, "since it was last invalidated"),
            (
                if wanted.is_fresh { began.at } else { windows },
                "since the fresh request",
            ),
        ] {
            if !self.had(person, slot, since, invalidated, ended) {
                let history = &self.histories[person];
                return Err(format!(
                    "{wanted:?} at {began:?} is answered with {person}, which did not have it {why} ({since:?}, \
                     {invalidated:?}): {history:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether the contact had the identifier at any time between `since` and `until`, and after the event `after`.
    fn had(
        &self,
        person: usize,
        slot: Slot,
        since: Duration,
        after: Moment,
        until: Moment,
    ) -> bool {
        let history = &self.histories[person];
        (0..history.len()).any(|place| {
            let (from, state) = &history[place];
            let to = history.get(place + 1).map(|(to, _)| to);
            let ended = to.is_some_and(|to| to.at < since || *to < after);
            state.has(slot) && *from <= until && !ended
        })
    }
}
