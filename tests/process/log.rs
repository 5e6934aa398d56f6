//! Standard output that is not read, as when a log collector has stopped: what is lost, what is not, and what never
//! waits.

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

use engage_simulator::people::ALVA;
use serde_json::Value;

use crate::{
    caller::Caller,
    harness::{PATIENCE, Started},
};

/// The client of the harness's configuration.
const TILL: (&str, &str) = ("X-Api-Key", "test-till-key");
/// A client in the full view, added by [`DESK_CLIENT`].
const DESK: (&str, &str) = ("X-Api-Key", "test-shop-key");
const DESK_CLIENT: &str = r#"
    [[auth.clients]]
    id = "desk"
    key_sha256 = ["e5249de586268b731d323d859d06ff8f401cefe0e350238514840edfd8c6995f"]
    scopes = ["customer:read", "customer:read:full"]
    view = "full"
"#;
/// Beyond this many requests the log must have stalled, whatever the machine's pipes hold.
const FLOOD: usize = 200_000;

/// A question that is a hit from the second time on.
fn question() -> String {
    format!("/customer?contactId={}", ALVA.id)
}

/// How many events of that kind `/metrics` says were dropped.
fn dropped(operations: &mut Caller, log: &str) -> u64 {
    let metrics = operations.get("/metrics", &[]).body;
    let name = format!("engage_bff_log_events_dropped_total{{log=\"{log}\"}} ");
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(&name));
    let value = values.next().expect("the series");
    value.parse().expect("a number")
}

/// Repeats what causes events until some of that kind are dropped; how often it did.
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

/// The log, read on beside the test.
struct Reading(Receiver<Value>);

impl Reading {
    fn on(log: Lines<BufReader<ChildStdout>>) -> Self {
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in log {
                let line = line.expect("text");
                let event = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("{error} in {line:?}"));
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// All events up to the first for which that holds, with it.
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

    /// All events to the end of the process.
    fn rest(&self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Ok(event) = self.0.recv_timeout(PATIENCE) {
            events.push(event);
        }
        events
    }
}

/// How many events have that message.
fn count(events: &[Value], message: &str) -> usize {
    events
        .iter()
        .filter(|event| event["message"] == message)
        .count()
}

/// What events with that message say in that field, added up.
fn sum(events: &[Value], message: &str, field: &str) -> u64 {
    let told = events.iter().filter(|event| event["message"] == message);
    told.map(|event| event[field].as_u64().expect("a number"))
        .sum()
}

/// Asks for a path that is not there, which is an event of a client's; by this request id it is found in the log.
fn cause_event(caller: &mut Caller, request_id: &str) {
    let answer = caller.get("/nowhere", &[TILL, ("X-Request-Id", request_id)]);
    assert_eq!(answer.status, 404);
}

/// Everything that must answer at any time does.
fn assert_answers(service: &Started) {
    for address in [service.data, service.operations] {
        for path in ["/livez", "/readyz"] {
            let status = Caller::to(address).get(path, &[]).status;
            assert_eq!(status, 200, "{path} at {address}");
        }
    }
}
