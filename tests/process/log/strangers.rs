//! What strangers make a process write is bounded, and what was left out is told before the process ends.

use super::{Reading, cause_event, count, dropped, sum};
use crate::{
    caller::Caller,
    harness::{Service, Started, status},
};

const LEFT_OUT: &str = "events left out that anybody can cause";

#[test]
fn of_a_flood_of_strangers_some_are_logged_the_rest_is_counted_and_a_client_is_not_missed() {
    const FLOOD: usize = 5000;
    let service = Service::new().start();
    let mut stranger = Caller::to(service.data);
    for _ in 0..FLOOD {
        assert_eq!(stranger.get("/customer", &[]).status, 401);
    }
    cause_event(&mut Caller::to(service.data), "of-a-client");
    let lost = dropped(&mut Caller::to(service.operations), "strangers");
    // Sixty at once and one a second, however long it took.
    assert!(lost > 0);
    service.signal("TERM");
    let Started { process, log, .. } = service;
    let log = Reading::on(log);
    let mut events = log.until(|event| event["request_id"] == "of-a-client");
    assert_eq!(events.pop().expect("an event")["status"], 404);
    let logged = count(&events, "answered");
    assert_eq!(logged as u64 + lost, FLOOD as u64);
    assert!((60..FLOOD / 2).contains(&logged), "{logged}");
    assert!(status(process).success());
    events.extend(log.rest());
    assert_eq!(sum(&events, LEFT_OUT, "count"), lost);
}
