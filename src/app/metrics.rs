//! The metrics of `/metrics`: those of every module, and gauges that are read at the scrape.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use crate::{
    cache::feed::FeedStatus,
    clock::{Now, Tick},
    customer::CustomerService,
    engage::{Admission, AdmissionSnapshot, BreakerState},
    metrics::{
        Registry, Source,
        catalogue::{
            cache::{
                CACHE_ALIASES, CACHE_COMPRESSION_INPUT, CACHE_COMPRESSION_OUTPUT, CACHE_ENABLED,
                CACHE_EVICTIONS, CACHE_FAILURES, CACHE_HISTORIES, CACHE_HISTORY_BYTES,
                CACHE_MAX_BYTES, CACHE_NEGATIVES, CACHE_RECORD_BYTES, CACHE_RECORD_MAX_BYTES,
                CACHE_RECORDS, UNIQUE_IDENTIFIER_CONFLICTS,
            },
            engage::{
                ENGAGE_BREAKER_STATE, ENGAGE_BUDGET_BURST, ENGAGE_BUDGET_RATE,
                ENGAGE_BUDGET_REPLICAS, ENGAGE_BUDGET_SHARED, ENGAGE_CONCURRENCY_LIMIT,
                ENGAGE_IN_FLIGHT, ENGAGE_PAUSED, ENGAGE_POINT_DEFINITIONS_READ, ENGAGE_QUEUED,
                ENGAGE_TOKENS,
            },
            listeners::{WEBHOOK_FEED_STATE, WEBHOOK_LAST_TAKEN},
        },
    },
};

/// A registry of all metrics.
pub(super) fn registry(sources: &[&dyn Source]) -> Registry {
    let mut registry = Registry::default();
    for source in sources {
        source.register(&mut registry);
    }
    registry
}

/// The values that are read at the scrape.
#[derive(Clone)]
pub(super) struct Gauges {
    pub(super) admission: Admission,
    pub(super) customers: CustomerService,
    /// Whether the names of points are read from Engage.
    pub(super) has_point_names: bool,
}

impl Source for Gauges {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.clone());
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let admission = self.admission.snapshot();
        encode_admission(&admission, &mut encoder)?;
        encode_breakers(&admission, &mut encoder)?;
        self.encode_cache(&mut encoder)?;
        self.encode_feed(&mut encoder)?;
        self.encode_conflicts(&mut encoder)?;
        self.encode_definitions(&mut encoder)
    }
}

impl Gauges {
    fn encode_cache(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.customers.stats();
        let counts = stats.counts;
        for (family, value) in [
            (&CACHE_ENABLED, u64::from(self.customers.cache_is_on())),
            (&CACHE_RECORDS, counts.records),
            (&CACHE_RECORD_BYTES, counts.record_bytes),
            (&CACHE_RECORD_MAX_BYTES, stats.records_max_bytes),
            (&CACHE_MAX_BYTES, stats.max_bytes),
            (&CACHE_ALIASES, counts.aliases),
            (&CACHE_NEGATIVES, counts.negatives),
            (&CACHE_FAILURES, counts.failures),
            (&CACHE_HISTORIES, counts.histories),
            (&CACHE_HISTORY_BYTES, counts.history_bytes),
        ] {
            family.write_value(encoder, value)?;
        }
        let evictions = self.customers.evictions();
        let evictions = [(["size"], evictions.size), (["expired"], evictions.expired)];
        CACHE_EVICTIONS.write_each(encoder, evictions)?;
        let (input, output) = self.customers.compressed_bytes();
        CACHE_COMPRESSION_INPUT.write_value(encoder, input)?;
        CACHE_COMPRESSION_OUTPUT.write_value(encoder, output)
    }

    /// For each unique kind, how often an identifier turned out to belong to two contacts; writes nothing if no kind is
    /// configured as unique.
    fn encode_conflicts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let conflicts = self.customers.alias_conflicts();
        if conflicts.is_empty() {
            return Ok(());
        }
        let conflicts = conflicts
            .iter()
            .map(|(kind, total)| ([kind.as_str()], *total));
        UNIQUE_IDENTIFIER_CONFLICTS.write_each(encoder, conflicts)
    }

    /// When the point definitions were read; writes nothing unless `engage.point_names` is on.
    fn encode_definitions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if !self.has_point_names {
            return Ok(());
        }
        let now = self.customers.clock().now();
        let read = self
            .customers
            .point_definitions_age()
            .map(|age| now.tick - age);
        ENGAGE_POINT_DEFINITIONS_READ.write_value(encoder, timestamp(read, now))
    }

    /// The state of the webhook feed, if webhooks are configured.
    fn encode_feed(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(feed) = self.customers.feed() else {
            return Ok(());
        };
        let now = self.customers.clock().now();
        let status = feed.status(now.tick);
        let rows = FeedStatus::ALL.map(|state| ([state.as_str()], u32::from(state == status)));
        WEBHOOK_FEED_STATE.write_each(encoder, rows)?;
        WEBHOOK_LAST_TAKEN.write_value(encoder, timestamp(feed.last_received(), now))
    }
}

/// Seconds since 1970; 0 for something that has not happened.
fn timestamp(at: Option<Tick>, now: Now) -> f64 {
    let Some(at) = at else {
        return 0.0;
    };
    let wall = now.wall.as_duration().as_secs_f64() - now.tick.since(at).as_secs_f64();
    // Rounded to milliseconds, because the difference of two clocks contains some noise.
    (wall * 1000.0).round() / 1000.0
}

/// The calls in flight and waiting, and the limits.
fn encode_admission(
    admission: &AdmissionSnapshot,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let paused_for = admission.paused_for.unwrap_or_default().as_secs_f64();
    ENGAGE_IN_FLIGHT.write_value(encoder, admission.in_flight)?;
    ENGAGE_QUEUED.write_value(encoder, admission.queued)?;
    ENGAGE_PAUSED.write_value(encoder, paused_for)?;
    ENGAGE_BUDGET_RATE.write_value(encoder, admission.rate)?;
    ENGAGE_BUDGET_BURST.write_value(encoder, admission.burst)?;
    ENGAGE_CONCURRENCY_LIMIT.write_value(encoder, admission.max_concurrency)?;
    let Some(budget) = &admission.shared_budget else {
        return Ok(());
    };
    ENGAGE_BUDGET_SHARED.write_value(encoder, u32::from(budget.is_shared))?;
    ENGAGE_BUDGET_REPLICAS.write_value(encoder, budget.replicas)?;
    let tokens = budget.tokens;
    let tokens = [
        (["leased"], tokens.leased),
        (["used"], tokens.used),
        (["returned"], tokens.returned),
        (["lapsed"], tokens.lapsed),
    ];
    ENGAGE_TOKENS.write_each(encoder, tokens)
}

/// The state of each circuit breaker.
fn encode_breakers(
    admission: &AdmissionSnapshot,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let states = admission.breakers.iter().map(|(group, state, _)| {
        let value: u32 = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        ([group.as_str()], value)
    });
    ENGAGE_BREAKER_STATE.write_each(encoder, states)
}
