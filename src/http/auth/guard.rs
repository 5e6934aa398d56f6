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
    metrics::Counter,
};

/// The window in which unknown identifiers are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Counts the distinct identifiers without a contact that a client looked up: few in a shop's traffic, many in an
/// enumeration. From the limit on, the client is answered from the cache alone for the rest of the minute.
pub(super) struct EnumerationGuard {
    limit: Option<usize>,
    unknown: Mutex<UnknownIdentifiers>,
    hasher: RandomState,
    trips: Counter,
    clock: Clock,
}

#[derive(Default)]
struct UnknownIdentifiers {
    since: Tick,
    identifiers: HashSet<u64>,
    /// Look-ups under way that may turn out to be of unknown identifiers.
    pending: usize,
}

/// Why a look-up that no person waits for may not be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum HeldBack {
    /// A look-up under way must end first: if all of them are of unknown identifiers, the limit is reached.
    Busy,
    /// The client looked up so many unknown contacts that it is answered from the cache alone.
    Tripped,
}

impl EnumerationGuard {
    pub(super) fn new(limit: Option<u32>, trips: Counter, clock: Clock) -> Self {
        Self {
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            unknown: Mutex::default(),
            hasher: RandomState::new(),
            trips,
            clock,
        }
    }

    /// The number of unknown identifiers at which the client is answered from the cache alone.
    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Whether the client is answered from the cache alone.
    pub(super) fn is_tripped(&self, now: Tick) -> bool {
        let is_over = |limit| self.current_minute(now).identifiers.len() >= limit;
        self.limit.is_some_and(is_over)
    }

    /// The same, at the current time.
    pub(super) fn is_tripped_now(&self) -> bool {
        self.is_tripped(self.clock.tick())
    }

    /// Begins a look-up that no person waits for; it is counted as under way until [`end_pending`](Self::end_pending).
    /// A program can send hundreds at once, so they are counted before it is known whether their identifiers are
    /// unknown; interactive look-ups are counted only after that.
    pub(super) fn begin_pending(&self, now: Tick) -> Result<(), HeldBack> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let mut unknown = self.current_minute(now);
        if unknown.identifiers.len() >= limit {
            return Err(HeldBack::Tripped);
        }
        if unknown.identifiers.len() + unknown.pending >= limit {
            return Err(HeldBack::Busy);
        }
        unknown.pending += 1;
        Ok(())
    }

    /// A look-up under way has ended, and was counted if it was of an unknown identifier.
    pub(super) fn end_pending(&self) {
        if self.limit.is_some() {
            let mut unknown = self.current_minute(self.clock.tick());
            unknown.pending = unknown.pending.saturating_sub(1);
        }
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
            self.trips.inc();
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        clock::ManualClock,
        domain::{ContactId, Lookup},
    };

    fn unknown(guard: &EnumerationGuard, number: usize) {
        let id = ContactId::parse(&format!("00000000-0000-4000-8000-{number:012x}"));
        let lookup = Lookup::by_id(id.expect("a contact id"));
        guard.record_unknown(&"shop".into(), lookup.key());
    }

    #[test]
    fn look_ups_under_way_leave_room_for_no_more_than_the_limit() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::from(manual.clone());
        let guard = EnumerationGuard::new(Some(3), Counter::default(), clock.clone());
        let begin = || guard.begin_pending(clock.tick());
        assert_eq!(
            [(); 4].map(|()| begin())[2..],
            [Ok(()), Err(HeldBack::Busy)]
        );
        // One look-up was of a known contact, the other of an unknown contact.
        guard.end_pending();
        assert_eq!(begin(), Ok(()));
        unknown(&guard, 1);
        guard.end_pending();
        assert_eq!(begin(), Err(HeldBack::Busy));
        // A new minute does not reset the number of look-ups under way.
        manual.advance(MINUTE);
        assert_eq!([(); 2].map(|()| begin()), [Ok(()), Err(HeldBack::Busy)]);
        for number in 1..=3 {
            unknown(&guard, number);
        }
        assert_eq!(begin(), Err(HeldBack::Tripped));
        (0..5).for_each(|_| guard.end_pending());
        manual.advance(MINUTE);
        assert_eq!(begin(), Ok(()));
    }

    #[test]
    fn client_without_a_limit_is_never_held_back() {
        let clock = Clock::from(ManualClock::new(Timestamp::UNIX_EPOCH));
        let guard = EnumerationGuard::new(None, Counter::default(), clock.clone());
        for number in 0..1000 {
            unknown(&guard, number);
            assert_eq!(guard.begin_pending(clock.tick()), Ok(()));
        }
    }
}
