//! The guard against enumeration: a client that probes which identifiers belong to customers.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    clock::{Clock, Tick},
    domain::{ClientName, LookupKey},
};

/// The window in which unknown identifiers are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Counts the distinct identifiers without a contact that a client looked up: few in a shop's traffic, many in an
/// enumeration. From the limit on, the client is answered from the cache alone for the rest of the minute.
pub(super) struct EnumerationGuard {
    limit: Option<usize>,
    unknown: Mutex<UnknownIdentifiers>,
    hasher: RandomState,
    clock: Clock,
}

#[derive(Default)]
struct UnknownIdentifiers {
    since: Tick,
    identifiers: HashSet<u64>,
}

impl EnumerationGuard {
    pub(super) fn new(limit: Option<u32>, clock: Clock) -> Self {
        Self {
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            unknown: Mutex::default(),
            hasher: RandomState::new(),
            clock,
        }
    }

    /// Whether the client is answered from the cache alone.
    pub(super) fn is_tripped(&self, now: Tick) -> bool {
        let is_over = |limit| self.current_minute(now).identifiers.len() >= limit;
        self.limit.is_some_and(is_over)
    }

    /// Counts an identifier without a contact.
    pub(super) fn record_unknown(&self, client: &ClientName, key: &LookupKey) {
        let Some(limit) = self.limit else { return };
        let is_last = {
            let mut unknown = self.current_minute(self.clock.tick());
            let was_below = unknown.identifiers.len() < limit;
            was_below
                && unknown.identifiers.insert(self.hasher.hash_one(key))
                && unknown.identifiers.len() == limit
        };
        if is_last {
            let client = client.as_str();
            tracing::error!(alarm = true, client, limit, "enumeration guard tripped");
        }
    }

    fn current_minute(&self, now: Tick) -> MutexGuard<'_, UnknownIdentifiers> {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(unknown.since) >= MINUTE {
            unknown.since = now;
            unknown.identifiers.clear();
        }
        unknown
    }
}
