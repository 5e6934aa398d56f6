//! Contacts that were purged and whose names are not swept out of the index yet.
//!
//! To sweep is to look at every name, and the store keeps each wish to until it has: thousands of wishes would slow down
//! every look-up. So whoever leaves within the same second is swept out together, and until then their names don't stand.

use std::{collections::HashSet, sync::PoisonError, time::Duration};

use crate::{
    clock::Tick,
    domain::ContactId,
    threads::{AtomicBool, Mutex, Ordering},
};

/// The shortest time between two sweeps.
const PAUSE: Duration = Duration::from_secs(1);

/// Those who wait to be swept out.
#[derive(Debug, Default)]
pub(super) struct Leavers {
    /// Whether there are any: a hit asks no more.
    any: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    contacts: HashSet<ContactId>,
    next_sweep: Tick,
}

impl Leavers {
    pub(super) fn add(&self, id: ContactId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.contacts.insert(id);
        self.any.store(true, Ordering::SeqCst);
    }

    pub(super) fn contains(&self, id: ContactId) -> bool {
        self.any.load(Ordering::SeqCst) && {
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.contacts.contains(&id)
        }
    }

    /// Hands over those who wait, if it is time. They count as waiting until `sweep` returns.
    pub(super) fn sweep(&self, now: Tick, sweep: impl FnOnce(HashSet<ContactId>)) {
        if !self.any.load(Ordering::SeqCst) {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= waiting.next_sweep {
            waiting.next_sweep = now + PAUSE;
            sweep(std::mem::take(&mut waiting.contacts));
            self.any.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_leaves_within_a_second_is_swept_out_together() {
        let leavers = Leavers::default();
        let id = |number: u64| {
            let text = format!("{number:08x}-0000-4000-8000-000000000000");
            ContactId::parse(&text).expect("a contact id")
        };
        let mut sweeps = Vec::new();
        for millis in 0..2500 {
            let now = Tick::default() + Duration::from_millis(millis);
            leavers.add(id(millis));
            leavers.sweep(now, |contacts| sweeps.push(contacts.len()));
            assert_eq!(leavers.contains(id(millis)), millis % 1000 != 0);
        }
        assert_eq!(sweeps, [1, 1000, 1000]);
        leavers.sweep(Tick::END, |contacts| sweeps.push(contacts.len()));
        assert_eq!(sweeps.last(), Some(&499));
        leavers.sweep(Tick::END, |_| unreachable!("nobody waits"));
    }
}
