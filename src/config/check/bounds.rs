//! The bounds of durations, sizes and numbers. Within them no arithmetic overflows and every part can start.

use std::{fmt, ops::RangeInclusive, time::Duration};

use bytesize::ByteSize;

use crate::config::{Config, mistakes::Mistakes};

const NONE: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);
/// Shorter lifetimes end before a response arrives.
const SHORTEST_LIFETIME: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest interval between polls of `/contacts/changes`.
const SHORTEST_POLL: Duration = Duration::from_secs(5);

const MEBIBYTE: u64 = 1 << 20;

/// One call in about 17 minutes; far lower rates overflow the interval between two calls.
pub(super) const LEAST_RATE: f64 = 0.001;
const RATES: RangeInclusive<f64> = LEAST_RATE..=1_000_000.0;

/// Higher counts overflow, or do not limit anything.
pub(super) const COUNTS: RangeInclusive<u64> = 1..=1_000_000;

/// Each reported change may cause up to four calls to Engage later; a higher rate would exceed any usual budget.
const CHANGE_RATES: RangeInclusive<u32> = 1..=100;

impl Config {
    pub(super) fn check_bounds(&self, mistakes: &mut Mistakes) {
        let engage = &self.engage;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        for (key, value) in [
            ("server.max_connections", count(self.server.max_connections)),
            ("engage.burst", engage.burst.into()),
            ("engage.replicas", engage.replicas.into()),
            ("engage.max_concurrency", count(engage.max_concurrency)),
        ] {
            check_count(key, value, mistakes);
        }
        if !RATES.contains(&engage.requests_per_second) {
            mistakes.add(
                "engage.requests_per_second",
                "is out of range",
                "give 0.001 to 1000000; Engage asks for at most 50",
            );
        }
        self.check_server_durations(mistakes);
        self.check_durations(mistakes);
        self.check_lifetimes(mistakes);
        self.check_sizes(mistakes);
    }

    fn check_server_durations(&self, mistakes: &mut Mistakes) {
        let server = &self.server;
        for (key, value, bounds) in [
            (
                "server.request_timeout",
                server.request_timeout,
                MILLISECOND..=HOUR,
            ),
            (
                "server.header_timeout",
                server.header_timeout,
                MILLISECOND..=HOUR,
            ),
            (
                "server.body_timeout",
                server.body_timeout,
                MILLISECOND..=HOUR,
            ),
            (
                "server.idle_timeout",
                server.idle_timeout,
                MILLISECOND..=DAY,
            ),
            (
                "server.write_timeout",
                server.write_timeout,
                MILLISECOND..=HOUR,
            ),
            // Orchestrators kill processes that take longer.
            (
                "server.shutdown_delay",
                server.shutdown_delay,
                NONE..=MINUTE * 5,
            ),
            ("server.shutdown_grace", server.shutdown_grace, NONE..=HOUR),
        ] {
            check_range(key, &value, &bounds, |value| Shown(*value), mistakes);
        }
    }

    fn check_durations(&self, mistakes: &mut Mistakes) {
        let (engage, webhooks) = (&self.engage, &self.webhooks);
        for (key, value, bounds) in [
            ("engage.timeout", engage.timeout, MILLISECOND..=HOUR),
            (
                "engage.connect_timeout",
                engage.connect_timeout,
                MILLISECOND..=HOUR,
            ),
            ("engage.overview_lag", engage.overview_lag, NONE..=DAY),
            ("cache.stale_if_slow", self.cache.stale_if_slow, NONE..=HOUR),
            ("webhooks.tolerance", webhooks.tolerance, MILLISECOND..=HOUR),
            ("webhooks.silence", webhooks.silence, MILLISECOND..=DAY * 30),
            (
                "webhooks.fallback_lifetime",
                webhooks.fallback_lifetime,
                MILLISECOND..=DAY,
            ),
            (
                "webhooks.changes_poll",
                webhooks.changes_poll.unwrap_or(DAY),
                SHORTEST_POLL..=DAY,
            ),
            // Shorter time-outs fail at random. Longer ones delay callers more than a call to Engage does.
            (
                "redis.timeout",
                self.redis.timeout,
                MILLISECOND * 5..=SECOND,
            ),
        ] {
            check_range(key, &value, &bounds, |value| Shown(*value), mistakes);
        }
    }

