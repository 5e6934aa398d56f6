//! Two replicas of the service that share a tier, over the stand-in of its server, and one simulator of Engage. Real HTTP,
//! and one clock, which a test moves.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use engage_bff::{
    app::App,
    clock::{Clock, ManualClock},
    config::{self, ClientConfig, ClientView, Config, Scope},
    domain::{Digester, IdentifierKind, PartMap},
    shared_tier::{
        Announcement, BudgetSettings, InvalidationScope, Settings, SharedTier, budget_name,
    },
    telemetry,
};
use engage_simulator::{DEFAULT_WEBHOOK_SECRET, Simulator, SimulatorClock, sign};
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::contract;
use crate::standin::{Connection, Standin};

const START: &str = "2026-11-23T12:00:00Z";
const KEY: &str = "test-till-key";
const KEY_DIGEST: &str = "cf23a34779057354fb3ea13ad9eb333b51ea32a2d242ff2872276a862577eb11";
/// 32 bytes in base64.
const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const DIGEST_KEY: &str = "the digest key of the replicas";
/// How far the clock moves at a time while a test waits.
const STEP: Duration = Duration::from_millis(10);
/// A response that takes this long in real time is waiting for the clock.
const LATE: Duration = Duration::from_millis(100);

/// The simulator, the stand-in, two replicas and the clock of a test.
pub(crate) struct World {
    pub(crate) engage: Simulator,
    pub(crate) standin: Standin,
    pub(crate) a: Replica,
    pub(crate) b: Replica,
    clock: ManualClock,
    config: Config,
}

/// One replica.
pub(crate) struct Replica {
    pub(crate) connection: Connection,
    address: SocketAddr,
    operations: SocketAddr,
    clock: ManualClock,
    clock_of_engage: SimulatorClock,
    client: Client,
    _running: JoinHandle<Result<(), io::Error>>,
    shutdown: CancellationToken,
}

/// A response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) cache_status: String,
    pub(crate) body: Vec<u8>,
}

impl World {
    /// Both replicas are connected, and caught up with the stream.
    pub(crate) async fn start(change: impl Fn(&mut Config)) -> Self {
        let start: Timestamp = START.parse().expect("a time");
        let engage = Simulator::builder()
            .seed(7)
            .contacts(10)
            .api_key("test-engage-key")
            .clock(SimulatorClock::manual(start))
            .rate_limit(None)
            .start()
            .await
            .expect("the simulator starts");
        let clock = ManualClock::new(start);
        let standin = Standin::new(Clock::from(clock.clone()));
        let mut config = config();
        config.engage.base_url = engage.base_url();
        // On a busy machine the clock runs ahead of the tasks: no operation may time out because of that.
        config.redis.timeout = Duration::from_secs(1);
        // The stand-in is used instead.
        config.redis.url = Some("redis://127.0.0.1:1".into());
        change(&mut config);
        config.validate().expect("a valid configuration");
        capture_logs(&config.telemetry);
        let clocks = (&clock, engage.clock());
        let a = Replica::start(&config, clocks, standin.connection()).await;
        let b = Replica::start(&config, clocks, standin.connection()).await;
        let world = Self {
            engage,
            standin,
            a,
            b,
            clock,
            config,
        };
        for replica in [&world.a, &world.b] {
            world.connect(replica).await;
        }
        world.settle().await;
        world
    }

    /// Starts one more replica.
    pub(crate) async fn new_replica(&self) -> Replica {
        let replica = self.starting_replica(|_| {}).await;
        self.connect(&replica).await;
        self.settle().await;
        replica
    }

    /// Starts one more replica, with its connection prepared, and does not wait for it.
    pub(crate) async fn starting_replica(&self, prepare: impl FnOnce(&Connection)) -> Replica {
        let connection = self.standin.connection();
        prepare(&connection);
        let clocks = (&self.clock, self.engage.clock());
        Replica::start(&self.config, clocks, connection).await
    }

