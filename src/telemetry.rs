//! The log: how events are written without blocking the thread that logs them.
//!
//! Standard output may be a pipe that is not read for a while. The thread that logs an event formats it and puts it
//! into a bounded queue (`queue`); a separate thread (`writer`) writes it. Events that do not fit are dropped and
//! counted. From libraries only warnings and errors are logged: at lower levels they print addresses, queries and
//! bytes.

mod counts;
mod dropped;
mod last_word;
mod limit;
mod queue;
mod writer;

use std::{fs::File, io::IsTerminal, os::fd::AsFd, sync::Arc, time::Duration};

use anyhow::Context;
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Registry, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

use self::{counts::CountLayer, queue::LogQueue, writer::ToQueue};
pub use self::{counts::LogMetrics, dropped::Dropped, last_word::last_word, limit::Limit};
use crate::{
    clock::Clock,
    config::{LogFormat, TelemetryConfig},
};

/// The target of audit events.
pub const AUDIT: &str = "engage_bff::audit";
/// The only crate whose info, debug and trace events may be logged: those of libraries show the content of requests and
/// responses.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// The time reserved at the end of the process for writing queued events.
const FLUSH: Duration = Duration::from_secs(1);
/// The longest time that [`last_word()`] may take.
pub const LAST_WORD: Duration = Duration::from_secs(1);

/// The started log. Dropping it writes the queued events, for at most a second.
pub struct Log {
    queue: Arc<LogQueue>,
    filter: LogFilter,
}

/// Which events are logged. Clones share it.
#[derive(Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Logs the events of this filter from now on. If it can't be parsed, this fails and nothing changes.
    pub fn replace(&self, filter: &str) -> Result<(), anyhow::Error> {
        let filter = EnvFilter::try_new(filter).context("telemetry.log")?;
        Ok(self.0.reload(filter)?)
    }
}

impl Log {
    /// The filter of the events that are logged.
    pub fn filter(&self) -> LogFilter {
        self.filter.clone()
    }

    /// Writes the queued events. Takes at most `left` minus the time for [`last_word()`], or at most one second if that
    /// is longer.
    pub fn finish(self, left: Duration) {
        self.queue.finish(left.saturating_sub(LAST_WORD).max(FLUSH));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.finish(FLUSH);
    }
}

/// The part of the shutdown's grace period that responses may use. The rest is for the log and [`last_word()`].
pub fn grace_for_answers(grace: Duration) -> Duration {
    grace.saturating_sub(FLUSH + LAST_WORD).max(grace / 2)
}

/// Sends log events to `output`, through a queue, until the process ends. Once per process.
pub fn start(config: &TelemetryConfig, output: impl AsFd) -> Result<Log, anyhow::Error> {
    let output = output.as_fd().try_clone_to_owned();
    let output = File::from(output.context("the log's output")?);
    let queue = Arc::new(LogQueue::new(&dropped::OF_THE_PROCESS));
    let is_terminal = output.is_terminal();
    let filter = subscribe(config, ToQueue::new(Arc::clone(&queue)), is_terminal)?;
    writer::spawn(Arc::clone(&queue), output).context("the log's thread")?;
    Ok(Log { queue, filter })
}

/// Sends log events to `writer` itself, without a queue, until the process ends. Once per process.
pub fn install<W>(config: &TelemetryConfig, writer: W) -> Result<(), anyhow::Error>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    subscribe(config, writer, false).map(drop)
}

fn subscribe<W>(
    config: &TelemetryConfig,
    writer: W,
    is_terminal: bool,
) -> Result<LogFilter, anyhow::Error>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.log).context("telemetry.log")?;
    let (filter, handle) = reload::Layer::new(filter);
    // A filter of its own, so that no configured directive can override it.
    let cap = filter_fn(|event| *event.level() <= Level::WARN || is_ours(event.target()));
    let registry = tracing_subscriber::registry().with(filter).with(cap);
    let registry = registry.with(CountLayer);
    let layer = tracing_subscriber::fmt::layer();
    match config.log_format {
        LogFormat::Json => registry
            .with(layer.json().flatten_event(true).with_writer(writer))
            .try_init()?,
        LogFormat::Pretty if is_terminal => {
            // In colour, unless `NO_COLOR` is set.
            registry.with(layer.with_writer(writer)).try_init()?;
        }
        LogFormat::Pretty => registry
            .with(layer.with_ansi(false).with_writer(writer))
            .try_init()?,
    }
    Ok(LogFilter(handle))
}

fn is_ours(target: &str) -> bool {
    let rest = target.strip_prefix(OURS);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Logs the place of a panic and nothing else, because its message may contain personal data. Limited, because any
/// caller's request may trigger a defect.
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
    fn responses_get_all_but_two_seconds_of_the_grace_or_half() {
        for (grace, answers) in [(15_000, 13_000), (4000, 2000), (3000, 1500), (1, 0)] {
            let left = grace_for_answers(Duration::from_millis(grace));
            assert_eq!(left.as_millis(), answers);
        }
    }
}
