//! What is counted of deliveries. Labels are names of ours and the events that are known.

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

/// DeliveryMetrics deliveries.
#[derive(Debug, Default)]
pub(super) struct DeliveryMetrics(Family<DeliveryLabels, Counter>);

impl DeliveryMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "webhooks",
            "Deliveries of Engage's webhooks, by event and by what became of them",
            self.0.clone(),
        );
    }

    pub(super) fn ended(&self, event: &'static str, outcome: &'static str) {
        self.0
            .get_or_create(&DeliveryLabels { event, outcome })
            .inc();
    }
}
