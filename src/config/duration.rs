//! Durations as operators write them: `"800ms"`, `"60s"`, `"10m"`, `"14d"`. At most a year, so that adding one to a
//! moment never overflows, and in whole milliseconds, the finest unit that is printed.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// A leap year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Reads `"800ms"`, `"60s"`, `"10m"`, `"1h"`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = parse(&text).ok_or_else(|| D::Error::custom("expected a duration"))?;
    if duration > LONGEST {
        return Err(D::Error::custom("expected at most a year"));
    }
    Ok(duration)
}

/// Writes what [`deserialize`] reads.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = duration.as_millis();
    let text = match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    };
    serializer.serialize_str(&text)
}

/// The duration of `800ms`, `60s`, `14d`; `None` unless it is whole milliseconds or days.
pub fn parse(text: &str) -> Option<Duration> {
    if let Some(days) = days::parse(text) {
        return Some(days);
    }
    let signed: SignedDuration = text.parse().ok()?;
    let duration = Duration::try_from(signed).ok()?;
    duration
        .subsec_nanos()
        .is_multiple_of(1_000_000)
        .then_some(duration)
}

/// Durations of keys that may be unset.
pub mod optional {
    use super::{Deserializer, Duration, Serializer};

    /// Reads what [`super::deserialize`] does.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }

    /// Writes what [`deserialize`] reads.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// Whole days: `"14d"`, 1 to 365.
pub mod days {
    use super::{Deserialize, Deserializer, Duration, Error, Serializer};

    const DAY: u64 = 24 * 60 * 60;

    /// Reads `"14d"`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom("expected whole days"))
    }

    /// Writes what [`deserialize`] reads.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}d", duration.as_secs() / DAY))
    }

    /// The duration of `14d`; `None` unless it is whole days from 1 to 365.
    pub fn parse(text: &str) -> Option<Duration> {
        let digits = text.strip_suffix('d')?;
        if digits.is_empty()
            || digits.len() > 3
            || !digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let days: u64 = digits.parse().ok()?;
        (1..=365)
            .contains(&days)
            .then(|| Duration::from_secs(days * DAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_milliseconds_or_days() {
        for (text, millis) in [
            ("800ms", 800),
            ("60s", 60_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("0s", 0),
            ("1d", 86_400_000),
            ("14d", 14 * 86_400_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "", "60", "-5s", "soon", "1ns", "1500us", "0d", "400d", "1.5d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_are_whole_and_at_most_a_year() {
        assert_eq!(days::parse("14d"), Some(Duration::from_secs(14 * 86_400)));
        for text in ["0d", "366d", "1.5d", "14", "d", "+1d", "2w", "014 d"] {
            assert_eq!(days::parse(text), None, "{text}");
        }
    }
}
