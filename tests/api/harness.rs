//! Starts the service and a simulator on free ports, sends real HTTP requests and moves the clock.
//!
//! ```ignore
//! let app = TestApp::spawn().await;
//! let answer = app.get("email=alva.testsson@example.com").await;
//! answer.assert_ok().assert_cache_status("engage-bff; fwd=miss; stored");
//! app.advance(Duration::from_secs(120));
//! ```

mod answer;
pub(crate) mod contract;
mod events;
mod reload;
mod version;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use engage_bff::{
    app::{App, Reloader},
    clock::{Clock, ManualClock},
    config::{self, ApiVersion, Config, Scope},
    customer::CustomerService,
    domain::{Channel, ContactId, IdentifierKind, Part},
    http::RequestMetrics,
    telemetry,
};
use engage_simulator::{
    DEFAULT_WEBHOOK_SECRET, Endpoint, Simulator, SimulatorClock, WebhookTarget,
};
use jiff::Timestamp;
use reqwest::{Body, Client, RequestBuilder, header::HeaderMap};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sensitive::assert_no_sensitive_data;

pub(crate) use self::{
    answer::Answer,
    events::{alarms, events},
    version::{API, COLD_CALLS, OVERVIEW_HAS_POINTS, POINTS_CALLS, not_applicable_in},
};

/// The key of the client with every scope of a client (not `customer:read:self`) and every identifier kind; its view is
/// `full`.
pub(crate) const TILL: &str = "test-till-key";
/// The key of a shop's backend: `customer:read` and `customer:fresh`, the default identifiers, view
/// `storefront`, channel ECOM.
pub(crate) const SHOP: &str = "test-shop-key";
/// The key of a client whose only scope is `customer:read`.
pub(crate) const READER: &str = "test-reader-key";
/// The time at which every test starts.
pub(crate) const START: &str = "2026-11-23T12:00:00Z";

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

/// The service, its simulator and its clock.
pub(crate) struct TestApp {
    pub(crate) engage: Simulator,
    pub(crate) address: SocketAddr,
    pub(crate) operations: SocketAddr,
    pub(crate) customers: CustomerService,
    requests: Arc<RequestMetrics>,
    source: reload::Source,
    reloader: Reloader,
    clock: ManualClock,
    client: Client,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), io::Error>>,
}

impl TestApp {
    /// Starts the service with the built-in defaults, an upstream budget that no test exhausts, and three clients.
    pub(crate) async fn spawn() -> Self {
        Self::with(|_| {}).await
    }

