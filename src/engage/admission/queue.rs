//! Bounded fair queue of calls that wait for admission. Awaited calls come before deferred calls, and these before
//! background calls; within a class flows are served round robin. When the queue is full it drops a call of the lowest
//! class in it: of the client with the most entries, then of that client's flow with the most, then of the priority
//! that exceeds its weight there, the newest.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::round_robin::{RoundRobin, WEIGHT, is_urgent};
use crate::{
    clock::Tick,
    domain::{ClientName, Flow, PriorityClass, Requester, Requesters},
    engage::{error::Error, group::Group},
};

/// The most tokens of a shared budget that are requested at once for calls that are not awaited.
const UNHURRIED_TOKENS: usize = 2;

/// The decision that a waiter receives.
pub(super) type Outcome = Result<Grant, Error>;

/// Permission for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// Whether the call is the breaker's probe.
    pub(super) is_probe: bool,
    /// The flow to which the call is charged.
    pub(super) flow: Flow,
}

/// A call that waits for admission.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) ticket: u64,
    pub(super) requesters: Requesters,
    pub(super) group: Group,
    /// What its failure will be counted against.
    pub(super) subject: u64,
    /// Whether it needs a concurrency permit; a further page or a retry uses the one of its first call.
    pub(super) needs_permit: bool,
    /// Since when it waits.
    pub(super) since: Tick,
    pub(super) sender: oneshot::Sender<Outcome>,
}

impl Waiter {
    pub(super) fn class(&self) -> PriorityClass {
        self.requesters.priority().class()
    }

    /// Requesters of the waiter's own class: a refresh that a caller also waits for counts as that caller's.
    fn effective_requesters(&self) -> impl Iterator<Item = &Requester> {
        let class = self.class();
        let counts = move |requester: &&Requester| requester.priority.class() == class;
        self.requesters.iter().filter(counts)
    }
}

/// The next waiter, and the requester whose turn it uses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextCall {
    pub(super) ticket: u64,
    pub(super) requester: Requester,
}

/// Calls that wait for admission.
#[derive(Debug)]
pub(super) struct WaitQueue {
    waiting: Vec<Waiter>,
    round_robin: RoundRobin,
    max: usize,
}

impl WaitQueue {
    pub(super) fn new(max: usize) -> Self {
        Self {
            waiting: Vec::new(),
            round_robin: RoundRobin::default(),
            max,
        }
    }

    /// Changes how many calls may wait; calls that already wait stay.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a call of this class waits.
    pub(super) fn has(&self, class: PriorityClass) -> bool {
        self.waiting.iter().any(|waiter| waiter.class() == class)
    }

    /// For how many waiting calls tokens of a shared budget are requested now. Calls that are not awaited get a few at
    /// a time: awaited calls of other replicas may need the same tokens.
    pub(super) fn token_demand(&self) -> usize {
        let is_awaited = |waiter: &&Waiter| waiter.class() == PriorityClass::Awaited;
        let awaited = self.waiting.iter().filter(is_awaited).count();
        awaited + (self.len() - awaited).min(UNHURRIED_TOKENS)
    }

    /// Adds a waiter. Returns the one that is dropped for it, possibly the new one.
    pub(super) fn push(&mut self, waiter: Waiter) -> Option<Waiter> {
        self.waiting.push(waiter);
        if self.waiting.len() <= self.max {
            return None;
        }
        let ticket = self.victim()?;
        self.remove(ticket)
    }

    /// The call to drop among those of the lowest class: the one with the greatest key of [`EntryCounts::of`], and of
    /// several the newest.
    fn victim(&self) -> Option<u64> {
        let lowest = self.waiting.iter().map(Waiter::class).min()?;
        let candidates = || {
            let is_candidate = |waiter: &&Waiter| waiter.class() == lowest;
            self.waiting.iter().filter(is_candidate)
        };
        let mut entries = EntryCounts::default();
        candidates()
            .flat_map(Waiter::effective_requesters)
            .for_each(|requester| entries.count(requester));
        let victim = candidates().max_by_key(|waiter| (entries.of(waiter), waiter.ticket));
        victim.map(|waiter| waiter.ticket)
    }

