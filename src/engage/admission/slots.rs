//! The slots: how many calls are made at the same time, and how many of them one flow may hold. Slow
//! calls hold theirs for long, so that turns alone would not keep a flow from holding all.

use std::collections::HashMap;

use crate::domain::{Claim, ClientName, Flow, Urgency};

/// Who holds how many slots.
#[derive(Debug)]
pub(super) struct Slots {
    max: usize,
    taken: usize,
    clients: HashMap<ClientName, usize>,
    shoppers: HashMap<Flow, usize>,
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            taken: 0,
            clients: HashMap::new(),
            shoppers: HashMap::new(),
        }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Whether at least half of them are free.
    pub(super) fn are_half_free(&self) -> bool {
        self.taken * 2 <= self.max
    }

    /// Whether the claim's flow may take one. Calls in the background leave some to callers who wait; the last quarter (of
    /// eight or more) is for clients that hold less than their share, so that a newcomer finds one; a shopper holds an
    /// eighth at most.
    pub(super) fn may_take(&self, claim: &Claim) -> bool {
        let free = self.max.saturating_sub(self.taken);
        match claim.urgency {
            Urgency::Ahead => free > self.max / 2,
            Urgency::Refresh => free > self.max / 4,
            Urgency::Miss | Urgency::Fresh => {
                let is_within =
                    free > self.max / 8 * 2 || self.is_below_its_share(&claim.flow.client);
                free > 0 && is_within && self.shopper_may_take(&claim.flow)
            }
        }
    }

    /// A client that is alone is reckoned with another one that may come.
    fn is_below_its_share(&self, client: &ClientName) -> bool {
        let held = self.clients.get(client).copied().unwrap_or_default();
        let clients = self.clients.len() + usize::from(held == 0);
        held < (self.max / clients.max(2)).max(1)
    }

    fn shopper_may_take(&self, flow: &Flow) -> bool {
        let held = self.shoppers.get(flow).copied().unwrap_or_default();
        flow.shopper.is_none() || held < (self.max / 8).max(1)
    }

    /// Takes one.
    pub(super) fn take(&mut self, flow: &Flow) {
        self.taken += 1;
        *self.clients.entry(flow.client.clone()).or_default() += 1;
        if flow.shopper.is_some() {
            *self.shoppers.entry(flow.clone()).or_default() += 1;
        }
    }

    /// Gives one back.
    pub(super) fn give_back(&mut self, flow: &Flow) {
        self.taken = self.taken.saturating_sub(1);
        release(&mut self.clients, &flow.client);
        release(&mut self.shoppers, flow);
    }
}

/// Who holds none is forgotten.
fn release<K: std::hash::Hash + Eq>(held: &mut HashMap<K, usize>, by: &K) {
    if let Some(count) = held.get_mut(by) {
        *count -= 1;
        if *count == 0 {
            held.remove(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(client: &str, urgency: Urgency) -> Claim {
        Claim {
            flow: client.into(),
            urgency,
        }
    }

    /// Takes as many as the claim's flow may.
    fn fill(slots: &mut Slots, claim: &Claim) -> usize {
        let before = slots.taken();
        while slots.may_take(claim) {
            slots.take(&claim.flow);
        }
        slots.taken() - before
    }

    #[test]
    fn the_last_quarter_is_for_clients_below_their_share() {
        for (max, alone, second) in [
            (32, 24, 8),
            (8, 6, 2),
            (4, 4, 0),
            (3, 3, 0),
            (1, 1, 0),
            (1000, 750, 250),
        ] {
            let mut slots = Slots::new(max);
            let greedy = claim("greedy", Urgency::Fresh);
            assert_eq!(fill(&mut slots, &greedy), alone, "of {max}");
            assert_eq!(fill(&mut slots, &claim("modest", Urgency::Miss)), second);
            slots.give_back(&greedy.flow);
            let next = claim("next", Urgency::Miss);
            assert_eq!(fill(&mut slots, &next), 1, "of {max}");
        }
    }

    #[test]
    fn calls_in_the_background_leave_slots_to_callers_who_wait() {
        let mut slots = Slots::new(32);
        assert_eq!(fill(&mut slots, &claim("a", Urgency::Ahead)), 16);
        assert_eq!(fill(&mut slots, &claim("a", Urgency::Refresh)), 8);
        assert_eq!(fill(&mut slots, &claim("b", Urgency::Miss)), 8);
    }

    #[test]
    fn one_shopper_holds_an_eighth_and_what_is_given_back_is_forgotten() {
        let mut slots = Slots::new(32);
        let shopper = |shopper| Claim {
            flow: Flow {
                client: "(shoppers)".into(),
                shopper: Some(shopper),
            },
            urgency: Urgency::Fresh,
        };
        for number in 0..6 {
            assert_eq!(fill(&mut slots, &shopper(number)), 4);
        }
        assert_eq!(fill(&mut slots, &shopper(6)), 0);
        for number in 0..24 {
            slots.give_back(&shopper(number / 4).flow);
        }
        assert_eq!(slots.taken(), 0);
        assert!(slots.clients.is_empty() && slots.shoppers.is_empty());
        let of_a_client = Claim {
            flow: Flow::from("shop"),
            urgency: Urgency::Fresh,
        };
        assert_eq!(fill(&mut slots, &of_a_client), 24);
    }
}
