//! Everything behind the listeners, built from the configuration.

use std::sync::Arc;

use anyhow::Context;
use jiff::tz::TimeZone;

use super::{
    credentials, metrics,
    reload::{Reloader, Replaceable},
    settings::{
        alias_custom_key, alias_reader, bounds, digester, feed, log_rules, lookup_rules, policy,
        upstream_limits, view_rules,
    },
    shared_budget, traces, upstream,
};
use crate::{
    cache::freshness::Policy,
    clock::Clock,
    config::{self, Config},
    customer::CustomerService,
    domain::{UniqueKinds, aliases::AliasReader, phone::Phone},
    engage::{Admission, CallMetrics, Connections, EngageClient, Reader},
    http::{
        AppState, ConnectionMetrics, Decisions, DeferredWork, Events, OperationsState, Readiness,
        RequestMetrics, WebhookReceiver,
    },
    metrics::{ProcessMetrics, Registry},
    shared_tier::{SharedTier, redis::RedisBackend},
    telemetry,
    traces::{Exporter, Tracer},
};

/// Everything behind the listeners.
pub(super) struct Assembly {
    /// What the data listener serves.
    pub(super) state: AppState,
    /// The metrics of both listeners.
    pub(super) requests: Arc<RequestMetrics>,
    pub(super) connections: ConnectionMetrics,
    calls: Arc<CallMetrics>,
    pub(super) admission: Admission,
    pub(super) reloader: Reloader,
    pub(super) tracer: Tracer,
    pub(super) exporter: Option<Exporter>,
}

impl Assembly {
    /// Builds it over the shared tier, if there is one; `redis` is that tier's backend if a reload can change how it
    /// connects.
    pub(super) fn build(
        config: &Config,
        shared: Option<&SharedTier>,
        redis: Option<Arc<RedisBackend>>,
        clock: &Clock,
    ) -> Result<Self, anyhow::Error> {
        let phone_region = config.phone_region().context("identifiers.phone_region")?;
        // The first use loads the numbering plans, which takes about 100 ms: done in the background, so that neither the
        // start nor the first caller waits for it.
        tokio::task::spawn_blocking(move || Phone::parse("0701740605", phone_region));
        let time_zone = TimeZone::get(&config.engage.time_zone).context("engage.time_zone")?;
        let digester = digester(config);
        let alias_reader = alias_reader(config, phone_region, digester.clone());
        let identifiers = alias_reader.rules.clone();
        let calls = Arc::<CallMetrics>::default();
        let admission = match shared {
            Some(_) => shared_budget::admission(config, Arc::clone(&calls), clock.clone()),
            None => Admission::new(upstream_limits(config), Arc::clone(&calls), clock.clone()),
        };
        let (tracer, exporter) = traces::traces(config, clock)?;
        let (customers, engage_connections) = customer_service(
            config,
            alias_reader,
            time_zone.clone(),
            admission.clone(),
            shared.cloned(),
            tracer.clone(),
            clock,
        )?;
        let credentials = credentials::configured(config, clock)?;
        let replaceable = Replaceable {
            credentials: credentials.clone(),
            connections: engage_connections,
            admission: admission.clone(),
            shared: shared.cloned(),
            redis,
            collector: exporter.as_ref().map(Exporter::headers),
        };
        let state = AppState {
            customers,
            credentials,
            rules: Arc::new(lookup_rules(config, identifiers, digester, time_zone)),
            log_rules: log_rules(config),
            webhooks: Arc::new(webhook_receiver(config)),
            deferred: Arc::<DeferredWork>::default(),
            decisions: Arc::<Decisions>::default(),
            readiness: Readiness::default(),
        };
        Ok(Self {
            state,
            requests: Arc::<RequestMetrics>::default(),
            connections: ConnectionMetrics::default(),
            calls,
            admission,
            reloader: Reloader::new(config, replaceable, clock),
            tracer,
            exporter,
        })
    }

    /// What the operations listener serves.
    pub(super) fn operations_state(
        &self,
        config: &Config,
        shared: Option<&SharedTier>,
        clock: &Clock,
    ) -> OperationsState {
        let admission = self.admission.clone();
        OperationsState {
            readiness: self.state.readiness.clone(),
            credentials: self.state.credentials.clone(),
            upstream: Arc::new(move || upstream::status(&admission)),
            customers: self.state.customers.clone(),
            registry: Arc::new(self.registry(config, shared, clock)),
            events: Arc::<Events>::default(),
            decisions: Arc::clone(&self.state.decisions),
            rules: Arc::clone(&self.state.rules),
            configuration: Arc::new(self.reloader.clone()),
        }
    }

    /// The metrics of the whole service.
    fn registry(&self, config: &Config, shared: Option<&SharedTier>, clock: &Clock) -> Registry {
        let state = &self.state;
        let receives_webhooks = !config.webhooks.secrets.is_empty();
        metrics::registry(&[
            &self.requests,
            &state.customers,
            &state.credentials.to_keep().authenticator,
            &state.deferred,
            &self.connections,
            &receives_webhooks.then(|| Arc::clone(&state.webhooks)),
            &self.calls,
            &metrics::Gauges {
                admission: self.admission.clone(),
                customers: state.customers.clone(),
                has_point_names: config.engage.point_names,
            },
            &shared.cloned(),
            &self.reloader,
            &telemetry::LogMetrics,
            &self.exporter,
            &ProcessMetrics::new(clock.now().wall.as_second().unsigned_abs()),
        ])
    }
}

/// The customer service with its client of Engage. A reload may replace that client's connections.
fn customer_service(
    config: &Config,
    alias_reader: AliasReader,
    time_zone: TimeZone,
    admission: Admission,
    shared: Option<SharedTier>,
    tracer: Tracer,
    clock: &Clock,
) -> Result<(CustomerService, Option<Connections>), anyhow::Error> {
    let rules = view_rules(config, alias_reader.rules.phone_region);
    let reader = Reader {
        alias_reader: alias_reader.clone(),
        time_zone,
        keeps_national_id: rules.full.includes_national_id(),
        points_in_overview: config.engage.api_version == config::ApiVersion::V2,
    };
    let engage = EngageClient::new(&config.engage, reader, admission, clock.clone())?;
    let connections = engage.connections().cloned();
    let engage = engage.with_tracer(tracer.clone());
    let customers = CustomerService::new(
        engage,
        alias_reader,
        rules,
        Policy {
            feed: feed(&config.webhooks, shared.is_some()),
            ..policy(config)
        },
        bounds(config),
        config.server.request_timeout,
        clock.clone(),
    );
    let unique = UniqueKinds::new(
        config.identifiers.unique.iter().copied(),
        alias_custom_key(config),
    );
    let customers = customers.with_learned_aliases(unique).with_tracer(tracer);
    Ok((customers.with_shared_tier(shared), connections))
}

fn webhook_receiver(config: &Config) -> WebhookReceiver {
    let webhooks = &config.webhooks;
    let max_body = usize::try_from(webhooks.max_body.as_u64()).unwrap_or(usize::MAX);
    WebhookReceiver::new(webhooks.tolerance, max_body, config.server.body_timeout)
}
