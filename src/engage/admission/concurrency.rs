//! Concurrency limit, in total and per flow. Round robin alone does not stop a flow with slow calls from occupying
//! every permit.

use std::collections::HashMap;

use crate::domain::{ClientName, Flow, Priority, Requester};

/// Permits in use, by client and shopper.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    max: usize,
    in_use: usize,
    clients: HashMap<ClientName, usize>,
    shoppers: HashMap<Flow, usize>,
}

impl ConcurrencyLimit {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            in_use: 0,
            clients: HashMap::new(),
            shoppers: HashMap::new(),
        }
    }

    /// Permits in use.
    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Whether at least half of the permits are free.
    pub(super) fn is_half_free(&self) -> bool {
        self.in_use * 2 <= self.max
    }

    /// Whether the requester's flow may take a permit. A refresh leaves a quarter of the permits to awaited calls.
    /// Refreshes ahead, and deferred calls, which arrive by the hundred, leave half of the permits, even to awaited
    /// calls of their own client. The last quarter (of eight or more) is reserved for clients below their fair share,
    /// so that a new client is not blocked; a shopper has at most an eighth.
    pub(super) fn may_acquire(&self, requester: &Requester) -> bool {
        let free = self.max.saturating_sub(self.in_use);
        match requester.priority {
            Priority::RefreshAhead | Priority::Deferred => free > self.max / 2,
            Priority::Refresh => free > self.max / 4,
            Priority::Miss | Priority::Fresh => {
                let is_within =
                    free > self.max / 8 * 2 || self.is_below_fair_share(&requester.flow.client);
                free > 0 && is_within && self.shopper_may_acquire(&requester.flow)
            }
        }
    }

    /// A sole client counts as one of two, so that a second one finds permits.
    fn is_below_fair_share(&self, client: &ClientName) -> bool {
        let in_use = self.clients.get(client).copied().unwrap_or_default();
        let clients = self.clients.len() + usize::from(in_use == 0);
        in_use < (self.max / clients.max(2)).max(1)
    }

    fn shopper_may_acquire(&self, flow: &Flow) -> bool {
        let in_use = self.shoppers.get(flow).copied().unwrap_or_default();
        flow.shopper.is_none() || in_use < (self.max / 8).max(1)
    }

    /// Takes a permit.
    pub(super) fn acquire(&mut self, flow: &Flow) {
        self.in_use += 1;
        *self.clients.entry(flow.client.clone()).or_default() += 1;
        if flow.shopper.is_some() {
            *self.shoppers.entry(flow.clone()).or_default() += 1;
        }
    }

    /// Returns a permit.
    pub(super) fn release(&mut self, flow: &Flow) {
        self.in_use = self.in_use.saturating_sub(1);
        decrement(&mut self.clients, &flow.client);
        decrement(&mut self.shoppers, flow);
    }
}

/// Decrements the count; an entry without permits is removed.
fn decrement<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, by: &K) {
    if let Some(count) = counts.get_mut(by) {
        *count -= 1;
        if *count == 0 {
            counts.remove(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requester(client: &str, priority: Priority) -> Requester {
        Requester {
            flow: client.into(),
            priority,
        }
    }

    /// Takes as many permits as the flow may.
    fn fill(concurrency: &mut ConcurrencyLimit, requester: &Requester) -> usize {
        let before = concurrency.in_use();
        while concurrency.may_acquire(requester) {
            concurrency.acquire(&requester.flow);
        }
        concurrency.in_use() - before
    }

    #[test]
    fn last_quarter_is_reserved_for_clients_below_their_share() {
        for (max, alone, second) in [
            (32, 24, 8),
            (8, 6, 2),
            (4, 4, 0),
            (3, 3, 0),
            (1, 1, 0),
            (1000, 750, 250),
        ] {
            let mut concurrency = ConcurrencyLimit::new(max);
            let greedy = requester("greedy", Priority::Fresh);
            assert_eq!(fill(&mut concurrency, &greedy), alone, "of {max}");
            assert_eq!(
                fill(&mut concurrency, &requester("modest", Priority::Miss)),
                second
            );
            concurrency.release(&greedy.flow);
            let next = requester("next", Priority::Miss);
            assert_eq!(fill(&mut concurrency, &next), 1, "of {max}");
        }
    }

    #[test]
    fn background_calls_leave_permits_to_awaited_ones() {
        let mut concurrency = ConcurrencyLimit::new(32);
        assert_eq!(
            fill(&mut concurrency, &requester("a", Priority::RefreshAhead)),
            16
        );
        assert_eq!(
            fill(&mut concurrency, &requester("a", Priority::Deferred)),
            0
        );
        assert_eq!(
            fill(&mut concurrency, &requester("a", Priority::Refresh)),
            8
        );
        assert_eq!(fill(&mut concurrency, &requester("b", Priority::Miss)), 8);
    }

    #[test]
    fn shopper_has_an_eighth_and_released_permits_are_forgotten() {
        let mut concurrency = ConcurrencyLimit::new(32);
        let shopper = |shopper| Requester {
            flow: Flow {
                client: "(shoppers)".into(),
                shopper: Some(shopper),
            },
            priority: Priority::Fresh,
        };
        for number in 0..6 {
            assert_eq!(fill(&mut concurrency, &shopper(number)), 4);
        }
        assert_eq!(fill(&mut concurrency, &shopper(6)), 0);
        for number in 0..24 {
            concurrency.release(&shopper(number / 4).flow);
        }
        assert_eq!(concurrency.in_use(), 0);
        assert!(concurrency.clients.is_empty() && concurrency.shoppers.is_empty());
        let of_a_client = Requester {
            flow: Flow::from("shop"),
            priority: Priority::Fresh,
        };
        assert_eq!(fill(&mut concurrency, &of_a_client), 24);
    }
}
