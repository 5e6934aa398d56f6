//! The service as a process of its machine: memory that others can't read, descriptors, signals, from the first step of the
//! start to the end.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use engage_bff::{
    app::{App, reserved_descriptors},
    clock::{Clock, Tick},
    config::Config,
    telemetry::{self, Log},
};
#[cfg(target_os = "linux")]
use rustix::process::DumpableBehavior;
use rustix::{
    io::Errno,
    process::{Resource, Rlimit},
};
use tokio::{
    runtime::{Builder, Handle},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::load;

/// With fewer connections for callers the service does not start, unless fewer are configured.
const LEAST_CONNECTIONS: usize = 16;

/// After one of them was logged, further signals without effect are not, for so long.
const QUIET: Duration = Duration::from_secs(10);

/// What is done at the end, whatever ends the service.
#[derive(Default)]
struct End {
    /// The log, once it is started, and how long the end may take from the signal on.
    log: Option<(Log, Duration)>,
    /// When the first signal came.
    signalled: Option<Tick>,
}

/// Serves until SIGTERM or SIGINT, whenever it comes, and writes the rest of the log.
pub(crate) fn serve(file: Option<PathBuf>) -> Result<(), anyhow::Error> {
    let clock = Clock::system();
    let end = Arc::new(Mutex::new(End::default()));
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(until_signal(file, &clock, &end));
    let End { log, signalled } = std::mem::take(&mut *locked(&end));
    if let Some((log, time)) = log {
        let end = signalled.map(|at| at + time);
        log.finish(end.unwrap_or_default().since(clock.tick()));
    }
    // A start that hangs is not waited for, nor are answers when the grace is over.
    runtime.shutdown_background();
    outcome
}

fn locked(end: &Mutex<End>) -> std::sync::MutexGuard<'_, End> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn until_signal(
    file: Option<PathBuf>,
    clock: &Clock,
    end: &Arc<Mutex<End>>,
) -> Result<(), anyhow::Error> {
    // Before anything that takes time: until then each of them kills.
    let Signals {
        mut ending,
        ignored,
    } = Signals::install()?;
    // What it reads may be slow, and blocks.
    let start = {
        let (runtime, clock, end) = (Handle::current(), clock.clone(), Arc::clone(end));
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async { start(file.as_deref(), clock, &end).await })
        })
    };
    let app = tokio::select! {
        app = start => app.context("the start was broken off")??,
        _ = ending.next() => return Ok(()),
    };
    tokio::spawn(ignore(ignored));
    let shutdown = CancellationToken::new();
    let running = app.run(shutdown.clone());
    tokio::pin!(running);
    let mut interrupts = 0;
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            by = ending.next() => {
                locked(end).signalled.get_or_insert_with(|| clock.tick());
                interrupts += usize::from(by == SignalKind::interrupt());
                anyhow::ensure!(interrupts < 2, "ended at once by a second SIGINT");
                shutdown.cancel();
            }
        }
    }
}

/// Everything up to a service that is bound.
async fn start(file: Option<&Path>, clock: Clock, end: &Mutex<End>) -> Result<App, anyhow::Error> {
    // Before a secret is read.
    let shut = shut_memory();
    let mut config = load(file)?;
    let log = telemetry::start(&config.telemetry, io::stdout())?;
    let time = config.server.shutdown_delay + config.server.shutdown_grace;
    locked(end).log = Some((log, time));
    telemetry::quiet_panics(clock.clone());
    if let Err(error) = shut {
        tracing::warn!(%error, "the memory can be dumped or read by other processes");
    }
    for warning in config.warnings() {
        let (key, what, remedy) = (warning.key(), warning.what(), warning.remedy());
        tracing::warn!(key, what, remedy, "a setting is seldom meant");
    }
    fit_connections(&mut config, raise_descriptors())?;
    App::build(&config, clock).await
}

/// Whether the process may open as many files as a start needs.
pub(crate) fn rehearse(config: &Config) -> Result<(), anyhow::Error> {
    fit_connections(&mut config.clone(), raise_descriptors())
}

/// Keeps secrets and personal data out of core dumps, and other processes of the same user out of the memory.
fn shut_memory() -> Result<(), Errno> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Raises the soft limit of open files to the hard one. How many the process may have open then.
fn raise_descriptors() -> usize {
    let was = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: was.maximum,
        maximum: was.maximum,
    };
    // A system that refuses leaves the limit as it was.
    let limit = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => was.current,
    };
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(usize::MAX)
}

/// Leaves callers only as many connections as there are descriptors for, beside what Engage and operators need.
fn fit_connections(config: &mut Config, descriptors: usize) -> Result<(), anyhow::Error> {
    let configured = config.server.max_connections;
    let reserved = reserved_descriptors(config);
    let left = descriptors.saturating_sub(reserved);
    let wanted = reserved.saturating_add(configured);
    let remedy = format!(
        "raise the limit to {wanted} (ulimit -n, LimitNOFILE=, docker run --ulimit nofile=), or lower \
         server.max_connections or engage.max_concurrency"
    );
    anyhow::ensure!(
        left >= configured.min(LEAST_CONNECTIONS),
        "the process may have {descriptors} open files, and needs {reserved} beside its callers' connections; {remedy}"
    );
    if left < configured {
        config.server.max_connections = left;
        tracing::warn!(
            max_connections = left,
            configured,
            descriptors,
            reserved,
            remedy,
            "fewer connections than configured: the limit of open files is too low"
        );
    }
    Ok(())
}

/// The signals that have a meaning here, each with a handler.
struct Signals {
    ending: Ending,
    ignored: [(&'static str, Signal); 3],
}

/// Those that end the service.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            ending: Ending {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            ignored: [
                ("SIGHUP", signal(SignalKind::hangup())?),
                ("SIGUSR1", signal(SignalKind::user_defined1())?),
                ("SIGUSR2", signal(SignalKind::user_defined2())?),
            ],
        })
    }
}

impl Ending {
    /// Waits for the next of them.
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }
}

/// Does nothing at these signals but to say so.
async fn ignore(signals: [(&'static str, Signal); 3]) {
    let each = signals.map(|(name, mut signal)| async move {
        let mut ticks = tokio::time::interval(QUIET);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while signal.recv().await.is_some() {
            tracing::info!(signal = name, "signal ignored");
            ticks.reset();
            ticks.tick().await;
        }
    });
    futures_util::future::join_all(each).await;
}

#[cfg(test)]
mod tests {
    use engage_bff::config::layers;

    use super::*;

    fn fitted(configured: usize, descriptors: usize) -> Result<usize, String> {
        let mut config = layers::read(None, &std::collections::BTreeMap::new()).expect("defaults");
        config.server.max_connections = configured;
        let reserved = reserved_descriptors(&config);
        match fit_connections(&mut config, reserved + descriptors) {
            Ok(()) => Ok(config.server.max_connections),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn callers_get_what_is_left_of_the_descriptors() {
        assert_eq!(fitted(10_000, 10_000), Ok(10_000));
        assert_eq!(fitted(10_000, 9_999), Ok(9_999));
        assert_eq!(fitted(10_000, LEAST_CONNECTIONS), Ok(LEAST_CONNECTIONS));
        assert_eq!(fitted(2, 2), Ok(2));
        assert!(fitted(2, 1).is_err());
        let told = fitted(10_000, LEAST_CONNECTIONS - 1).expect_err("too few");
        assert!(told.contains("ulimit -n"), "{told}");
    }
}
