//! Parses times as Engage writes them.
//!
//! A time is absent (missing, null, blank, .NET's minimum, which means "not set", or its maximum, which means "never"),
//! readable, or unreadable. Any unambiguous form is accepted; an ambiguous one is unreadable, and the caller decides
//! what follows.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use serde_json::value::RawValue;

use super::Reader;
use crate::json::{self, Object};

/// A value is present, but it is uncertain which time it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Which moment a date without a time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfDay {
    /// The start of the day.
    Start,
    /// The start of the next day: what ends on a day is valid for the whole day.
    End,
}

impl Reader {
    /// A time on which nothing depends: an unreadable one is `None`.
    pub(super) fn time(&self, value: &RawValue) -> Option<Timestamp> {
        read(value, OfDay::Start, &self.time_zone).ok().flatten()
    }

    /// The time under a key, whatever its ASCII case; the latest of several. `None` means none, or never.
    pub(super) fn start(
        &self,
        object: &Object<'_>,
        key: &str,
    ) -> Result<Option<Timestamp>, Unreadable> {
        let mut latest: Option<Timestamp> = None;
        for value in object.every(key) {
            latest = latest.max(read(value, OfDay::Start, &self.time_zone)?);
        }
        Ok(latest)
    }

    /// The end of validity under a key, in any ASCII case; the earliest of several. `None` means never.
    pub(super) fn end(
        &self,
        object: &Object<'_>,
        key: &str,
    ) -> Result<Option<Timestamp>, Unreadable> {
        let mut earliest: Option<Timestamp> = None;
        for value in object.every(key) {
            if let Some(end) = read(value, OfDay::End, &self.time_zone)? {
                earliest = Some(earliest.map_or(end, |earliest| earliest.min(end)));
            }
        }
        Ok(earliest)
    }

    /// The time in a text, in UTC with milliseconds. `None` for anything else: a date alone, a time that means "not
    /// set" or "never", or a midnight without a zone, which may stand for a date.
    pub(super) fn in_utc(&self, value: &RawValue) -> Option<Box<RawValue>> {
        let text = quoted(value)?;
        let has_time = matches!(text.as_bytes().get(10), Some(b'T' | b't'));
        let written = Written::of(&text, OfDay::Start).filter(|_| has_time)?;
        if written.offset.is_none() && written.time == civil::Time::midnight() {
            return None;
        }
        let time = written.timestamp(&self.time_zone).ok().flatten()?;
        RawValue::from_string(format!("\"{time:.3}\"")).ok()
    }

    /// A local time without a zone, as Engage expects it [Voyado: the example of `/contacts/changes`]. When daylight
    /// saving ends, an hour is ambiguous: such a time is shifted by `hour`.
    pub(in crate::engage) fn local(&self, time: Timestamp, hour: SignedDuration) -> String {
        let mut civil = self.time_zone.to_datetime(time);
        if self.time_zone.to_ambiguous_timestamp(civil).is_ambiguous() {
            civil = civil.saturating_add(hour);
        }
        civil.strftime("%Y-%m-%dT%H:%M:%S").to_string()
    }
}

/// Whether a time is present, readable or not, other than the one that means "not set".
pub(super) fn is_set(value: &RawValue) -> bool {
    let Some(text) = quoted(value) else {
        return value.get() != "null";
    };
    let text = text.trim();
    !text.is_empty() && !text.starts_with(NOT_SET)
}

/// The date of .NET's minimum.
const NOT_SET: &str = "0001-01-01";
/// The year of .NET's maximum, whose last days exceed the range of a [`Timestamp`].
const NEVER: i16 = 9999;

fn quoted(value: &RawValue) -> Option<std::borrow::Cow<'_, str>> {
    value
        .get()
        .starts_with('"')
        .then(|| json::text(value))
        .flatten()
}

fn read(value: &RawValue, of_day: OfDay, zone: &TimeZone) -> Result<Option<Timestamp>, Unreadable> {
    if value.get() == "null" {
        return Ok(None);
    }
    // A number may be seconds or milliseconds, since any epoch.
    let text = quoted(value).ok_or(Unreadable)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let Some(written) = Written::of(text, of_day) else {
        // Other unambiguous forms of ISO 8601.
        let has_time = text.contains(['T', 't']);
        return text
            .parse()
            .ok()
            .filter(|_| has_time)
            .map(Some)
            .ok_or(Unreadable);
    };
    written.timestamp(zone)
}

