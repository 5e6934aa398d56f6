use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// A contact that always fails.
const FAULTY: u64 = 7;

/// A breaker opened by failures of the subjects 100 to 119.
fn open_breaker() -> (Breaker, Tick) {
    let now = Tick::default();
    let mut breaker = Breaker::default();
    for subject in 100..120 {
        breaker.record(CallResult::Bad, subject, false, now);
    }
    assert_eq!(breaker.state(now), BreakerState::Open);
    (breaker, now)
}

#[test]
fn breaker_opens_when_half_of_twenty_calls_fail() {
    let now = Tick::default();
    let mut breaker = Breaker::default();
    for subject in 0..19 {
        let result = if subject % 2 == 0 {
            CallResult::Bad
        } else {
            CallResult::Good
        };
        assert!(
            !breaker.record(result, subject, false, now),
            "call {subject}"
        );
    }
    assert!(breaker.record(CallResult::Bad, 20, false, now));
    assert_eq!(breaker.state(now), BreakerState::Open);
}

#[test]
fn one_subject_counts_once_for_any_failures() {
    let now = Tick::default();
    for good in [0, 10, 19] {
        let mut breaker = Breaker::default();
        for subject in 0..good {
            assert!(!breaker.record(CallResult::Good, subject, false, now));
        }
        for _ in 0..1000 {
            assert!(!breaker.record(CallResult::Bad, FAULTY, false, now));
            assert!(!breaker.record(CallResult::Unauthorized, FAULTY, false, now));
            assert!(!breaker.pause(FAULTY, SECOND, false, now));
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
        assert_eq!(breaker.rejects(1, now), None);
    }
}

#[test]
fn failures_and_rejected_keys_are_counted_apart() {
    let now = Tick::default();
    let mut breaker = Breaker::default();
    for subject in 0..20 {
        for result in [CallResult::Bad, CallResult::Unauthorized, CallResult::Good] {
            assert!(!breaker.record(result, subject, false, now));
        }
    }
}

#[test]
fn failures_outside_the_window_are_forgotten() {
    let mut now = Tick::default();
    let mut breaker = Breaker::default();
    for subject in 0..100 {
        assert!(!breaker.record(CallResult::Bad, subject, false, now));
        breaker.record(CallResult::Good, subject, false, now);
        now = now + SECOND;
    }
    assert!(breaker.recent.bad.len() <= 10);
    assert!(breaker.recent.good.len() <= 10);
}

#[test]
fn open_breaker_allows_one_probe_within_five_seconds() {
    let (mut breaker, now) = open_breaker();
    assert!(matches!(breaker.decide(1, now), Decision::Reject(wait) if wait <= MAX_PAUSE));
    let later = now + MAX_PAUSE;
    assert_eq!(breaker.decide(1, later), Decision::Probe);
    assert!(matches!(breaker.decide(2, later), Decision::Reject(_)));
    assert!(!breaker.record(CallResult::Good, 1, true, later));
    assert_eq!(breaker.decide(1, later), Decision::Allow);
    assert_eq!(breaker.state(now), BreakerState::Closed);
}

#[test]
fn failed_probe_reopens_and_hanging_probe_blocks_for_five_seconds() {
    let (mut breaker, now) = open_breaker();
    let later = now + MAX_PAUSE;
    assert_eq!(breaker.decide(1, later), Decision::Probe);
    assert!(breaker.record(CallResult::Bad, 1, true, later));
    assert!(matches!(
        breaker.decide(2, later + 3 * SECOND),
        Decision::Reject(_)
    ));
    assert_eq!(breaker.decide(2, later + MAX_PAUSE), Decision::Probe);
    assert_eq!(breaker.decide(2, later + 2 * MAX_PAUSE), Decision::Probe);
}

#[test]
fn subject_that_always_fails_does_not_keep_breaker_open() {
    for result in [CallResult::Bad, CallResult::Unauthorized] {
        let (mut breaker, mut now) = open_breaker();
        breaker.record(result, FAULTY, false, now);
        now = now + MAX_PAUSE;
        assert_eq!(breaker.decide(FAULTY, now), Decision::Probe);
        assert!(!breaker.record(result, FAULTY, true, now));
        assert!(matches!(breaker.decide(1, now), Decision::Reject(wait) if wait == NEXT_PROBE));
        now = now + NEXT_PROBE;
        assert!(matches!(breaker.decide(FAULTY, now), Decision::Reject(wait) if wait <= MAX_PAUSE));
        assert_eq!(breaker.decide(1, now), Decision::Probe);
        assert!(!breaker.record(CallResult::Good, 1, true, now));
        assert_eq!(breaker.decide(FAULTY, now), Decision::Allow);
    }
}

#[test]
fn sole_failing_subject_may_probe_again_after_five_seconds() {
    let (mut breaker, now) = open_breaker();
    for pause in 1..20 {
        let now = now + pause * MAX_PAUSE;
        assert_eq!(breaker.decide(FAULTY, now), Decision::Probe);
        breaker.record(CallResult::Bad, FAULTY, true, now);
    }
}

#[test]
fn retry_after_of_one_subject_pauses_it_and_of_two_pauses_all() {
    let (mut breaker, now) = (Breaker::default(), Tick::default());
    assert!(!breaker.pause(FAULTY, 4 * SECOND, false, now));
    assert_eq!(breaker.decide(FAULTY, now), Decision::Reject(4 * SECOND));
    assert_eq!(breaker.decide(1, now), Decision::Allow);
    let later = now + SECOND;
    assert!(
        !breaker.pause(FAULTY, SECOND, false, later),
        "the same subject"
    );
    assert_eq!(breaker.decide(FAULTY, later), Decision::Reject(3 * SECOND));
    assert!(breaker.pause(1, SECOND, false, later));
    assert_eq!(breaker.decide(2, later), Decision::Reject(3 * SECOND));
    assert!(!breaker.pause(2, 3600 * SECOND, false, later));
    assert_eq!(breaker.decide(3, later), Decision::Reject(MAX_PAUSE));
    assert_eq!(breaker.decide(3, later + MAX_PAUSE), Decision::Probe);
    assert!(breaker.pause(3, SECOND, true, later + MAX_PAUSE));
    assert!(matches!(
        breaker.decide(4, later + MAX_PAUSE),
        Decision::Reject(_)
    ));
}

#[test]
fn repeated_retry_after_of_one_subject_never_pauses_others() {
    let (mut breaker, mut now) = (Breaker::default(), Tick::default());
    for other in 0..1000 {
        if breaker.decide(FAULTY, now) == Decision::Allow {
            assert!(!breaker.pause(FAULTY, 5 * SECOND, false, now));
        }
        assert_eq!(breaker.decide(other + 100, now), Decision::Allow);
        now = now + SECOND / 4;
    }
    assert_eq!(breaker.pauses.len(), 1);
}

#[test]
fn probe_with_retry_after_does_not_keep_breaker_open() {
    let (mut breaker, mut now) = open_breaker();
    now = now + MAX_PAUSE;
    assert_eq!(breaker.decide(FAULTY, now), Decision::Probe);
    breaker.pause(FAULTY, 5 * SECOND, true, now);
    now = now + MAX_PAUSE;
    assert_eq!(breaker.decide(FAULTY, now), Decision::Probe);
    breaker.pause(FAULTY, 5 * SECOND, true, now);
    now = now + NEXT_PROBE;
    assert_eq!(breaker.decide(1, now), Decision::Probe);
}

#[test]
fn late_success_does_not_close_breaker() {
    let (mut breaker, now) = open_breaker();
    breaker.record(CallResult::Good, 1, false, now);
    assert_eq!(breaker.state(now), BreakerState::Open);
    let now = now + MAX_PAUSE;
    assert_eq!(breaker.state(now), BreakerState::HalfOpen);
    assert_eq!(breaker.decide(1, now), Decision::Probe);
    breaker.record(CallResult::Good, 2, false, now);
    assert_eq!(breaker.state(now), BreakerState::HalfOpen);
}
