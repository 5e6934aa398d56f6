use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever the delays of the messages, no stored value looks younger than it is. Times in nanoseconds.
    #[test]
    fn stored_request_time_is_never_after_the_request(
        granted in 1_000_000_000_u64..10_000_000_000,
        offset in 0_u64..1_000_000,
        to_receive in 0_u64..60_000_000,
        to_start in -100_000_000_i64..2_000_000_000,
    ) {
        // The server's clock is `offset` milliseconds ahead of the true time.
        let server_time = |nanos: u64| nanos / 1_000_000 + offset;
        let received = granted + to_receive;
        let started = received.checked_add_signed(to_start).expect("after the beginning");
        let stored = requested_at(
            (ServerTime(server_time(granted)), Tick::from_nanos(received)),
            Tick::from_nanos(started),
        );
        prop_assert!(stored.0 <= server_time(started));
        // And not much older: by the time that the lease took to arrive.
        prop_assert!(stored.0 + to_receive / 1_000_000 + 3 >= server_time(started));
    }
}

#[test]
fn request_time_counts_from_when_the_lease_was_received() {
    let received = Tick::from_nanos(5_000_000_000);
    let granted = (ServerTime(1000), received);
    let after = |millis| received + Duration::from_millis(millis);
    assert_eq!(requested_at(granted, after(0)), ServerTime(1000));
    assert_eq!(requested_at(granted, after(250)), ServerTime(1250));
    let before = received - Duration::from_micros(1500);
    assert_eq!(requested_at(granted, before), ServerTime(998));
}
