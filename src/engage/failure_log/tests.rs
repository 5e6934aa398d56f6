use jiff::Timestamp;

use super::*;
use crate::clock::ManualClock;

const SECOND: Duration = Duration::from_secs(1);

const CALL: FailedCall = FailedCall {
    cause: Cause {
        request_id: None,
        trace_id: None,
    },
    took: SECOND,
};

fn log() -> (FailureLog, ManualClock) {
    let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
    (FailureLog::new(Clock::from(manual.clone())), manual)
}

fn kinds(log: &FailureLog, group: Group) -> usize {
    log.0.groups()[group].kinds.len()
}

fn failing(log: &FailureLog, group: Group) -> Option<Failing> {
    log.0.groups()[group].failing
}

#[test]
fn outage_ends_ten_seconds_after_the_last_failure() {
    let (log, clock) = log();
    let group = Group::Overview;
    for _ in 0..3 {
        log.failed(group, &Error::Timeout, CALL, true);
        clock.advance(SECOND);
    }
    log.succeeded(group);
    assert!(failing(&log, group).is_some_and(|failing| failing.is_outage));
    clock.advance(8 * SECOND);
    log.succeeded(group);
    assert!(failing(&log, group).is_some());
    clock.advance(SECOND);
    log.succeeded(group);
    assert!(failing(&log, group).is_none());
    assert!(failing(&log, Group::Points).is_none());
}

#[test]
fn failures_between_successes_or_of_one_call_are_not_an_outage() {
    let (log, _clock) = log();
    for group in [Group::Overview, Group::Points] {
        for _ in 0..5 {
            log.failed(group, &Error::Timeout, CALL, true);
            log.succeeded(group);
        }
        for _ in 0..5 {
            log.failed(group, &Error::invalid("$"), CALL, false);
            log.failed(group, &Error::IdentityMismatch, CALL, true);
        }
        let failing = failing(&log, group).expect("calls that fail");
        assert!(!failing.is_outage, "{failing:?}");
    }
}

#[test]
fn kinds_of_failures_are_bounded_and_windows_end() {
    let (log, clock) = log();
    let group = Group::Contacts;
    for status in 500..600 {
        for retry_after in [None, Some(SECOND)] {
            let error = Error::Failed {
                status,
                retry_after,
            };
            log.failed(group, &error, CALL, true);
        }
    }
    assert_eq!(kinds(&log, group), MAX_KINDS);
    clock.advance(WINDOW);
    // The first window counts a second failure, the next one none.
    assert!(log.0.close_window(group, "upstream status 500"));
    assert!(!log.0.close_window(group, "upstream status 500"));
    assert_eq!(kinds(&log, group), MAX_KINDS - 1);
}

#[test]
fn errors_that_are_not_failures_are_not_logged() {
    let (log, _clock) = log();
    for error in [
        Error::NotFound,
        Error::NotCalculated,
        Error::RateLimited { retry_after: None },
        Error::Rejected { code: "Odd".into() },
        Error::Lost,
    ] {
        log.failed(Group::Overview, &error, CALL, true);
    }
    assert_eq!(kinds(&log, Group::Overview), 0);
    assert!(failing(&log, Group::Overview).is_none());
}
