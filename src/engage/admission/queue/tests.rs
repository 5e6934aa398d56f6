use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::domain::Urgency;

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

fn claim(name: &str, urgency: Urgency) -> Claim {
    Claim {
        flow: flow(name),
        urgency,
    }
}

impl Tickets {
    /// A waiter of a flow: `client`, or `client/shopper`.
    fn waiter(&mut self, name: &str, urgency: Urgency) -> Waiter {
        self.0 += 1;
        Waiter {
            ticket: self.0,
            claims: claim(name, urgency).into(),
            group: Group::Overview,
            owner: self.0,
            needs_slot: true,
            deadline: Tick::default(),
            turn: oneshot::channel().0,
        }
    }
}

fn serve(queue: &mut Queue) -> Option<Claim> {
    let next = queue.next(|_, _| true)?;
    queue.remove(next.ticket).expect("it waits");
    queue.take_turn(&next.claim);
    Some(next.claim)
}

fn order(queue: &mut Queue) -> Vec<(String, Urgency)> {
    let mut order = Vec::new();
    while let Some(Claim { flow, urgency }) = serve(queue) {
        let client = flow.client.as_str();
        let shopper = flow.shopper.map(|shopper| format!("/{shopper}"));
        order.push((format!("{client}{}", shopper.unwrap_or_default()), urgency));
    }
    order
}

#[test]
fn clients_take_turns_whatever_their_urgency_and_background_calls_come_last() {
    let mut tickets = Tickets(0);
    let mut queue = Queue::new(100);
    for (name, urgency) in [
        ("greedy", Urgency::Fresh),
        ("greedy", Urgency::Fresh),
        ("greedy", Urgency::Fresh),
        ("greedy", Urgency::Refresh),
        ("modest", Urgency::Ahead),
        ("modest", Urgency::Miss),
        ("modest", Urgency::Miss),
    ] {
        assert!(queue.push(tickets.waiter(name, urgency)).is_none());
    }
    let told = order(&mut queue);
    let told: Vec<_> = told.iter().map(|(name, at)| (&**name, *at)).collect();
    assert_eq!(
        told,
        [
            ("greedy", Urgency::Fresh),
            ("modest", Urgency::Miss),
            ("greedy", Urgency::Fresh),
            ("modest", Urgency::Miss),
            ("greedy", Urgency::Fresh),
            ("modest", Urgency::Ahead),
            ("greedy", Urgency::Refresh),
        ]
    );
}

#[test]
fn a_turn_is_remembered_while_its_flow_has_nothing_waiting() {
    let mut tickets = Tickets(0);
    let mut queue = Queue::new(100);
    for shopper in ["s/1", "s/2", "s/3"] {
        queue.push(tickets.waiter(shopper, Urgency::Miss));
    }
    for _ in 0..5 {
        // It asks again as soon as it was served, and always for one call only.
        queue.push(tickets.waiter("s/0", Urgency::Fresh));
        serve(&mut queue);
    }
    assert!(
        queue
            .waiting
            .iter()
            .all(|waiter| waiter.claims.urgency() == Urgency::Fresh)
    );
    queue.push(tickets.waiter("s/1", Urgency::Miss));
    assert_eq!(serve(&mut queue), Some(claim("s/1", Urgency::Miss)));
}

#[test]
fn a_call_that_several_flows_want_goes_in_the_first_of_their_turns() {
    let mut tickets = Tickets(0);
    let mut queue = Queue::new(100);
    for _ in 0..4 {
        queue.push(tickets.waiter("greedy", Urgency::Fresh));
    }
    let mut shared = Claims::from(claim("greedy", Urgency::Fresh));
    shared.add(&claim("modest", Urgency::Miss));
    queue.update(4, shared);
    serve(&mut queue);
    let next = queue.next(|_, _| true).expect("three wait");
    assert_eq!(
        (next.ticket, next.claim.flow.client.as_str()),
        (4, "modest")
    );
    // Nor does it go with the places of the greedy one.
    queue.max = 3;
    let gone = queue.push(tickets.waiter("other", Urgency::Miss));
    assert_eq!(gone.map(|waiter| waiter.ticket), Some(3));
}

#[test]
fn a_full_queue_drops_background_calls_then_the_newest_of_the_flow_with_most() {
    let mut tickets = Tickets(0);
    let mut queue = Queue::new(4);
    for _ in 0..3 {
        queue.push(tickets.waiter("greedy", Urgency::Fresh));
    }
    queue.push(tickets.waiter("x", Urgency::Refresh));
    let mut gone = |name, urgency| {
        let waiter = queue.push(tickets.waiter(name, urgency));
        waiter.map(|waiter| waiter.ticket)
    };
    assert_eq!(gone("modest", Urgency::Miss), Some(4));
    assert_eq!(gone("s/1", Urgency::Miss), Some(3));
    assert_eq!(gone("s/2", Urgency::Miss), Some(2));
    assert_eq!(
        gone("s/1", Urgency::Fresh),
        Some(6),
        "the shopper with most"
    );
    assert_eq!(gone("greedy", Urgency::Ahead), Some(9));
    assert_eq!(queue.len(), 4);
}

