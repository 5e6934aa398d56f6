//! Reports reloads to operators: log events, metrics, and the state in `/readyz`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::{
    clock::Clock,
    config::{Config, Mistakes},
    http::{ConfigurationStatus, Reloaded},
    metrics::{
        Counters, Gauge, Registry, Source,
        catalogue::process::{LAST_RELOAD_FAILED, LAST_RELOAD_SUCCESS, RELOADS},
    },
};

const SUCCEEDED: &str = "succeeded";
const FAILED: &str = "failed";

pub(super) struct Report {
    status: Mutex<ConfigurationStatus>,
    reloads: Counters,
    last_success: Gauge,
    last_failed: Gauge,
    clock: Clock,
}

impl Source for Report {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.reloads.clone());
        registry.add_single(&LAST_RELOAD_SUCCESS, &self.last_success);
        registry.add_single(&LAST_RELOAD_FAILED, &self.last_failed);
    }
}

impl Report {
    /// A report for a service that has just been built.
    pub(super) fn new(config: &Config, clock: Clock) -> Self {
        let report = Self {
            status: Mutex::new(ConfigurationStatus {
                warnings: warnings(config),
                ..ConfigurationStatus::default()
            }),
            reloads: Counters::new(&RELOADS),
            last_success: Gauge::default(),
            last_failed: Gauge::default(),
            clock,
        };
        report.last_success.set(report.now().as_second());
        report
    }

    pub(super) fn status(&self) -> ConfigurationStatus {
        self.locked().clone()
    }

    /// Reports that a reload has put this configuration in force.
    pub(super) fn succeeded(&self, reloaded: &Reloaded, config: &Config) {
        let now = self.now();
        self.count(SUCCEEDED);
        self.last_success.set(now.as_second());
        self.last_failed.set(0);
        let mut status = self.locked();
        status.warnings = warnings(config);
        status.reload.at = Some(format!("{now:.0}"));
        status.reload.failed = false;
        status
            .reload
            .needs_restart
            .clone_from(&reloaded.needs_restart);
        drop(status);
        let changed = reloaded.changed.join(" ");
        tracing::info!(changed, "configuration reloaded");
        for key in &reloaded.needs_restart {
            tracing::warn!(key, "setting changed; needs a restart");
        }
    }

    /// Reports that a reload has failed and nothing has changed.
    pub(super) fn failed(&self, mistakes: &Mistakes) {
        self.count(FAILED);
        self.last_failed.set(1);
        let mut status = self.locked();
        status.reload.at = Some(format!("{:.0}", self.now()));
        status.reload.failed = true;
        drop(status);
        let mistakes = mistakes.to_string();
        tracing::error!(
            alarm = true,
            mistakes,
            "configuration reload failed; nothing changed"
        );
    }

    fn count(&self, outcome: &'static str) {
        self.reloads.of(&[outcome]).inc();
    }

    fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    fn locked(&self) -> MutexGuard<'_, ConfigurationStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settings that are valid and rarely intended.
fn warnings(config: &Config) -> Vec<String> {
    config.warnings().iter().map(ToString::to_string).collect()
}
