//! The log: how events are written, and that writing them stops nothing. What is logged is decided where it happens.
//!
//! Standard output may be a pipe that is not read for a while. An event is formatted where it happens, put into a bounded
//! queue (`queue`), and written by a thread of its own (`writer`); what the queue has no room for is dropped and
//! counted. No library may log more than a warning: at lower levels they print addresses, queries and bytes.

mod counts;
mod last_word;
mod limit;
mod queue;
mod writer;

use std::{fs::File, io::IsTerminal, os::fd::AsFd, sync::Arc, time::Duration};

use anyhow::Context;
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

pub use self::{counts::Dropped, last_word::last_word, limit::Limit};
use self::{queue::Queue, writer::ToQueue};
use crate::{
    clock::Clock,
    config::{LogFormat, TelemetryConfig},
};

/// The target of the audit's events.
pub const AUDIT: &str = "engage_bff::audit";
/// The crate whose lower levels may be logged: what libraries say there shows what requests and answers
/// hold.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// The least time that the end of the process leaves for writing what is queued.
const FLUSH: Duration = Duration::from_secs(1);
/// The longest time that the process's last words on standard error may take.
pub const LAST_WORD: Duration = Duration::from_secs(1);

/// The started log. What is queued when it is dropped is written, if that takes a second at most.
pub struct Log(Arc<Queue>);

impl Log {
    /// Writes what is queued, for as long as `left` of the process's time, without what [`last_word`] may need; for a
    /// second at least.
    pub fn finish(self, left: Duration) {
        self.0.finish(left.saturating_sub(LAST_WORD).max(FLUSH));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.finish(FLUSH);
    }
}

/// How much of a shutdown's grace answers may take: the rest is for the log and the last word.
pub fn grace_for_answers(grace: Duration) -> Duration {
    grace.saturating_sub(FLUSH + LAST_WORD).max(grace / 2)
}

/// Sends log events to `output`, through a queue, until the process ends. Once per process.
pub fn start(config: &TelemetryConfig, output: impl AsFd) -> Result<Log, anyhow::Error> {
    let output = output.as_fd().try_clone_to_owned();
    let output = File::from(output.context("the log's output")?);
    let queue = Arc::new(Queue::new(&counts::OF_THE_PROCESS));
    let is_terminal = output.is_terminal();
    subscribe(config, ToQueue::new(Arc::clone(&queue)), is_terminal)?;
    writer::spawn(Arc::clone(&queue), output).context("the log's thread")?;
    Ok(Log(queue))
}

/// Sends log events to `writer` itself, without a queue, until the process ends. Once per process.
pub fn install<W>(config: &TelemetryConfig, writer: W) -> Result<(), anyhow::Error>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    subscribe(config, writer, false)
}

fn subscribe<W>(config: &TelemetryConfig, writer: W, is_terminal: bool) -> Result<(), anyhow::Error>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.log).context("telemetry.log")?;
    // Beside the configured filter and not in it, so that no directive can lift it.
    let cap = filter_fn(|event| *event.level() <= Level::WARN || is_ours(event.target()));
    let registry = tracing_subscriber::registry().with(filter).with(cap);
    let layer = tracing_subscriber::fmt::layer();
    match config.log_format {
        LogFormat::Json => registry
            .with(layer.json().flatten_event(true).with_writer(writer))
            .try_init()?,
        LogFormat::Pretty if is_terminal => {
            // In colours, unless `NO_COLOR` is set.
            registry.with(layer.with_writer(writer)).try_init()?;
        }
        LogFormat::Pretty => registry
            .with(layer.with_ansi(false).with_writer(writer))
            .try_init()?,
    }
    Ok(())
}

fn is_ours(target: &str) -> bool {
    let rest = target.strip_prefix(OURS);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Lets a panic tell its place and nothing else: its message may hold what was being worked on. A defect may panic for
/// anybody's request, so these events are limited too.
pub fn quiet_panics(clock: Clock) {
    let limit = Limit::new("panics", clock);
    std::panic::set_hook(Box::new(move |panic| {
        if limit.allows() {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, "panicked");
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_grace_answers_get_all_but_two_seconds_and_never_less_than_half() {
        for (grace, answers) in [(15_000, 13_000), (4000, 2000), (3000, 1500), (1, 0)] {
            let left = grace_for_answers(Duration::from_millis(grace));
            assert_eq!(left.as_millis(), answers);
        }
    }
}
