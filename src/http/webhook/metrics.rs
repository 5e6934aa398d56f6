//! Metrics of deliveries. Labels are outcomes and known events, never text of a sender's.

use crate::metrics::{Counters, Registry, Source, catalogue::listeners::WEBHOOKS};

/// Counts deliveries by event and outcome.
#[derive(Debug)]
pub(super) struct DeliveryMetrics(Counters);

impl Default for DeliveryMetrics {
    fn default() -> Self {
        Self(Counters::new(&WEBHOOKS))
    }
}

impl Source for DeliveryMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.0.clone());
    }
}

impl DeliveryMetrics {
    pub(super) fn count(&self, event: &'static str, outcome: &'static str) {
        self.0.of(&[event, outcome]).inc();
    }
}