    /// Like `spawn`, with a changed configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_unchecked(|config| {
            change(config);
            config.validate().expect("a valid configuration");
        })
        .await
    }

    /// Like `with`, without validation: for properties that must hold even with values with which the service would
    /// refuse to start.
    pub(crate) async fn with_unchecked(change: impl FnOnce(&mut Config)) -> Self {
        let start: Timestamp = START.parse().expect("a time");
        let engage = Simulator::builder()
            .seed(7)
            .contacts(50)
            .api_key("test-engage-key")
            .clock(SimulatorClock::manual(start))
            .rate_limit(None)
            .start()
            .await
            .expect("the simulator starts");
        let mut config = config();
        config.engage.base_url = engage.base_url();
        change(&mut config);
        capture_logs(&config.telemetry);
        let clock = ManualClock::new(start);
        let app = App::build(&config, Clock::from(clock.clone()))
            .await
            .expect("the service starts");
        let source = reload::Source::new(config);
        source.serve(&app.reloader()).await;
        contract::service_listens_at(app.local_addr(), app.operations_addr());
        let shutdown = CancellationToken::new();
        Self {
            engage,
            address: app.local_addr(),
            operations: app.operations_addr(),
            customers: app.customers(),
            requests: app.request_metrics(),
            source,
            reloader: app.reloader(),
            clock,
            client: Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
            running: tokio::spawn(app.run(shutdown.clone())),
            shutdown,
        }
    }

    /// Advances the service's clock and the simulator's.
    pub(crate) fn advance(&self, step: Duration) {
        self.engage.clock().advance(step);
        self.clock.advance(step);
    }

    /// Sets the service's wall clock; its monotonic clock stays.
    pub(crate) fn jump_wall(&self, to: Timestamp) {
        self.clock.jump_wall(to);
    }

    /// Delivers a webhook with these headers and this body.
    pub(crate) async fn deliver(&self, headers: HeaderMap, body: impl Into<Body>) -> Answer {
        let url = format!("http://{}/webhooks/engage", self.address);
        Answer::of(self.client.post(url).headers(headers).body(body)).await
    }

    /// From now on the simulator sends the service a webhook for every change.
    pub(crate) fn send_webhooks(&self) {
        self.engage.webhooks_to(Some(WebhookTarget {
            url: format!("http://{}/webhooks/engage", self.address),
            secret: DEFAULT_WEBHOOK_SECRET.to_owned(),
            encryption_key: None,
        }));
    }

    /// Makes the contact's points come from their own endpoint for as long as the overview may lag.
    /// In v3 they always do; in v2 after an invalidation.
    pub(crate) async fn fetch_points_separately(&self, contact: &str) {
        if OVERVIEW_HAS_POINTS {
            self.customers
                .invalidate(id(contact), Part::Points.into())
                .await
                .expect("there is no shared tier");
        }
    }

    /// Advances the clocks continuously until the guard is dropped: for queued calls and retry delays.
    pub(crate) fn run_clock(&self) -> RunningClock {
        let (engage, clock) = (self.engage.clone(), self.clock.clone());
        RunningClock(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            loop {
                ticks.tick().await;
                engage.clock().advance(Duration::from_millis(5));
                clock.advance(Duration::from_millis(5));
            }
        }))
    }

    /// A `GET` request for this path and query, without a credential.
    pub(crate) fn request(&self, target: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{target}", self.address))
    }

    /// A `GET` request for the operations listener.
    pub(crate) fn operations_request(&self, target: &str) -> RequestBuilder {
        self.client
            .get(format!("http://{}{target}", self.operations))
    }

    /// Sends a `GET` to the operations listener, without a token.
    pub(crate) async fn operations(&self, target: &str) -> Answer {
        Answer::of(self.operations_request(target)).await
    }

    /// Sends `GET /customer` as the till.
    pub(crate) async fn get(&self, query: &str) -> Answer {
        self.get_as(TILL, query).await
    }

    /// Sends `GET /customer` as the client with this key.
    pub(crate) async fn get_as(&self, key: &str, query: &str) -> Answer {
        Answer::of(self.customer(key, query)).await
    }

    /// Sends `GET /customer` as the till with a request `Cache-Control`.
    pub(crate) async fn get_with(&self, query: &str, cache_control: &str) -> Answer {
        let request = self.customer(TILL, query);
        Answer::of(request.header("cache-control", cache_control)).await
    }

    /// Sends `GET /customer` as the till in a task of its own; aborting the task closes the connection.
    pub(crate) fn spawn_get(&self, query: &str) -> JoinHandle<Answer> {
        self.spawn_get_as(TILL, query)
    }

    /// Like `spawn_get`, as the client with this key.
    pub(crate) fn spawn_get_as(&self, key: &str, query: &str) -> JoinHandle<Answer> {
        tokio::spawn(Answer::of(self.customer(key, query)))
    }

    /// Repeats the request until the answer matches: for background work. Fails after ten seconds.
    #[track_caller]
    pub(crate) fn get_until(
        &self,
        query: &str,
        matches: impl Fn(&Answer) -> bool,
    ) -> impl Future<Output = Answer> {
        let caller = std::panic::Location::caller();
        async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(2));
            for _ in 0..5000 {
                let answer = self.get(query).await;
                if matches(&answer) {
                    return answer;
                }
                ticks.tick().await;
            }
            panic!("timed out after ten seconds: {caller}");
        }
    }

    /// A `GET /customer` request of the client with this key.
    pub(crate) fn customer(&self, key: &str, query: &str) -> RequestBuilder {
        self.request(&format!("/customer?{query}"))
            .header("x-api-key", key)
    }

    /// Sends `POST /customer/lookup` as the till.
    pub(crate) async fn lookup(&self, body: Value) -> Answer {
        self.lookup_as(TILL, body).await
    }

    /// Sends `POST /customer/lookup` as the client with this key.
    pub(crate) async fn lookup_as(&self, key: &str, body: Value) -> Answer {
        Answer::of(self.post(key).body(body.to_string())).await
    }

    /// A `POST /customer/lookup` request of the client with this key, without a body.
    pub(crate) fn post(&self, key: &str) -> RequestBuilder {
        self.post_to("/customer/lookup", key)
    }

    /// A `POST` request for this path of the client with this key, for JSON, without a body.
    pub(crate) fn post_to(&self, path: &str, key: &str) -> RequestBuilder {
        self.client
            .post(format!("http://{}{path}", self.address))
            .header("x-api-key", key)
            .header("content-type", "application/json")
    }

    /// Sends `HEAD /customer` as the till.
    pub(crate) async fn head(&self, query: &str) -> Answer {
        let url = format!("http://{}/customer?{query}", self.address);
        Answer::of(self.client.head(url).header("x-api-key", TILL)).await
    }

    /// Sends a request that the test built itself.
    pub(crate) async fn execute(&self, request: reqwest::Request) -> Answer {
        Answer::of(RequestBuilder::from_parts(self.client.clone(), request)).await
    }

    /// Sends a request that the test built itself, and reads the head of its response alone.
    pub(crate) async fn execute_for_head(&self, request: reqwest::Request) -> Answer {
        Answer::head_of(RequestBuilder::from_parts(self.client.clone(), request)).await
    }

    /// How many responses the fast path has written.
    pub(crate) fn fast_path_total(&self) -> u64 {
        self.requests.fast_path_total()
    }

    /// The number of calls to Engage's overview.
    pub(crate) fn overview_calls(&self) -> usize {
        self.engage.calls(Endpoint::Overview)
    }

    /// Shuts the service down as SIGTERM does; an error if requests in flight were not finished.
    pub(crate) async fn stop(mut self) -> Result<(), io::Error> {
        self.shutdown.cancel();
        (&mut self.running)
            .await
            .expect("the service does not panic")
    }

    /// Begins the shutdown and returns at once.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if !std::thread::panicking() {
            let unexpected = self.engage.unexpected();
            assert!(
                unexpected.is_empty(),
                "unexpected calls to Engage: {unexpected:?}"
            );
            assert_no_sensitive_data("the log", &logs());
            let version = match API {
                ApiVersion::V2 => "/api/v2/",
                ApiVersion::V3 => "/api/v3/",
            };
            let log = self.engage.log();
            let other = log.iter().find(|call| !call.path.starts_with(version));
            assert!(other.is_none(), "call to another API version: {other:?}");
        }
    }
}

