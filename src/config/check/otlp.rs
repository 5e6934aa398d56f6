//! Checks of the collector's settings and of the share of recorded traces.

use crate::config::{Config, mistakes::Mistakes};

impl Config {
    pub(super) fn check_otlp(&self, mistakes: &mut Mistakes) {
        let telemetry = &self.telemetry;
        match telemetry.otlp_url() {
            Some(Err(what)) => mistakes.add(
                "telemetry.otlp_endpoint",
                what,
                "give the address of a collector for OTLP over HTTP, such as \"http://collector:4318\"",
            ),
            None if telemetry.otlp_headers.is_some() => mistakes.add(
                "telemetry.otlp_endpoint",
                "is missing while telemetry.otlp_headers is set",
                "set telemetry.otlp_endpoint, or remove telemetry.otlp_headers",
            ),
            _ => {}
        }
        if let Err(what) = telemetry.otlp_fields() {
            mistakes.add(
                "telemetry.otlp_headers",
                what,
                "give name=value, several separated by commas; write %2C for a comma in a value",
            );
        }
        if !(0.0..=1.0).contains(&telemetry.trace_sample_ratio) {
            mistakes.add(
                "telemetry.trace_sample_ratio",
                "is out of range",
                "give 0.0 (none) to 1.0 (all)",
            );
        }
    }
}