/// A date with optional time and offset, as written.
struct Written {
    date: civil::Date,
    time: civil::Time,
    /// Whether the time is that of the next day.
    is_next_day: bool,
    /// Seconds east of UTC.
    offset: Option<i64>,
}

impl Written {
    fn of(text: &str, of_day: OfDay) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let date = date_of(date)?;
        let rest = match rest.strip_prefix(['T', 't']) {
            Some(rest) => rest,
            None => rest.trim_start(),
        };
        let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ',')));
        let (time, offset) = rest.split_at(end.unwrap_or(rest.len()));
        let (time, is_next_day) = if time.is_empty() {
            // A date with a bare "T" is not a date.
            if text[10..].starts_with(['T', 't']) {
                return None;
            }
            (civil::Time::midnight(), of_day == OfDay::End)
        } else {
            time_of(time)?
        };
        Some(Self {
            date,
            time,
            is_next_day,
            offset: offset_of(offset.trim_start())?,
        })
    }

    fn timestamp(&self, zone: &TimeZone) -> Result<Option<Timestamp>, Unreadable> {
        if matches!(self.date.year(), 1 | NEVER) {
            return Ok(None);
        }
        let date = if self.is_next_day {
            self.date.tomorrow().map_err(|_| Unreadable)?
        } else {
            self.date
        };
        let civil = date.to_datetime(self.time);
        let time = match self.offset {
            Some(seconds) => TimeZone::UTC
                .to_timestamp(civil)
                .and_then(|time| time.checked_sub(SignedDuration::from_secs(seconds))),
            // A local time that daylight saving skips is moved forward.
            None => zone.to_timestamp(civil),
        };
        time.map(Some).map_err(|_| Unreadable)
    }
}

/// `YYYY-MM-DD` of an existing day.
fn date_of(text: &str) -> Option<civil::Date> {
    let bytes = text.as_bytes();
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = number(&text[..4])?;
    let month = i8::try_from(number(&text[5..7])?).ok()?;
    let day = i8::try_from(number(&text[8..])?).ok()?;
    civil::Date::new(year, month, day).ok()
}

/// `HH:MM`, `HH:MM:SS`, or with a fraction of any length; and whether it is 24:00.
fn time_of(text: &str) -> Option<(civil::Time, bool)> {
    let (clock, fraction) = match text.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut fields = clock.split(':').map(two_digits);
    let hour = fields.next()??;
    let minute = fields.next()??;
    let second = match fields.next() {
        Some(second) => second?,
        // A fraction of a minute is refused.
        None if fraction.is_some() => return None,
        None => 0,
    };
    if fields.next().is_some() {
        return None;
    }
    let nanosecond = fraction.map_or(Some(0), nanoseconds)?;
    if (hour, minute, second, nanosecond) == (24, 0, 0, 0) {
        return Some((civil::Time::midnight(), true));
    }
    // A leap second counts as the second before it.
    let second = if second == 60 { 59 } else { second };
    let time = civil::Time::new(hour, minute, second, nanosecond).ok()?;
    Some((time, false))
}

fn nanoseconds(fraction: &str) -> Option<i32> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
}

/// Nothing, `Z`, or `+HH:MM`, `+HHMM` or `+HH`, in seconds east of UTC.
#[expect(
    clippy::option_option,
    reason = "no offset differs from an unreadable one"
)]
fn offset_of(text: &str) -> Option<Option<i64>> {
    if text.is_empty() {
        return Some(None);
    }
    if text.eq_ignore_ascii_case("z") {
        return Some(Some(0));
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':')?,
        _ => return None,
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    if hours > 18 || minutes > 59 {
        return None;
    }
    Some(Some(
        sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60),
    ))
}

fn two_digits(text: &str) -> Option<i8> {
    (text.len() == 2)
        .then(|| number(text).and_then(|number| i8::try_from(number).ok()))
        .flatten()
}

/// ASCII digits only.
fn number(text: &str) -> Option<i16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests;
