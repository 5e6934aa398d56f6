//! Replicas that share a server, each with its own runtime, listener and connection to the server.

mod counted;
mod proxy;
mod replica;

use std::{collections::BTreeMap, net::SocketAddr, sync::Once, time::Duration};

use engage_bff::{
    clock::{Clock, Tick},
    config::{self, ApiVersion, Config, Scope},
    domain::IdentifierKind,
    telemetry,
};
use engage_simulator::{DEFAULT_WEBHOOK_SECRET, Endpoint, Simulator};
use futures_util::future::join_all;

pub(crate) use self::{
    counted::Counted,
    proxy::Mode,
    replica::{Answer, Replica, TILL},
};
use crate::redis_server::RedisServer;

/// The prefix of every key in the server.
pub(crate) const PREFIX: &str = "engage-bff:replicas:";
/// A condition that does not hold after this time never will.
const PATIENCE: Duration = Duration::from_secs(40);
/// The contacts that the simulator generates.
const CONTACTS: usize = 300;

/// Three replicas, their server and Engage.
pub(crate) struct Replicas {
    pub(crate) engage: Simulator,
    pub(crate) redis: RedisServer,
    pub(crate) all: Vec<Replica>,
    pub(crate) config: Config,
}

impl Replicas {
    /// Three replicas that are connected, with a budget that no test exhausts and generous time-outs.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with a changed configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_server(RedisServer::start(), change).await
    }

    /// The same with this server.
    pub(crate) async fn with_server(redis: RedisServer, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_contacts(CONTACTS, redis, change).await
    }

    /// The same with this number of generated contacts.
    pub(crate) async fn with_contacts(
        contacts: usize,
        redis: RedisServer,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let engage = Simulator::builder()
            .seed(7)
            .contacts(contacts)
            .api_key("test-engage-key")
            .rate_limit(None)
            .start()
            .await
            .expect("the simulator starts");
        let mut config = config();
        config.engage.base_url = engage.base_url();
        change(&mut config);
        log_if_wanted(&config);
        let mut replicas = Self {
            engage,
            redis,
            all: Vec::new(),
            config,
        };
        for _ in 0..3 {
            let replica = replicas.another().await;
            replicas.all.push(replica);
        }
        replicas.until_available().await;
        replicas
    }

    /// Starts one more replica.
    pub(crate) async fn another(&self) -> Replica {
        Replica::start(self.config.clone(), self.redis.port()).await
    }

    /// Waits until each replica uses the shared tier.
    pub(crate) async fn until_available(&self) {
        for replica in &self.all {
            replica.until_available().await;
        }
    }

    /// Asserts that these are all calls in the log. A request by contact id of which nothing is known costs one call of
    /// the overview and one of the points.
    pub(crate) fn assert_calls(&self, overviews: usize, points: usize) {
        let calls = [Endpoint::Overview, Endpoint::PointAccounts].map(|of| self.engage.calls(of));
        let log = self.engage.log();
        assert_eq!(calls, [overviews, points], "{log:#?}");
        assert_eq!(self.engage.total_calls(), overviews + points, "{log:#?}");
    }

    /// Members with an e-mail address that no other contact has: id and address.
    pub(crate) fn people(&self) -> Vec<(String, String)> {
        people(&self.engage)
    }

    /// The server's keys that match.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<Vec<u8>> {
        let found = self.redis.command(&["KEYS", pattern]);
        redis::from_redis_value(found).expect("keys")
    }

    /// Ends the replicas as SIGTERM does.
    pub(crate) async fn stop(self) {
        join_all(self.all.into_iter().map(Replica::stop)).await;
        assert_eq!(self.engage.unexpected(), Vec::<String>::new());
    }
}

/// Members with an e-mail address that no other contact has: id and address.
pub(crate) fn people(engage: &Simulator) -> Vec<(String, String)> {
    let mut people = Vec::new();
    for id in engage.contact_ids() {
        let contact = engage.snapshot(&id).expect("it is there");
        let text = |pointer| contact.pointer(pointer).and_then(|text| text.as_str());
        let is_member = text("/meta/contactType") == Some("Member");
        let email = text("/attributes/email").filter(|email| !email.starts_with("shared@"));
        if let Some(email) = email
            && is_member
            && !email.is_empty()
        {
            people.push((id.clone(), email.to_owned()));
        }
    }
    people
}

/// The built-in defaults, adapted for tests.
pub(crate) fn config() -> Config {
    let mut config =
        config::layers::read(None, &BTreeMap::new()).expect("the defaults can be read");
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.operations.listen = config.server.listen;
    // Several debug builds run on few cores: load alone must not cause time-outs.
    config.server.request_timeout = Duration::from_secs(30);
    config.engage.timeout = Duration::from_secs(10);
    config.engage.api_version = ApiVersion::V3;
    config.engage.api_key = Some("test-engage-key".into());
    config.engage.default_contact_type = Some("Member".to_owned());
    config.engage.point_names = false;
    config.engage.default_point_definition = Some("1".to_owned());
    config.engage.requests_per_second = 1_000_000.0;
    config.engage.burst = 1_000_000;
    config.engage.max_concurrency = 1000;
    config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
    config.telemetry.digest_key = Some("the digest key of three replicas".into());
    config.redis.timeout = Duration::from_secs(1);
    config.redis.encryption_keys = vec!["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".into()];
    config.auth.clients = vec![config::ClientConfig {
        id: "till".to_owned(),
        key_sha256: vec![
            "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11".to_owned(),
        ],
        scopes: vec![Scope::Read, Scope::ReadFull, Scope::Fresh, Scope::Changed],
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

/// With `REPLICAS_LOG=debug`, prints what the replicas log.
fn log_if_wanted(config: &Config) {
    static ONCE: Once = Once::new();
    if let Some(level) = variable("REPLICAS_LOG") {
        let mut telemetry_config = config.telemetry.clone();
        telemetry_config.log = level;
        ONCE.call_once(|| {
            telemetry::install(&telemetry_config, std::io::stderr).expect("the log starts");
        });
    }
}

/// A variable of the environment.
#[expect(clippy::disallowed_methods, reason = "how a test by hand is set up")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Lets real time pass.
pub(crate) async fn wait(time: Duration) {
    let clock = Clock::system();
    clock.sleep_until(clock.tick() + time).await;
}

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn until<F: Future<Output = bool>>(
    mut holds: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let clock = Clock::system();
        let give_up = clock.tick() + PATIENCE;
        while !holds().await {
            assert!(clock.tick() < give_up, "it never came true: {caller}");
            wait(Duration::from_millis(10)).await;
        }
    }
}

/// Measures real time.
pub(crate) struct Stopwatch(Clock, Tick);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let clock = Clock::system();
        let now = clock.tick();
        Self(clock, now)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.tick().since(self.1)
    }
}
