use std::time::Duration;

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever the delays of the messages, a moment is never taken for a later one. Times in nanoseconds.
    #[test]
    fn converted_moment_is_never_later_than_the_server_shows(
        replied in 1_000_000_000_u64..10_000_000_000,
        offset in 0_u64..1_000_000,
        to_receive in 0_u64..60_000_000,
        to_moment in -100_000_000_i64..2_000_000_000,
    ) {
        // The server's clock is `offset` milliseconds ahead of the true time.
        let server_time = |nanos: u64| nanos / 1_000_000 + offset;
        let received = replied + to_receive;
        let moment = received.checked_add_signed(to_moment).expect("after the beginning");
        let reading = Reading {
            time: ServerTime(server_time(replied)),
            received: Tick::from_nanos(received),
        };
        let converted = reading.at(Tick::from_nanos(moment));
        prop_assert!(converted.0 <= server_time(moment));
        // And not much earlier: by the time that the reply took to arrive.
        prop_assert!(converted.0 + to_receive / 1_000_000 + 3 >= server_time(moment));
    }
}

#[test]
fn moment_counts_from_the_latest_reading() {
    let clock = ServerClock::default();
    let received = Tick::from_nanos(5_000_000_000);
    assert_eq!(clock.at(received), None);
    clock.note(ServerTime(9000), received);
    clock.note(ServerTime(1000), received);
    let at = |moment| clock.at(moment).expect("a reading");
    assert_eq!(at(received), ServerTime(1000));
    assert_eq!(
        at(received + Duration::from_micros(250_900)),
        ServerTime(1250)
    );
    assert_eq!(at(received - Duration::from_micros(1500)), ServerTime(998));
    assert_eq!(at(Tick::END), ServerTime(u64::MAX));
}
