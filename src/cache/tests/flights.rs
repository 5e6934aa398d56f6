//! Flights: how often calls are made for one key, and what becomes of one that panics.

use std::sync::atomic::AtomicUsize;

use super::{
    super::flight::{FlightError, FlightHandle, Flights, Joined, Pace},
    *,
};
use crate::domain::{Claim, Demand, Flow, Priority, Requester};

const PACE: Pace = Pace {
    in_a_row: 5,
    spacing: Duration::from_millis(50),
};

fn claim() -> Claim {
    Claim {
        requester: Requester {
            flow: Flow::from("shop"),
            priority: Priority::Fresh,
        },
        demand: Demand {
            needed: PartSet::EMPTY,
            max_age: Demand::ANY_AGE,
        },
        trace: None,
    }
}

#[tokio::test]
async fn fresh_callers_share_one_call_in_fifty_milliseconds() {
    let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
    let clock = Clock::from(manual.clone());
    let fences = Arc::new(Fences::new(MINUTE, MINUTE, 16));
    let flights: Flights<u8, usize> = Flights::new(clock.clone(), MINUTE, PACE, 100);
    let begun = Arc::new(AtomicUsize::new(0));
    let join = |not_before| {
        let (fences, begun, clock) = (Arc::clone(&fences), Arc::clone(&begun), clock.clone());
        let handle = flights.join(7, not_before, claim(), move |flight| async move {
            flight.begin(fences.sequence(), clock.tick());
            begun.fetch_add(1, Ordering::SeqCst) + 1
        });
        handle.expect("a flight")
    };
    for number in 1..=5 {
        assert_eq!(join(fences.latest()).outcome().await, Ok(number));
    }
    for number in 6..10 {
        let handles: Vec<_> = (0..20).map(|_| join(fences.latest())).collect();
        let joined = |handle: &&FlightHandle<usize>| handle.joined == Joined::Collapsed;
        assert_eq!(handles.iter().filter(joined).count(), 19);
        manual.advance(Duration::from_millis(49));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(begun.load(Ordering::SeqCst), number - 1, "too soon");
        manual.advance(Duration::from_millis(1));
        for handle in handles {
            assert_eq!(handle.outcome().await, Ok(number));
        }
    }
    // A caller that the last call could have served does not wait for the pace.
    let plain = join(Sequence::default());
    assert_eq!(plain.joined, Joined::Started);
    assert_eq!(plain.outcome().await, Ok(10));
}

#[tokio::test]
async fn panicked_call_is_lost_and_makes_room_for_the_next() {
    let clock = Clock::from(ManualClock::new(Timestamp::UNIX_EPOCH));
    let flights: Flights<u8, u8> = Flights::new(clock, MINUTE, PACE, 1);
    let lost = flights.join(7, Sequence::default(), claim(), |_| async {
        panic!("on purpose")
    });
    let outcome = lost.expect("a flight").outcome().await;
    assert_eq!(outcome, Err(FlightError::Lost));
    let next = flights
        .join(7, Sequence::default(), claim(), |_| async { 1 })
        .expect("a flight");
    assert_eq!(next.joined, Joined::Started);
    assert_eq!(next.outcome().await, Ok(1));
    assert_eq!(flights.in_flight(), 0);
}
