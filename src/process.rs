//! The service as a process of the operating system: environment, memory that other processes can't read, open files,
//! signals, start and end.

mod huge_pages;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use engage_bff::{
    app::{App, MIN_CONNECTIONS, Reloader, reserved_descriptors},
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

use self::huge_pages::HugePages;

/// After a logged signal, further ignored signals of its kind within this time are logged as one, at its end.
const IGNORED_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What the end of the process needs, however the service ends.
#[derive(Default)]
struct End {
    /// The log, once it is started, and how long the shutdown may take from the signal on.
    log: Option<(Log, Duration)>,
    /// When the first signal after the start arrived.
    signalled: Option<Tick>,
}

/// Serves until SIGTERM or SIGINT, which may come during the start, then flushes the log.
pub(crate) fn serve(file: Option<PathBuf>) -> Result<(), anyhow::Error> {
    // Before the start uses much memory.
    let huge_pages = HugePages::off();
    let clock = Clock::system();
    let end = Arc::new(Mutex::new(End::default()));
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(until_signal(file, &clock, &end, huge_pages));
    let End { log, signalled } = std::mem::take(&mut *locked(&end));
    if let Some((log, time)) = log {
        let end = signalled.map(|at| at + time);
        log.finish(end.unwrap_or_default().since(clock.tick()));
    }
    // Does not wait for a start that hangs, nor for responses after the grace period.
    runtime.shutdown_background();
    outcome
}

/// The configuration from that file and this process's environment, checked.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, anyhow::Error> {
    Ok(Config::load(file, &environment())?)
}

/// The variables of this process.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        // A value that is not UTF-8 is kept, so that it is reported with its key.
        .filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?,
                value.to_string_lossy().into_owned(),
            ))
        })
        .collect()
}

fn locked(end: &Mutex<End>) -> std::sync::MutexGuard<'_, End> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn until_signal(
    file: Option<PathBuf>,
    clock: &Clock,
    end: &Arc<Mutex<End>>,
    huge_pages: HugePages,
) -> Result<(), anyhow::Error> {
    // Before anything that takes time, because without handlers these signals kill the process.
    let Signals {
        mut ending,
        hangup,
        ignored,
    } = Signals::install()?;
    // The start reads files, which blocks and may be slow.
    let start = {
        let (runtime, clock, end) = (Handle::current(), clock.clone(), Arc::clone(end));
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async { start(file.as_deref(), clock, &end).await })
        })
    };
    let app = tokio::select! {
        app = start => app.context("the start was aborted")??,
        _ = ending.next() => return Ok(()),
    };
    tokio::spawn(huge_pages.follow(app.customers(), clock.clone()));
    tokio::spawn(ignore(ignored));
    tokio::spawn(reload_at(hangup, app.reloader()));
    let shutdown = CancellationToken::new();
    let running = app.run(shutdown.clone());
    tokio::pin!(running);
    let mut interrupts = 0;
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            signal = ending.next() => {
                locked(end).signalled.get_or_insert_with(|| clock.tick());
                interrupts += usize::from(signal == SignalKind::interrupt());
                anyhow::ensure!(interrupts < 2, "stopped at once by a second SIGINT");
                shutdown.cancel();
            }
        }
    }
}

/// Loads the configuration, starts the log and binds the service.
async fn start(file: Option<&Path>, clock: Clock, end: &Mutex<End>) -> Result<App, anyhow::Error> {
    // Before any secret is read.
    let protected = protect_memory();
    let mut config = load(file)?;
    let log = telemetry::start(&config.telemetry, io::stdout())?;
    let time = config.server.shutdown_delay + config.server.shutdown_grace;
    let log_filter = log.filter();
    locked(end).log = Some((log, time));
    telemetry::quiet_panics(clock.clone());
    if let Err(error) = protected {
        tracing::warn!(%error, "memory protection failed");
    }
    for warning in config.warnings() {
        let (key, what, remedy) = (warning.key(), warning.what(), warning.remedy());
        tracing::warn!(key, what, remedy, "questionable setting");
    }
    let loaded = config.clone();
    fit_connections(&mut config, raise_descriptors())?;
    let app = App::build(&config, clock).await?;
    let file = file.map(Path::to_owned);
    let read = move || Config::load(file.as_deref(), &environment());
    app.reloader().read_by(loaded, Some(log_filter), read).await;
    Ok(app)
}

/// Checks that the process may open as many files as a start needs. Returns the number of connections that remain for
/// callers, if it is lower than configured.
pub(crate) fn dry_run(config: &Config) -> Result<Option<usize>, anyhow::Error> {
    let mut fitted = config.clone();
    fit_connections(&mut fitted, raise_descriptors())?;
    let left = fitted.server.max_connections;
    Ok((left < config.server.max_connections).then_some(left))
}

/// Keeps secrets and personal data out of core dumps, and makes the memory unreadable for other processes of the same
/// user.
fn protect_memory() -> Result<(), Errno> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Raises the soft limit of open files to the hard limit, and returns the limit then in force.
pub(crate) fn raise_descriptors() -> usize {
    let before = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    // If the system refuses, the limit stays as it was.
    let limit = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => before.current,
    };
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(usize::MAX)
}

/// Lowers `server.max_connections` to the descriptors that `reserved_descriptors` leaves. Fails if these are too few.
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
        left >= configured.min(MIN_CONNECTIONS),
        "the process may have {descriptors} open files and needs {reserved} besides its callers' connections; {remedy}"
    );
    if left < configured {
        config.server.max_connections = left;
        tracing::warn!(
            max_connections = left,
            configured,
            descriptors,
            reserved,
            remedy,
            "connections limited: open-files limit too low"
        );
    }
    Ok(())
}

/// A handler for each signal.
struct Signals {
    ending: Ending,
    /// Requests a reload.
    hangup: Signal,
    ignored: [(&'static str, Signal); 2],
}

/// The signals that end the service.
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
            hangup: signal(SignalKind::hangup())?,
            ignored: [
                ("SIGUSR1", signal(SignalKind::user_defined1())?),
                ("SIGUSR2", signal(SignalKind::user_defined2())?),
            ],
        })
    }
}

impl Ending {
    /// Waits for the next signal.
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }
}

/// Reloads the configuration at each of these signals. Signals that arrive during a reload count as one.
async fn reload_at(mut hangup: Signal, reloader: Reloader) {
    while hangup.recv().await.is_some() {
        // The log and the metrics report the result.
        drop(reloader.reload().await);
    }
}

/// Logs these signals and does nothing else.
async fn ignore(signals: [(&'static str, Signal); 2]) {
    let each = signals.map(|(name, mut signal)| async move {
        let mut ticks = tokio::time::interval(IGNORED_LOG_INTERVAL);
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
    fn callers_get_the_descriptors_that_are_left() {
        assert_eq!(fitted(10_000, 10_000), Ok(10_000));
        assert_eq!(fitted(10_000, 9_999), Ok(9_999));
        assert_eq!(fitted(10_000, MIN_CONNECTIONS), Ok(MIN_CONNECTIONS));
        assert_eq!(fitted(2, 2), Ok(2));
        assert!(fitted(2, 1).is_err());
        let error = fitted(10_000, MIN_CONNECTIONS - 1).expect_err("too few");
        assert!(error.contains("ulimit -n"), "{error}");
    }
}
