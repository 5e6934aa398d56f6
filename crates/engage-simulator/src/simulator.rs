//! The handle that tests and programs hold: starting, steering and asking the simulator.

mod builder;
mod world;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::HeaderMap;
use tokio::{sync::watch, task::JoinHandle};

pub use builder::SimulatorBuilder;

use crate::{
    Call, CustomKey, Delivery, Endpoint, Fault, Hold, Latency, SimulatorClock, VoucherKey,
    WebhookTarget,
    calls::Calls,
    fault::Weather,
    hold::Holds,
    webhook::{Event, Signed, Webhooks},
    world::{ChangeType, World},
};

/// A running pretend Engage; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Simulator(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    api_key: String,
    address: SocketAddr,
    clock: SimulatorClock,
    world: Mutex<World>,
    weather: Mutex<Weather>,
    rate: Mutex<Rate>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) holds: Holds,
    pub(crate) webhooks: Webhooks,
    stop: watch::Sender<bool>,
    server: Mutex<Option<JoinHandle<()>>>,
}

/// The calls of the last second, in real time.
#[derive(Debug)]
struct Rate {
    limit: Option<u32>,
    recent: VecDeque<Instant>,
}

impl Simulator {
    /// Describes a simulator that is to be started.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::default()
    }

    /// `http://` with host and port, without a path.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The key that calls must carry.
    pub fn api_key(&self) -> &str {
        &self.0.api_key
    }

    /// The simulator's time.
    pub fn clock(&self) -> &SimulatorClock {
        &self.0.clock
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// Closes the listener and every connection, also those of running calls.
    pub async fn shutdown(&self) {
        self.0.stop.send_replace(true);
        let server = lock(&self.0.server).take();
        if let Some(server) = server {
            // An error means that it has panicked, and so is gone as well.
            let _ = server.await;
        }
    }

    /// Lets the calls to an endpoint fail until the faults are cleared.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.0.weather).add(endpoint, fault, None);
    }

    /// Lets the next `n` calls to an endpoint fail.
    pub fn fault_times(&self, endpoint: Endpoint, fault: Fault, n: usize) {
        if n > 0 {
            lock(&self.0.weather).add(endpoint, fault, Some(n));
        }
    }

    /// Ends all faults; calls that hang already go on hanging.
    pub fn clear_faults(&self) {
        lock(&self.0.weather).clear_faults();
    }

    /// Sets how long an endpoint takes to answer, in real time.
    pub fn latency(&self, endpoint: Endpoint, latency: Latency) {
        lock(&self.0.weather).set_latency(endpoint, latency);
    }

    /// Keeps calls waiting with the answer that was true when they arrived.
    pub fn hold(&self, endpoint: Endpoint) -> Hold {
        self.0.holds.add(endpoint, false)
    }

    /// Keeps calls waiting, and answers them with what is true when they are let go.
    pub fn hold_before(&self, endpoint: Endpoint) -> Hold {
        self.0.holds.add(endpoint, true)
    }

    /// Sets how old the world of the overview is.
    pub fn set_overview_lag(&self, lag: Duration) {
        self.world().settings.overview_lag = lag;
    }

    /// Sets which attribute the custom key is, if any.
    pub fn custom_key(&self, key: CustomKey) {
        self.world().settings.custom_key = key;
    }

    /// Sets how v3's overview spells vouchers.
    pub fn voucher_key(&self, key: VoucherKey) {
        self.world().settings.voucher_key = key;
    }

    /// Sets whether v3's point accounts come as a page instead of a bare array.
    pub fn wrap_point_accounts(&self, wrap: bool) {
        self.world().settings.wrap_point_accounts = wrap;
    }

    /// Sets how many items a page holds at most, whatever is asked for.
    pub fn page_cap(&self, cap: Option<usize>) {
        self.world().settings.page_cap = cap;
    }

    /// Sets how many contacts `/contacts/changes` lists; of more it answers 400.
    pub fn max_changes(&self, max: usize) {
        self.world().settings.max_changes = max;
    }

    /// Lets `/contacts/changes` list these ids as updated now, whether there are such contacts or not.
    pub fn list_as_updated(&self, ids: impl IntoIterator<Item = String>) {
        let now = self.clock().now();
        let mut world = self.world();
        for id in ids {
            world.note(now, ChangeType::Updated, &id);
        }
    }

    /// Sets whether the key is refused with 403.
    pub fn forbid(&self, forbid: bool) {
        self.world().settings.is_forbidden = forbid;
    }

    /// Sets how many calls per second are answered before 429, in real time.
    pub fn rate_limit(&self, per_second: Option<u32>) {
        lock(&self.0.rate).limit = per_second;
    }

    /// How often an endpoint was called since the last reset.
    pub fn calls(&self, endpoint: Endpoint) -> usize {
        self.0.calls.count(endpoint)
    }

    /// How often any endpoint was called since the last reset.
    pub fn total_calls(&self) -> usize {
        self.calls(Endpoint::All)
    }

    /// The calls since the last reset, in the order of arrival.
    pub fn log(&self) -> Vec<Call> {
        self.0.calls.log()
    }

    /// How many calls wait for an answer now.
    pub fn in_flight(&self) -> usize {
        self.0.calls.in_flight()
    }

    /// How many waited at most at the same time since the last reset.
    pub fn max_in_flight(&self) -> usize {
        self.0.calls.max_in_flight()
    }

    /// Forgets all calls that have been recorded.
    pub fn reset_log(&self) {
        self.0.calls.reset();
    }

    /// Unknown routes and query parameters that were asked for.
    pub fn unexpected(&self) -> Vec<String> {
        self.0.calls.unexpected()
    }

    /// Waits until an endpoint has been called `n` times; panics after twenty seconds.
    pub async fn wait_for_calls(&self, endpoint: Endpoint, n: usize) {
        self.0.calls.wait_for(endpoint, n).await;
    }

    /// From now on edits send webhooks there; `None` ends it.
    pub fn webhooks_to(&self, target: Option<WebhookTarget>) {
        self.0.webhooks.aim(target);
    }

    /// Builds a signed webhook about a contact without sending it.
    pub fn webhook(&self, event: &str, contact_id: &str) -> (HeaderMap, String) {
        let signed = self.sign(&self.event_about(event, contact_id));
        (signed.headers, signed.body)
    }

    /// Sends a webhook about a contact, as if something had happened.
    pub fn send_webhook(&self, event: &str, contact_id: &str) {
        self.tell(vec![self.event_about(event, contact_id)]);
    }

    /// From now on payloads of webhooks are encrypted under that key of 32 characters; `None` ends it.
    pub fn encrypt_webhooks(&self, key: Option<&str>) {
        self.0.webhooks.encrypt(key);
    }

    /// Sends all webhooks again, each under its id and signed now, as after a failure; in the order in which they were
    /// sent, or the other way round.
    pub fn resend_webhooks(&self, backwards: bool) {
        let mut sent = self.0.webhooks.sent();
        if backwards {
            sent.reverse();
        }
        let secret = self.0.webhooks.secret();
        for (event, signed) in sent {
            let again = signed.again(&secret, self.clock().now());
            let again = again.expect("what was signed once can be signed again");
            self.0.webhooks.send(&event, again);
        }
    }

    /// What became of the webhooks that were sent.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.0.webhooks.deliveries()
    }

    /// Waits until all webhooks sent so far have been answered or have failed.
    pub async fn webhooks_settled(&self) {
        self.0.webhooks.settled().await;
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.0.world)
    }

    pub(crate) fn weather_of(&self, endpoint: Endpoint) -> (Option<Fault>, Duration) {
        let mut weather = lock(&self.0.weather);
        let latency = weather.draw_latency(endpoint);
        (weather.take_fault(endpoint), latency)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the limit concerns the wire, where real time runs"
    )]
    pub(crate) fn is_within_rate(&self) -> bool {
        lock(&self.0.rate).take(Instant::now())
    }

    pub(crate) fn request_id(&self) -> String {
        crate::seed::guid(&mut self.world().rng)
    }

    /// Sends the events, if there is somebody to send them to.
    pub(crate) fn tell(&self, events: Vec<Event>) {
        if !self.0.webhooks.is_aimed() {
            return;
        }
        for event in events {
            let signed = self.sign(&event);
            self.0.webhooks.send_new(&event.name, signed);
        }
    }

    fn sign(&self, event: &Event) -> Signed {
        let secret = self.0.webhooks.secret();
        let key = self.0.webhooks.encryption_key();
        let now = self.clock().now();
        Signed::new(event, &self.request_id(), &secret, key.as_deref(), now)
            .expect("the secret is `whsec_` and base64, the key has 32 characters")
    }
}

impl Rate {
    fn take(&mut self, now: Instant) -> bool {
        let Some(limit) = self.limit else { return true };
        let is_old = |at: &Instant| now.duration_since(*at) >= Duration::from_secs(1);
        while self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        let is_within = self.recent.len() < limit as usize;
        if is_within {
            self.recent.push_back(now);
        }
        is_within
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
