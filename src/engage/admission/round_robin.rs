//! Hierarchical round robin: the client served longest ago is next, among its shoppers likewise, and within one flow
//! the priorities are served by weight.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
};

use crate::domain::{ClientName, Flow, Priority, PriorityClass, Requester};

/// Within one flow, this many urgent calls are served per less urgent one.
pub(super) const WEIGHT: u8 = 3;
/// How many turns are remembered. A flow whose last turn is forgotten counts as one without a turn. That favours it,
/// but only after this many turns of other flows.
const MAX_TURNS: usize = 4096;

/// Sort key of a flow; the least is served first.
pub(super) type ServiceOrder = (Reverse<PriorityClass>, u64, u64);

/// Last turn of each flow.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    count: u64,
    /// Bounded by the number of configured clients.
    clients: HashMap<ClientName, u64>,
    flows: HashMap<Flow, Last>,
    /// Flows by turn, oldest first.
    order: VecDeque<(u64, Flow)>,
}

/// State of one flow.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    turn: u64,
    /// Urgent calls served since the last less urgent one, by class.
    urgent_in_a_row: [u8; 3],
}

/// Whether the priority is the more urgent one of its class, if the class has two.
pub(super) const fn is_urgent(priority: Priority) -> bool {
    matches!(priority, Priority::Fresh | Priority::Refresh)
}

impl RoundRobin {
    /// Sort key of the requester: the highest class first, then the client's last turn, then the flow's own.
    pub(super) fn service_order(&self, requester: &Requester) -> ServiceOrder {
        let client = self.clients.get(&requester.flow.client);
        (
            Reverse(requester.priority.class()),
            client.copied().unwrap_or_default(),
            self.last(&requester.flow).turn,
        )
    }

    /// Whether the other priority is next within the requester's flow.
    pub(super) fn yields(&self, requester: &Requester) -> bool {
        let class = requester.priority.class() as usize;
        let less_urgent_is_due = self.last(&requester.flow).urgent_in_a_row[class] >= WEIGHT;
        is_urgent(requester.priority) == less_urgent_is_due
    }

    fn last(&self, flow: &Flow) -> Last {
        self.flows.get(flow).copied().unwrap_or_default()
    }

    /// Forgets all turns. Called when the queue is empty: no flow is owed a turn then.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Records a turn of the requester's flow.
    pub(super) fn record(&mut self, requester: &Requester) {
        self.count += 1;
        self.clients
            .insert(requester.flow.client.clone(), self.count);
        let last = self.flows.entry(requester.flow.clone()).or_default();
        last.turn = self.count;
        let in_a_row = &mut last.urgent_in_a_row[requester.priority.class() as usize];
        *in_a_row = if is_urgent(requester.priority) {
            (*in_a_row + 1).min(WEIGHT)
        } else {
            0
        };
        self.order.push_back((self.count, requester.flow.clone()));
        if self.order.len() > MAX_TURNS
            && let Some((turn, flow)) = self.order.pop_front()
            && self.flows.get(&flow).is_some_and(|last| last.turn == turn)
        {
            self.flows.remove(&flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requester(shopper: u64, priority: Priority) -> Requester {
        let client = "(shoppers)".into();
        let shopper = Some(shopper);
        Requester {
            flow: Flow { client, shopper },
            priority,
        }
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_flows() {
        let mut round_robin = RoundRobin::default();
        for shopper in 0..3 * MAX_TURNS as u64 {
            round_robin.record(&requester(shopper, Priority::Miss));
        }
        assert_eq!(round_robin.flows.len(), MAX_TURNS);
        assert_eq!(round_robin.order.len(), MAX_TURNS);
        assert_eq!(round_robin.clients.len(), 1);
        // A flow that has every turn pushes the others out.
        for _ in 0..2 * MAX_TURNS {
            round_robin.record(&requester(7, Priority::Miss));
        }
        assert_eq!(round_robin.flows.len(), 1);
        assert!(
            round_robin.service_order(&requester(7, Priority::Miss))
                > round_robin.service_order(&requester(8, Priority::Miss))
        );
    }

    #[test]
    fn one_flow_serves_three_fresh_per_miss() {
        let mut round_robin = RoundRobin::default();
        let priorities: Vec<_> = (0..8)
            .map(|_| {
                let both = [Priority::Miss, Priority::Fresh].map(|priority| requester(1, priority));
                let next = both
                    .into_iter()
                    .min_by_key(|requester| round_robin.yields(requester));
                let next = next.expect("one of two");
                round_robin.record(&next);
                next.priority
            })
            .collect();
        let round = [
            Priority::Fresh,
            Priority::Fresh,
            Priority::Fresh,
            Priority::Miss,
        ];
        assert_eq!(priorities, [round, round].concat());
    }
}