    /// Waits until the replica can announce.
    async fn connect(&self, replica: &Replica) {
        // An id that no contact has.
        let unknown = "00000000-0000-4000-8000-000000000000";
        while replica.purge_contact(unknown).await.status != 204 {
            self.run_for(Duration::from_millis(100)).await;
        }
    }

    /// Moves both clocks.
    pub(crate) fn advance(&self, step: Duration) {
        self.engage.clock().advance(step);
        self.clock.advance(step);
    }

    /// Moves the clocks by this time in small steps, so that the replicas' background work keeps up.
    pub(crate) async fn run_for(&self, time: Duration) {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.advance(STEP);
            ticks.tick().await;
        }
    }

    /// Lets the time pass that a replica may need to receive what another one has acknowledged.
    pub(crate) async fn settle(&self) {
        self.run_for(Duration::from_secs(1)).await;
    }

    /// Moves the clocks in small steps while the future runs.
    pub(crate) async fn while_time_passes<T>(&self, future: impl Future<Output = T>) -> T {
        let passes = async {
            loop {
                self.run_for(STEP).await;
            }
        };
        tokio::select! {
            done = future => done,
            () = passes => unreachable!("it has no end"),
        }
    }

    /// Writes an announcement that only another version of the service understands.
    pub(crate) async fn announce_unreadable(&self) {
        let minute = Duration::from_secs(60);
        let settings = Settings {
            timeout: minute,
            lease: minute,
            overview_lag: 10 * minute,
            longest_flight: minute,
            lifetimes: PartMap::splat(minute),
            negative_lifetime: minute,
            message_memory: minute,
            encryption_keys: vec![*b"0123456789abcdef0123456789abcdef"],
            digester: Some(Digester::random()),
            budget: BudgetSettings {
                name: budget_name("another"),
                requests_per_second: 1.0,
                burst: 1,
            },
        };
        let clock = Clock::from(self.clock.clone());
        let tier = SharedTier::new(settings, Arc::new(self.standin.connection()), clock);
        let running = tier.clone();
        let running = tokio::spawn(async move { running.run(|_| std::future::ready(())).await });
        self.settle().await;
        let announcement = Announcement {
            scope: InvalidationScope::Contacts {
                contacts: &[],
                aliases: &[],
                negatives: false,
            },
            message: None,
            payload: vec![99, 1, 2, 3],
        };
        tier.announce(announcement).await.expect("it is written");
        running.abort();
    }
}

impl Replica {
    async fn start(
        config: &Config,
        (clock, clock_of_engage): (&ManualClock, &SimulatorClock),
        connection: Connection,
    ) -> Self {
        let backend = Arc::new(connection.clone());
        let of_app = Clock::from(clock.clone());
        let app = App::build_with_backend(config, of_app, Some(backend)).await;
        let app = app.expect("the service starts");
        contract::service_listens_at(app.local_addr(), app.operations_addr());
        let shutdown = CancellationToken::new();
        Self {
            connection,
            address: app.local_addr(),
            operations: app.operations_addr(),
            clock: clock.clone(),
            clock_of_engage: clock_of_engage.clone(),
            client: Client::builder().no_proxy().build().expect("a client"),
            _running: tokio::spawn(app.run(shutdown.clone())),
            shutdown,
        }
    }

    /// Requests the customer. The clocks stand still unless the response is late: on a busy machine they may have run
    /// ahead of the tasks, so that the loan of a share of the call budget has ended and a call waits for the next one.
    pub(crate) async fn get(&self, query: &str) -> Answer {
        let url = format!("http://{}/customer?{query}", self.address);
        let answer = Answer::of(self.client.get(url).header("x-api-key", KEY));
        tokio::pin!(answer);
        loop {
            if let Ok(answer) = tokio::time::timeout(LATE, &mut answer).await {
                return answer;
            }
            self.clock_of_engage.advance(STEP);
            self.clock.advance(STEP);
        }
    }

    /// Delivers a webhook.
    pub(crate) async fn deliver(&self, (headers, body): &(HeaderMap, String)) -> Answer {
        self.delivery((headers, body)).await
    }

