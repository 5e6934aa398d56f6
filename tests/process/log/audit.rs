//! Audit events have their own queue: ordinary events do not displace them, and dropping one raises an alarm.

use super::{Reading, STAFF, STAFF_CLIENT, cause_event, count, dropped, flood, lookup, sum};
use crate::{
    caller::Caller,
    harness::{Engage, Service, Started},
};

const LOOKED: &str = "full view requested";
const DROPPED: &str = "audit events dropped";

#[test]
fn flood_of_ordinary_events_displaces_no_audit_event() {
    let engage = Engage::start();
    let service = Service::new().engage(&engage).file(STAFF_CLIENT).start();
    let mut operations = Caller::to(service.operations);
    let mut till = Caller::to(service.data);
    let mut staff = Caller::to(service.data);
    flood(&mut operations, "events", || {
        cause_event(&mut till, "flood");
    });
    let looks = 300;
    for _ in 0..looks {
        cause_event(&mut till, "flood");
        assert_eq!(staff.get(&lookup(), &[STAFF]).status, 200);
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
fn dropped_audit_events_are_counted_and_raise_an_audit_alarm() {
    let engage = Engage::start();
    let service = Service::new().engage(&engage).file(STAFF_CLIENT).start();
    let mut operations = Caller::to(service.operations);
    let mut staff = Caller::to(service.data);
    assert_eq!(staff.get(&lookup(), &[STAFF]).status, 200);
    let caused = 1 + flood(&mut operations, "audit", || {
        assert_eq!(staff.get(&lookup(), &[STAFF]).status, 200);
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
    let reported = sum(&events, DROPPED, "dropped");
    assert_eq!(reported, lost);
    // The alarm is written when there is space again, before the last of the kept events.
    assert!(count(&events, LOOKED) as u64 + lost <= caused as u64);
}
