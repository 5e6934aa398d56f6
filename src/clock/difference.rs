//! Compares our wall clock with another machine's.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// By how much, at least, another machine's clock is ahead of ours (negative: behind ours). It is a lower bound,
/// because an HTTP date has whole seconds and a response takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDifference(pub SignedDuration);

impl ClockDifference {
    /// The difference to a clock that showed `date`, to the second, at some moment from `began` to `ended`.
    pub fn of(date: Timestamp, began: Timestamp, ended: Timestamp) -> Self {
        let latest = date + SignedDuration::from_secs(1);
        let ahead = date.duration_since(ended);
        let behind = latest.duration_since(began);
        Self(if ahead.is_positive() {
            ahead
        } else {
            behind.min(SignedDuration::ZERO)
        })
    }

    /// The difference without its sign.
    pub fn abs(self) -> Duration {
        self.0.unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_is_what_a_second_and_the_response_time_cannot_explain() {
        let at = |millis| Timestamp::from_millisecond(millis).expect("a time");
        for (date, began, ended, expected) in [
            (10_000, 10_300, 10_900, 0),
            (10_000, 9_900, 10_000, 0),
            (10_000, 11_000, 11_200, 0),
            (10_000, 13_500, 14_000, -2_500),
            (10_000, 3_000, 4_000, 6_000),
            (10_000, 3_000, 12_000, 0),
        ] {
            let difference = ClockDifference::of(at(date), at(began), at(ended));
            let expected = SignedDuration::from_millis(expected);
            assert_eq!(difference.0, expected, "{date} {began} {ended}");
        }
    }
}