    /// Delivers a webhook, as a future that can be spawned.
    pub(crate) fn delivery(
        &self,
        (headers, body): (&HeaderMap, &String),
    ) -> impl Future<Output = Answer> + use<> {
        let url = format!("http://{}/webhooks/engage", self.address);
        let request = self.client.post(url).headers(headers.clone());
        Answer::of(request.body(body.clone()))
    }

    /// Purges one contact.
    pub(crate) async fn purge_contact(&self, id: &str) -> Answer {
        let url = format!("http://{}/cache/contacts/{id}", self.operations);
        Answer::of(self.client.delete(url)).await
    }

    /// Reports the change in the body.
    pub(crate) async fn report(&self, body: Value) -> Answer {
        let url = format!("http://{}/customer/changed", self.address);
        let request = self.client.post(url).header("x-api-key", KEY);
        let request = request.header("content-type", "application/json");
        Answer::of(request.body(body.to_string())).await
    }

    /// Purges the target in the body.
    pub(crate) async fn purge(&self, body: Value) -> Answer {
        let url = format!("http://{}/cache/purge", self.operations);
        let request = self.client.post(url).body(body.to_string());
        Answer::of(request.header("content-type", "application/json")).await
    }

    /// Requests the explanation of the identifier in the body.
    pub(crate) async fn explain(&self, body: Value) -> Answer {
        let url = format!("http://{}/cache/explain", self.operations);
        let request = self.client.post(url).body(body.to_string());
        Answer::of(request.header("content-type", "application/json")).await
    }

    /// Requests a page for operators.
    pub(crate) async fn operations(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.operations);
        Answer::of(self.client.get(url)).await
    }

    /// Switches the cache.
    pub(crate) async fn switch(&self, on: bool) -> Answer {
        let url = format!("http://{}/cache/enabled", self.operations);
        Answer::of(self.client.put(url).body(on.to_string())).await
    }

    /// Whether the readiness probe succeeds at both listeners.
    pub(crate) async fn is_ready(&self) -> bool {
        let of_operations = self.operations("/readyz").await;
        let url = format!("http://{}/readyz", self.address);
        let of_data = Answer::of(self.client.get(url)).await;
        assert_eq!(of_operations.status, of_data.status);
        let is_ready = of_operations.status == 200;
        assert_eq!(of_operations.at("/ready"), is_ready);
        is_ready
    }

    /// Whether the readiness probe succeeds at the operations listener; the data listener waits while the replica
    /// starts.
    pub(crate) async fn is_ready_for_operators(&self) -> bool {
        self.operations("/readyz").await.status == 200
    }

    /// Ends it as SIGTERM does.
    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// The state of webhooks, as operators see it.
    pub(crate) async fn webhooks_state(&self) -> String {
        let readyz = self.operations("/readyz").await;
        let state = readyz.at("/webhooks/state");
        state.as_str().expect("text").to_owned()
    }

    /// The number of deliveries in the metrics.
    pub(crate) async fn deliveries(&self, event: &str, outcome: &str) -> u64 {
        let metrics = self.operations("/metrics").await;
        let name = format!("engage_bff_webhooks_total{{event=\"{event}\",outcome=\"{outcome}\"}} ");
        let text = String::from_utf8(metrics.body).expect("text");
        let count = text.lines().find_map(|line| line.strip_prefix(&name));
        count.map_or(0, |count| count.parse().expect("a number"))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Answer {
    async fn of(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let (method, url) = (request.method().clone(), request.url().clone());
        let response = client.execute(request).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("a whole body").to_vec();
        contract::check(&method, &url, status, &headers, &body);
        let cache_status = headers.get("cache-status");
        let cache_status = cache_status.map_or("", |status| status.to_str().expect("text"));
        Self {
            status,
            cache_status: cache_status.to_owned(),
            body,
        }
    }

    /// The value at a JSON pointer.
    #[track_caller]
    pub(crate) fn at(&self, pointer: &str) -> Value {
        let json: Value = serde_json::from_slice(&self.body).expect("JSON");
        let value = json.pointer(pointer);
        value
            .unwrap_or_else(|| panic!("no {pointer} in {json}"))
            .clone()
    }

    #[track_caller]
    pub(crate) fn assert_status(&self, expected: u16) -> &Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, expected, "{body}");
        self
    }

    #[track_caller]
    pub(crate) fn assert_not_shared(&self) -> &Self {
        self.assert_status(503);
        assert_eq!(self.at("/code"), "NotShared");
        self
    }

    #[track_caller]
    pub(crate) fn assert_hit(&self) -> &Self {
        self.assert_status(200);
        let status = &self.cache_status;
        assert!(status.starts_with("engage-bff; hit; ttl="), "{status}");
        self
    }

    /// The `ttl` of `Cache-Status`.
    #[track_caller]
    pub(crate) fn ttl(&self) -> i64 {
        let mut parts = self.cache_status.split("; ");
        let ttl = parts.find_map(|part| part.strip_prefix("ttl="));
        ttl.expect("a ttl").parse().expect("a number")
    }

    /// The first name of the customer.
    #[track_caller]
    pub(crate) fn first_name(&self) -> String {
        self.assert_status(200);
        let name = self.at("/profile/firstName");
        name.as_str().expect("text").to_owned()
    }
}

