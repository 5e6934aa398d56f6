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
    metrics::ProcessMetrics,
    shared_tier::{SharedTier, redis::RedisBackend},
    telemetry,
    traces::{Exporter, Tracer},
};

/// What the two listeners serve, and what both count.
pub(super) struct ListenerStates {
    pub(super) state: AppState,
    pub(super) operations_state: OperationsState,
    pub(super) requests: Arc<RequestMetrics>,
    pub(super) connections: ConnectionMetrics,
    pub(super) admission: Admission,
    pub(super) reloader: Reloader,
    pub(super) tracer: Tracer,
    pub(super) exporter: Option<Exporter>,
}

/// Builds everything but the listeners.
pub(super) fn parts(
    config: &Config,
    shared: Option<&SharedTier>,
    redis: Option<Arc<RedisBackend>>,
    clock: &Clock,
) -> Result<ListenerStates, anyhow::Error> {
    let phone_region = config.phone_region().context("identifiers.phone_region")?;
    // The first use loads the numbering plans, which takes about 100 ms: done in the background, so that neither the
    // start nor the first caller waits for it.
    tokio::task::spawn_blocking(move || Phone::parse("0701740605", phone_region));
    let time_zone = TimeZone::get(&config.engage.time_zone).context("engage.time_zone")?;
    let digester = digester(config);
    let alias_reader = alias_reader(config, phone_region, digester.clone());
    let identifiers = alias_reader.rules.clone();
    let traffic = Arc::new(CallMetrics::default());
    let admission = match &shared {
        Some(_) => shared_budget::admission(config, Arc::clone(&traffic), clock.clone()),
        None => Admission::new(upstream_limits(config), Arc::clone(&traffic), clock.clone()),
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
    let webhooks = Arc::new(webhook_receiver(config));
    let requests = Arc::new(RequestMetrics::default());
    let connections = ConnectionMetrics::default();
    let deferred = Arc::<DeferredWork>::default();
    let replaceable = Replaceable {
        credentials: credentials.clone(),
        connections: engage_connections,
        shared: shared.cloned(),
        redis,
    };
    let reloader = Reloader::new(config, replaceable, clock);
    let registry = metrics::registry(&[
        &requests,
        &customers,
        &credentials.to_keep().authenticator,
        &deferred,
        &connections,
        &(!config.webhooks.secrets.is_empty()).then(|| Arc::clone(&webhooks)),
        &traffic,
        &metrics::Gauges {
            admission: admission.clone(),
            customers: customers.clone(),
            has_point_names: config.engage.point_names,
        },
        &shared.cloned(),
        &reloader,
        &telemetry::LogMetrics,
        &exporter,
        &ProcessMetrics::new(clock.now().wall.as_second().unsigned_abs()),
    ]);
    let state = AppState {
        customers,
        credentials: credentials.clone(),
        rules: Arc::new(lookup_rules(config, identifiers, digester, time_zone)),
        log_rules: log_rules(config),
        webhooks,
        deferred,
        decisions: Arc::<Decisions>::default(),
        readiness: Readiness::default(),
    };
    let operations_state = OperationsState {
        readiness: state.readiness.clone(),
        credentials,
        upstream: {
            let admission = admission.clone();
            Arc::new(move || upstream::status(&admission))
        },
        customers: state.customers.clone(),
        registry: Arc::new(registry),
        events: Arc::<Events>::default(),
        decisions: Arc::clone(&state.decisions),
        rules: Arc::clone(&state.rules),
        configuration: Arc::new(reloader.clone()),
    };
    Ok(ListenerStates {
        state,
        operations_state,
        requests,
        connections,
        admission,
        reloader,
        tracer,
        exporter,
    })
}

/// The customer service with its client of Engage, whose connections a reload may replace.
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
        keeps_national_id: rules.full.list_national_id(),
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
