//! Settings from the environment, each within bounds.

use std::ops::RangeInclusive;

use crate::Failure;

/// How many contacts are requested again and again.
pub(crate) const KNOWN: usize = 200;

/// The load and its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Requests a second.
    pub(crate) rate: u64,
    /// New contacts among a hundred requests.
    pub(crate) new_percent: u64,
    /// Seconds with a fast Engage.
    pub(crate) quiet: u64,
    /// Seconds with a slow one.
    pub(crate) slow: u64,
    /// Seconds with one that does not respond.
    pub(crate) hang: u64,
}

impl Settings {
    pub(crate) fn read() -> Result<Self, Failure> {
        Ok(Self {
            rate: number("OVERLOAD_RATE", 500, 10..=2000)?,
            new_percent: number("OVERLOAD_NEW_PERCENT", 10, 1..=50)?,
            quiet: number("OVERLOAD_QUIET_SECONDS", 20, 5..=300)?,
            slow: number("OVERLOAD_SLOW_SECONDS", 60, 5..=300)?,
            hang: number("OVERLOAD_HANG_SECONDS", 20, 5..=300)?,
        })
    }

    /// The greatest number of contacts that the run needs if it continues for this many seconds after the hang.
    pub(crate) fn contacts(&self, more: u64) -> usize {
        let seconds = self.quiet + self.slow + self.hang + more;
        let new = seconds * self.rate * self.new_percent / 100;
        // Each request is for a new contact at random: allow for more than the expected number.
        KNOWN + usize::try_from(new + new / 5 + 100).unwrap_or(usize::MAX)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of a few settings reads them where it starts"
)]
fn number(name: &str, default: u64, bounds: RangeInclusive<u64>) -> Result<u64, Failure> {
    let Ok(text) = std::env::var(name) else {
        return Ok(default);
    };
    let value = text.parse().ok().filter(|value| bounds.contains(value));
    value.ok_or_else(|| {
        let (least, greatest) = bounds.into_inner();
        format!("{name} is not a number from {least} to {greatest}").into()
    })
}
