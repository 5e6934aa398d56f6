//! Metrics of the customers that are served: each part, its outcome, and its age. Counting a hit takes no look-up and
//! no lock.

use super::{CustomerService, FoundHistory, Shape, found::Found, reasons::PartOutcome};
use crate::{
    cache::parts::Origins,
    clock::Tick,
    domain::{Part, PartMap, PartSet},
    metrics::{
        Counter, Counters, Histogram, Histograms, Placed, Registry, Source,
        catalogue::customers::{CUSTOMER_DEGRADED, PART_AGE, PARTS_SERVED},
    },
};

/// Metrics of the customers that are served.
#[derive(Debug)]
pub(super) struct ServedMetrics {
    parts: Counters,
    part_of: PartMap<[Counter; PartOutcome::COUNT]>,
    ages: Histograms,
    age_of: PartMap<Histogram>,
    degraded: Counter,
}

impl Default for ServedMetrics {
    fn default() -> Self {
        let parts = Counters::new(&PARTS_SERVED);
        let ages = Histograms::new(&PART_AGE);
        let outcomes = PartOutcome::ALL.map(PartOutcome::as_str);
        Self {
            part_of: PartMap::from_fn(|part| parts.each(&[part.as_str()], outcomes)),
            parts,
            age_of: ages.each(&[], Part::ALL.map(Part::as_str)).into(),
            ages,
            degraded: Counter::default(),
        }
    }
}

impl Source for ServedMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.parts.clone());
        registry.add(self.ages.clone());
        registry.add_single(&CUSTOMER_DEGRADED, &self.degraded);
    }
}

impl Source for CustomerService {
    fn register(&self, registry: &mut Registry) {
        self.inner.served.register(registry);
        self.inner.invalidations.register(registry);
    }
}

impl CustomerService {
    /// Counts a response about the customer to a request that arrived at `arrived`.
    pub fn count_served(&self, found: &Found, history: Option<&FoundHistory>, arrived: Tick) {
        let is_degraded = history.is_some_and(FoundHistory::is_degraded);
        self.inner.served.count(found, is_degraded, arrived);
    }

    /// Counts a response without a customer.
    pub fn count_guest(&self, shape: &Shape) {
        self.inner.served.count_guest(shape.requested);
    }
}

impl ServedMetrics {
    /// Counts a response about the customer to a request that arrived at `arrived`. `is_degraded`: the response is
    /// degraded in something other than these parts.
    fn count(&self, found: &Found, is_degraded: bool, arrived: Tick) {
        // The parts of one overview are of the same age.
        let mut latest: Option<(Tick, Placed)> = None;
        for (part, outcome) in found.outcomes.iter() {
            let Some(outcome) = outcome else {
                continue;
            };
            self.part_of[part][*outcome as usize].inc();
            if found.shown.contains(part)
                && let Some(provenance) = found.record.provenance(part)
            {
                let age = match latest {
                    Some((requested_at, age)) if requested_at == provenance.requested_at => age,
                    _ => self.age_of[part].place(provenance.age(arrived)),
                };
                latest = Some((provenance.requested_at, age));
                self.age_of[part].count(age);
            }
        }
        if is_degraded || !found.degraded.is_empty() {
            self.degraded.inc();
        }
    }

    /// Counts a response without a customer, in which all these parts are missing.
    fn count_guest(&self, requested: PartSet) {
        for part in requested.iter() {
            self.part_of[part][PartOutcome::Missing as usize].inc();
        }
        self.degraded.inc();
    }
}