    /// Each lifetime, and each time after it for which data may still be served, is a day at most.
    fn check_lifetimes(&self, mistakes: &mut Mistakes) {
        let cache = &self.cache;
        for (key, value) in [
            ("cache.profile_lifetime", cache.profile_lifetime),
            ("cache.audiences_lifetime", cache.audiences_lifetime),
            ("cache.promotions_lifetime", cache.promotions_lifetime),
            ("cache.vouchers_lifetime", cache.vouchers_lifetime),
            ("cache.points_lifetime", cache.points_lifetime),
            ("cache.history_lifetime", cache.history_lifetime),
            ("cache.stale_while_revalidate", cache.stale_while_revalidate),
            ("cache.stale_if_error", cache.stale_if_error),
            ("cache.negative_lifetime", cache.negative_lifetime),
        ] {
            // Data that is never fresh would be fetched again and again until the request's deadline.
            if key.ends_with("_lifetime")
                && key != "cache.negative_lifetime"
                && value < SHORTEST_LIFETIME
            {
                mistakes.add(key, "is shorter than 100ms", "give at least \"100ms\"");
            }
            if value > DAY {
                mistakes.add(
                    key,
                    "is longer than a day",
                    "give at most \"24h\": personal data must not be cached for long",
                );
            }
        }
    }

    fn check_sizes(&self, mistakes: &mut Mistakes) {
        for (key, value, bounds) in [
            // From the size of a look-up to more than any request needs.
            ("server.max_body", self.server.max_body, 256..=16 * MEBIBYTE),
            (
                "webhooks.max_body",
                self.webhooks.max_body,
                1024..=16 * MEBIBYTE,
            ),
            // Few responses exceed the least value, and a replica can buffer many responses of the greatest.
            (
                "engage.max_response_size",
                self.engage.max_response_size,
                64 << 10..=64 * MEBIBYTE,
            ),
            ("cache.max_size", self.cache.max_size, MEBIBYTE..=1 << 40),
        ] {
            let shown = |bytes: &u64| ByteSize::b(*bytes).display().iec();
            check_range(key, &value.as_u64(), &bounds, shown, mistakes);
        }
    }
}

/// Checks the longest lifetime of tokens.
pub(super) fn check_token_lifetime(value: Duration, mistakes: &mut Mistakes) {
    let bounds = MILLISECOND..=DAY * 366;
    check_range(
        "auth.jwt.max_lifetime",
        &value,
        &bounds,
        |value| Shown(*value),
        mistakes,
    );
}

/// Checks how many changes per second a client may report.
pub(super) fn check_change_rate(key: &str, value: u32, mistakes: &mut Mistakes) {
    check_range(key, &value, &CHANGE_RATES, |value| *value, mistakes);
}

/// Checks a limit that may be unset.
pub(super) fn check_limit(key: &str, value: Option<u64>, mistakes: &mut Mistakes) {
    match value {
        Some(0) => mistakes.add(key, "is zero", "remove it for no limit"),
        Some(value) => check_count(key, value, mistakes),
        None => {}
    }
}

fn check_count(key: &str, value: u64, mistakes: &mut Mistakes) {
    if value == 0 {
        mistakes.add(key, "is zero", "give at least 1");
    } else if value > *COUNTS.end() {
        let end = COUNTS.end();
        let remedy = format!("give at most {end}");
        mistakes.add(key, format!("is more than {end}"), remedy);
    }
}

fn check_range<T: PartialOrd, S: fmt::Display>(
    key: &str,
    value: &T,
    bounds: &RangeInclusive<T>,
    shown: impl Fn(&T) -> S,
    mistakes: &mut Mistakes,
) {
    let (least, most) = (shown(bounds.start()), shown(bounds.end()));
    let what = if value < bounds.start() {
        format!("is less than {least}")
    } else if value > bounds.end() {
        format!("is more than {most}")
    } else {
        return;
    };
    mistakes.add(key, what, format!("give {least} to {most}"));
}

/// A duration in the form of the configuration.
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let unit = [("h", HOUR), ("m", MINUTE), ("s", SECOND)];
        let fits =
            |(_, unit): &&(&str, Duration)| millis > 0 && millis.is_multiple_of(unit.as_millis());
        match unit.iter().find(fits) {
            Some((name, unit)) => write!(f, "\"{}{name}\"", millis / unit.as_millis()),
            None => write!(f, "\"{millis}ms\""),
        }
    }
}
