//! The handle: starts, controls and inspects the simulator.

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
    fault::NetworkConditions,
    hold::Holds,
    webhook::{Event, Signed, Webhooks},
    world::{ChangeType, World},
};

/// A running Engage simulator; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Simulator(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    api_key: String,
    address: SocketAddr,
    clock: SimulatorClock,
    world: Mutex<World>,
    conditions: Mutex<NetworkConditions>,
    rate: Mutex<Rate>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) holds: Holds,
    pub(crate) webhooks: Webhooks,
    stop: watch::Sender<bool>,
    server: Mutex<Option<JoinHandle<()>>>,
}

/// Rate limiter: the calls of the last second, in real time.
#[derive(Debug)]
struct Rate {
    limit: Option<u32>,
    recent: VecDeque<Instant>,
}

impl Simulator {
    /// A builder of a simulator.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::default()
    }

    /// `http://` with host and port, without a path.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The API key that it was started with.
    pub fn api_key(&self) -> &str {
        &self.0.api_key
    }

    /// Sets the API keys that calls may use; if empty, only the key that the simulator was started with.
    pub fn accept_api_keys(&self, keys: &[&str]) {
        self.world().settings.api_keys = keys.iter().map(ToString::to_string).collect();
    }

    pub(crate) fn accepts_api_key(&self, key: &str) -> bool {
        let world = self.world();
        let keys = &world.settings.api_keys;
        if keys.is_empty() {
            key == self.0.api_key
        } else {
            keys.iter().any(|accepted| accepted == key)
        }
    }

    /// The simulator's clock.
    pub fn clock(&self) -> &SimulatorClock {
        &self.0.clock
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// Closes the listener and every connection, including those with calls in flight.
    pub async fn shutdown(&self) {
        self.0.stop.send_replace(true);
        let server = lock(&self.0.server).take();
        if let Some(server) = server {
            // An error means that the server task panicked, so it has ended as well.
            let _ = server.await;
        }
    }

    /// Makes the calls to an endpoint fail until the faults are cleared.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        lock(&self.0.conditions).add(endpoint, fault, None);
    }

    /// Makes the next `n` calls to an endpoint fail.
    pub fn fault_times(&self, endpoint: Endpoint, fault: Fault, n: usize) {
        if n > 0 {
            lock(&self.0.conditions).add(endpoint, fault, Some(n));
        }
    }

    /// Removes all faults; calls that already hang continue to hang.
    pub fn clear_faults(&self) {
        lock(&self.0.conditions).clear_faults();
    }

    /// Sets an endpoint's latency, in real time.
    pub fn latency(&self, endpoint: Endpoint, latency: Latency) {
        lock(&self.0.conditions).set_latency(endpoint, latency);
    }

    /// Holds calls whose responses are computed on arrival.
    pub fn hold(&self, endpoint: Endpoint) -> Hold {
        self.0.holds.add(endpoint, false)
    }

    /// Holds calls and computes their responses on release.
    pub fn hold_before(&self, endpoint: Endpoint) -> Hold {
        self.0.holds.add(endpoint, true)
    }

    /// Sets the age of the overview's data.
    pub fn set_overview_lag(&self, lag: Duration) {
        self.world().settings.overview_lag = lag;
    }

    /// Sets the attribute of the custom key, if any.
    pub fn custom_key(&self, key: CustomKey) {
        self.world().settings.custom_key = key;
    }

    /// Sets the key of vouchers in v3's overview.
    pub fn voucher_key(&self, key: VoucherKey) {
        self.world().settings.voucher_key = key;
    }

    /// Sets whether v3's point accounts are a page instead of a bare array.
    pub fn wrap_point_accounts(&self, wrap: bool) {
        self.world().settings.wrap_point_accounts = wrap;
    }

    /// Sets the maximum number of items on a page, for any request.
    pub fn page_cap(&self, cap: Option<usize>) {
        self.world().settings.page_cap = cap;
    }

    /// Sets the maximum number of contacts in `/contacts/changes`; for more it answers 400.
    pub fn max_changes(&self, max: usize) {
        self.world().settings.max_changes = max;
    }

    /// Makes `/contacts/changes` list these ids as updated now, existing or not.
    pub fn list_as_updated(&self, ids: impl IntoIterator<Item = String>) {
        let now = self.clock().now();
        let mut world = self.world();
        for id in ids {
            world.record_change(now, ChangeType::Updated, &id);
        }
    }

    /// Sets whether calls are refused with 403.
    pub fn forbid(&self, forbid: bool) {
        self.world().settings.is_forbidden = forbid;
    }

    /// Sets the calls per second before 429, in real time.
    pub fn rate_limit(&self, per_second: Option<u32>) {
        lock(&self.0.rate).limit = per_second;
    }

    /// Number of calls to an endpoint since the last reset.
    pub fn calls(&self, endpoint: Endpoint) -> usize {
        self.0.calls.count(endpoint)
    }

    /// Number of all calls since the last reset.
    pub fn total_calls(&self) -> usize {
        self.calls(Endpoint::All)
    }

    /// The calls since the last reset, in order of arrival.
    pub fn log(&self) -> Vec<Call> {
        self.0.calls.log()
    }

    /// Number of calls in flight.
    pub fn in_flight(&self) -> usize {
        self.0.calls.in_flight()
    }

    /// Maximum number of concurrent calls since the last reset.
    pub fn max_in_flight(&self) -> usize {
        self.0.calls.max_in_flight()
    }

    /// Clears the recorded calls.
    pub fn reset_log(&self) {
        self.0.calls.reset();
    }

    /// Requested routes and query parameters that are unknown.
    pub fn unexpected(&self) -> Vec<String> {
        self.0.calls.unexpected()
    }

    /// Waits until an endpoint has been called `n` times; panics after twenty seconds.
    pub async fn wait_for_calls(&self, endpoint: Endpoint, n: usize) {
        self.0.calls.wait_for(endpoint, n).await;
    }

    /// Sets the target of the webhooks that edits send; `None` disables them.
    pub fn webhooks_to(&self, target: Option<WebhookTarget>) {
        self.0.webhooks.set_target(target);
    }

    /// Builds a signed webhook about a contact without sending it.
    pub fn webhook(&self, event: &str, contact_id: &str) -> (HeaderMap, String) {
        let signed = self.sign(&self.event_about(event, contact_id));
        (signed.headers, signed.body)
    }

    /// Sends a webhook about a contact without an edit.
    pub fn send_webhook(&self, event: &str, contact_id: &str) {
        self.emit(vec![self.event_about(event, contact_id)]);
    }

    /// Sets the key of 32 characters that payloads of webhooks are encrypted with; `None` disables encryption.
    pub fn encrypt_webhooks(&self, key: Option<&str>) {
        self.0.webhooks.encrypt(key);
    }

    /// Resends all webhooks as after a failure, under their ids with new signatures, in the original order or backwards.
    pub fn resend_webhooks(&self, backwards: bool) {
        let mut sent = self.0.webhooks.sent();
        if backwards {
            sent.reverse();
        }
        let secret = self.0.webhooks.secret();
        for (event, signed) in sent {
            let resigned = signed.resign(&secret, self.clock().now());
            let resigned = resigned.expect("a valid secret");
            self.0.webhooks.send(&event, resigned);
        }
    }

    /// Results of the sent webhooks.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.0.webhooks.deliveries()
    }

    /// Waits until all sent webhooks have a response or have failed.
    pub async fn webhooks_settled(&self) {
        self.0.webhooks.settled().await;
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.0.world)
    }

    pub(crate) fn conditions_of(&self, endpoint: Endpoint) -> (Option<Fault>, Duration) {
        let mut conditions = lock(&self.0.conditions);
        let latency = conditions.draw_latency(endpoint);
        (conditions.take_fault(endpoint), latency)
    }

    #[expect(clippy::disallowed_methods, reason = "the rate limit uses real time")]
    pub(crate) fn is_within_rate(&self) -> bool {
        lock(&self.0.rate).take(Instant::now())
    }

    pub(crate) fn request_id(&self) -> String {
        crate::seed::guid(&mut self.world().rng)
    }

    /// Sends the events if there is a target.
    pub(crate) fn emit(&self, events: Vec<Event>) {
        if !self.0.webhooks.has_target() {
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
            .expect("a valid secret and key")
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
