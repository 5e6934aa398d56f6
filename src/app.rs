//! The composition root: turns configuration and clock into a bound and running service. `main`, the demo and the tests
//! share it.

mod credentials;
mod metrics;
mod online;
mod reload;
mod settings;
mod shared_budget;
mod shared_tier;
mod token;
mod traces;
mod upstream;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use jiff::tz::TimeZone;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use self::reload::Replaceable;
use self::settings::{
    alias_custom_key, alias_reader, cors_origins, digester, feed, grace_for_answers, limits,
    log_rules, lookup_rules, operations_limits, view_rules,
};
pub use self::{
    online::{Check, OnlineReport, Status, check_online},
    reload::Reloader,
    settings::{MIN_CONNECTIONS, bounds, policy, reserved_descriptors, upstream_limits},
    shared_tier::link_to,
    token::check_token,
};
use crate::{
    cache::freshness::Policy,
    clock::{Clock, Tick},
    config::{self, Config},
    customer::CustomerService,
    domain::{UniqueKinds, aliases::AliasReader, phone::Phone},
    engage::{Admission, CallMetrics, Connections, EngageClient, Reader},
    http::{
        self, AppState, ConnectionCounters, ConnectionMetrics, CurrentCredentials, Decisions,
        DeferredWork, Events, HttpService, Listener, OperationsState, Readiness, RequestMetrics,
        WebhookReceiver,
    },
    metrics::ProcessMetrics,
    shared_tier::{SharedTier, protocol::Backend, redis::RedisBackend},
    telemetry,
    traces::{Exporter, Tracer},
};

/// A service that is bound and not yet running.
pub struct App {
    listener: Listener,
    service: HttpService,
    operations: (Listener, HttpService),
    readiness: Readiness,
    customers: CustomerService,
    shared: Option<SharedTier>,
    admission: Admission,
    changes_poll: Option<Duration>,
    credentials: CurrentCredentials,
    reloader: Reloader,
    /// Where traces are on.
    exporter: Option<Exporter>,
    shutdown_delay: Duration,
    /// How long responses in flight may take after the delay, on both listeners together.
    shutdown_grace: Duration,
    clock: Clock,
}

impl App {
    /// Builds every part and binds both listeners. Expects a configuration that was checked.
    pub async fn build(config: &Config, clock: Clock) -> Result<Self, anyhow::Error> {
        let redis = shared_tier::configured_backend(config)?;
        let backend = redis.clone().map(|redis| redis as Arc<dyn Backend>);
        Self::build_over(config, clock, backend, redis).await
    }

    /// The same with this backend of the shared tier, whatever is configured; `None`: without that tier.
    pub async fn build_with_backend(
        config: &Config,
        clock: Clock,
        backend: Option<Arc<dyn Backend>>,
    ) -> Result<Self, anyhow::Error> {
        Self::build_over(config, clock, backend, None).await
    }

    /// The same; `redis` is the backend if a reload may change how it connects.
    async fn build_over(
        config: &Config,
        clock: Clock,
        backend: Option<Arc<dyn Backend>>,
        redis: Option<Arc<RedisBackend>>,
    ) -> Result<Self, anyhow::Error> {
        let shared = backend.map(|backend| shared_tier::shared_tier(config, backend, &clock));
        let shared = shared.transpose()?;
        let ListenerStates {
            state,
            operations_state,
            requests,
            connections,
            admission,
            reloader,
            tracer,
            exporter,
        } = parts(config, shared.as_ref(), redis, &clock)?;
        let (listener, operations_listener) = listeners(config, &connections).await?;
        let readiness = state.readiness.clone();
        let customers = state.customers.clone();
        let credentials = state.credentials.clone();
        let service = HttpService::new(
            state,
            &cors_origins(config)?,
            config.server.fast_path,
            Arc::clone(&requests),
            clock.clone(),
        )
        .with_tracer(tracer);
        let operations_service =
            HttpService::for_operations(operations_state, requests, clock.clone());
        Ok(Self {
            listener,
            service,
            operations: (operations_listener, operations_service),
            readiness,
            customers,
            shared,
            admission,
            changes_poll: config.webhooks.changes_poll,
            credentials,
            reloader,
            exporter,
            shutdown_delay: config.server.shutdown_delay,
            shutdown_grace: grace_for_answers(config),
            clock,
        })
    }

    /// Checks that a start would succeed, apart from the listen addresses: those may belong to another machine, or be
    /// in use by the service itself.
    pub async fn dry_run(config: &Config) -> Result<(), anyhow::Error> {
        let mut config = config.clone();
        config.server.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.operations.listen = config.server.listen;
        Self::build(&config, Clock::system()).await.map(drop)
    }

    /// The address of the data listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The address of the operations listener.
    pub fn operations_addr(&self) -> SocketAddr {
        self.operations.0.local_addr()
    }

    /// The customer service, for tests and programs that apply changes to it directly.
    pub fn customers(&self) -> CustomerService {
        self.customers.clone()
    }

