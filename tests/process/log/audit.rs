//! The audit has room of its own: ordinary events don't take it, and where it does not suffice, that is an alarm.

use super::{DESK, DESK_CLIENT, Reading, cause_event, count, dropped, flood, question, sum};
use crate::{
    caller::Caller,
    harness::{Engage, Service, Started},
};

const LOOKED: &str = "full view requested";
const DROPPED: &str = "audit events dropped";

#[test]
fn a_flood_of_ordinary_events_takes_no_room_from_the_audit() {
    let engage = Engage::start();
    let service = Service::new().engage(&engage).file(DESK_CLIENT).start();
    let mut operations = Caller::to(service.operations);
    let mut till = Caller::to(service.data);
    let mut desk = Caller::to(service.data);
    flood(&mut operations, "events", || {
        cause_event(&mut till, "flood");
    });
    let looks = 300;
    for _ in 0..looks {
        cause_event(&mut till, "flood");
        assert_eq!(desk.get(&question(), &[DESK]).status, 200);
    }
    assert!(dropped(&mut operations, "events") > 0);
    assert_eq!(dropped(&mut operations, "audit"), 0);
    let Started {
        process: _process,
        log,
        ..
    } = service;
    let log = Reading::on(log);
    let mut left = looks;
    let events = log.until(|event| {
        left -= usize::from(event["message"] == LOOKED);
        left == 0
    });
    let looked = events.iter().filter(|event| event["message"] == LOOKED);
    assert!(
        looked
            .clone()
            .all(|event| event["target"] == "engage_bff::audit")
    );
    assert_eq!(looked.count(), looks);
}

#[test]
fn audit_events_that_are_lost_are_counted_and_an_alarm_in_the_audit_itself() {
    let engage = Engage::start();
    let service = Service::new().engage(&engage).file(DESK_CLIENT).start();
    let mut operations = Caller::to(service.operations);
    let mut desk = Caller::to(service.data);
    assert_eq!(desk.get(&question(), &[DESK]).status, 200);
    let caused = 1 + flood(&mut operations, "audit", || {
        assert_eq!(desk.get(&question(), &[DESK]).status, 200);
    });
    let lost = dropped(&mut operations, "audit");
    let Started {
        process: _process,
        log,
        ..
    } = service;
    let events = Reading::on(log).until(|event| event["message"] == DROPPED);
    let alarm = events.last().expect("an event");
    assert_eq!(alarm["level"], "ERROR");
    assert_eq!(alarm["alarm"], true);
    assert_eq!(alarm["target"], "engage_bff::audit");
    let told = sum(&events, DROPPED, "dropped");
    assert_eq!(told, lost);
    // The alarm comes once there is room again, before the last of what was kept.
    assert!(count(&events, LOOKED) as u64 + lost <= caused as u64);
}
