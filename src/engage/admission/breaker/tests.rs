use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// The one contact that always fails.
const SICK: u64 = 7;

/// Opened by twenty owners, from 100 on.
fn open() -> (Breaker, Tick) {
    let now = Tick::default();
    let mut breaker = Breaker::default();
    for owner in 100..120 {
        breaker.record(Mark::Bad, owner, false, now);
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    (breaker, now)
}

#[test]
fn twenty_calls_of_which_half_fail_open_it_and_fewer_do_not() {
    let now = Tick::default();
    let mut breaker = Breaker::default();
    for owner in 0..19 {
        let mark = if owner % 2 == 0 {
            Mark::Bad
        } else {
            Mark::Good
        };
        assert!(!breaker.record(mark, owner, false, now), "call {owner}");
    }
    assert!(breaker.record(Mark::Bad, 20, false, now));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn one_owner_counts_once_however_it_fails() {
    let now = Tick::default();
    for good in [0, 10, 19] {
        let mut breaker = Breaker::default();
        for owner in 0..good {
            assert!(!breaker.record(Mark::Good, owner, false, now));
        }
        for _ in 0..1000 {
            assert!(!breaker.record(Mark::Bad, SICK, false, now));
            assert!(!breaker.record(Mark::Refused, SICK, false, now));
            assert!(!breaker.pause(SICK, SECOND, false, now));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.refuses(1, now), None);
    }
}

#[test]
fn failures_and_refusals_are_not_added_up() {
    let now = Tick::default();
    let mut breaker = Breaker::default();
    for owner in 0..20 {
        for mark in [Mark::Bad, Mark::Refused, Mark::Good] {
            assert!(!breaker.record(mark, owner, false, now));
        }
    }
}

#[test]
fn failures_of_long_ago_do_not_count_and_take_no_memory() {
    let mut now = Tick::default();
    let mut breaker = Breaker::default();
    for owner in 0..100 {
        assert!(!breaker.record(Mark::Bad, owner, false, now));
        breaker.record(Mark::Good, owner, false, now);
        now = now + SECOND;
    }
    assert!(breaker.ended.bad.len() <= 10);
    assert!(breaker.ended.good.len() <= 10);
}

#[test]
fn an_open_one_lets_one_call_through_within_five_seconds() {
    let (mut breaker, now) = open();
    assert!(matches!(breaker.gate(1, now), Gate::Refuse(wait) if wait <= MAX_PAUSE));
    let later = now + MAX_PAUSE;
    assert_eq!(breaker.gate(1, later), Gate::Probe);
    assert!(matches!(breaker.gate(2, later), Gate::Refuse(_)));
    assert!(!breaker.record(Mark::Good, 1, true, later));
    assert_eq!(breaker.gate(1, later), Gate::Pass);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_probe_that_fails_opens_it_again_and_one_that_hangs_holds_it_for_five_seconds() {
    let (mut breaker, now) = open();
    let later = now + MAX_PAUSE;
    assert_eq!(breaker.gate(1, later), Gate::Probe);
    assert!(breaker.record(Mark::Bad, 1, true, later));
    assert!(matches!(
        breaker.gate(2, later + 3 * SECOND),
        Gate::Refuse(_)
    ));
    assert_eq!(breaker.gate(2, later + MAX_PAUSE), Gate::Probe);
    assert_eq!(breaker.gate(2, later + 2 * MAX_PAUSE), Gate::Probe);
}

#[test]
fn an_owner_that_always_fails_does_not_hold_it_open() {
    for mark in [Mark::Bad, Mark::Refused] {
        let (mut breaker, mut now) = open();
        breaker.record(mark, SICK, false, now);
        now = now + MAX_PAUSE;
        assert_eq!(breaker.gate(SICK, now), Gate::Probe);
        assert!(!breaker.record(mark, SICK, true, now));
        assert!(matches!(breaker.gate(1, now), Gate::Refuse(wait) if wait == NEXT_PROBE));
        now = now + NEXT_PROBE;
        assert!(matches!(breaker.gate(SICK, now), Gate::Refuse(wait) if wait <= MAX_PAUSE));
        assert_eq!(breaker.gate(1, now), Gate::Probe);
        assert!(!breaker.record(Mark::Good, 1, true, now));
        assert_eq!(breaker.gate(SICK, now), Gate::Pass);
    }
}

#[test]
fn an_owner_alone_may_probe_again_within_five_seconds() {
    let (mut breaker, now) = open();
    for pause in 1..20 {
        let now = now + pause * MAX_PAUSE;
        assert_eq!(breaker.gate(SICK, now), Gate::Probe);
        breaker.record(Mark::Bad, SICK, true, now);
    }
}

#[test]
fn what_engage_says_of_one_owner_pauses_it_alone_and_of_two_everything() {
    let (mut breaker, now) = (Breaker::default(), Tick::default());
    assert!(!breaker.pause(SICK, 4 * SECOND, false, now));
    assert_eq!(breaker.gate(SICK, now), Gate::Refuse(4 * SECOND));
    assert_eq!(breaker.gate(1, now), Gate::Pass);
    let later = now + SECOND;
    assert!(!breaker.pause(SICK, SECOND, false, later), "it is the same");
    assert_eq!(breaker.gate(SICK, later), Gate::Refuse(3 * SECOND));
    assert!(breaker.pause(1, SECOND, false, later));
    assert_eq!(breaker.gate(2, later), Gate::Refuse(3 * SECOND));
    assert!(!breaker.pause(2, 3600 * SECOND, false, later));
    assert_eq!(breaker.gate(3, later), Gate::Refuse(MAX_PAUSE));
    assert_eq!(breaker.gate(3, later + MAX_PAUSE), Gate::Probe);
    assert!(breaker.pause(3, SECOND, true, later + MAX_PAUSE));
    assert!(matches!(
        breaker.gate(4, later + MAX_PAUSE),
        Gate::Refuse(_)
    ));
}

#[test]
fn an_owner_that_is_to_come_back_every_few_seconds_never_pauses_the_others() {
    let (mut breaker, mut now) = (Breaker::default(), Tick::default());
    for other in 0..1000 {
        if breaker.gate(SICK, now) == Gate::Pass {
            assert!(!breaker.pause(SICK, 5 * SECOND, false, now));
        }
        assert_eq!(breaker.gate(other + 100, now), Gate::Pass);
        now = now + SECOND / 4;
    }
    assert_eq!(breaker.pauses.len(), 1);
}

#[test]
fn a_probe_that_is_to_come_back_does_not_hold_it_open() {
    let (mut breaker, mut now) = open();
    now = now + MAX_PAUSE;
    assert_eq!(breaker.gate(SICK, now), Gate::Probe);
    breaker.pause(SICK, 5 * SECOND, true, now);
    now = now + MAX_PAUSE;
    assert_eq!(breaker.gate(SICK, now), Gate::Probe);
    breaker.pause(SICK, 5 * SECOND, true, now);
    now = now + NEXT_PROBE;
    assert_eq!(breaker.gate(1, now), Gate::Probe);
}

#[test]
fn answers_to_calls_from_before_do_not_close_it() {
    let (mut breaker, now) = open();
    breaker.record(Mark::Good, 1, false, now);
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.gate(1, now + MAX_PAUSE), Gate::Probe);
    breaker.record(Mark::Good, 2, false, now + MAX_PAUSE);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
}
