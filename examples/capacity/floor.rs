//! The floor: the calls that the same requests cost a cache that knows every identifier of a contact once it has the
//! profile, keeps each part for its whole lifetime and makes no call before a request needs it.

use std::{collections::HashMap, time::Duration};

use engage_bff::{
    cache::freshness::Policy,
    domain::{Part, PartMap, PartSet},
    engage::Group,
};

use crate::engage::Calls;

/// A contact's part.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Until when it is cached.
    fresh_until: Duration,
    /// Until when the overview may not show its last change.
    lags_until: Duration,
}

/// Counts the calls. All times are since the shop opened.
pub(crate) struct Floor {
    lifetimes: PartMap<Duration>,
    overview_lag: Duration,
    overview_parts: PartSet,
    contacts: HashMap<u32, PartMap<State>>,
    calls: Calls,
}

impl Floor {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            lifetimes: PartMap::from_fn(|part| policy.lifetime(part)),
            overview_lag: policy.overview_lag,
            overview_parts: policy.overview_parts,
            contacts: HashMap::new(),
            calls: Calls::default(),
        }
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Calls {
        self.calls
    }

    /// A request for parts of a contact, some of them fresh: one overview for all that has expired, and a call for each
    /// part that is requested fresh, or that the overview lacks or may show outdated.
    pub(crate) fn ask(&mut self, contact: u32, requested: PartSet, fresh: PartSet, now: Duration) {
        let parts = self.contacts.entry(contact).or_default();
        let is_missing = |part: &Part| parts[*part].fresh_until <= now;
        let missing: PartSet = requested.without(fresh).iter().filter(is_missing).collect();
        let may_lag = |part: &Part| now < parts[*part].lags_until;
        let lagging: PartSet = self.overview_parts.iter().filter(may_lag).collect();
        let shown = self.overview_parts.without(lagging);
        if !missing.intersection(shown).is_empty() {
            self.calls[Group::Overview as usize] += 1;
            for part in shown.iter() {
                parts[part].fresh_until = now + self.lifetimes[part];
            }
        }
        for part in missing.without(shown).union(fresh).iter() {
            self.calls[entity_group(part) as usize] += 1;
            parts[part].fresh_until = now + self.lifetimes[part];
        }
    }

    /// A webhook reported a change of the parts.
    pub(crate) fn change(&mut self, contact: u32, changed: PartSet, now: Duration) {
        let Some(parts) = self.contacts.get_mut(&contact) else {
            return;
        };
        for part in changed.iter() {
            parts[part] = State {
                fresh_until: now,
                lags_until: now + self.overview_lag,
            };
        }
    }
}

/// The endpoint that returns the part alone.
fn entity_group(part: Part) -> Group {
    match part {
        Part::Profile => Group::Contacts,
        Part::Promotions => Group::Promotions,
        Part::Vouchers => Group::Vouchers,
        Part::Points => Group::Points,
        Part::Audiences => Group::Overview,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Setting;

    const MINUTE: Duration = Duration::from_secs(60);

    fn floor() -> Floor {
        let setting = Setting::an_hour().expect("a valid configuration");
        Floor::new(&engage_bff::app::policy(&setting.config))
    }

    #[test]
    fn contact_costs_one_overview_for_each_lifetime() {
        let mut floor = floor();
        for minutes in [0, 30, 59, 60, 100] {
            floor.ask(1, PartSet::ALL, PartSet::EMPTY, MINUTE * minutes);
        }
        assert_eq!(floor.calls(), [2, 0, 0, 0, 2]);
        floor.ask(2, PartSet::ALWAYS, PartSet::EMPTY, MINUTE);
        assert_eq!(floor.calls(), [3, 0, 0, 0, 2]);
    }

    #[test]
    fn fresh_and_changed_parts_cost_a_call_each() {
        let mut floor = floor();
        let points = PartSet::from(Part::Points);
        floor.ask(1, PartSet::ALL, points, Duration::ZERO);
        assert_eq!(floor.calls(), [1, 0, 0, 0, 1]);
        floor.change(1, points.union(Part::Profile.into()), MINUTE);
        floor.ask(1, PartSet::ALWAYS, PartSet::EMPTY, MINUTE * 2);
        floor.ask(1, PartSet::ALL, PartSet::EMPTY, MINUTE * 3);
        assert_eq!(floor.calls(), [1, 1, 0, 0, 2]);
        // Past the lag the overview shows the change.
        floor.change(1, Part::Profile.into(), MINUTE * 4);
        floor.ask(1, PartSet::ALWAYS, PartSet::EMPTY, MINUTE * 15);
        assert_eq!(floor.calls(), [2, 1, 0, 0, 2]);
    }
}
