//! Metrics of calls to Engage. Labels are fixed names: an identifier or a value from Engage is never a label.

use std::time::Duration;

use super::{
    error::Error,
    group::{Group, GroupMap},
};
use crate::metrics::{
    Counter, Counters, Histogram, Histograms, Registry, Source,
    catalogue::engage::{
        ENGAGE_BREAKER_OPENINGS, ENGAGE_CALL_DURATION, ENGAGE_CALLS, ENGAGE_CALLS_NOT_MADE,
        ENGAGE_ITEMS_UNREADABLE, ENGAGE_QUEUE_DURATION, ENGAGE_RETRIES,
    },
};

/// Metrics of calls to Engage.
#[derive(Debug)]
pub struct CallMetrics {
    calls: Counters,
    durations: Histograms,
    duration_of: GroupMap<Histogram>,
    queued: Histograms,
    queued_of: GroupMap<Histogram>,
    retries: Counters,
    retries_of: GroupMap<Counter>,
    openings: Counters,
    openings_of: GroupMap<Counter>,
    not_made: Counters,
    unreadable: Counters,
}

impl Default for CallMetrics {
    fn default() -> Self {
        let durations = Histograms::new(&ENGAGE_CALL_DURATION);
        let queued = Histograms::new(&ENGAGE_QUEUE_DURATION);
        let retries = Counters::new(&ENGAGE_RETRIES);
        let openings = Counters::new(&ENGAGE_BREAKER_OPENINGS);
        let groups = Group::ALL.map(Group::as_str);
        Self {
            calls: Counters::new(&ENGAGE_CALLS),
            duration_of: durations.each(&[], groups).into(),
            durations,
            queued_of: queued.each(&[], groups).into(),
            queued,
            retries_of: retries.each(&[], groups).into(),
            retries,
            openings_of: openings.each(&[], groups).into(),
            openings,
            not_made: Counters::new(&ENGAGE_CALLS_NOT_MADE),
            unreadable: Counters::new(&ENGAGE_ITEMS_UNREADABLE),
        }
    }
}

impl Source for CallMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.calls.clone());
        registry.add(self.durations.clone());
        registry.add(self.queued.clone());
        registry.add(self.retries.clone());
        registry.add(self.openings.clone());
        registry.add(self.not_made.clone());
        registry.add(self.unreadable.clone());
    }
}

impl CallMetrics {
    pub(super) fn ended(&self, group: Group, error: Option<&Error>, took: Duration) {
        let outcome = error.map_or("ok", Error::kind);
        self.calls.of(&[group.as_str(), outcome]).inc();
        self.duration_of[group].observe(took);
    }

    /// Counts a call that is admitted after waiting this long for the rate limit or a permit.
    pub(super) fn admitted(&self, group: Group, waited: Duration) {
        self.queued_of[group].observe(waited);
    }

    pub(super) fn retried(&self, group: Group) {
        self.retries_of[group].inc();
    }

    pub(super) fn opened(&self, group: Group) {
        self.openings_of[group].inc();
    }

    pub(super) fn not_made(&self, error: &Error) {
        self.not_made.of(&[error.kind()]).inc();
    }

    pub(super) fn left_out(&self, part: &'static str, count: usize) {
        self.unreadable.of(&[part]).inc_by(count as u64);
    }
}
