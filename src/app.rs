//! The composition root: turns configuration and clock into a bound and running service. `main`, the demo and the tests
//! share it.

mod assembly;
mod credentials;
mod listeners;
mod metrics;
mod online;
mod reload;
mod run;
mod settings;
mod shared_budget;
mod shared_tier;
mod token;
mod traces;
mod upstream;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite};

use self::{
    assembly::Assembly,
    settings::{cors_origins, grace_for_answers},
};
pub use self::{
    online::{Check, OnlineReport, Status, check_online},
    reload::Reloader,
    settings::{MIN_CONNECTIONS, bounds, policy, reserved_descriptors, upstream_limits},
    shared_tier::link_to,
    token::check_token,
};
use crate::{
    clock::Clock,
    config::Config,
    customer::CustomerService,
    engage::Admission,
    http::{CurrentCredentials, HttpService, Listener, Readiness, RequestMetrics},
    shared_tier::{SharedTier, protocol::Backend, redis::RedisBackend},
    traces::Exporter,
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
    /// Sends traces; `None` if traces are off.
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

    /// Like [`build`](Self::build), with this backend of the shared tier instead of the configured one; `None` means
    /// that there is no shared tier.
    pub async fn build_with_backend(
        config: &Config,
        clock: Clock,
        backend: Option<Arc<dyn Backend>>,
    ) -> Result<Self, anyhow::Error> {
        Self::build_over(config, clock, backend, None).await
    }

    /// Builds the service over `backend`; `redis` is the same backend if a reload can change how it connects.
    async fn build_over(
        config: &Config,
        clock: Clock,
        backend: Option<Arc<dyn Backend>>,
        redis: Option<Arc<RedisBackend>>,
    ) -> Result<Self, anyhow::Error> {
        let shared = backend.map(|backend| shared_tier::shared_tier(config, backend, &clock));
        let shared = shared.transpose()?;
        let assembly = Assembly::build(config, shared.as_ref(), redis, &clock)?;
        let operations_state = assembly.operations_state(config, shared.as_ref(), &clock);
        let Assembly {
            state,
            requests,
            connections,
            admission,
            reloader,
            tracer,
            exporter,
            ..
        } = assembly;
        let (listener, operations_listener) = listeners::bind_both(config, &connections).await?;
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

    /// Serves one caller over a stream other than a connection of the data listener, such as one within the process.
    pub fn serve_peer<S>(&self, stream: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        self.listener.serve_peer(stream, self.service.clone())
    }
}
