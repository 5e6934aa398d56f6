//! The simulator's clock: the system's, or one that only a test advances.
//!
//! All data of the world uses it. The rate limit and latencies use real time, because they belong to the network.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// A shared handle to the simulated time; clones advance together.
#[derive(Debug, Clone)]
pub struct SimulatorClock(Source);

#[derive(Debug, Clone)]
enum Source {
    /// The system's time plus the sum of all `advance` calls.
    System(Arc<Mutex<Duration>>),
    Manual(Arc<Mutex<Timestamp>>),
}

impl SimulatorClock {
    /// Follows the system's clock; `advance` adds to it.
    pub fn system() -> Self {
        Self(Source::System(Arc::default()))
    }

    /// Stays at `start` until it is advanced.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// The current time.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the simulator's own clock"
    )]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(ahead) => {
                let ahead = *ahead.lock().unwrap_or_else(PoisonError::into_inner);
                shift(Timestamp::now(), ahead)
            }
            Source::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System(ahead) => {
                *ahead.lock().unwrap_or_else(PoisonError::into_inner) += by;
            }
            Source::Manual(now) => {
                let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
                *now = shift(*now, by);
            }
        }
    }
}

fn shift(from: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| from.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The zone of times without one.
pub(crate) fn local_zone() -> TimeZone {
    TimeZone::get("Europe/Stockholm").unwrap_or(TimeZone::UTC)
}

/// Parses a time in any of Engage's formats.
pub(crate) fn parse_instant(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        Some(civil.to_zoned(local_zone()).ok()?.timestamp())
    })
}

/// Engage's time formats.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TimeFormat {
    /// `2026-11-01T07:12:44+01:00`
    Offset,
    /// `2026-11-01T07:12:44.1234567+01:00`
    OffsetSevenDigits,
    /// `2026-11-01T06:12:44.123Z`
    Zulu,
    /// `2026-11-01T06:12:44Z`
    ZuluSeconds,
    /// `2026-11-01T07:12:44`
    NoZone,
    /// `2026-11-01T07:12:44.12345`
    NoZoneFiveDigits,
}

impl TimeFormat {
    pub(crate) const ALL: [Self; 6] = [
        Self::Offset,
        Self::OffsetSevenDigits,
        Self::Zulu,
        Self::ZuluSeconds,
        Self::NoZone,
        Self::NoZoneFiveDigits,
    ];

    pub(crate) fn write(self, at: Timestamp) -> String {
        let local = at.to_zoned(local_zone());
        match self {
            Self::Offset => local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Self::OffsetSevenDigits => local.strftime("%Y-%m-%dT%H:%M:%S.%7f%:z").to_string(),
            Self::Zulu => at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            Self::ZuluSeconds => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::NoZone => local.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            Self::NoZoneFiveDigits => local.strftime("%Y-%m-%dT%H:%M:%S.%5f").to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_means_the_same_second() {
        let at: Timestamp = "2026-11-01T06:12:44.1234567Z".parse().expect("valid");
        for format in TimeFormat::ALL {
            let text = format.write(at);
            let read = parse_instant(&text).expect("readable");
            assert_eq!(read.as_second(), at.as_second(), "{text}");
        }
    }

    #[test]
    fn manual_clock_advances_for_all_clones() {
        let clock = SimulatorClock::manual(Timestamp::UNIX_EPOCH);
        let other = clock.clone();
        clock.advance(Duration::from_secs(61));
        assert_eq!(other.now().as_second(), 61);
    }
}
