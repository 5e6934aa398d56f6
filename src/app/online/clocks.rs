//! Whether another machine's clock agrees with ours.

use std::time::Duration;

use super::report::Check;
use crate::clock::ClockDifference;

/// The least difference that gets a warning: synchronised clocks differ by milliseconds.
const WARNING: Duration = Duration::from_secs(5);

/// The check of a clock. With a difference of `limit` or more it fails, with the `consequence`; a shorter one gets a
/// warning from five seconds on. Clocks that agree pass whatever the limit.
pub(super) fn check(
    name: &'static str,
    difference: Option<ClockDifference>,
    limit: Duration,
    consequence: &str,
) -> Check {
    let Some(difference) = difference else {
        return Check::skipped(name, "no response had a date");
    };
    let apart = difference.abs();
    if apart.is_zero() || apart < WARNING.min(limit) {
        return Check::ok(name, "the clocks agree");
    }
    let side = if difference.0.is_positive() {
        "behind"
    } else {
        "ahead of"
    };
    let seconds = apart.as_secs_f64();
    let what = format!("this machine's clock is {seconds:.1} s {side} the server's");
    let remedy = "synchronise this machine's clock: chrony, systemd-timesyncd";
    if apart < limit {
        Check::warning(name, what, remedy)
    } else {
        Check::failed(name, format!("{what}: {consequence}"), remedy)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::app::online::Status;

    #[test]
    fn difference_beyond_the_limit_fails_however_short() {
        for (millis, limit, status, what) in [
            (0, 0, Status::Ok, "the clocks agree"),
            (900, 1000, Status::Ok, "the clocks agree"),
            (
                1000,
                1000,
                Status::Failed,
                "clock is 1.0 s behind the server's: refused",
            ),
            (
                -3000,
                1000,
                Status::Failed,
                "clock is 3.0 s ahead of the server's: refused",
            ),
            (3000, 30_000, Status::Ok, "the clocks agree"),
            (
                -5000,
                30_000,
                Status::Warning,
                "clock is 5.0 s ahead of the server's",
            ),
            (
                5400,
                5000,
                Status::Failed,
                "clock is 5.4 s behind the server's: refused",
            ),
        ] {
            let difference = ClockDifference(SignedDuration::from_millis(millis));
            let limit = Duration::from_millis(limit);
            let check = check("a-clock", Some(difference), limit, "refused");
            assert_eq!(check.status, status, "{millis} {limit:?}: {check:?}");
            assert!(check.what.ends_with(what), "{check:?}");
        }
    }

    #[test]
    fn clock_of_a_server_without_dates_is_skipped() {
        let check = check("a-clock", None, Duration::ZERO, "refused");
        assert_eq!(check.status, Status::Skipped);
    }
}
