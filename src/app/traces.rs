//! Traces: off, or sent to the configured collector.

use anyhow::Context;

use crate::{
    clock::Clock,
    config::{Config, authorities::public_authorities},
    traces::{Exporter, TraceSettings, Tracer},
};

/// The tracer, which records spans, and the exporter, which sends them. If traces are off, the tracer records nothing
/// and there is no exporter.
pub(super) fn traces(
    config: &Config,
    clock: &Clock,
) -> Result<(Tracer, Option<Exporter>), anyhow::Error> {
    let telemetry = &config.telemetry;
    let Some(url) = telemetry.otlp_url() else {
        return Ok((Tracer::default(), None));
    };
    let wrong = anyhow::Error::msg;
    let settings = TraceSettings {
        endpoint: url.map_err(wrong).context("telemetry.otlp_endpoint")?,
        headers: telemetry
            .otlp_fields()
            .map_err(wrong)
            .context("telemetry.otlp_headers")?,
        roots: public_authorities()?,
        ratio: telemetry.trace_sample_ratio,
    };
    let (tracer, exporter) =
        Exporter::new(settings, clock.clone()).context("telemetry.otlp_endpoint")?;
    Ok((tracer, Some(exporter)))
}
