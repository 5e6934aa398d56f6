//! Deferred work, which is prefetches and batches: how much of it one client may cause at once, and its outcomes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    domain::{ClientName, Flow, listed_enum::listed_enum},
    metrics::{
        Counter, Counters, Registry, Source,
        catalogue::customers::{BATCH_LOOKUPS, PREFETCHES},
    },
};

/// Prefetches of one client at once. At a tenth of a second for a call they are 160 a second, three times the usual
/// call budget: more would not be made in time.
const MAX_PREFETCHES_PER_CLIENT: usize = 16;
/// Prefetches of one shopper at once: it has one contact, and may have two tabs.
const MAX_PREFETCHES_PER_SHOPPER: usize = 2;
/// Prefetches at once, of all clients: each is a task of some kilobytes, for `server.request_timeout` at most.
const MAX_PREFETCHES: usize = 128;
/// Batches of one client at once: a second one may begin while the first still runs.
const MAX_BATCHES_PER_CLIENT: usize = 2;

listed_enum! {
    /// The outcome of a prefetch: the label of its metric.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum PrefetchOutcome {
        /// Everything was cached and fresh.
        Fresh => "fresh",
        /// Engage was called, or another replica's data used.
        Fetched => "fetched",
        /// It joined another request's call.
        Joined => "joined",
        /// There is no such contact, several share the identifier, or Engage refuses the identifier.
        Unknown => "unknown",
        /// Not made: too many were under way, of the shopper, the client or all clients, or the cache is off.
        Dropped => "dropped",
        /// Not made: the client's enumeration guard is tripped.
        Guarded => "guarded",
        /// Engage failed, or the call budget had no room for it in time.
        Failed => "failed",
    }
}

listed_enum! {
    /// The outcome of a look-up of a batch: the label of its metric.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum BatchOutcome {
        /// It was cached.
        Cached => "held",
        /// It was not cached, and was fetched by the deadline.
        Fetched => "fetched",
        /// There is no such contact, or several share the identifier.
        Unknown => "unknown",
        /// It was not fetched by the deadline.
        Late => "late",
        /// It was malformed, the client may not make it, or Engage refuses the identifier.
        Refused => "refused",
        /// The client's rate or its enumeration guard did not allow it.
        Limited => "limited",
        /// Engage failed.
        Failed => "failed",
        /// The caller closed the connection before the line was made.
        Abandoned => "abandoned",
    }
}

/// What is bounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Bounded {
    Prefetches,
    PrefetchesOfClient(ClientName),
    PrefetchesOfShopper(Flow),
    BatchesOfClient(ClientName),
}

impl Bounded {
    /// How many may be under way.
    fn max(&self) -> usize {
        match self {
            Self::Prefetches => MAX_PREFETCHES,
            Self::PrefetchesOfClient(_) => MAX_PREFETCHES_PER_CLIENT,
            Self::PrefetchesOfShopper(_) => MAX_PREFETCHES_PER_SHOPPER,
            Self::BatchesOfClient(_) => MAX_BATCHES_PER_CLIENT,
        }
    }
}

/// Bounds and counts deferred work.
#[derive(Debug)]
pub struct DeferredWork {
    /// How many are under way; a count of zero has no entry.
    running: Mutex<HashMap<Bounded, usize>>,
    prefetches: Counters,
    prefetches_of: [Counter; PrefetchOutcome::COUNT],
    batch_lookups: Counters,
    batch_lookups_of: [Counter; BatchOutcome::COUNT],
}

/// The slot of a prefetch or a batch, for as long as it runs.
pub(super) struct DeferredSlot {
    work: Arc<DeferredWork>,
    counted: Vec<Bounded>,
}

impl Default for DeferredWork {
    fn default() -> Self {
        let prefetches = Counters::new(&PREFETCHES);
        let batch_lookups = Counters::new(&BATCH_LOOKUPS);
        Self {
            running: Mutex::default(),
            prefetches_of: prefetches.each(&[], PrefetchOutcome::ALL.map(PrefetchOutcome::as_str)),
            prefetches,
            batch_lookups_of: batch_lookups.each(&[], BatchOutcome::ALL.map(BatchOutcome::as_str)),
            batch_lookups,
        }
    }
}