#[test]
fn a_flow_does_not_drop_all_of_its_misses_for_what_it_asks_fresh() {
    let mut tickets = Tickets(0);
    let mut queue = Queue::new(8);
    for _ in 0..8 {
        queue.push(tickets.waiter("shop", Urgency::Miss));
    }
    for _ in 0..100 {
        queue.push(tickets.waiter("shop", Urgency::Fresh));
    }
    let order = order(&mut queue);
    let misses = order
        .iter()
        .filter(|(_, urgency)| *urgency == Urgency::Miss);
    assert_eq!(misses.count(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Arrive(usize, Option<u64>, Urgency),
    Serve,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let urgency = prop::sample::select(Urgency::ALL.to_vec());
    // The first client is the greedy one.
    let client = prop_oneof![3 => Just(0usize), 2 => 0..4usize];
    let shopper = prop::option::of(prop_oneof![2 => Just(0u64), 1 => 0..4u64]);
    let arrive = (client, shopper, urgency)
        .prop_map(|(client, shopper, urgency)| Step::Arrive(client, shopper, urgency));
    prop::collection::vec(prop_oneof![3 => arrive, 2 => Just(Step::Serve)], 1..200)
}

/// What the test itself knows of a flow or a client: since when it waits, and when it was served last.
#[derive(Default)]
struct Record {
    waiting: Vec<(u64, bool, usize)>,
    served: usize,
}

impl Record {
    /// Whether it has waited since before that moment, and was not served since.
    fn was_passed_over(&self, since: usize, awaited: bool) -> bool {
        let waits =
            |(_, is_awaited, at): &(u64, bool, usize)| *is_awaited == awaited && *at < since;
        self.served < since && self.waiting.iter().any(waits)
    }
}

/// What is known of all clients, and of all flows.
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

    fn awaited(&self) -> bool {
        let mut waiting = self.flows.values().flat_map(|record| &record.waiting);
        waiting.any(|(_, awaited, _)| *awaited)
    }

    fn places(&self, client: &ClientName, awaited: bool) -> usize {
        let waiting = &self.clients[client].waiting;
        waiting.iter().filter(|(_, is, _)| *is == awaited).count()
    }

    fn leaves(&mut self, flow: &Flow, ticket: u64) {
        for record in self.of(flow) {
            record.waiting.retain(|(of, _, _)| *of != ticket);
        }
    }
}

proptest! {
    #[test]
    fn no_flow_gets_more_than_its_share_while_others_wait(steps in steps()) {
        let mut tickets = Tickets(0);
        let mut queue = Queue::new(12);
        let mut records = Records::default();
        for (now, step) in (1..).zip(steps) {
            match step {
                Step::Arrive(client, shopper, urgency) => {
                    let shopper = shopper.map(|shopper| format!("/{shopper}"));
                    let name = format!("{client}{}", shopper.unwrap_or_default());
                    let waiter = tickets.waiter(&name, urgency);
                    for record in records.of(&flow(&name)) {
                        record.waiting.push((waiter.ticket, urgency.is_awaited(), now));
                    }
                    if let Some(gone) = queue.push(waiter) {
                        let claim = gone.claims.iter().next().expect("one").clone();
                        let awaited = claim.urgency.is_awaited();
                        let held = records.places(&claim.flow.client, awaited);
                        for client in records.clients.keys() {
                            prop_assert!(records.places(client, awaited) <= held);
                        }
                        records.leaves(&claim.flow, gone.ticket);
                    }
                }
                Step::Serve => {
                    let Some(next) = queue.next(|_, _| true) else { continue };
                    let Claim { flow, urgency } = next.claim.clone();
                    let awaited = urgency.is_awaited();
                    prop_assert_eq!(awaited, records.awaited());
                    queue.remove(next.ticket).expect("it waits");
                    queue.take_turn(&next.claim);
                    let [of_client, of_flow] = records.of(&flow).map(|record| record.served);
                    for (client, record) in &records.clients {
                        let passed = record.was_passed_over(of_client, awaited);
                        prop_assert!(*client == flow.client || !passed, "{client:?}");
                    }
                    for (other, record) in &records.flows {
                        let passed = record.was_passed_over(of_flow, awaited);
                        let is_rival = other.client == flow.client && *other != flow;
                        prop_assert!(!is_rival || !passed, "{other:?}");
                    }
                    records.leaves(&flow, next.ticket);
                    for record in records.of(&flow) {
                        record.served = now;
                    }
                }
            }
        }
    }
}
