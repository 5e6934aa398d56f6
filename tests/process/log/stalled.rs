//! A log that is not read blocks nothing; once it is read again, no line is torn.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
    thread,
};

use engage_simulator::Endpoint;

use super::{Reading, TILL, assert_answers, cause_event, count, dropped, flood, lookup, sum};
use crate::{
    caller::Caller,
    harness::{BINARY, Engage, Service, Started, status},
};

const DROPPED: &str = "log events dropped";

/// Causes events until some are dropped; returns how many it caused.
fn stall(service: &Started) -> usize {
    let mut operations = Caller::to(service.operations);
    let mut till = Caller::to(service.data);
    flood(&mut operations, "events", || {
        cause_event(&mut till, "early");
    })
}

#[test]
fn unread_log_blocks_no_request_and_lost_events_are_counted() {
    let engage = Engage::start();
    let service = Service::new().engage(&engage).start();
    let mut operations = Caller::to(service.operations);
    let mut till = Caller::to(service.data);
    assert_eq!(dropped(&mut operations, "events"), 0);
    assert_eq!(till.get(&lookup(), &[TILL]).status, 200);
    let caused = 1 + stall(&service);
    let more = 2000;
    for turn in 0..more {
        assert_eq!(till.get(&lookup(), &[TILL]).status, 200);
        let unknown = format!("/customer?contactId=00000000-0000-4000-8000-{turn:012}");
        assert_eq!(till.get(&unknown, &[TILL]).status, 404);
        assert_eq!(till.get("/customer?email=none", &[TILL]).status, 400);
    }
    let caused = caused + 2 * more;
    assert_answers(&service);
    let lost = dropped(&mut operations, "events");
    assert!(lost > 0 && dropped(&mut operations, "audit") == 0);

    let Started { process, log, .. } = service;
    let log = Reading::on(log);
    let mut events = log.until(|event| event["message"] == DROPPED);
    cause_event(&mut till, "afterwards");
    events.extend(log.until(|event| event["request_id"] == "afterwards"));
    assert_eq!(sum(&events, DROPPED, "dropped"), lost);
    assert_eq!(dropped(&mut operations, "events"), lost);
    let logged = count(&events, "answered") - 1;
    assert_eq!(logged as u64 + lost, caused as u64);
    let line = events.iter().find(|event| event["message"] == DROPPED);
    assert_eq!(line.expect("a line")["level"], "WARN");

    let started = Command::new("kill")
        .args(["-s", "TERM", &process.0.id().to_string()])
        .status();
    assert!(started.expect("kill runs").success());
    assert!(status(process).success());
    let end = log.rest().pop().expect("a line");
    assert_eq!(end["message"], "stopped");
}

#[test]
fn sigterm_ends_a_process_whose_log_is_not_read() {
    let service = Service::new()
        .env("BFF_SERVER__SHUTDOWN_GRACE", "3s")
        .start();
    stall(&service);
    service.signal("TERM");
    let Started { process, log, .. } = service;
    let status = status(process);
    assert!(status.success(), "{status}");
    drop(log);
}

/// A pipe that is full and never read.
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut filler = writer.try_clone().expect("a descriptor");
    thread::spawn(move || while filler.write_all(&[b'.'; 512]).is_ok() {});
    (reader, writer)
}

#[test]
fn sigterm_ends_a_process_that_can_not_write_its_output() {
    let engage = Engage::start();
    let hold = engage.simulator.hold(Endpoint::Overview);
    let (unread, stderr) = full_pipe();
    let mut command = Command::new(BINARY);
    command.stderr(Stdio::from(stderr));
    let service = Service::new()
        .engage(&engage)
        .env("BFF_SERVER__REQUEST_TIMEOUT", "30s")
        .env("BFF_ENGAGE__TIMEOUT", "60s")
        .env("BFF_SERVER__SHUTDOWN_GRACE", "3s")
        .start_as(command);
    stall(&service);
    let data = service.data;
    let waiting = thread::spawn(move || {
        // The process ends in the middle of the exchange.
        let mut caller = Caller::to(data);
        let _ = std::panic::catch_unwind(move || caller.get(&lookup(), &[TILL]).status);
    });
    while hold.waiting() == 0 {
        thread::yield_now();
    }
    service.signal("TERM");
    let Started { process, log, .. } = service;
    let status = status(process);
    assert_eq!(status.code(), Some(1), "{status}");
    waiting.join().expect("an end");
    drop((log, unread));
}
