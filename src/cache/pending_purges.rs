//! Purged contacts whose aliases are still in the index.
//!
//! Removing them takes a visit to every alias. So a background sweep removes the aliases of all contacts that were
//! purged since the last sweep; until then they are not served.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
};

use crate::{
    domain::ContactId,
    threads::{AtomicBool, Mutex, MutexGuard, Ordering},
};

/// The contacts whose aliases wait to be removed.
#[derive(Debug, Default)]
pub(super) struct PendingPurges {
    /// Whether there are any. While there are none, a hit checks nothing else.
    any: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    contacts: HashSet<ContactId>,
    /// The contacts whose aliases a sweep is removing.
    swept: Arc<HashSet<ContactId>>,
}

impl PendingPurges {
    pub(super) fn add(&self, id: ContactId) {
        self.locked().contacts.insert(id);
        self.any.store(true, Ordering::SeqCst);
    }

    pub(super) fn contains(&self, id: ContactId) -> bool {
        !self.is_empty() && {
            let waiting = self.locked();
            waiting.contacts.contains(&id) || waiting.swept.contains(&id)
        }
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::SeqCst)
    }

    /// Passes the waiting contacts to `sweep`, if there are any. They count as waiting until it returns; no lock is
    /// held while it runs.
    pub(super) fn sweep(&self, sweep: impl FnOnce(&HashSet<ContactId>)) {
        if self.is_empty() {
            return;
        }
        let swept = {
            let mut waiting = self.locked();
            let contacts = std::mem::take(&mut waiting.contacts);
            // A concurrent sweep removes some of them too; twice does no harm.
            let all = waiting.swept.iter().copied().chain(contacts).collect();
            waiting.swept = Arc::new(all);
            Arc::clone(&waiting.swept)
        };
        sweep(&swept);
        let mut waiting = self.locked();
        if Arc::ptr_eq(&waiting.swept, &swept) {
            waiting.swept = Arc::default();
        }
        let any = !waiting.contacts.is_empty() || !waiting.swept.is_empty();
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
    fn purged_contact_waits_until_a_sweep_has_ended() {
        let pending_purges = PendingPurges::default();
        let id = |number: u64| {
            let text = format!("{number:08x}-0000-4000-8000-000000000000");
            ContactId::parse(&text).expect("a contact id")
        };
        pending_purges.add(id(1));
        pending_purges.add(id(2));
        pending_purges.sweep(|purged| {
            assert_eq!(*purged, HashSet::from([id(1), id(2)]));
            assert!(pending_purges.contains(id(1)));
            pending_purges.add(id(3));
            // A concurrent sweep.
            pending_purges.sweep(|purged| assert_eq!(purged.len(), 3));
            assert!(!pending_purges.contains(id(1)));
            pending_purges.add(id(4));
        });
        assert!(!pending_purges.contains(id(3)));
        assert!(pending_purges.contains(id(4)));
        pending_purges.sweep(|purged| assert_eq!(*purged, HashSet::from([id(4)])));
        assert!(!pending_purges.contains(id(4)));
        pending_purges.sweep(|_| unreachable!("none waits"));
    }
}