impl Source for DeferredWork {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.prefetches.clone());
        registry.add(self.batch_lookups.clone());
    }
}

impl DeferredWork {
    /// Counts a prefetch.
    pub(super) fn count_prefetch(&self, outcome: PrefetchOutcome) {
        self.prefetches_of[outcome as usize].inc();
    }

    /// Counts `number` look-ups of a batch.
    pub(super) fn count_look_ups(&self, outcome: BatchOutcome, number: usize) {
        self.batch_lookups_of[outcome as usize].inc_by(number as u64);
    }

    /// A slot for a prefetch; `None` if as many are under way as may be.
    pub(super) fn begin_prefetch(self: &Arc<Self>, flow: &Flow) -> Option<DeferredSlot> {
        let mut of = vec![
            Bounded::Prefetches,
            Bounded::PrefetchesOfClient(flow.client.clone()),
        ];
        if flow.shopper.is_some() {
            of.push(Bounded::PrefetchesOfShopper(flow.clone()));
        }
        self.begin(of)
    }

    /// A slot for a batch; `None` if as many of the client's are under way as may be.
    pub(super) fn begin_batch(self: &Arc<Self>, client: &ClientName) -> Option<DeferredSlot> {
        self.begin(vec![Bounded::BatchesOfClient(client.clone())])
    }

    fn begin(self: &Arc<Self>, counted: Vec<Bounded>) -> Option<DeferredSlot> {
        let mut running = self.running();
        let is_full = |of: &Bounded| running.get(of).is_some_and(|count| *count >= of.max());
        if counted.iter().any(is_full) {
            return None;
        }
        for of in &counted {
            *running.entry(of.clone()).or_default() += 1;
        }
        drop(running);
        let work = Arc::clone(self);
        Some(DeferredSlot { work, counted })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Bounded, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DeferredSlot {
    fn drop(&mut self) {
        let mut running = self.work.running();
        for of in &self.counted {
            if let Some(count) = running.get_mut(of) {
                *count -= 1;
                if *count == 0 {
                    running.remove(of);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(work: &Arc<DeferredWork>, flow: &Flow) -> Vec<DeferredSlot> {
        std::iter::from_fn(|| work.begin_prefetch(flow)).collect()
    }

    #[test]
    fn prefetches_are_bounded_per_client_per_shopper_and_in_all() {
        let work = Arc::<DeferredWork>::default();
        let slots = fill(&work, &"shop".into());
        assert_eq!(slots.len(), MAX_PREFETCHES_PER_CLIENT);
        let shopper = |shopper| Flow {
            client: "(shoppers)".into(),
            shopper: Some(shopper),
        };
        let of_shopper = fill(&work, &shopper(1));
        assert_eq!(of_shopper.len(), MAX_PREFETCHES_PER_SHOPPER);
        assert!(work.begin_prefetch(&shopper(2)).is_some());
        let of_others: Vec<_> = (0..20)
            .flat_map(|client| fill(&work, &Flow::from(&*format!("client-{client}"))))
            .collect();
        let total = slots.len() + of_shopper.len() + of_others.len();
        assert_eq!(total, MAX_PREFETCHES);
        drop((slots, of_shopper, of_others));
        assert!(work.running().is_empty());
    }

    #[test]
    fn batches_of_one_client_do_not_take_the_place_of_others() {
        let work = Arc::<DeferredWork>::default();
        let shop = ClientName::from("shop");
        let slots: Vec<_> = std::iter::from_fn(|| work.begin_batch(&shop)).collect();
        assert_eq!(slots.len(), MAX_BATCHES_PER_CLIENT);
        assert!(work.begin_batch(&"till".into()).is_some());
        drop(slots);
        assert!(work.begin_batch(&shop).is_some());
        assert!(work.running().is_empty());
    }
}