    /// The waiter to serve next, among those with a requester that `may_go` accepts.
    pub(super) fn next(&self, may_go: impl Fn(&Waiter, &Requester) -> bool) -> Option<NextCall> {
        let requesters = || {
            let waiting = self.waiting.iter();
            let requesters =
                waiting.flat_map(|waiter| waiter.requesters.iter().map(move |it| (waiter, it)));
            requesters.filter(|(waiter, requester)| may_go(waiter, requester))
        };
        let (_, first) = requesters().min_by_key(|(waiter, requester)| {
            (self.round_robin.service_order(requester), waiter.ticket)
        })?;
        let is_of_same_flow = |(_, requester): &(&Waiter, &Requester)| {
            requester.flow == first.flow && requester.priority.class() == first.priority.class()
        };
        let (waiter, requester) =
            requesters()
                .filter(is_of_same_flow)
                .min_by_key(|(waiter, requester)| {
                    (self.round_robin.yields(requester), waiter.ticket)
                })?;
        Some(NextCall {
            ticket: waiter.ticket,
            requester: requester.clone(),
        })
    }

    /// Records the turn of a requester whose call was removed.
    pub(super) fn record_turn(&mut self, requester: &Requester) {
        if self.waiting.is_empty() {
            self.round_robin.clear();
        } else {
            self.round_robin.record(requester);
        }
    }

    /// Removes a waiter.
    pub(super) fn remove(&mut self, ticket: u64) -> Option<Waiter> {
        let is_it = |waiter: &Waiter| waiter.ticket == ticket;
        let index = self.waiting.iter().position(is_it)?;
        Some(self.waiting.remove(index))
    }

    /// Removes all waiters that match.
    pub(super) fn remove_all(&mut self, matches: impl Fn(&Waiter) -> bool) -> Vec<Waiter> {
        self.waiting
            .extract_if(.., |waiter| matches(waiter))
            .collect()
    }

    /// Replaces a waiter's requesters. If that raises its class to the highest, its waiting time starts again at `now`,
    /// because the requests that joined have not waited yet. Returns since when it waits; `None` if it has left the
    /// queue.
    pub(super) fn update(
        &mut self,
        ticket: u64,
        requesters: Requesters,
        now: Tick,
    ) -> Option<Tick> {
        let is_it = |waiter: &&mut Waiter| waiter.ticket == ticket;
        let waiter = self.waiting.iter_mut().find(is_it)?;
        let before = waiter.class();
        waiter.requesters = requesters;
        if before < PriorityClass::Awaited && waiter.class() == PriorityClass::Awaited {
            waiter.since = waiter.since.max(now);
        }
        Some(waiter.since)
    }
}

/// Queue entries by client and by flow.
#[derive(Default)]
struct EntryCounts<'a> {
    clients: HashMap<&'a ClientName, usize>,
    /// Less urgent entries, and urgent ones.
    flows: HashMap<&'a Flow, [usize; 2]>,
}

impl<'a> EntryCounts<'a> {
    fn count(&mut self, requester: &'a Requester) {
        *self.clients.entry(&requester.flow.client).or_default() += 1;
        let of_flow = self.flows.entry(&requester.flow).or_default();
        of_flow[usize::from(is_urgent(requester.priority))] += 1;
    }

    /// Sort key for dropping: entries of the waiter's client, entries of its flow, and whether its priority exceeds its
    /// weight there. With several requesters the least key counts.
    fn of(&self, waiter: &Waiter) -> (usize, usize, bool) {
        let key = |requester: &Requester| {
            let [less, more] = self.flows.get(&requester.flow).copied().unwrap_or_default();
            let client = self.clients.get(&requester.flow.client).copied();
            let is_over_weight = more > less * usize::from(WEIGHT);
            (
                client.unwrap_or_default(),
                less + more,
                is_urgent(requester.priority) == is_over_weight,
            )
        };
        waiter
            .effective_requesters()
            .map(key)
            .min()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
