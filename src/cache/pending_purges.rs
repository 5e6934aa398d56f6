//! Contacts that were purged and whose names are not swept out of the index yet.
//!
//! To sweep is to look at every name. So it is done from time to time beside the requests, for all who left since, and
//! until then their names don't stand.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
};

use crate::{
    domain::ContactId,
    threads::{AtomicBool, Mutex, MutexGuard, Ordering},
};

/// Those who wait to be swept out.
#[derive(Debug, Default)]
pub(super) struct PendingPurges {
    /// Whether there are any: a hit asks no more.
    any: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    contacts: HashSet<ContactId>,
    /// Whom a sweep is removing.
    leaving: Arc<HashSet<ContactId>>,
}

impl PendingPurges {
    pub(super) fn add(&self, id: ContactId) {
        self.locked().contacts.insert(id);
        self.any.store(true, Ordering::SeqCst);
    }

    pub(super) fn contains(&self, id: ContactId) -> bool {
        !self.is_empty() && {
            let waiting = self.locked();
            waiting.contacts.contains(&id) || waiting.leaving.contains(&id)
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::SeqCst)
    }

    /// Hands over those who wait, if anybody does. They count as waiting until `sweep` returns, and nobody waits for
    /// that.
    pub(super) fn sweep(&self, sweep: impl FnOnce(&HashSet<ContactId>)) {
        if self.is_empty() {
            return;
        }
        let leaving = {
            let mut waiting = self.locked();
            let contacts = std::mem::take(&mut waiting.contacts);
            // A sweep beside this one removes some of them itself; twice does no harm.
            let all = waiting.leaving.iter().copied().chain(contacts).collect();
            waiting.leaving = Arc::new(all);
            Arc::clone(&waiting.leaving)
        };
        sweep(&leaving);
        let mut waiting = self.locked();
        if Arc::ptr_eq(&waiting.leaving, &leaving) {
            waiting.leaving = Arc::default();
        }
        let any = !waiting.contacts.is_empty() || !waiting.leaving.is_empty();
        self.any.store(any, Ordering::SeqCst);
    }

    fn locked(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_left_waits_until_a_sweep_has_ended() {
        let pending_purges = PendingPurges::default();
        let id = |number: u64| {
            let text = format!("{number:08x}-0000-4000-8000-000000000000");
            ContactId::parse(&text).expect("a contact id")
        };
        pending_purges.add(id(1));
        pending_purges.add(id(2));
        pending_purges.sweep(|gone| {
            assert_eq!(*gone, HashSet::from([id(1), id(2)]));
            assert!(pending_purges.contains(id(1)));
            pending_purges.add(id(3));
            // Another sweep beside it.
            pending_purges.sweep(|gone| assert_eq!(gone.len(), 3));
            assert!(!pending_purges.contains(id(1)));
            pending_purges.add(id(4));
        });
        assert!(!pending_purges.contains(id(3)));
        assert!(pending_purges.contains(id(4)));
        pending_purges.sweep(|gone| assert_eq!(*gone, HashSet::from([id(4)])));
        assert!(!pending_purges.contains(id(4)));
        pending_purges.sweep(|_| unreachable!("nobody waits"));
    }
}
