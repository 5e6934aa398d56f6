use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::domain::Priority;

struct Tickets(u64);

fn flow(name: &str) -> Flow {
    match name.split_once('/') {
        Some((client, shopper)) => Flow {
            client: client.into(),
            shopper: Some(shopper.parse().expect("a number")),
        },
        None => name.into(),
    }
}

fn requester(name: &str, priority: Priority) -> Requester {
    Requester {
        flow: flow(name),
        priority,
    }
}

impl Tickets {
    /// A waiter of a flow: `client`, or `client/shopper`.
    fn waiter(&mut self, name: &str, priority: Priority) -> Waiter {
        self.0 += 1;
        Waiter {
            ticket: self.0,
            requesters: requester(name, priority).into(),
            group: Group::Overview,
            subject: self.0,
            needs_permit: true,
            since: Tick::default(),
            sender: oneshot::channel().0,
        }
    }
}

fn serve(queue: &mut WaitQueue) -> Option<Requester> {
    let next = queue.next(|_, _| true)?;
    queue.remove(next.ticket).expect("a waiter");
    queue.record_turn(&next.requester);
    Some(next.requester)
}

fn order(queue: &mut WaitQueue) -> Vec<(String, Priority)> {
    let mut order = Vec::new();
    while let Some(Requester { flow, priority }) = serve(queue) {
        let client = flow.client.as_str();
        let shopper = flow.shopper.map(|shopper| format!("/{shopper}"));
        order.push((format!("{client}{}", shopper.unwrap_or_default()), priority));
    }
    order
}

#[test]
fn clients_take_turns_and_background_calls_come_last() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(100);
    for (name, priority) in [
        ("greedy", Priority::Fresh),
        ("greedy", Priority::Fresh),
        ("greedy", Priority::Fresh),
        ("greedy", Priority::Refresh),
        ("modest", Priority::RefreshAhead),
        ("modest", Priority::Miss),
        ("modest", Priority::Miss),
    ] {
        assert!(queue.push(tickets.waiter(name, priority)).is_none());
    }
    let served = order(&mut queue);
    let served: Vec<_> = served.iter().map(|(name, at)| (&**name, *at)).collect();
    assert_eq!(
        served,
        [
            ("greedy", Priority::Fresh),
            ("modest", Priority::Miss),
            ("greedy", Priority::Fresh),
            ("modest", Priority::Miss),
            ("greedy", Priority::Fresh),
            ("modest", Priority::RefreshAhead),
            ("greedy", Priority::Refresh),
        ]
    );
}

#[test]
fn turn_is_remembered_while_its_flow_has_nothing_queued() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(100);
    for shopper in ["s/1", "s/2", "s/3"] {
        queue.push(tickets.waiter(shopper, Priority::Miss));
    }
    for _ in 0..5 {
        // From here on the flow always has a call queued.
        queue.push(tickets.waiter("s/0", Priority::Fresh));
        serve(&mut queue);
    }
    assert!(
        queue
            .waiting
            .iter()
            .all(|waiter| waiter.requesters.priority() == Priority::Fresh)
    );
    queue.push(tickets.waiter("s/1", Priority::Miss));
    assert_eq!(serve(&mut queue), Some(requester("s/1", Priority::Miss)));
}

#[test]
fn shared_call_uses_the_earliest_turn_of_its_requesters() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(100);
    for _ in 0..4 {
        queue.push(tickets.waiter("greedy", Priority::Fresh));
    }
    let mut shared = Requesters::from(requester("greedy", Priority::Fresh));
    shared.add(&requester("modest", Priority::Miss));
    queue.update(4, shared, Tick::default());
    serve(&mut queue);
    let next = queue.next(|_, _| true).expect("three wait");
    assert_eq!(
        (next.ticket, next.requester.flow.client.as_str()),
        (4, "modest")
    );
    // Nor is it dropped with the entries of the greedy flow.
    queue.max = 3;
    let dropped = queue.push(tickets.waiter("other", Priority::Miss));
    assert_eq!(dropped.map(|waiter| waiter.ticket), Some(3));
}

