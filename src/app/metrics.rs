//! The metrics of `/metrics`: the counters of every module, and gauges read at the scrape.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use crate::{
    cache::feed::FeedStatus,
    customer::CustomerService,
    engage::{Admission, AdmissionSnapshot, BreakerState, CallMetrics},
    http::{Authenticator, ConnectionMetrics, RequestMetrics, WebhookReceiver},
    shared_tier::SharedTier,
    telemetry::Dropped,
};

/// A registry of all metrics, whose names begin with `engage_bff_`.
pub(super) fn registry(
    traffic: &CallMetrics,
    requests: &RequestMetrics,
    connections: &ConnectionMetrics,
    authenticator: &Authenticator,
    webhooks: Option<&WebhookReceiver>,
    shared: Option<&SharedTier>,
    gauges: Gauges,
) -> Registry {
    let mut registry = Registry::with_prefix("engage_bff");
    traffic.register(&mut registry);
    requests.register(&mut registry);
    connections.register(&mut registry);
    if let Some(webhooks) = webhooks {
        webhooks.register(&mut registry);
    }
    authenticator.register(&mut registry);
    if let Some(shared) = shared {
        shared.register(&mut registry);
    }
    registry.register_collector(Box::new(gauges));
    registry
}

/// What is read at the scrape.
pub(super) struct Gauges {
    pub(super) admission: Admission,
    pub(super) customers: CustomerService,
}

impl Gauges {
    /// The gauges without labels.
    fn encode_values(
        &self,
        admission: &AdmissionSnapshot,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> Result<(), fmt::Error> {
        let counts = self.customers.counts();
        let paused_for = admission.paused_for.unwrap_or_default().as_secs_f64();
        for (name, help, value) in [
            (
                "engage_in_flight",
                "Calls to Engage in flight",
                count(admission.in_flight),
            ),
            (
                "engage_queued",
                "Calls to Engage that wait for the call budget",
                count(admission.queued),
            ),
            (
                "engage_paused_seconds",
                "Seconds for which a 429 still pauses all calls to Engage",
                paused_for,
            ),
            (
                "cache_enabled",
                "Whether the cache is in use: 0 if an operator switched it off",
                count(u64::from(self.customers.cache_is_on())),
            ),
            ("cache_records", "Cached contacts", count(counts.records)),
            (
                "cache_record_bytes",
                "Estimated bytes of the cached contacts",
                count(counts.record_bytes),
            ),
            (
                "cache_names",
                "Cached identifiers that lead to a contact",
                count(counts.aliases),
            ),
            (
                "cache_negatives",
                "Cached identifiers that lead to no single contact",
                count(counts.negatives),
            ),
            (
                "cache_failures",
                "Failed calls in back-off",
                count(counts.failures),
            ),
            (
                "cache_histories",
                "Cached parts of contacts' histories",
                count(counts.histories),
            ),
            (
                "cache_history_bytes",
                "Estimated bytes of the cached parts of contacts' histories",
                count(counts.history_bytes),
            ),
        ] {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        Ok(())
    }

    /// Identifiers of unique kinds that belong to two contacts, if there are such kinds.
    fn encode_conflicts(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let conflicts = self.customers.alias_conflicts();
        if conflicts.is_empty() {
            return Ok(());
        }
        let mut counters = encoder.encode_descriptor(
            "unique_identifier_conflicts",
            "Identifiers of a kind that is configured as unique that two contacts had, by kind",
            None,
            MetricType::Counter,
        )?;
        for (kind, total) in conflicts {
            let labels = [("kind", kind.as_str())];
            ConstCounter::new(total).encode(counters.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// The age of the point definitions, if they were read.
    fn encode_definitions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(age) = self.customers.point_definitions_age() else {
            return Ok(());
        };
        let gauge = encoder.encode_descriptor(
            "engage_point_definitions_age_seconds",
            "Seconds since the names of points were read from Engage",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(age.as_secs_f64()).encode(gauge)
    }

    /// The events that the log dropped.
    fn encode_dropped(encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut counters = encoder.encode_descriptor(
            "log_events_dropped",
            "Log events that were not written: the output was not read in time, or unauthenticated callers caused too many",
            None,
            MetricType::Counter,
        )?;
        for dropped in Dropped::ALL {
            let labels = [("log", dropped.as_str())];
            ConstCounter::new(dropped.total()).encode(counters.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// The state of the webhook feed, if webhooks are configured.
    fn encode_feed(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(feed) = self.customers.feed() else {
            return Ok(());
        };
        let now = self.customers.clock().now().tick;
        let status = feed.status(now);
        let mut gauges = encoder.encode_descriptor(
            "webhook_feed_state",
            "State of the webhook feed: 1 for the current state, 0 for the others",
            None,
            MetricType::Gauge,
        )?;
        for state in FeedStatus::ALL {
            let labels = [("state", state.as_str())];
            let value = i64::from(state == status);
            ConstGauge::new(value).encode(gauges.encode_family(&labels)?)?;
        }
        if let Some(last) = feed.last_received() {
            let age = now.since(last).as_secs_f64();
            let gauge = encoder.encode_descriptor(
                "webhook_last_taken_seconds",
                "Seconds since the last webhook was accepted",
                None,
                MetricType::Gauge,
            )?;
            ConstGauge::new(age).encode(gauge)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let admission = self.admission.snapshot();
        self.encode_values(&admission, &mut encoder)?;
        self.encode_feed(&mut encoder)?;
        self.encode_conflicts(&mut encoder)?;
        self.encode_definitions(&mut encoder)?;
        Self::encode_dropped(&mut encoder)?;
        encode_budget(&admission, &mut encoder)?;
        encode_breakers(&admission, &mut encoder)
    }
}

/// The state of a call budget that replicas share, if they do.
fn encode_budget(
    admission: &AdmissionSnapshot,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let Some(budget) = &admission.shared_budget else {
        return Ok(());
    };
    for (name, help, value) in [
        (
            "engage_budget_shared",
            "Whether calls to Engage use the budget that replicas share: 0 if this replica calls within its own share",
            u64::from(budget.is_shared),
        ),
        (
            "engage_budget_replicas",
            "Replicas that share the budget of calls to Engage, as far as this one knows",
            u64::from(budget.replicas),
        ),
    ] {
        let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(count(value)).encode(gauge)?;
    }
    let mut counters = encoder.encode_descriptor(
        "engage_tokens",
        "Tokens of the shared budget of calls to Engage, by what became of them",
        None,
        MetricType::Counter,
    )?;
    let tokens = budget.tokens;
    for (outcome, total) in [
        ("leased", tokens.leased),
        ("used", tokens.used),
        ("returned", tokens.returned),
        ("lapsed", tokens.lapsed),
    ] {
        let labels = [("outcome", outcome)];
        ConstCounter::new(total).encode(counters.encode_family(&labels)?)?;
    }
    Ok(())
}

/// The state of each circuit breaker.
fn encode_breakers(
    admission: &AdmissionSnapshot,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let mut breakers = encoder.encode_descriptor(
        "engage_breaker_state",
        "State of the circuit breaker of a group of endpoints: 0 closed, 1 half open, 2 open",
        None,
        MetricType::Gauge,
    )?;
    for (group, state, _) in &admission.breakers {
        let value: i64 = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        let labels = [("group", group.as_str())];
        ConstGauge::new(value).encode(breakers.encode_family(&labels)?)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
fn count(value: impl TryInto<u64>) -> f64 {
    value.try_into().unwrap_or(u64::MAX) as f64
}