/// A webhook delivery that is signed with the time at which the clock starts.
pub(crate) fn signed(id: &str, body: &str) -> (HeaderMap, String) {
    let start: Timestamp = START.parse().expect("a time");
    let at = start.as_second();
    let signature = sign(DEFAULT_WEBHOOK_SECRET, id, at, body).expect("a secret");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("svix-id", id),
        ("svix-timestamp", &at.to_string()),
        ("svix-signature", &signature),
    ] {
        headers.insert(name, value.parse().expect("a header's value"));
    }
    (headers, body.to_owned())
}

/// Lets everything in transit arrive, while the clock stands still.
pub(crate) async fn let_everything_arrive() {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for _ in 0..50 {
        ticks.tick().await;
    }
}

/// An e-mail address as a query.
pub(crate) fn by_email(address: &str) -> String {
    let mut query = "email=".to_owned();
    for byte in address.bytes() {
        write!(query, "%{byte:02X}").expect("a String takes it");
    }
    query
}

/// Everything this process logged.
pub(crate) fn logs() -> String {
    let bytes = LOGS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(bytes).expect("text")
}

static LOGS: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        LOGS.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn capture_logs(config: &config::TelemetryConfig) {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| telemetry::install(config, || LogWriter).expect("the log starts"));
}

/// The defaults, with webhooks, an overview without lag, and lifetimes that only a working feed allows.
fn config() -> Config {
    let mut config =
        config::layers::read(None, &BTreeMap::new()).expect("the defaults can be read");
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.operations.listen = config.server.listen;
    config.engage.api_key = Some("test-engage-key".into());
    config.engage.default_contact_type = Some("Member".to_owned());
    config.engage.point_names = false;
    config.engage.requests_per_second = 1_000_000.0;
    config.engage.burst = 1_000_000;
    config.engage.overview_lag = Duration::ZERO;
    config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
    config.redis.encryption_keys = vec![ENCRYPTION_KEY.into()];
    config.telemetry.digest_key = Some(DIGEST_KEY.into());
    "trace".clone_into(&mut config.telemetry.log);
    let hours = Duration::from_secs(4 * 3600);
    let cache = &mut config.cache;
    cache.profile_lifetime = hours;
    cache.audiences_lifetime = hours;
    cache.promotions_lifetime = hours;
    cache.vouchers_lifetime = hours;
    cache.points_lifetime = hours;
    config.auth.clients = vec![ClientConfig {
        id: "till".to_owned(),
        key_sha256: vec![KEY_DIGEST.to_owned()],
        scopes: vec![Scope::Read, Scope::ReadFull, Scope::Fresh, Scope::Changed],
        identifiers: IdentifierKind::ALL.to_vec(),
        view: ClientView::Full,
        channel: None,
        requests_per_second: None,
        max_concurrency: None,
        unknown_per_minute: None,
        people_per_hour: None,
        changes_per_second: 10,
    }];
    config
}
