//! Installs the log. What is logged is decided where it happens; here only how it is written, and that
//! no library may say more than a warning: at lower levels they print addresses, queries and bytes.

use anyhow::Context;
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{LogFormat, Telemetry};

/// The crate whose lower levels may be logged: what libraries say there shows what requests and answers
/// hold.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// Sends log events to `writer` until the process ends. Once per process.
pub fn install<W>(config: &Telemetry, writer: W) -> Result<(), anyhow::Error>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.log).context("telemetry.log")?;
    // Beside the configured filter and not in it, so that no directive can lift it.
    let cap = filter_fn(|event| *event.level() <= Level::WARN || is_ours(event.target()));
    let registry = tracing_subscriber::registry().with(filter).with(cap);
    match config.log_format {
        LogFormat::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(writer),
            )
            .try_init()?,
        LogFormat::Pretty => registry
            .with(tracing_subscriber::fmt::layer().with_writer(writer))
            .try_init()?,
    }
    Ok(())
}

fn is_ours(target: &str) -> bool {
    let rest = target.strip_prefix(OURS);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Lets a panic tell its place and nothing else: its message may hold what was being worked on.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked");
    }));
}