/// Advances the clocks until it is dropped.
pub(crate) struct RunningClock(JoinHandle<()>);

impl Drop for RunningClock {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The built-in defaults, adapted for tests.
fn config() -> Config {
    let mut config =
        config::layers::read(None, &BTreeMap::new()).expect("the defaults can be read");
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.operations.listen = config.server.listen;
    config.engage.api_version = API;
    config.engage.api_key = Some("test-engage-key".into());
    config.engage.default_contact_type = Some("Member".to_owned());
    config.engage.point_names = false;
    config.engage.default_point_definition = Some("1".to_owned());
    config.engage.requests_per_second = 1_000_000.0;
    config.engage.burst = 1_000_000;
    config.engage.max_concurrency = 1000;
    "trace".clone_into(&mut config.telemetry.log);
    let digest = |client: &str| {
        let (_, digest) = DIGESTS
            .iter()
            .find(|(id, _)| *id == client)
            .expect("a known client");
        vec![(*digest).to_owned()]
    };
    let client =
        |id: &str, scopes: &[Scope], identifiers: &[IdentifierKind]| config::ClientConfig {
            id: id.to_owned(),
            key_sha256: digest(id),
            scopes: scopes.to_vec(),
            identifiers: identifiers.to_vec(),
            view: config::ClientView::Storefront,
            channel: None,
            requests_per_second: None,
            max_concurrency: None,
            unknown_per_minute: None,
            people_per_hour: None,
            changes_per_second: 10,
        };
    let usual = [
        IdentifierKind::ContactId,
        IdentifierKind::Email,
        IdentifierKind::MobilePhone,
        IdentifierKind::CustomKey,
    ];
    let all = [
        Scope::Read,
        Scope::ReadFull,
        Scope::Fresh,
        Scope::Batch,
        Scope::Changed,
    ];
    let mut till = client("till", &all, &IdentifierKind::ALL);
    till.view = config::ClientView::Full;
    let mut shop = client("shop", &[Scope::Read, Scope::Fresh], &usual);
    shop.channel = Some(Channel::Ecom);
    let reader = client("reader", &[Scope::Read], &usual);
    config.auth.clients = vec![till, shop, reader];
    config
}

/// Everything that this process logged, at the levels of the first service's configuration.
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

/// Installs the log once per process; nextest runs each test in its own process, so the log belongs to one test.
fn capture_logs(config: &config::TelemetryConfig) {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| telemetry::install(config, || LogWriter).expect("the log starts"));
}

/// Waits until the condition holds: for background work. Fails after ten seconds.
#[track_caller]
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        for _ in 0..5000 {
            if condition() {
                return;
            }
            ticks.tick().await;
        }
        panic!("timed out after ten seconds: {caller}");
    }
}

/// A query value with every byte percent-encoded except ASCII letters and digits.
pub(crate) fn percent_encoded(value: &str) -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
    text
}

/// Parses a contact id.
#[track_caller]
pub(crate) fn id(text: &str) -> ContactId {
    ContactId::parse(text).expect("a contact id")
}

/// Gives sent requests time to arrive, which cannot be observed from outside. Everything runs on the test's
/// single thread, so a fixed number of scheduler turns is enough on any machine.
pub(crate) async fn let_requests_arrive() {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for _ in 0..50 {
        ticks.tick().await;
    }
}
