//! The composition root: configuration and clock in, a bound and running service out. The same path
//! for `main`, the demo and the tests.

mod metrics;
mod settings;

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

use self::settings::{
    alias_reader, cors_origins, digester, limits, lookup_rules, operations_limits, view_rules,
};
pub use self::settings::{bounds, policy, reserved_descriptors, upstream_limits};
use crate::{
    clock::{Clock, Tick},
    config::{self, Config},
    customer::CustomerService,
    domain::{aliases::AliasReader, phone::Phone},
    engage::{Admission, CallMetrics, EngageClient, Reader},
    http::{
        self, AppState, Authenticator, BreakerStatus, ConnectionCounters, ConnectionMetrics,
        HttpService, Listener, OperationsState, Readiness, RequestMetrics, UpstreamStatus,
        WebhookReceiver,
    },
    telemetry,
    webhook::WebhookReader,
};

/// A service that is bound and not yet running.
pub struct App {
    listener: Listener,
    service: HttpService,
    operations: (Listener, HttpService),
    readiness: Readiness,
    customers: CustomerService,
    changes_poll: Option<Duration>,
    authenticator: Arc<Authenticator>,
    shutdown_delay: Duration,
    /// How long answers may take after that, on both listeners together.
    shutdown_grace: Duration,
    clock: Clock,
}

impl App {
    /// Puts the rooms together and binds the listener. The configuration has been validated.
    pub async fn build(config: &Config, clock: Clock) -> Result<Self, anyhow::Error> {
        let phone_region = config.phone_region().context("identifiers.phone_region")?;
        // The numbering plans are read on first use, which takes a hundred milliseconds: the start does not wait for
        // it, and only a caller within that time would.
        tokio::task::spawn_blocking(move || Phone::parse("0701740605", phone_region));
        let time_zone = TimeZone::get(&config.engage.time_zone).context("engage.time_zone")?;
        let digester = digester(config);
        let alias_reader = alias_reader(config, phone_region, digester.clone());
        let identifiers = alias_reader.rules.clone();
        let traffic = Arc::new(CallMetrics::default());
        let admission =
            Admission::new(upstream_limits(config), Arc::clone(&traffic), clock.clone());
        let customers = hall(
            config,
            alias_reader,
            time_zone.clone(),
            admission.clone(),
            &clock,
        )?;
        let readiness = Readiness::default();
        let authenticator =
            Arc::new(Authenticator::new(&config.auth, &config.server, &clock).context("auth.jwt")?);
        let lookups = Arc::new(lookup_rules(config, identifiers, digester, time_zone));
        let webhooks = webhooks(config)?;
        let requests = Arc::new(RequestMetrics::default());
        let connections = ConnectionMetrics::default();
        let registry = metrics::registry(
            &traffic,
            &requests,
            &connections,
            &authenticator,
            webhooks.as_deref(),
            admission.clone(),
            customers.clone(),
        );
        let state = AppState {
            customers: customers.clone(),
            authenticator: Arc::clone(&authenticator),
            rules: Arc::clone(&lookups),
            webhooks,
            readiness: readiness.clone(),
        };
        let operations = OperationsState {
            readiness: readiness.clone(),
            authenticator: Arc::clone(&authenticator),
            upstream: Arc::new(move || upstream_status(&admission)),
            customers: customers.clone(),
            registry: Arc::new(registry),
            rules: lookups,
            token: config.operations.token.clone(),
            warnings: config.warnings().iter().map(ToString::to_string).collect(),
        };
        let (listener, for_operations) = listeners(config, &connections).await?;
        Ok(Self {
            listener,
            service: HttpService::new(
                state,
                &cors_origins(config)?,
                config.server.fast_path,
                Arc::clone(&requests),
                clock.clone(),
            ),
            operations: (
                for_operations,
                HttpService::for_operations(
                    operations,
                    &config.operations,
                    requests,
                    clock.clone(),
                ),
            ),
            readiness,
            customers,
            changes_poll: config.webhooks.changes_poll,
            authenticator,
            shutdown_delay: config.server.shutdown_delay,
            shutdown_grace: telemetry::grace_for_answers(config.server.shutdown_grace),
            clock,
        })
    }

    /// Whether a start would succeed, but for the addresses: those may be another machine's, or be in use by the service
    /// itself.
    pub async fn rehearse(config: &Config) -> Result<(), anyhow::Error> {
        let mut config = config.clone();
        config.server.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.operations.listen = config.server.listen;
        Self::build(&config, Clock::system()).await.map(drop)
    }

    /// Where the data listener is.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Where the operations listener is.
    pub fn operations_addr(&self) -> SocketAddr {
        self.operations.0.local_addr()
    }

    /// The hall, for whoever tells it of changes.
    pub fn customers(&self) -> CustomerService {
        self.customers.clone()
    }