    /// The tier that replicas share, if there is one.
    pub fn shared_tier(&self) -> Option<SharedTier> {
        self.shared.clone()
    }

    /// Reloads the configuration.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// The metrics of responses.
    pub fn request_metrics(&self) -> Arc<RequestMetrics> {
        Arc::clone(self.service.metrics())
    }

    /// Serves one caller over a stream other than the data listener's, such as one within the process.
    pub fn serve_peer<S>(&self, stream: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        self.listener.serve_peer(stream, self.service.clone())
    }

    /// Serves until `shutdown`. Then withdraws readiness, keeps answering for `server.shutdown_delay`, each response
    /// closing its connection, and finishes the requests in flight. Fails if the grace period ends before they do.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), io::Error> {
        tracing::info!(
            listen = %self.local_addr(),
            operations = %self.operations_addr(),
            max_connections = self.listener.max_connections(),
            "serving"
        );
        let export = self.exporter.map(Exporter::start).transpose()?;
        // The operations listener serves until the last response is finished.
        let last = CancellationToken::new();
        let (listener, service) = self.operations;
        let services = [self.service.clone(), service.clone()];
        let operations = tokio::spawn(listener.serve(service, last.clone()));
        let drain = CancellationToken::new();
        let draining = tokio::spawn(drain_after_delay(
            shutdown,
            self.readiness,
            self.clock.clone(),
            self.shutdown_delay,
            drain.clone(),
        ));
        let credentials = self.credentials;
        let keys = tokio::spawn(async move { credentials.refresh_keys().await });
        let customers = self.customers;
        let maintenance =
            tokio::spawn(async move { customers.run_background_work(self.changes_poll).await });
        let admission = self.admission;
        let budget = self.shared.clone().map(|shared| {
            let run = shared_budget::run(admission.clone(), shared, self.clock.clone());
            tokio::spawn(run)
        });
        let finished = self.listener.serve(self.service, drain).await;
        keys.abort();
        maintenance.abort();
        if let (Some(shared), Some(budget)) = (self.shared, budget) {
            budget.abort();
            shared_budget::leave(&admission, &shared).await;
            shared.leave().await;
        }
        last.cancel();
        // The drain has begun, or the listener would not have ended.
        let began = draining.await.map_err(io::Error::other)?;
        let took = self.clock.tick().since(began);
        let left = self.shutdown_grace.saturating_sub(took);
        drop(tokio::time::timeout(left, operations).await);
        // Not left to their destructors: connections that have not ended hold the services too.
        services.iter().for_each(HttpService::log_dropped_events);
        if let Some(export) = export {
            export.finish().await;
        }
        if finished {
            tracing::info!("stopped");
            return Ok(());
        }
        let what = "shutdown grace ended with responses in flight";
        tracing::warn!("{what}");
        Err(io::Error::other(what))
    }
}

/// Waits for `shutdown`, withdraws readiness so that load balancers stop sending requests, and starts the drain after
/// the delay. Returns when the drain started.
async fn drain_after_delay(
    shutdown: CancellationToken,
    readiness: Readiness,
    clock: Clock,
    delay: Duration,
    drain: CancellationToken,
) -> Tick {
    shutdown.cancelled().await;
    readiness.withdraw();
    tracing::info!(delay_seconds = delay.as_secs_f64(), "readiness withdrawn");
    clock.sleep_until(clock.tick() + delay).await;
    drain.cancel();
    clock.tick()
}

/// What the two listeners serve, and what both count.
struct ListenerStates {
    state: AppState,
    operations_state: OperationsState,
    requests: Arc<RequestMetrics>,
    connections: ConnectionMetrics,
    admission: Admission,
    reloader: Reloader,
    tracer: Tracer,
    exporter: Option<Exporter>,
}

/// Builds everything but the listeners.
fn parts(
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

/// Binds the data listener and the operations listener.
async fn listeners(
    config: &Config,
    connections: &ConnectionMetrics,
) -> Result<(Listener, Listener), anyhow::Error> {
    let (data, operations) = (config.server.listen, config.operations.listen);
    let data = bind(
        "server.listen",
        data,
        limits(config),
        connections.of("data"),
    )
    .await?;
    let limits = operations_limits(config);
    let operations = bind(
        "operations.listen",
        operations,
        limits,
        connections.of("operations"),
    );
    Ok((data, operations.await?))
}

async fn bind(
    key: &str,
    address: SocketAddr,
    limits: http::ConnectionLimits,
    counts: ConnectionCounters,
) -> Result<Listener, anyhow::Error> {
    Listener::bind(address, limits, counts)
        .await
        .with_context(|| format!("{key}: can't bind {address}"))
}

fn webhook_receiver(config: &Config) -> WebhookReceiver {
    let webhooks = &config.webhooks;
    let max_body = usize::try_from(webhooks.max_body.as_u64()).unwrap_or(usize::MAX);
    WebhookReceiver::new(webhooks.tolerance, max_body, config.server.body_timeout)
}