#[test]
fn full_queue_drops_background_calls_then_newest_of_largest_flow() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(4);
    for _ in 0..3 {
        queue.push(tickets.waiter("greedy", Priority::Fresh));
    }
    queue.push(tickets.waiter("x", Priority::Refresh));
    let mut dropped = |name, priority| {
        let waiter = queue.push(tickets.waiter(name, priority));
        waiter.map(|waiter| waiter.ticket)
    };
    assert_eq!(dropped("modest", Priority::Miss), Some(4));
    assert_eq!(dropped("s/1", Priority::Miss), Some(3));
    assert_eq!(dropped("s/2", Priority::Miss), Some(2));
    assert_eq!(
        dropped("s/1", Priority::Fresh),
        Some(6),
        "the shopper with the most entries"
    );
    assert_eq!(dropped("greedy", Priority::RefreshAhead), Some(9));
    assert_eq!(queue.len(), 4);
}

#[test]
fn fresh_requests_do_not_push_out_all_misses_of_their_flow() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(8);
    for _ in 0..8 {
        queue.push(tickets.waiter("shop", Priority::Miss));
    }
    for _ in 0..100 {
        queue.push(tickets.waiter("shop", Priority::Fresh));
    }
    let order = order(&mut queue);
    let misses = order
        .iter()
        .filter(|(_, priority)| *priority == Priority::Miss);
    assert_eq!(misses.count(), 2);
}

#[test]
fn deferred_calls_come_after_awaited_ones_and_before_refreshes() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(100);
    for (name, priority) in [
        ("modest", Priority::Refresh),
        ("greedy", Priority::Deferred),
        ("greedy", Priority::Deferred),
        ("modest", Priority::Deferred),
        ("modest", Priority::Miss),
        ("greedy", Priority::Fresh),
    ] {
        queue.push(tickets.waiter(name, priority));
    }
    let served = order(&mut queue);
    let served: Vec<_> = served.iter().map(|(name, at)| (&**name, *at)).collect();
    assert_eq!(
        served,
        [
            ("modest", Priority::Miss),
            ("greedy", Priority::Fresh),
            ("modest", Priority::Deferred),
            ("greedy", Priority::Deferred),
            ("greedy", Priority::Deferred),
            ("modest", Priority::Refresh),
        ]
    );
}

#[test]
fn full_queue_drops_refreshes_then_deferred_calls_before_awaited_ones() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(3);
    queue.push(tickets.waiter("a", Priority::Deferred));
    queue.push(tickets.waiter("a", Priority::Deferred));
    queue.push(tickets.waiter("b", Priority::Refresh));
    let mut dropped = |name, priority| {
        let waiter = queue.push(tickets.waiter(name, priority));
        waiter.map(|waiter| waiter.ticket)
    };
    assert_eq!(dropped("b", Priority::Miss), Some(3));
    assert_eq!(dropped("b", Priority::Refresh), Some(5));
    assert_eq!(
        dropped("c", Priority::Deferred),
        Some(2),
        "the flow with the most deferred calls"
    );
    assert_eq!(dropped("b", Priority::Miss), Some(6));
    assert_eq!(dropped("b", Priority::Miss), Some(1));
    assert_eq!(queue.len(), 3);
}

#[test]
fn tokens_are_requested_for_awaited_calls_and_few_others() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(100);
    assert_eq!(queue.token_demand(), 0);
    queue.push(tickets.waiter("a", Priority::Refresh));
    assert_eq!(queue.token_demand(), 1);
    for _ in 0..20 {
        queue.push(tickets.waiter("a", Priority::Deferred));
    }
    assert_eq!(queue.token_demand(), 2);
    for _ in 0..7 {
        queue.push(tickets.waiter("b", Priority::Miss));
    }
    assert_eq!(queue.token_demand(), 9);
}

#[test]
fn awaited_request_raises_the_deferred_call_it_joins_and_waits_in_full() {
    let mut tickets = Tickets(0);
    let mut queue = WaitQueue::new(100);
    let later = Tick::default() + std::time::Duration::from_secs(1);
    queue.push(tickets.waiter("b", Priority::Miss));
    queue.push(tickets.waiter("a", Priority::Deferred));
    let mut joined = Requesters::from(requester("a", Priority::Deferred));
    joined.add(&requester("a", Priority::Refresh));
    assert_eq!(
        queue.update(2, joined.clone(), later),
        Some(Tick::default())
    );
    joined.add(&requester("c", Priority::Miss));
    assert_eq!(queue.update(2, joined.clone(), later), Some(later));
    let next = queue.next(|waiter, _| waiter.ticket == 2);
    assert_eq!(
        next.map(|next| next.requester),
        Some(requester("c", Priority::Miss))
    );
    // A further request that joins does not restart the waiting time.
    joined.add(&requester("d", Priority::Fresh));
    let much_later = later + std::time::Duration::from_secs(1);
    assert_eq!(queue.update(2, joined, much_later), Some(later));
    assert_eq!(
        queue.update(3, requester("a", Priority::Miss).into(), later),
        None
    );
}

