//! Metrics of each client. The series of a client are created together with it, so a client that is added while the
//! service runs gets series of its own; the series of a removed client stay.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use http::StatusCode;
use jiff::Timestamp;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::error::{Code, Guarded};
use crate::{
    domain::listed_enum::listed_enum,
    metrics::{
        Counter, Counters, Gauge, Gauges, Registry, Source,
        catalogue::customers::{
            CHANGES, CLIENT_GUARD_TRIPPED, CLIENT_GUARD_TRIPS, CLIENT_KEY_LAST_USED,
            CLIENT_LAST_SEEN, CLIENT_PEOPLE_ALARMS, CLIENT_REQUESTS,
        },
    },
};

/// The client name under which all shoppers without a client's key are counted.
pub(super) const SHOPPERS: &str = "(shoppers)";

listed_enum! {
    /// How a client's request ended: the label of its metric.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum ClientOutcome {
        /// It got what it requested.
        Answered => "answered",
        /// It got a 304.
        NotModified => "not_modified",
        /// There is no such customer.
        NotFound => "not_found",
        /// It got another problem that the client caused.
        Refused => "refused",
        /// The client's rate or concurrency did not allow it.
        Limited => "limited",
        /// The client's enumeration guard is tripped.
        Guarded => "guarded",
        /// It got a problem that this service or Engage caused.
        Failed => "failed",
    }
}

listed_enum! {
    /// The outcome of a change that a client reported: the label of its metric.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum ChangeOutcome {
        /// It took effect.
        Taken => "taken",
        /// Neither memory nor the shared tier knows a contact with the identifier.
        Unknown => "unknown",
        /// Beyond the client's or the shopper's rate of changes.
        Limited => "limited",
        /// A shopper reported another contact.
        Refused => "refused",
        /// It took effect at this replica alone.
        NotShared => "not-shared",
        /// Nothing was done, because too many changes are still to be announced to other replicas.
        Owing => "owing",
    }
}

impl ClientOutcome {
    /// The outcome of a response with this status, and with this code if it is a problem.
    pub(super) fn of(status: StatusCode, code: Option<&Code>, guarded: Option<&Guarded>) -> Self {
        match code {
            None if status == StatusCode::NOT_MODIFIED => Self::NotModified,
            None => Self::Answered,
            Some(_) if guarded.is_some() => Self::Guarded,
            Some(Code::ContactNotFound) => Self::NotFound,
            Some(Code::RateLimited) => Self::Limited,
            Some(_) if status.is_client_error() => Self::Refused,
            Some(_) => Self::Failed,
        }
    }
}

/// The metrics of all clients.
#[derive(Clone, Debug)]
pub(super) struct ClientMetrics {
    requests: Counters,
    last_seen: Gauges,
    keys_last_used: Gauges,
    guard_trips: Counters,
    people_alarms: Counters,
    changes: Counters,
    guards: Guards,
}

/// Whether the enumeration guard of each client is tripped, by the client's name.
#[derive(Clone, Default)]
struct Guards(Arc<Mutex<BTreeMap<Box<str>, IsTripped>>>);

type IsTripped = Box<dyn Fn() -> bool + Send>;

/// The metrics of one client.
#[derive(Debug)]
pub(super) struct ClientCounters {
    requests: [Counter; ClientOutcome::COUNT],
    /// In seconds since 1970.
    last_seen: Gauge,
    changes: [Counter; ChangeOutcome::COUNT],
    pub(super) guard_trips: Counter,
    pub(super) people_alarms: Counter,
}

/// When a key was last used, in seconds since 1970.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyUse(Gauge);

impl Default for ClientMetrics {
    fn default() -> Self {
        Self {
            requests: Counters::new(&CLIENT_REQUESTS),
            last_seen: Gauges::new(&CLIENT_LAST_SEEN),
            keys_last_used: Gauges::new(&CLIENT_KEY_LAST_USED),
            guard_trips: Counters::new(&CLIENT_GUARD_TRIPS),
            people_alarms: Counters::new(&CLIENT_PEOPLE_ALARMS),
            changes: Counters::new(&CHANGES),
            guards: Guards::default(),
        }
    }
}

impl Source for ClientMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.requests.clone());
        registry.add(self.last_seen.clone());
        registry.add(self.keys_last_used.clone());
        registry.add(self.guards.clone());
        registry.add(self.guard_trips.clone());
        registry.add(self.people_alarms.clone());
        registry.add(self.changes.clone());
    }
}

impl ClientMetrics {
    /// The metrics of the client of that name.
    pub(super) fn of(&self, client: &str) -> ClientCounters {
        let outcomes = ClientOutcome::ALL.map(ClientOutcome::as_str);
        let changes = ChangeOutcome::ALL.map(ChangeOutcome::as_str);
        ClientCounters {
            requests: self.requests.each(&[client], outcomes),
            last_seen: self.last_seen.of(&[client]),
            changes: self.changes.each(&[client], changes),
            guard_trips: self.guard_trips.of(&[client]),
            people_alarms: self.people_alarms.of(&[client]),
        }
    }

    /// The last use of the client's key with this digest.
    pub(super) fn key_use(&self, client: &str, digest: [u8; 32]) -> KeyUse {
        let [a, b, c, d, ..] = digest;
        let key = format!("{a:02x}{b:02x}{c:02x}{d:02x}");
        KeyUse(self.keys_last_used.of(&[client, &key]))
    }

    /// Sets the function that says whether the client's guard is tripped.
    pub(super) fn watch_guard(&self, client: &str, is_tripped: impl Fn() -> bool + Send + 'static) {
        let mut guards = self.guards.0.lock().unwrap_or_else(PoisonError::into_inner);
        guards.insert(client.into(), Box::new(is_tripped));
    }
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guards")
    }
}

impl Collector for Guards {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tripped = guards
            .iter()
            .map(|(client, is_tripped)| ([&**client], u32::from(is_tripped())));
        CLIENT_GUARD_TRIPPED.write_each(&mut encoder, tripped)
    }
}

impl ClientCounters {
    /// Counts an answered request; `now` is when it arrived.
    pub(super) fn count(&self, outcome: ClientOutcome, now: Timestamp) {
        self.requests[outcome as usize].inc();
        set(&self.last_seen, now);
    }

    /// Counts a reported change.
    pub(super) fn count_change(&self, outcome: ChangeOutcome) {
        self.changes[outcome as usize].inc();
    }
}

impl KeyUse {
    pub(super) fn note(&self, now: Timestamp) {
        set(&self.0, now);
    }
}

/// Written once a second at most, so that cores that serve the same client don't contend for the cache line.
fn set(gauge: &Gauge, now: Timestamp) {
    let seconds = now.as_second();
    if gauge.get() != seconds {
        gauge.set(seconds);
    }
}
