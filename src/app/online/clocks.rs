//! Whether another machine's clock agrees with ours.

use std::time::Duration;

use super::report::Check;
use crate::clock::ClockDifference;

/// The least difference that gets a warning: synchronised clocks differ by milliseconds.
const WARNING: Duration = Duration::from_secs(5);

/// The check of a clock. A difference of five seconds or more gets a warning; if it is also `limit` or more, the check
/// fails, with the `consequence`.
pub(super) fn check(
    name: &'static str,
    difference: Option<ClockDifference>,
    limit: Duration,
    consequence: &str,
) -> Check {
    let Some(difference) = difference else {
        return Check::skipped(name, "no response had a date");
    };
    let seconds = difference.abs().as_secs();
    if difference.abs() < WARNING {
        return Check::ok(name, "the clocks agree");
    }
    let side = if difference.0.is_positive() {
        "behind"
    } else {
        "ahead of"
    };
    let what = format!("this machine's clock is {seconds} s {side} the server's");
    let remedy = "synchronise this machine's clock: chrony, systemd-timesyncd";
    if difference.abs() < limit {
        Check::warning(name, what, remedy)
    } else {
        Check::failed(name, format!("{what}: {consequence}"), remedy)
    }
}
