//! Metrics of calls to Engage. Labels are fixed names; no identifier and no value of Engage's is ever one.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{error::Error, group::Group};

/// Bounds of the duration buckets, in seconds: around typical response times, the callers' time-out and the upstream
/// time-out.
const SECONDS: [f64; 10] = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfGroup {
    group: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOutcome {
    group: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfPart {
    part: &'static str,
}

/// Metrics of calls to Engage.
#[derive(Debug)]
pub struct CallMetrics {
    calls: Family<OfOutcome, Counter>,
    durations: Family<OfGroup, Histogram, fn() -> Histogram>,
    retries: Family<OfGroup, Counter>,
    opened: Family<OfGroup, Counter>,
    refused: Family<OfReason, Counter>,
    unreadable: Family<OfPart, Counter>,
}

impl Default for CallMetrics {
    fn default() -> Self {
        let durations: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            calls: Family::default(),
            durations: Family::new_with_constructor(durations),
            retries: Family::default(),
            opened: Family::default(),
            refused: Family::default(),
            unreadable: Family::default(),
        }
    }
}

impl CallMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "engage_calls",
            "Finished calls to Engage, by outcome",
            self.calls.clone(),
        );
        registry.register(
            "engage_call_duration_seconds",
            "Duration of calls to Engage",
            self.durations.clone(),
        );
        registry.register(
            "engage_retries",
            "Retried and repeated calls to Engage",
            self.retries.clone(),
        );
        registry.register(
            "engage_breaker_openings",
            "Openings of the circuit breaker",
            self.opened.clone(),
        );
        registry.register(
            "engage_refused",
            "Calls rejected by admission control, by reason",
            self.refused.clone(),
        );
        registry.register(
            "engage_items_unreadable",
            "Unreadable items left out of Engage's responses, by part",
            self.unreadable.clone(),
        );
    }

    pub(super) fn ended(&self, group: Group, error: Option<&Error>, took: Duration) {
        let group = group.as_str();
        let outcome = error.map_or("ok", Error::kind);
        self.calls
            .get_or_create(&OfOutcome { group, outcome })
            .inc();
        self.durations
            .get_or_create(&OfGroup { group })
            .observe(took.as_secs_f64());
    }

    pub(super) fn retried(&self, group: Group) {
        let group = group.as_str();
        self.retries.get_or_create(&OfGroup { group }).inc();
    }

    pub(super) fn opened(&self, group: Group) {
        let group = group.as_str();
        self.opened.get_or_create(&OfGroup { group }).inc();
    }

    pub(super) fn refused(&self, error: &Error) {
        let reason = error.kind();
        self.refused.get_or_create(&OfReason { reason }).inc();
    }

    pub(super) fn left_out(&self, part: &'static str, count: usize) {
        self.unreadable
            .get_or_create(&OfPart { part })
            .inc_by(count as u64);
    }
}
