//! Whether the calls that arrived at Engage keep to the budget, in every window of time.

use jiff::Timestamp;

/// The built-in budget: calls a second, and calls beyond that at once.
pub(crate) const RATE: f64 = 50.0;
pub(crate) const BURST: f64 = 10.0;

/// The greatest number of calls within any second.
pub(crate) fn most_in_a_second(times: &[Timestamp]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while seconds(times[first], *time) >= 1.0 {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

/// The smallest burst that allows these calls: the maximum, over all windows of any length T, of the number of calls in
/// the window minus rate x T.
pub(crate) fn needed_burst(times: &[Timestamp]) -> f64 {
    let Some(first) = times.first() else {
        return 0.0;
    };
    let mut needed = 0.0_f64;
    // Of all windows that end here, the worst begins where the calls were furthest behind the rate.
    let mut behind = 0.0_f64;
    for (before, time) in times.iter().enumerate() {
        let before = f64::from(u32::try_from(before).unwrap_or(u32::MAX));
        let ahead = before - RATE * seconds(*first, *time);
        behind = behind.min(ahead);
        needed = needed.max(ahead + 1.0 - behind);
    }
    needed
}

fn seconds(from: Timestamp, until: Timestamp) -> f64 {
    until.duration_since(from).as_secs_f64()
}
