//! `check-config --online`: whether everything that the service needs works as configured. Makes a list of checks, each
//! with its result and a remedy.
//!
//! The checks change no data that is in use. They request contacts that do not exist, the point definitions and the
//! changed contacts from Engage, and the issuer's keys; they store values in the shared tier under a prefix that no
//! service reads, and remove them; and they send the collector of traces a message without spans.

mod clocks;
mod collector;
mod endpoint;
mod engage;
mod exercise;
mod issuer;
mod machine;
mod reach;
mod redis;
mod report;
mod tls;

pub use self::report::{Check, OnlineReport, Status};
use crate::{clock::Clock, config::Config};

/// Makes every check of a valid configuration. `descriptors` is this process's limit of open files.
pub async fn check_online(
    config: &Config,
    descriptors: usize,
) -> Result<OnlineReport, anyhow::Error> {
    let clock = &Clock::system();
    let (engage, issuer, redis, collector) = tokio::join!(
        engage::check(config, clock),
        issuer::check(config.auth.jwt.as_ref(), clock),
        redis::check(config, clock),
        collector::check(config, clock),
    );
    let mut checks = machine::check(config, descriptors);
    for part in [engage?, issuer?, redis?, collector?] {
        checks.extend(part);
    }
    Ok(OnlineReport { checks })
}
