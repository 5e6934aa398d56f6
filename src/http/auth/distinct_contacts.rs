//! The alarm for a client that looks at too many people: a service desk meets some dozens an hour, who copies the
//! customer base meets all of it. It goes on being answered: people decide.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;

use crate::{
    clock::{Clock, Tick},
    domain::{ClientName, ContactId},
};

/// For how long people are counted together.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Counts the different people that a client was shown.
pub(super) struct DistinctContacts {
    limit: usize,
    shown: Mutex<ShownContacts>,
    hasher: RandomState,
    alarms: Counter,
    clock: Clock,
}

/// Whom the client was shown since the hour began: as many as the limit, each by a hash.
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

    /// Notes that the client was shown the contact.
    pub(super) fn record(&self, client: &ClientName, id: ContactId) {
        if self.exceeds_limit(id) {
            self.alarms.inc();
            tracing::warn!(
                alarm = true,
                client = client.as_str(),
                limit = self.limit,
                "a client looks at many people"
            );
        }
    }

    /// Whether it is the first beyond the limit in this hour.
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
