//! Installs the log. What is logged is decided where it happens; here only how it is written, and that
//! no library may say more than a warning: at lower levels they print addresses, queries and bytes.

use anyhow::Context;
use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{LogFormat, Telemetry};

/// Libraries whose lower levels show what requests and answers hold.
const CAPPED: [&str; 9] = [
    "reqwest",
    "hyper",
    "hyper_util",
    "h2",
    "rustls",
    "tower",
    "axum",
    "moka",
    "config",
];

/// Sends log events to `writer` until the process ends. Once per process.
pub fn install<W>(config: &Telemetry, writer: W) -> Result<(), anyhow::Error>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let mut filter = EnvFilter::try_new(&config.log).context("telemetry.log")?;
    for library in CAPPED {
        filter = filter.add_directive(format!("{library}=warn").parse()?);
    }
    let registry = tracing_subscriber::registry().with(filter);
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

/// Lets a panic tell its place and nothing else: its message may hold what was being worked on.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked");
    }));
}
