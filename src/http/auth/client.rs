//! A server or till that holds a key: its rights, its rate, its requests under way, and the guard
//! against a client that tries out who is a customer.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::error::{ApiError, Code},
    people::People,
};
use crate::{
    clock::{Clock, Tick},
    config::{self, Scope},
    customer::answer::View,
    domain::{Channel, ClientName, ContactId, IdentifierKind, LookupKey},
    rate::Bucket,
};

/// For how long unknown identifiers are counted together.
const MINUTE: Duration = Duration::from_secs(60);

pub(super) struct Client {
    name: ClientName,
    digests: Vec<[u8; 32]>,
    scopes: Vec<Scope>,
    identifiers: Vec<IdentifierKind>,
    view: View,
    channel: Option<Channel>,
    rate: Option<(u32, Mutex<Bucket>)>,
    places: Option<Arc<Semaphore>>,
    guard: Guard,
    people: Option<People>,
}

/// A place among the client's requests under way.
pub(super) type Place = OwnedSemaphorePermit;

impl Client {
    /// `alarms` is asked for where the people whom the client is shown are counted.
    pub(super) fn new(
        client: &config::Client,
        alarms: impl FnOnce() -> Counter,
        clock: &Clock,
    ) -> Self {
        let now = clock.tick();
        let bucket = |rate| (rate, Mutex::new(Bucket::new(f64::from(rate), rate, now)));
        Self {
            name: ClientName::from(&*client.id),
            digests: client
                .key_sha256
                .iter()
                .filter_map(|hex| from_hex(hex))
                .collect(),
            scopes: client.scopes.clone(),
            identifiers: client.identifiers.clone(),
            view: View::from(client.view),
            channel: client.channel.map(Channel::from),
            rate: client.requests_per_second.map(bucket),
            places: client
                .max_concurrency
                .map(|places| Arc::new(Semaphore::new(places))),
            guard: Guard::new(client.unknown_per_minute, clock.clone()),
            people: client
                .people_per_hour
                .map(|limit| People::new(limit, alarms(), clock.clone())),
        }
    }

    /// Whoever shows nothing, where that is allowed: on loopback only.
    pub(super) fn anonymous(clock: &Clock) -> Self {
        Self {
            name: ClientName::from("anonymous"),
            digests: Vec::new(),
            scopes: vec![Scope::Read, Scope::ReadFull, Scope::Fresh],
            identifiers: IdentifierKind::ALL.to_vec(),
            view: View::Storefront,
            channel: None,
            rate: None,
            places: None,
            guard: Guard::new(None, clock.clone()),
            people: None,
        }
    }

    /// Counts a request; refuses one that is too many a second or at once.
    pub(super) fn admit(&self, now: Tick) -> Result<Option<Place>, ApiError> {
        if let Some((rate, bucket)) = &self.rate {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket
                .take(now)
                .map_err(|wait| ApiError::new(Code::RateLimited).limited(*rate, wait))?;
        }
        let Some(places) = &self.places else {
            return Ok(None);
        };
        let place = Arc::clone(places).try_acquire_owned();
        place.map(Some).map_err(|_| {
            ApiError::because(
                Code::RateLimited,
                "Too many requests of this client are under way.",
            )
            .retry_after(Duration::from_secs(1))
        })
    }

    pub(super) fn name(&self) -> &ClientName {
        &self.name
    }

    pub(super) fn digests(&self) -> &[[u8; 32]] {
        &self.digests
    }

    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    pub(super) fn may_ask_by(&self, kind: IdentifierKind) -> bool {
        self.identifiers.contains(&kind)
    }

    pub(super) fn view(&self) -> View {
        self.view
    }

    pub(super) fn channel(&self) -> Option<Channel> {
        self.channel
    }

    /// Notes that it was shown the contact.
    pub(super) fn saw(&self, id: ContactId) {
        if let Some(people) = &self.people {
            people.saw(&self.name, id);
        }
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }
}

/// Counts the different people that a client asked for and nobody knows: shops meet a few, who tries
/// out addresses meets many. Beyond the limit the client is answered from memory alone for the rest of
/// the minute.
pub(super) struct Guard {
    limit: Option<usize>,
    unknown: Mutex<Unknown>,
    hasher: RandomState,
    clock: Clock,
}

#[derive(Default)]
struct Unknown {
    since: Tick,
    identifiers: HashSet<u64>,
}

impl Guard {
    fn new(limit: Option<u32>, clock: Clock) -> Self {
        Self {
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            unknown: Mutex::default(),
            hasher: RandomState::new(),
            clock,
        }
    }

    pub(super) fn holds_back(&self, now: Tick) -> bool {
        let is_over = |limit| self.this_minute(now).identifiers.len() >= limit;
        self.limit.is_some_and(is_over)
    }

    pub(super) fn found_nobody(&self, client: &ClientName, key: &LookupKey) {
        let Some(limit) = self.limit else { return };
        let is_last = {
            let mut unknown = self.this_minute(self.clock.tick());
            let was_below = unknown.identifiers.len() < limit;
            was_below
                && unknown.identifiers.insert(self.hasher.hash_one(key))
                && unknown.identifiers.len() == limit
        };
        if is_last {
            let client = client.as_str();
            tracing::error!(
                alarm = true,
                client,
                limit,
                "a client asks for many people whom nobody knows"
            );
        }
    }

    fn this_minute(&self, now: Tick) -> MutexGuard<'_, Unknown> {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(unknown.since) >= MINUTE {
            unknown.since = now;
            unknown.identifiers.clear();
        }
        unknown
    }
}

impl From<config::View> for View {
    fn from(view: config::View) -> Self {
        match view {
            config::View::Storefront => View::Storefront,
            config::View::Full => View::Full,
        }
    }
}

impl From<config::Channel> for Channel {
    fn from(channel: config::Channel) -> Self {
        match channel {
            config::Channel::Ecom => Channel::Ecom,
            config::Channel::Pos => Channel::Pos,
            config::Channel::Other => Channel::Other,
        }
    }
}

/// The 32 bytes of 64 hex digits.
fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
