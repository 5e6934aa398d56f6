//! A client with an API key, such as a shop's server or a till: its rights, limits and alarms.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::{
        client_metrics::{ClientCounters, ClientMetrics, KeyUse},
        error::RateLimit,
    },
    distinct_contacts::DistinctContacts,
    guard::EnumerationGuard,
    rate_limiter::RateLimiter,
    refusal::AuthRefusal,
};
use crate::{
    clock::{Clock, Tick},
    config::{self, Scope},
    customer::view::View,
    domain::{Channel, ClientName, ContactId, IdentifierKind},
};

/// A client with an API key, or all callers without a credential.
pub(super) struct ApiClient {
    pub(super) name: ClientName,
    /// The digest of each key, and when it was last used.
    pub(super) keys: Vec<([u8; 32], KeyUse)>,
    scopes: Vec<Scope>,
    identifiers: Vec<IdentifierKind>,
    /// The default view.
    pub(super) view: View,
    /// The default channel.
    pub(super) channel: Option<Channel>,
    /// Limits requests.
    rate: Option<Arc<RateLimiter>>,
    /// Limits concurrent requests: the limit, and the permits that are left.
    permits: Option<(usize, Arc<Semaphore>)>,
    pub(super) guard: Arc<EnumerationGuard>,
    distinct_contacts: Option<Arc<DistinctContacts>>,
    /// Limits the changes that the client reports.
    pub(super) changes: Arc<RateLimiter>,
    pub(super) counters: Arc<ClientCounters>,
}

/// The name of all callers without a credential.
const ANONYMOUS: &str = "anonymous";
/// How many changes callers without a credential may report a second.
const ANONYMOUS_CHANGES: u32 = 10;

/// Counts one concurrent request of the client; released when dropped.
pub(super) type ConcurrencyPermit = OwnedSemaphorePermit;

impl ApiClient {
    /// The configured client, which counts in series of its own.
    pub(super) fn new(
        client: &config::ClientConfig,
        metrics: &ClientMetrics,
        clock: &Clock,
    ) -> Self {
        let now = clock.tick();
        let limiter = |limit, rate| Arc::new(RateLimiter::new(limit, rate, now));
        let counters = metrics.of(&client.id);
        let trips = counters.guard_trips.clone();
        let guard = EnumerationGuard::new(client.unknown_per_minute, trips, clock.clone());
        let digests = client.key_sha256.iter().filter_map(|hex| from_hex(hex));
        let key = |digest| (digest, metrics.key_use(&client.id, digest));
        let alarms = &counters.people_alarms;
        let distinct_contacts =
            |limit| Arc::new(DistinctContacts::new(limit, alarms.clone(), clock.clone()));
        Self {
            name: ClientName::from(&*client.id),
            keys: digests.map(key).collect(),
            scopes: client.scopes.clone(),
            identifiers: client.identifiers.clone(),
            view: View::from(client.view),
            channel: client.channel,
            rate: client
                .requests_per_second
                .map(|rate| limiter(RateLimit::Requests, rate)),
            permits: client
                .max_concurrency
                .map(|permits| (permits, Arc::new(Semaphore::new(permits)))),
            guard: Arc::new(guard),
            distinct_contacts: client.people_per_hour.map(distinct_contacts),
            changes: limiter(RateLimit::Changes, client.changes_per_second),
            counters: Arc::new(counters),
        }
    }

    /// Shows in the metrics whether the enumeration guard is tripped.
    pub(super) fn show_guard_in(&self, metrics: &ClientMetrics) {
        let guard = Arc::clone(&self.guard);
        metrics.watch_guard(self.name.as_str(), move || guard.is_tripped_now());
    }

    /// Takes over the counts of `before`, the same client with an earlier configuration, for each limit that is the
    /// same in both. Requests that are still in flight there count here too.
    pub(super) fn continue_from(&mut self, before: &Self) {
        let rate = |client: &Self| client.rate.as_ref().map(|limiter| limiter.rate());
        if rate(self) == rate(before) {
            self.rate.clone_from(&before.rate);
        }
        let permits = |client: &Self| client.permits.as_ref().map(|(most, _)| *most);
        if permits(self) == permits(before) {
            self.permits.clone_from(&before.permits);
        }
        if self.guard.limit() == before.guard.limit() {
            self.guard = Arc::clone(&before.guard);
        }
        let contacts = |client: &Self| Some(client.distinct_contacts.as_ref()?.limit());
        if contacts(self) == contacts(before) {
            self.distinct_contacts.clone_from(&before.distinct_contacts);
        }
        if self.changes.rate() == before.changes.rate() {
            self.changes = Arc::clone(&before.changes);
        }
    }

    /// All callers without a credential (`auth.allow_anonymous`, on loopback only).
    pub(super) fn anonymous(metrics: &ClientMetrics, clock: &Clock) -> Self {
        let counters = metrics.of(ANONYMOUS);
        let trips = counters.guard_trips.clone();
        Self {
            name: ClientName::from(ANONYMOUS),
            keys: Vec::new(),
            scopes: vec![Scope::Read, Scope::ReadFull, Scope::Fresh, Scope::Changed],
            identifiers: IdentifierKind::ALL.to_vec(),
            view: View::Storefront,
            channel: None,
            rate: None,
            permits: None,
            guard: Arc::new(EnumerationGuard::new(None, trips, clock.clone())),
            distinct_contacts: None,
            changes: Arc::new(RateLimiter::new(
                RateLimit::Changes,
                ANONYMOUS_CHANGES,
                clock.tick(),
            )),
            counters: Arc::new(counters),
        }
    }

    /// Counts a request against the concurrency and rate limits. A refused request counts against neither: one that the
    /// fast path can't admit is tried again by the regular path.
    pub(super) fn admit(&self, now: Tick) -> Result<Option<ConcurrencyPermit>, AuthRefusal> {
        let permit = self.permit()?;
        self.count(now)?;
        Ok(permit)
    }

    /// A permit for one more concurrent request; `None` if their number has no limit.
    fn permit(&self) -> Result<Option<ConcurrencyPermit>, AuthRefusal> {
        let Some((_, permits)) = &self.permits else {
            return Ok(None);
        };
        let permit = Arc::clone(permits).try_acquire_owned();
        permit.map(Some).map_err(|_| AuthRefusal::TooManyConcurrent)
    }

    /// Counts a request, or a look-up within one, against the rate limit.
    pub(super) fn count(&self, now: Tick) -> Result<(), AuthRefusal> {
        self.rate
            .as_ref()
            .map_or(Ok(()), |limiter| limiter.admit(now))
    }

    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    pub(super) fn may_look_up_by(&self, kind: IdentifierKind) -> bool {
        self.identifiers.contains(&kind)
    }

    /// Counts a contact that is sent to the client.
    pub(super) fn record_shown(&self, id: ContactId) {
        if let Some(counter) = &self.distinct_contacts {
            counter.record(&self.name, id);
        }
    }
}

impl From<config::ClientView> for View {
    fn from(view: config::ClientView) -> Self {
        match view {
            config::ClientView::Storefront => View::Storefront,
            config::ClientView::Full => View::Full,
        }
    }
}

/// The 32 bytes of 64 hex digits.
fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
