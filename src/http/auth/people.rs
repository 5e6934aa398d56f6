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
pub(super) struct People {
    limit: usize,
    seen: Mutex<Seen>,
    hasher: RandomState,
    alarms: Counter,
    clock: Clock,
}

/// Whom the client was shown since the hour began: as many as the limit, each by a hash.
#[derive(Default)]
struct Seen {
    since: Tick,
    contacts: HashSet<u64>,
    is_told: bool,
}

impl People {
    pub(super) fn new(limit: u32, alarms: Counter, clock: Clock) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            seen: Mutex::default(),
            hasher: RandomState::new(),
            alarms,
            clock,
        }
    }

    /// Notes that the client was shown the contact.
    pub(super) fn saw(&self, client: &ClientName, id: ContactId) {
        if self.is_one_too_many(id) {
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
    fn is_one_too_many(&self, id: ContactId) -> bool {
        let now = self.clock.tick();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(seen.since) >= HOUR {
            *seen = Seen {
                since: now,
                ..Seen::default()
            };
        }
        let contact = self.hasher.hash_one(id);
        if seen.is_told || seen.contacts.contains(&contact) {
            return false;
        }
        if seen.contacts.len() < self.limit {
            seen.contacts.insert(contact);
            return false;
        }
        seen.is_told = true;
        seen.contacts = HashSet::new();
        true
    }
}
