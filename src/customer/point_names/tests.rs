use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> Tick {
    Tick::from_nanos(7)
}

#[test]
fn waits_grow_to_an_hour_and_begin_anew_after_a_success() {
    let mut schedule = Schedule::default();
    let mut waits = |error: Option<&Error>| schedule.note(error, start()).as_secs();
    let error = Error::Timeout;
    for expected in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
        assert_eq!(waits(Some(&error)), expected);
    }
    for _ in 0..100 {
        assert_eq!(waits(Some(&error)), 3600);
    }
    assert_eq!(waits(None), 86_400);
    assert_eq!(waits(Some(&error)), 5);
    let absent = Error::Failed {
        status: 404,
        retry_after: None,
    };
    assert_eq!(waits(Some(&absent)), 86_400);
    assert_eq!(waits(Some(&Error::NotFound)), 86_400);
    assert_eq!(waits(Some(&error)), 5);
}

#[test]
fn failures_are_logged_once_a_day() {
    let mut schedule = Schedule::default();
    let mut logged_at = |hours: u32| {
        schedule.note(Some(&Error::Timeout), start() + HOUR * hours);
        schedule.logged_at
    };
    let first = Some(start());
    assert_eq!([0, 1, 23].map(&mut logged_at), [first; 3]);
    let second = Some(start() + HOUR * 24);
    assert_eq!([24, 47].map(&mut logged_at), [second; 2]);
}
