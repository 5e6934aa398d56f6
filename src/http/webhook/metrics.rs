//! The metrics of deliveries. Labels are outcomes and known events, never text of a sender's.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DeliveryLabels {
    event: &'static str,
    outcome: &'static str,
}

/// Counts deliveries by event and outcome.
#[derive(Debug, Default)]
pub(super) struct DeliveryMetrics(Family<DeliveryLabels, Counter>);

impl DeliveryMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "webhooks",
            "Deliveries of Engage's webhooks, by event and outcome",
            self.0.clone(),
        );
    }

    pub(super) fn count(&self, event: &'static str, outcome: &'static str) {
        self.0
            .get_or_create(&DeliveryLabels { event, outcome })
            .inc();
    }
}