#[derive(Clone, Debug)]
enum Step {
    Arrive(usize, Option<u64>, Priority),
    Serve,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let priority = prop::sample::select(Priority::ALL.to_vec());
    // The first client is the greedy one.
    let client = prop_oneof![3 => Just(0usize), 2 => 0..4usize];
    let shopper = prop::option::of(prop_oneof![2 => Just(0u64), 1 => 0..4u64]);
    let arrive = (client, shopper, priority)
        .prop_map(|(client, shopper, priority)| Step::Arrive(client, shopper, priority));
    prop::collection::vec(prop_oneof![3 => arrive, 2 => Just(Step::Serve)], 1..200)
}

/// The test's own record of a flow or client: queued calls, and when one was last served.
#[derive(Default)]
struct Record {
    waiting: Vec<(u64, PriorityClass, usize)>,
    served: usize,
}

impl Record {
    /// Whether a call has been queued since before `since` and none was served since.
    fn was_passed_over(&self, since: usize, class: PriorityClass) -> bool {
        let waits = |(_, of, at): &(u64, PriorityClass, usize)| *of == class && *at < since;
        self.served < since && self.waiting.iter().any(waits)
    }
}

/// Records of all clients and flows.
#[derive(Default)]
struct Records {
    clients: HashMap<ClientName, Record>,
    flows: HashMap<Flow, Record>,
}

impl Records {
    fn of(&mut self, flow: &Flow) -> [&mut Record; 2] {
        [
            self.clients.entry(flow.client.clone()).or_default(),
            self.flows.entry(flow.clone()).or_default(),
        ]
    }

    fn classes(&self) -> impl Iterator<Item = PriorityClass> {
        let waiting = self.flows.values().flat_map(|record| &record.waiting);
        waiting.map(|(_, class, _)| *class)
    }

    fn queued(&self, client: &ClientName, class: PriorityClass) -> usize {
        let waiting = &self.clients[client].waiting;
        waiting.iter().filter(|(_, of, _)| *of == class).count()
    }

    fn remove(&mut self, flow: &Flow, ticket: u64) {
        for record in self.of(flow) {
            record.waiting.retain(|(of, _, _)| *of != ticket);
        }
    }
}

proptest! {
    #[test]
    fn no_flow_exceeds_its_share_while_others_wait(steps in steps()) {
        let mut tickets = Tickets(0);
        let mut queue = WaitQueue::new(12);
        let mut records = Records::default();
        for (now, step) in (1..).zip(steps) {
            match step {
                Step::Arrive(client, shopper, priority) => {
                    let shopper = shopper.map(|shopper| format!("/{shopper}"));
                    let name = format!("{client}{}", shopper.unwrap_or_default());
                    let waiter = tickets.waiter(&name, priority);
                    for record in records.of(&flow(&name)) {
                        record.waiting.push((waiter.ticket, priority.class(), now));
                    }
                    if let Some(dropped) = queue.push(waiter) {
                        let requester = dropped.requesters.iter().next().expect("one").clone();
                        let class = requester.priority.class();
                        prop_assert_eq!(Some(class), records.classes().min());
                        let most = records.queued(&requester.flow.client, class);
                        for client in records.clients.keys() {
                            prop_assert!(records.queued(client, class) <= most);
                        }
                        records.remove(&requester.flow, dropped.ticket);
                    }
                }
                Step::Serve => {
                    let Some(next) = queue.next(|_, _| true) else { continue };
                    let Requester { flow, priority } = next.requester.clone();
                    let class = priority.class();
                    prop_assert_eq!(Some(class), records.classes().max());
                    queue.remove(next.ticket).expect("a waiter");
                    queue.record_turn(&next.requester);
                    let [of_client, of_flow] = records.of(&flow).map(|record| record.served);
                    for (client, record) in &records.clients {
                        let passed = record.was_passed_over(of_client, class);
                        prop_assert!(*client == flow.client || !passed, "{client:?}");
                    }
                    for (other, record) in &records.flows {
                        let passed = record.was_passed_over(of_flow, class);
                        let is_rival = other.client == flow.client && *other != flow;
                        prop_assert!(!is_rival || !passed, "{other:?}");
                    }
                    records.remove(&flow, next.ticket);
                    for record in records.of(&flow) {
                        record.served = now;
                    }
                }
            }
        }
    }
}
