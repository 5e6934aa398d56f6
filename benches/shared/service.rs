//! The service in the process of the benchmark, configured as in production: three clients with rates, an alias index,
//! metrics, and the log at level info, which is discarded. Its upstream is a simulated Engage.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use engage_bff::{
    app::App,
    clock::Clock,
    config::{self, Config, Scope},
    domain::{Channel, IdentifierKind},
    shared_tier::protocol::Backend,
    telemetry,
};
use engage_simulator::{DEFAULT_WEBHOOK_SECRET, Simulator};
use tokio::{io::DuplexStream, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// The key of a client that may use every identifier and see every field.
pub(crate) const TILL: &str = "test-till-key";
/// The key of a shop's backend.
pub(crate) const SHOP: &str = "test-shop-key";

const DIGESTS: [(&str, &str); 3] = [
    (
        "till",
        "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11",
    ),
    (
        "shop",
        "e5249de586268b731d323d859d06ff8f401cefe0e350238514840edfd8c6995f",
    ),
    (
        "reader",
        "c84e0916ac2bc43a1821afb14a4daac8ecc1d16aa4f6bbb47e998f557074058b",
    ),
];
/// Nothing expires during a measurement, however slow the machine is.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// The buffer of an in-memory connection, in bytes: more than any response.
const PIPE: usize = 256 * 1024;

/// The service and its upstream.
pub(crate) struct Service {
    /// The service itself.
    pub(crate) app: App,
    config: Config,
    /// The simulated Engage.
    pub(crate) engage: Simulator,
}

impl Service {
    /// Starts both. At most once per process, because of the log.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let engage = Simulator::builder()
            .seed(7)
            .contacts(200)
            .api_key("test-engage-key")
            .rate_limit(None)
            .start()
            .await?;
        let config = configuration(&engage)?;
        telemetry::install(&config.telemetry, io::sink)?;
        Ok(Self {
            app: App::build(&config, Clock::system()).await?,
            config,
            engage,
        })
    }

    /// An in-memory connection of a caller.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        tokio::spawn(self.app.serve_peer(theirs));
        ours
    }

    /// A connection to another replica, with a changed configuration.
    pub(crate) async fn connect_to_changed(
        &self,
        change: impl FnOnce(&mut Config),
    ) -> Result<DuplexStream, Failure> {
        let mut config = self.config.clone();
        change(&mut config);
        let app = App::build(&config, Clock::system()).await?;
        let (ours, theirs) = tokio::io::duplex(PIPE);
        tokio::spawn(app.serve_peer(theirs));
        Ok(ours)
    }

    /// A connection to another replica, which shares a tier on this backend, and a handle that ends its background
    /// work.
    pub(crate) async fn connect_to_sharing(
        &self,
        backend: Arc<dyn Backend>,
    ) -> Result<(DuplexStream, AbortHandle), Failure> {
        let app = App::build_with_backend(&self.config, Clock::system(), Some(backend)).await?;
        let (ours, theirs) = tokio::io::duplex(PIPE);
        tokio::spawn(app.serve_peer(theirs));
        let run = tokio::spawn(app.run(CancellationToken::new()));
        Ok((ours, run.abort_handle()))
    }
}

fn configuration(engage: &Simulator) -> Result<Config, Failure> {
    let mut config = config::layers::read(None, &BTreeMap::new())?;
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.operations.listen = config.server.listen;
    config.engage.base_url = engage.base_url();
    config.engage.api_key = Some(engage.api_key().into());
    config.engage.default_contact_type = Some("Member".to_owned());
    config.engage.point_names = false;
    config.engage.default_point_definition = Some("1".to_owned());
    config.cache.profile_lifetime = LIFETIME;
    config.cache.audiences_lifetime = LIFETIME;
    config.cache.promotions_lifetime = LIFETIME;
    config.cache.vouchers_lifetime = LIFETIME;
    config.cache.points_lifetime = LIFETIME;
    config.cache.negative_lifetime = LIFETIME;
    config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
    config.webhooks.silence = LIFETIME;
    config.webhooks.fallback_lifetime = LIFETIME;
    config.auth.clients = clients();
    config.validate()?;
    Ok(config)
}

fn clients() -> Vec<config::ClientConfig> {
    DIGESTS
        .iter()
        .map(|(id, digest)| config::ClientConfig {
            id: (*id).to_owned(),
            key_sha256: vec![(*digest).to_owned()],
            scopes: vec![Scope::Read, Scope::ReadFull, Scope::Fresh],
            identifiers: IdentifierKind::ALL.to_vec(),
            view: if *id == "till" {
                config::ClientView::Full
            } else {
                config::ClientView::Storefront
            },
            channel: (*id == "shop").then_some(Channel::Ecom),
            requests_per_second: Some(1_000_000),
            max_concurrency: Some(1000),
            unknown_per_minute: Some(1000),
            people_per_hour: None,
            changes_per_second: 10,
        })
        .collect()
}
