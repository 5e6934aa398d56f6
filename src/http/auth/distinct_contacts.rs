//! The alarm for a client that is sent too many distinct contacts: a service desk needs some dozens an hour, a copy of
//! the customer base needs all of them. The client is still answered; an operator decides.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    clock::{Clock, Tick},
    domain::{ClientName, ContactId},
    metrics::Counter,
};

/// The window in which contacts are counted.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Counts the distinct contacts that a client was sent.
pub(super) struct DistinctContacts {
    limit: usize,
    shown: Mutex<ShownContacts>,
    hasher: RandomState,
    alarms: Counter,
    clock: Clock,
}

/// The contacts sent since the hour began, by their hashes; no more than the limit.
#[derive(Default)]
struct ShownContacts {
    since: Tick,
    contacts: HashSet<u64>,
    has_alarmed: bool,
}

impl DistinctContacts {
    pub(super) fn new(limit: u32, alarms: Counter, clock: Clock) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            shown: Mutex::default(),
            hasher: RandomState::new(),
            alarms,
            clock,
        }
    }

    /// The number of distinct contacts in an hour beyond which the alarm is raised.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Counts a contact that is sent to the client.
    pub(super) fn record(&self, client: &ClientName, id: ContactId) {
        if self.exceeds_limit(id) {
            self.alarms.inc();
            tracing::warn!(
                alarm = true,
                client = client.as_str(),
                limit = self.limit,
                "distinct contacts limit exceeded"
            );
        }
    }

    /// Whether this contact is the first beyond the limit in this hour.
    fn exceeds_limit(&self, id: ContactId) -> bool {
        let now = self.clock.tick();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(shown.since) >= HOUR {
            *shown = ShownContacts {
                since: now,
                ..ShownContacts::default()
            };
        }
        let contact = self.hasher.hash_one(id);
        if shown.has_alarmed || shown.contacts.contains(&contact) {
            return false;
        }
        if shown.contacts.len() < self.limit {
            shown.contacts.insert(contact);
            return false;
        }
        shown.has_alarmed = true;
        shown.contacts = HashSet::new();
        true
    }
}
