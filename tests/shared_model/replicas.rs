//! Starts replicas of the service in this process.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use engage_bff::{
    app::App,
    clock::{Clock, ManualClock},
    config::{self, Config, Scope},
    domain::IdentifierKind,
    shared_tier::protocol::Backend,
};
use engage_simulator::DEFAULT_WEBHOOK_SECRET;
use tokio_util::sync::CancellationToken;

use crate::{
    engage::{API_KEY, Engage},
    standin::{Connection, Standin},
};

/// How long each part is fresh while every change is reported.
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);
/// `webhooks.fallback_lifetime`.
pub(crate) const FALLBACK: Duration = Duration::from_secs(30);
/// `server.request_timeout`.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// `engage.timeout`.
pub(crate) const ENGAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// `engage.overview_lag`.
pub(crate) const OVERVIEW_LAG: Duration = Duration::from_secs(20);
/// The client's API key.
pub(crate) const KEY: &str = "test-till-key";
const KEY_DIGEST: &str = "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11";

/// A running replica.
pub(crate) struct Replica {
    /// The number of this start, counted over all replicas.
    pub(crate) incarnation: usize,
    pub(crate) address: SocketAddr,
    pub(crate) operations: SocketAddr,
    pub(crate) connection: Option<Connection>,
    shutdown: CancellationToken,
}

impl Replica {
    pub(crate) async fn start(
        incarnation: usize,
        engage: &Engage,
        clock: &ManualClock,
        standin: Option<&Standin>,
    ) -> Self {
        let config = config(engage.simulator.base_url());
        let connection = standin.map(Standin::connection);
        let backend = connection
            .clone()
            .map(|connection| Arc::new(connection) as Arc<dyn Backend>);
        let app = App::build_with_backend(&config, Clock::from(clock.clone()), backend)
            .await
            .expect("the service starts");
        let shutdown = CancellationToken::new();
        let replica = Self {
            incarnation,
            address: app.local_addr(),
            operations: app.operations_addr(),
            connection,
            shutdown: shutdown.clone(),
        };
        tokio::spawn(app.run(shutdown));
        replica
    }

    /// Ends it as SIGTERM does.
    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Cuts the replica off from the tier, if it has one. Its tasks continue, and it still reaches Engage.
    pub(crate) fn abandon(&self) {
        if let Some(connection) = &self.connection {
            connection.cut(true);
        }
    }
}

fn config(engage: String) -> Config {
    let mut config =
        config::layers::read(None, &BTreeMap::new()).expect("the defaults can be read");
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.operations.listen = config.server.listen;
    config.server.request_timeout = PATIENCE;
    config.server.shutdown_delay = Duration::ZERO;
    config.engage.base_url = engage;
    config.engage.api_key = Some(API_KEY.into());
    config.engage.default_contact_type = Some("Member".to_owned());
    config.engage.point_names = false;
    config.engage.requests_per_second = 1_000_000.0;
    config.engage.burst = 1_000_000;
    config.engage.max_concurrency = 1000;
    config.engage.timeout = ENGAGE_TIMEOUT;
    config.engage.overview_lag = OVERVIEW_LAG;
    config.cache.profile_lifetime = LIFETIME;
    config.cache.audiences_lifetime = LIFETIME;
    config.cache.promotions_lifetime = LIFETIME;
    config.cache.vouchers_lifetime = LIFETIME;
    config.cache.points_lifetime = LIFETIME;
    config.cache.stale_while_revalidate = Duration::ZERO;
    config.cache.stale_if_error = Duration::ZERO;
    config.cache.max_size = bytesize::ByteSize::mib(64);
    config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
    config.webhooks.silence = Duration::from_secs(86_400);
    config.webhooks.tolerance = Duration::from_secs(3600);
    config.webhooks.fallback_lifetime = FALLBACK;
    config.redis.encryption_keys = vec!["QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=".into()];
    config.auth.clients = vec![config::ClientConfig {
        id: "till".to_owned(),
        key_sha256: vec![KEY_DIGEST.to_owned()],
        scopes: vec![Scope::Read, Scope::ReadFull, Scope::Fresh],
        identifiers: IdentifierKind::ALL.to_vec(),
        view: config::ClientView::Full,
        channel: None,
        requests_per_second: None,
        max_concurrency: None,
        unknown_per_minute: None,
        people_per_hour: None,
        changes_per_second: 10,
    }];
    config
}
