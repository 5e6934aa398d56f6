//! The turns that flows have had: whose was longest ago goes next. Clients take turns; within a client's
//! turns its shoppers do; within a flow's turns its urgencies do, by weight.

use std::collections::{HashMap, VecDeque};

use crate::domain::{Claim, ClientName, Flow, Urgency};

/// Within one flow, so many of the more urgent go for one of the less urgent.
pub(super) const WEIGHT: u8 = 3;
/// Of how many turns it is remembered which flow had them. A flow whose turn is forgotten counts as one that had none,
/// which it gains from only after so many turns of others.
const REMEMBERED: usize = 4096;

/// Where a flow stands among others; the least goes first.
pub(super) type Rank = (bool, u64, u64);

/// The last turn of each flow.
#[derive(Debug, Default)]
pub(super) struct Turns {
    count: u64,
    /// No more than there are names in the configuration.
    clients: HashMap<ClientName, u64>,
    flows: HashMap<Flow, Last>,
    /// The flows by their turns, the oldest first.
    order: VecDeque<(u64, Flow)>,
}

/// What is remembered of a flow.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    turn: u64,
    /// How many of the more urgent went since the last less urgent one: of awaited calls, and of those in the background.
    urgent_in_a_row: [u8; 2],
}

/// Whether it is the more urgent of its class.
pub(super) const fn is_more_urgent(urgency: Urgency) -> bool {
    matches!(urgency, Urgency::Fresh | Urgency::Refresh)
}

impl Turns {
    /// Where the claim's flow stands: awaited calls before those in the background, then by the client's last turn and
    /// the flow's own.
    pub(super) fn rank(&self, claim: &Claim) -> Rank {
        let client = self.clients.get(&claim.flow.client);
        (
            !claim.urgency.is_awaited(),
            client.copied().unwrap_or_default(),
            self.last(&claim.flow).turn,
        )
    }

    /// Whether it is the other urgency's turn within the claim's flow.
    pub(super) fn gives_way(&self, claim: &Claim) -> bool {
        let class = usize::from(!claim.urgency.is_awaited());
        let less_urgent_is_due = self.last(&claim.flow).urgent_in_a_row[class] >= WEIGHT;
        is_more_urgent(claim.urgency) == less_urgent_is_due
    }

    fn last(&self, flow: &Flow) -> Last {
        self.flows.get(flow).copied().unwrap_or_default()
    }

    /// Forgets all turns: where nothing waits, none was passed over.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes that it is the claim's flow that has this turn.
    pub(super) fn take(&mut self, claim: &Claim) {
        self.count += 1;
        self.clients.insert(claim.flow.client.clone(), self.count);
        let last = self.flows.entry(claim.flow.clone()).or_default();
        last.turn = self.count;
        let in_a_row = &mut last.urgent_in_a_row[usize::from(!claim.urgency.is_awaited())];
        *in_a_row = if is_more_urgent(claim.urgency) {
            (*in_a_row + 1).min(WEIGHT)
        } else {
            0
        };
        self.order.push_back((self.count, claim.flow.clone()));
        if self.order.len() > REMEMBERED
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

    fn claim(shopper: u64, urgency: Urgency) -> Claim {
        let client = "(shoppers)".into();
        let shopper = Some(shopper);
        Claim {
            flow: Flow { client, shopper },
            urgency,
        }
    }

    #[test]
    fn memory_is_bounded_however_many_flows_there_are() {
        let mut turns = Turns::default();
        for shopper in 0..3 * REMEMBERED as u64 {
            turns.take(&claim(shopper, Urgency::Miss));
        }
        assert_eq!(turns.flows.len(), REMEMBERED);
        assert_eq!(turns.order.len(), REMEMBERED);
        assert_eq!(turns.clients.len(), 1);
        // One flow with all turns is remembered, and forgets the others.
        for _ in 0..2 * REMEMBERED {
            turns.take(&claim(7, Urgency::Miss));
        }
        assert_eq!(turns.flows.len(), 1);
        assert!(turns.rank(&claim(7, Urgency::Miss)) > turns.rank(&claim(8, Urgency::Miss)));
    }

    #[test]
    fn within_one_flow_three_fresh_go_for_one_miss() {
        let mut turns = Turns::default();
        let urgencies: Vec<_> = (0..8)
            .map(|_| {
                let both = [Urgency::Miss, Urgency::Fresh].map(|urgency| claim(1, urgency));
                let next = both.into_iter().min_by_key(|claim| turns.gives_way(claim));
                let next = next.expect("one of two");
                turns.take(&next);
                next.urgency
            })
            .collect();
        let round = [
            Urgency::Fresh,
            Urgency::Fresh,
            Urgency::Fresh,
            Urgency::Miss,
        ];
        assert_eq!(urgencies, [round, round].concat());
    }
}
