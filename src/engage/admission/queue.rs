//! Which calls wait for their turn, and which is next: awaited calls before those in the background; then
//! the client whose last turn was longest ago, of its shoppers likewise, and within one flow its urgencies by
//! weight, the oldest first. Bounded: when it is full, calls in the background make room, then the flow that
//! holds most places, its newest.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::{
    Group,
    turns::{Turns, WEIGHT, is_more_urgent},
};
use crate::{
    clock::Tick,
    domain::{Claim, Claims, ClientName, Flow},
    engage::Error,
};

/// What a waiter is told: the call that it may make, or why there is none.
pub(super) type Turn = Result<Grant, Error>;

/// A call that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// Whether it is to see if Engage is back.
    pub(super) is_probe: bool,
    /// Whose turn it was.
    pub(super) flow: Flow,
}

/// A call that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) claims: Claims,
    pub(super) group: Group,
    /// To whom its failure will be charged.
    pub(super) owner: u64,
    /// Whether it is one more call at the same time, or the next of a call that is under way.
    pub(super) needs_slot: bool,
    pub(super) deadline: Tick,
    pub(super) turn: oneshot::Sender<Turn>,
}

impl Waiter {
    fn is_awaited(&self) -> bool {
        self.claims.urgency().is_awaited()
    }

    /// The claims that count where the waiter does: a refresh that a caller waits for as well is that caller's.
    fn counted(&self) -> impl Iterator<Item = &Claim> {
        let is_awaited = self.is_awaited();
        let counts = move |claim: &&Claim| claim.urgency.is_awaited() == is_awaited;
        self.claims.iter().filter(counts)
    }
}

/// The waiter that is next, and the claim in whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) ticket: u64,
    pub(super) claim: Claim,
}

/// The calls that wait.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Waiter>,
    turns: Turns,
    max: usize,
}

impl Queue {
    pub(super) fn new(max: usize) -> Self {
        Self {
            waiting: Vec::new(),
            turns: Turns::default(),
            max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a waiter in. Returns the one that has no place now: perhaps the new one itself.
    pub(super) fn push(&mut self, waiter: Waiter) -> Option<Waiter> {
        self.waiting.push(waiter);
        if self.waiting.len() <= self.max {
            return None;
        }
        let ticket = self.victim()?;
        self.remove(ticket)
    }

    /// Of the calls in the background if there are any, else of all: the newest of the flow that holds most places.
    fn victim(&self) -> Option<u64> {
        let all_are_awaited = self.waiting.iter().all(Waiter::is_awaited);
        let in_question = || {
            let is_meant = |waiter: &&Waiter| waiter.is_awaited() == all_are_awaited;
            self.waiting.iter().filter(is_meant)
        };
        let mut places = Places::default();
        in_question()
            .flat_map(Waiter::counted)
            .for_each(|claim| places.count(claim));
        let victim = in_question().max_by_key(|waiter| (places.of(waiter), waiter.ticket));
        victim.map(|waiter| waiter.ticket)
    }

    /// Who is next among the claims that `may_go`.
    pub(super) fn next(&self, may_go: impl Fn(&Waiter, &Claim) -> bool) -> Option<Next> {
        let claims = || {
            let waiting = self.waiting.iter();
            let claims =
                waiting.flat_map(|waiter| waiter.claims.iter().map(move |it| (waiter, it)));
            claims.filter(|(waiter, claim)| may_go(waiter, claim))
        };
        let (_, first) =
            claims().min_by_key(|(waiter, claim)| (self.turns.rank(claim), waiter.ticket))?;
        let is_of_its_turn = |(_, claim): &(&Waiter, &Claim)| {
            claim.flow == first.flow && claim.urgency.is_awaited() == first.urgency.is_awaited()
        };
        let (waiter, claim) = claims()
            .filter(is_of_its_turn)
            .min_by_key(|(waiter, claim)| (self.turns.gives_way(claim), waiter.ticket))?;
        Some(Next {
            ticket: waiter.ticket,
            claim: claim.clone(),
        })
    }

    /// Notes that the claim's flow has its turn now, with a call that was taken out.
    pub(super) fn take_turn(&mut self, claim: &Claim) {
        if self.waiting.is_empty() {
            self.turns.forget();
        } else {
            self.turns.take(claim);
        }
    }

    /// Takes a waiter out.
    pub(super) fn remove(&mut self, ticket: u64) -> Option<Waiter> {
        let is_it = |waiter: &Waiter| waiter.ticket == ticket;
        let index = self.waiting.iter().position(is_it)?;
        Some(self.waiting.remove(index))
    }

    /// Takes all waiters out of which that is true.
    pub(super) fn remove_all(&mut self, is_meant: impl Fn(&Waiter) -> bool) -> Vec<Waiter> {
        self.waiting
            .extract_if(.., |waiter| is_meant(waiter))
            .collect()
    }

    /// Replaces a waiter's claims by those that it has now.
    pub(super) fn update(&mut self, ticket: u64, claims: Claims) {
        let is_it = |waiter: &&mut Waiter| waiter.ticket == ticket;
        if let Some(waiter) = self.waiting.iter_mut().find(is_it) {
            waiter.claims = claims;
        }
    }
}

/// How many places clients and flows hold.
#[derive(Default)]
struct Places<'a> {
    clients: HashMap<&'a ClientName, usize>,
    /// Those of the less urgent, and those of the more urgent.
    flows: HashMap<&'a Flow, [usize; 2]>,
}

impl<'a> Places<'a> {
    fn count(&mut self, claim: &'a Claim) {
        *self.clients.entry(&claim.flow.client).or_default() += 1;
        let of_flow = self.flows.entry(&claim.flow).or_default();
        of_flow[usize::from(is_more_urgent(claim.urgency))] += 1;
    }

    /// How many places the client and the flow of the waiter hold, and whether it is of the urgency that holds more than
    /// its weight there; where several flows claim it, of the one that holds least.
    fn of(&self, waiter: &Waiter) -> (usize, usize, bool) {
        let held = |claim: &Claim| {
            let [less, more] = self.flows.get(&claim.flow).copied().unwrap_or_default();
            let client = self.clients.get(&claim.flow.client).copied();
            let more_are_too_many = more > less * usize::from(WEIGHT);
            (
                client.unwrap_or_default(),
                less + more,
                is_more_urgent(claim.urgency) == more_are_too_many,
            )
        };
        waiter.counted().map(held).min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