    /// The metrics of responses.
    pub fn request_metrics(&self) -> Arc<RequestMetrics> {
        Arc::clone(self.service.metrics())
    }

    /// Answers one caller whose bytes come another way than through the data listener, as from the same process.
    pub fn serve_peer<S>(&self, stream: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        self.listener.serve_peer(stream, self.service.clone())
    }

    /// Serves until `shutdown`. Then it is not ready any more, answers for `server.shutdown_delay` as before, but each
    /// answer is its connection's last, and finishes what is under way.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), io::Error> {
        tracing::info!(
            listen = %self.local_addr(),
            operations = %self.operations_addr(),
            max_connections = self.listener.max_connections(),
            "serving"
        );
        // Operators may look on until the last answer is finished.
        let last = CancellationToken::new();
        let (listener, service) = self.operations;
        let services = [self.service.clone(), service.clone()];
        let operations = tokio::spawn(listener.serve(service, last.clone()));
        let drain = CancellationToken::new();
        let leaving = tokio::spawn(leave(
            shutdown,
            self.readiness,
            self.clock.clone(),
            self.shutdown_delay,
            drain.clone(),
        ));
        let authenticator = self.authenticator;
        let keys = tokio::spawn(async move { authenticator.refresh_keys().await });
        let customers = self.customers;
        let news =
            tokio::spawn(async move { customers.run_background_work(self.changes_poll).await });
        let finished = self.listener.serve(self.service, drain).await;
        keys.abort();
        news.abort();
        last.cancel();
        // The drain has begun, or the listener would not have ended.
        let began = leaving.await.map_err(io::Error::other)?;
        let took = self.clock.tick().since(began);
        let left = self.shutdown_grace.saturating_sub(took);
        drop(tokio::time::timeout(left, operations).await);
        // Connections that have not ended hold them too.
        services.iter().for_each(HttpService::log_dropped_events);
        if finished {
            tracing::info!("stopped");
            return Ok(());
        }
        let what = "answers were still under way when the grace ended";
        tracing::warn!("{what}");
        Err(io::Error::other(what))
    }
}

/// Waits until the service is to end, has balancers take it out, and after the delay begins the drain. When that was.
async fn leave(
    shutdown: CancellationToken,
    readiness: Readiness,
    clock: Clock,
    delay: Duration,
    drain: CancellationToken,
) -> Tick {
    shutdown.cancelled().await;
    readiness.withdraw();
    tracing::info!(
        delay_seconds = delay.as_secs_f64(),
        "not ready: answers close their connections"
    );
    clock.sleep_until(clock.tick() + delay).await;
    drain.cancel();
    clock.tick()
}

/// The hall, and behind it the back door to Engage.
fn hall(
    config: &Config,
    alias_reader: AliasReader,
    time_zone: TimeZone,
    admission: Admission,
    clock: &Clock,
) -> Result<CustomerService, anyhow::Error> {
    let rules = view_rules(config, alias_reader.rules.phone_region);
    let reader = Reader {
        alias_reader: alias_reader.clone(),
        time_zone,
        keeps_national_id: rules.full.list_national_id(),
        points_in_overview: config.engage.api_version == config::ApiVersion::V2,
    };
    let engage = EngageClient::new(&config.engage, reader, admission, clock.clone())?;
    Ok(CustomerService::new(
        engage,
        alias_reader,
        rules,
        policy(config),
        bounds(config),
        config.server.request_timeout,
        clock.clone(),
    ))
}

/// The state of calls to Engage, for the readiness detail.
fn upstream_status(admission: &Admission) -> UpstreamStatus {
    let snapshot = admission.snapshot();
    let breakers = snapshot.breakers.iter();
    let breakers = breakers.map(|(group, state, refuses_for)| BreakerStatus {
        group: group.as_str(),
        state: state.as_str(),
        refuses_for_seconds: refuses_for.map(|wait| wait.as_secs_f64()),
    });
    UpstreamStatus {
        in_flight: snapshot.in_flight,
        queued: snapshot.queued,
        paused_for_seconds: snapshot.paused_for.map(|wait| wait.as_secs_f64()),
        breakers: breakers.collect(),
    }
}

/// The data listener and the operations listener, bound.
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
        .with_context(|| format!("{key}: {address} can't be bound"))
}

fn webhooks(config: &Config) -> Result<Option<Arc<WebhookReceiver>>, anyhow::Error> {
    let reader = WebhookReader::new(&config.webhooks)
        .map_err(anyhow::Error::msg)
        .context("webhooks")?;
    let max_body = usize::try_from(config.webhooks.max_body.as_u64()).unwrap_or(usize::MAX);
    let timeout = config.server.body_timeout;
    Ok(reader.map(|reader| Arc::new(WebhookReceiver::new(reader, max_body, timeout))))
}
