//! What operators learn of reloads: log events, metrics, and the state in `/readyz`.

use std::sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64};

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    clock::Clock,
    config::{Config, Mistakes},
    http::{ConfigurationStatus, Reloaded},
};

const SUCCEEDED: &str = "succeeded";
const FAILED: &str = "failed";

pub(super) struct Report {
    status: Mutex<ConfigurationStatus>,
    reloads: Family<Labels, Counter>,
    last_success: Gauge<f64, AtomicU64>,
    last_failed: Gauge,
    clock: Clock,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

impl Report {
    /// Of a service that has just been built.
    pub(super) fn new(config: &Config, clock: Clock) -> Self {
        let report = Self {
            status: Mutex::new(ConfigurationStatus {
                warnings: warnings(config),
                ..ConfigurationStatus::default()
            }),
            reloads: Family::default(),
            last_success: Gauge::default(),
            last_failed: Gauge::default(),
            clock,
        };
        for outcome in [SUCCEEDED, FAILED] {
            drop(report.reloads.get_or_create(&Labels { outcome }));
        }
        report.last_success.set(seconds(report.now()));
        report
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "reloads",
            "Reloads of the configuration, by outcome",
            self.reloads.clone(),
        );
        registry.register(
            "last_reload_success_timestamp_seconds",
            "When the configuration in force was loaded, in seconds since 1970",
            self.last_success.clone(),
        );
        registry.register(
            "last_reload_failed",
            "Whether the last reload failed, so that an earlier configuration is in force",
            self.last_failed.clone(),
        );
    }

    pub(super) fn status(&self) -> ConfigurationStatus {
        self.locked().clone()
    }

    /// A reload has put this configuration in force.
    pub(super) fn succeeded(&self, reloaded: &Reloaded, config: &Config) {
        let now = self.now();
        self.count(SUCCEEDED);
        self.last_success.set(seconds(now));
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

    /// A reload has failed, and nothing has changed.
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
        self.reloads.get_or_create(&Labels { outcome }).inc();
    }

    fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    fn locked(&self) -> MutexGuard<'_, ConfigurationStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settings that are valid and seldom intended.
fn warnings(config: &Config) -> Vec<String> {
    config.warnings().iter().map(ToString::to_string).collect()
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}
