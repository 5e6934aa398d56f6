//! Events caused by unauthenticated callers are limited, and the number of suppressed ones is logged before the process ends.

use super::{Reading, cause_event, count, dropped, sum};
use crate::{
    caller::Caller,
    harness::{Service, Started, status},
};

const LEFT_OUT: &str = "log events suppressed";

#[test]
fn flood_of_unauthenticated_requests_is_logged_in_part_and_counted() {
    const FLOOD: usize = 5000;
    let service = Service::new().start();
    let mut stranger = Caller::to(service.data);
    for _ in 0..FLOOD {
        assert_eq!(stranger.get("/customer", &[]).status, 401);
    }
    cause_event(&mut Caller::to(service.data), "of-a-client");
    let lost = dropped(&mut Caller::to(service.operations), "strangers");
    // 60 at once, then one per second.
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
