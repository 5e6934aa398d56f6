//! Reloads: the configuration is read again and checked as at a start, and everything that depends on it is built before
//! anything changes. Then all of it is put in force at once, or none of it.

mod prepared;
mod report;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Mutex;

pub(super) use self::prepared::Replaceable;
use self::{prepared::Prepared, report::Report};
use crate::{
    clock::Clock,
    config::{Config, Mistake, Mistakes},
    http::{Configuration, ConfigurationStatus, PendingReload, Reloaded},
    metrics,
    telemetry::LogFilter,
};

/// Reads the configuration, as at the start of the process.
type Read = dyn Fn() -> Result<Config, Mistakes> + Send + Sync;

/// Reloads the configuration of a service. Clones share it.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    /// Set once the service is built.
    source: OnceLock<Source>,
    /// Held during a reload: one at a time.
    running: Mutex<Running>,
    replaceable: Replaceable,
    report: Report,
}

/// The source of the configuration.
struct Source {
    read: Arc<Read>,
    filter: Option<LogFilter>,
}

/// The configuration in force.
#[derive(Clone)]
struct Running {
    config: Config,
    files: Files,
}

/// The digests of the files that the configuration refers to, by key; `None` for a file that can't be read.
type Files = BTreeMap<&'static str, Option<Vec<u8>>>;

impl Running {
    fn new(config: Config) -> Self {
        let digest_of = |path| {
            let bytes = std::fs::read(path).ok()?;
            Some(digest(&SHA256, &bytes).as_ref().to_vec())
        };
        let files = config.referenced_files().into_iter();
        let files = files.map(|(key, path)| (key, digest_of(path))).collect();
        Self { config, files }
    }

    /// The keys whose values differ, and the keys of files whose contents differ.
    fn differences(&self, next: &Self) -> Vec<String> {
        let mut keys = self.config.differences(&next.config);
        let is_other = |key: &&&str| self.files.get(*key) != next.files.get(*key);
        let files = next
            .files
            .keys()
            .filter(is_other)
            .map(|key| (*key).to_owned());
        keys.extend(files);
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// A reload that may be put in force.
struct Plan {
    next: Running,
    reloaded: Reloaded,
}

impl Plan {
    /// Plans the change to `new`. Fails if the resulting configuration would not be valid.
    fn new(running: &Running, new: &Config) -> Result<Self, Mistakes> {
        let mut config = running.config.clone();
        config.take_over(new);
        let next = Running::new(config);
        if let Err(mut mistakes) = next.config.validate() {
            mistakes.add(
                "configuration",
                "is valid only after a restart",
                "restart, or change the keys that need a restart later",
            );
            return Err(mistakes);
        }
        Ok(Self {
            reloaded: Reloaded {
                changed: running.differences(&next),
                needs_restart: next.config.differences(new),
            },
            next,
        })
    }
}

impl Reloader {
    /// A reloader for a service that runs with this configuration.
    pub(super) fn new(config: &Config, replaceable: Replaceable, clock: &Clock) -> Self {
        Self(Arc::new(Inner {
            source: OnceLock::new(),
            report: Report::new(config, clock.clone()),
            running: Mutex::new(Running::new(config.clone())),
            replaceable,
        }))
    }

    /// Sets how reloads read the configuration (`read`, whose last result was `loaded`) and which log filter they
    /// replace. Call this once.
    pub async fn read_by(
        &self,
        loaded: Config,
        filter: Option<LogFilter>,
        read: impl Fn() -> Result<Config, Mistakes> + Send + Sync + 'static,
    ) {
        let read = Arc::new(read);
        if self.0.source.set(Source { read, filter }).is_ok() {
            self.0.running.lock().await.config = loaded;
        }
    }

    /// Reads the configuration again and puts in force what can change while the service runs. If there is any mistake,
    /// nothing changes.
    pub async fn reload(&self) -> Result<Reloaded, Mistakes> {
        let inner = Arc::clone(&self.0);
        // A task of its own, because the operator's request may be cancelled.
        let reloaded = tokio::spawn(async move { inner.reload().await }).await;
        reloaded.unwrap_or_else(|_| {
            Err(mistake(
                "could not be reloaded",
                "report the log event \"panicked\"",
            ))
        })
    }
}

impl metrics::Source for Reloader {
    fn register(&self, registry: &mut metrics::Registry) {
        metrics::Source::register(&self.0.report, registry);
    }
}

impl Configuration for Reloader {
    fn reload(&self) -> PendingReload<'_> {
        Box::pin(self.reload())
    }

    fn status(&self) -> ConfigurationStatus {
        self.0.report.status()
    }
}

impl Inner {
    async fn reload(&self) -> Result<Reloaded, Mistakes> {
        let mut running = self.running.lock().await;
        let result = self.replace(&mut running).await;
        match &result {
            Ok(reloaded) => self.report.succeeded(reloaded, &running.config),
            Err(mistakes) => self.report.failed(mistakes),
        }
        result
    }

    async fn replace(&self, running: &mut Running) -> Result<Reloaded, Mistakes> {
        let source = self.source.get();
        let source = source.ok_or_else(|| mistake("was not read from a file", "restart"))?;
        let (read, before) = (Arc::clone(&source.read), running.clone());
        // Reading files blocks.
        let plan = tokio::task::spawn_blocking(move || Plan::new(&before, &read()?)).await;
        let Plan { next, reloaded } =
            plan.map_err(|_| mistake("could not be read", "report the log event \"panicked\""))??;
        let changed = &reloaded.changed;
        let prepared = Prepared::new(&self.replaceable, &next.config, changed).await?;
        // Nothing below waits, and only the log filter can fail.
        prepared.put_in_force(&self.replaceable);
        if let Some(filter) = &source.filter
            && changed.iter().any(|key| key == "telemetry.log")
            && let Err(error) = filter.replace(&next.config.telemetry.log)
        {
            // The filter was checked before, so this fails only if the subscriber has ended.
            tracing::error!(error = format!("{error:#}"), "log filter not replaced");
        }
        *running = next;
        Ok(reloaded)
    }
}

fn mistake(what: &str, remedy: &str) -> Mistakes {
    Mistake::new("configuration", what, remedy).into()
}
