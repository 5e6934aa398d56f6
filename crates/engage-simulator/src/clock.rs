//! The simulator's time: the system's, or one that only moves when a test says so.
//!
//! Everything dated in the world asks this clock. The rate limit and latencies do not: they concern
//! the wire, so they run in real time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// A shared handle to the time of the simulated world; clones move together.
#[derive(Debug, Clone)]
pub struct SimulatorClock(Source);

#[derive(Debug, Clone)]
enum Source {
    /// The system's time plus what `advance` has added.
    System(Arc<Mutex<Duration>>),
    Manual(Arc<Mutex<Timestamp>>),
}

impl SimulatorClock {
    /// Follows the system's clock; `advance` runs ahead of it.
    pub fn system() -> Self {
        Self(Source::System(Arc::default()))
    }

    /// Stands at `start` until it is advanced.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// Tells the time.
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

    /// Lets time pass.
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

/// The zone that times without one are written and read in.
pub(crate) fn local_zone() -> TimeZone {
    TimeZone::get("Europe/Stockholm").unwrap_or(TimeZone::UTC)
}

/// Reads a date-time in any of the spellings that Engage uses.
pub(crate) fn parse_instant(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        Some(civil.to_zoned(local_zone()).ok()?.timestamp())
    })
}

/// The date-time spellings that Engage mixes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spelling {
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

impl Spelling {
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
    fn every_spelling_names_the_same_second() {
        let at: Timestamp = "2026-11-01T06:12:44.1234567Z".parse().expect("valid");
        for spelling in Spelling::ALL {
            let text = spelling.write(at);
            let read = parse_instant(&text).expect("readable");
            assert_eq!(read.as_second(), at.as_second(), "{text}");
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told_and_for_all_its_clones() {
        let clock = SimulatorClock::manual(Timestamp::UNIX_EPOCH);
        let other = clock.clone();
        clock.advance(Duration::from_secs(61));
        assert_eq!(other.now().as_second(), 61);
    }
}
