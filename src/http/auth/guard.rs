//! The guard against a client that tries out who is a customer.

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

/// For how long unknown identifiers are counted together.
const MINUTE: Duration = Duration::from_secs(60);

/// Counts the different people that a client asked for and nobody knows: shops meet a few, who tries
/// out addresses meets many. Beyond the limit the client is answered from memory alone for the rest of
/// the minute.
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

    pub(super) fn is_tripped(&self, now: Tick) -> bool {
        let is_over = |limit| self.current_minute(now).identifiers.len() >= limit;
        self.limit.is_some_and(is_over)
    }

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
            tracing::error!(
                alarm = true,
                client,
                limit,
                "a client asks for many people whom nobody knows"
            );
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
