//! Standard output that is not read, as when a log collector has stopped: what is lost, what is kept, and what never
//! blocks.

mod audit;
mod ends;
mod looks;
mod minute;
mod stalled;
mod strangers;

use std::{
    io::{BufReader, Lines},
    process::ChildStdout,
    sync::mpsc::{self, Receiver},
    thread,
};

use engage_simulator::fixtures::ALVA;
use serde_json::Value;

use crate::{
    caller::Caller,
    harness::{PATIENCE, Started},
};

/// The client of [`MINIMAL`](crate::harness::MINIMAL).
const TILL: (&str, &str) = ("X-Api-Key", "test-till-key");
/// A client in the full view, added by [`STAFF_CLIENT`].
const STAFF: (&str, &str) = ("X-Api-Key", "test-shop-key");
const STAFF_CLIENT: &str = r#"
    [[auth.clients]]
    id = "staff"
    key_sha256 = ["e5249de586268b731d323d859d06ff8f401cefe0e350238514840edfd8c6995f"]
    scopes = ["customer:read", "customer:read:full"]
    view = "full"
"#;
/// After this many requests the log must have stalled, however large the machine's pipes are.
const FLOOD: usize = 200_000;

/// A look-up that is a hit from the second time on.
fn lookup() -> String {
    format!("/customer?contactId={}", ALVA.id)
}

/// The number of dropped events of that kind, from `/metrics`.
fn dropped(operations: &mut Caller, log: &str) -> u64 {
    let metrics = operations.get("/metrics", &[]).body;
    let name = format!("engage_bff_log_events_dropped_total{{log=\"{log}\"}} ");
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(&name));
    let value = values.next().expect("the series");
    value.parse().expect("a number")
}

/// Repeats `cause` until events of that kind are dropped; returns how often.
fn flood(operations: &mut Caller, log: &str, mut cause: impl FnMut()) -> usize {
    let mut times = 0;
    while dropped(operations, log) == 0 {
        assert!(times < FLOOD, "nothing is dropped");
        for _ in 0..250 {
            cause();
        }
        times += 250;
    }
    times
}

/// The log, read in the background.
struct Reading(Receiver<Value>);

impl Reading {
    fn on(log: Lines<BufReader<ChildStdout>>) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in log {
                let line = line.expect("text");
                let event = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("{error} in {line:?}"));
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// All events up to and including the first that matches.
    fn until(&self, mut is_it: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.0.recv_timeout(PATIENCE).expect("the event in time");
            let is_last = is_it(&event);
            events.push(event);
            if is_last {
                return events;
            }
        }
    }

    /// All events until the end of the process.
    fn rest(&self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Ok(event) = self.0.recv_timeout(PATIENCE) {
            events.push(event);
        }
        events
    }
}

/// The number of events with that message.
fn count(events: &[Value], message: &str) -> usize {
    events
        .iter()
        .filter(|event| event["message"] == message)
        .count()
}

/// The sum of a field over the events with that message.
fn sum(events: &[Value], message: &str, field: &str) -> u64 {
    let matching = events.iter().filter(|event| event["message"] == message);
    matching
        .map(|event| event[field].as_u64().expect("a number"))
        .sum()
}

/// Requests an unknown path, which logs an event of a client with this request id.
fn cause_event(caller: &mut Caller, request_id: &str) {
    let answer = caller.get("/nowhere", &[TILL, ("X-Request-Id", request_id)]);
    assert_eq!(answer.status, 404);
}

/// Asserts that the probes are answered on both listeners.
fn assert_answers(service: &Started) {
    for address in [service.data, service.operations] {
        for path in ["/livez", "/readyz"] {
            let status = Caller::to(address).get(path, &[]).status;
            assert_eq!(status, 200, "{path} at {address}");
        }
    }
}
