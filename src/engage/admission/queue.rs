//! Who waits for an upstream call, and who is next: the most urgent first; among equals the client
//! that was served longest ago; of one client's the one that came first. Bounded: when it is full, the
//! least urgent make room, and of those the newest of the client that has most.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::Group;
use crate::{
    clock::Tick,
    domain::{ClientName, Urgency},
    engage::Error,
};

/// What a waiter is told: whether its call is to see if Engage is back, or why there is none.
pub(super) type Turn = Result<Grant, Error>;

/// A call that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) is_probe: bool,
}

/// Somebody who waits for a call.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) client: ClientName,
    pub(super) urgency: Urgency,
    pub(super) group: Group,
    /// Whether it wants a call beside those under way, or one more of a call that already is.
    pub(super) needs_slot: bool,
    pub(super) deadline: Tick,
    pub(super) turn: oneshot::Sender<Turn>,
}

/// Those who wait.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Waiter>,
    /// In which turn each client was served last; forgotten whenever nobody waits.
    served: HashMap<ClientName, u64>,
    turns: u64,
    max: usize,
}

impl Queue {
    pub(super) fn new(max: usize) -> Self {
        Self {
            waiting: Vec::new(),
            served: HashMap::new(),
            turns: 0,
            max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a waiter in. Returns whom that leaves without a place: perhaps the waiter itself.
    pub(super) fn push(&mut self, waiter: Waiter) -> Option<Waiter> {
        self.waiting.push(waiter);
        if self.waiting.len() <= self.max {
            return None;
        }
        let least = self.waiting.iter().map(|waiter| waiter.urgency).min()?;
        let mut places: HashMap<&ClientName, usize> = HashMap::new();
        let least_urgent = || self.waiting.iter().filter(|waiter| waiter.urgency == least);
        for waiter in least_urgent() {
            *places.entry(&waiter.client).or_default() += 1;
        }
        let victim = least_urgent().max_by_key(|waiter| (places[&waiter.client], waiter.ticket))?;
        let ticket = victim.ticket;
        self.remove(ticket)
    }

    /// The ticket of who is next among those that `may_go`.
    pub(super) fn next(&self, may_go: impl Fn(&Waiter) -> bool) -> Option<u64> {
        let served = |client| self.served.get(client).copied().unwrap_or_default();
        self.waiting
            .iter()
            .filter(|waiter| may_go(waiter))
            .min_by_key(|waiter| {
                let urgency = std::cmp::Reverse(waiter.urgency);
                (urgency, served(&waiter.client), waiter.ticket)
            })
            .map(|waiter| waiter.ticket)
    }

    /// Takes a waiter out whose turn it is.
    pub(super) fn serve(&mut self, ticket: u64) -> Option<Waiter> {
        let waiter = self.remove(ticket)?;
        self.turns += 1;
        if self.waiting.is_empty() {
            self.served.clear();
        } else {
            self.served.insert(waiter.client.clone(), self.turns);
        }
        Some(waiter)
    }

    /// Takes a waiter out.
    pub(super) fn remove(&mut self, ticket: u64) -> Option<Waiter> {
        let is_it = |waiter: &Waiter| waiter.ticket == ticket;
        let index = self.waiting.iter().position(is_it)?;
        Some(self.waiting.remove(index))
    }

    /// Takes out everybody of whom that is true.
    pub(super) fn remove_all(&mut self, is_meant: impl Fn(&Waiter) -> bool) -> Vec<Waiter> {
        self.waiting
            .extract_if(.., |waiter| is_meant(waiter))
            .collect()
    }

    /// Makes a waiter more urgent.
    pub(super) fn hurry(&mut self, ticket: u64, urgency: Urgency) {
        let is_it = |waiter: &&mut Waiter| waiter.ticket == ticket;
        if let Some(waiter) = self.waiting.iter_mut().find(is_it) {
            waiter.urgency = waiter.urgency.max(urgency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tickets(u64);

    impl Tickets {
        fn waiter(&mut self, client: &str, urgency: Urgency) -> Waiter {
            self.0 += 1;
            Waiter {
                ticket: self.0,
                client: client.into(),
                urgency,
                group: Group::Overview,
                needs_slot: true,
                deadline: Tick::default(),
                turn: oneshot::channel().0,
            }
        }
    }

    fn order(queue: &mut Queue) -> Vec<(String, Urgency)> {
        let mut order = Vec::new();
        while let Some(ticket) = queue.next(|_| true) {
            let waiter = queue.serve(ticket).expect("it waits");
            order.push((waiter.client.as_str().to_owned(), waiter.urgency));
        }
        order
    }

    #[test]
    fn the_most_urgent_go_first_and_clients_take_turns() {
        let mut tickets = Tickets(0);
        let mut queue = Queue::new(100);
        for _ in 0..3 {
            assert!(
                queue
                    .push(tickets.waiter("greedy", Urgency::Miss))
                    .is_none()
            );
        }
        for (client, urgency) in [
            ("greedy", Urgency::Refresh),
            ("modest", Urgency::Miss),
            ("modest", Urgency::Fresh),
        ] {
            assert!(queue.push(tickets.waiter(client, urgency)).is_none());
        }
        let told = order(&mut queue);
        let told: Vec<_> = told.iter().map(|(client, at)| (&**client, *at)).collect();
        assert_eq!(
            told,
            [
                ("modest", Urgency::Fresh),
                ("greedy", Urgency::Miss),
                ("modest", Urgency::Miss),
                ("greedy", Urgency::Miss),
                ("greedy", Urgency::Miss),
                ("greedy", Urgency::Refresh),
            ]
        );
    }

    #[test]
    fn a_full_queue_sends_the_least_urgent_away_and_of_those_the_newest_of_the_greediest() {
        let mut tickets = Tickets(0);
        let mut queue = Queue::new(4);
        for _ in 0..3 {
            assert!(
                queue
                    .push(tickets.waiter("greedy", Urgency::Miss))
                    .is_none()
            );
        }
        assert!(queue.push(tickets.waiter("x", Urgency::Refresh)).is_none());
        let gone = queue.push(tickets.waiter("modest", Urgency::Miss));
        assert_eq!(gone.map(|waiter| waiter.urgency), Some(Urgency::Refresh));
        let gone = queue.push(tickets.waiter("other", Urgency::Miss));
        assert_eq!(gone.map(|waiter| waiter.ticket), Some(3));
        let gone = queue.push(tickets.waiter("greedy", Urgency::Ahead));
        assert_eq!(gone.map(|waiter| waiter.urgency), Some(Urgency::Ahead));
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn who_becomes_more_urgent_moves_up_and_never_down() {
        let mut tickets = Tickets(0);
        let mut queue = Queue::new(4);
        queue.push(tickets.waiter("a", Urgency::Miss));
        queue.push(tickets.waiter("b", Urgency::Refresh));
        queue.hurry(2, Urgency::Fresh);
        queue.hurry(2, Urgency::Ahead);
        assert_eq!(queue.next(|_| true), Some(2));
    }
}
