//! Whether the collector of traces can be reached and accepts spans.

use std::time::Duration;

use anyhow::Context;
use http::StatusCode;

use super::{
    endpoint::Endpoint,
    reach,
    report::{Check, first_failed},
    tls,
};
use crate::{
    app::traces::traces,
    clock::Clock,
    config::Config,
    traces::{ExportFailure, Exporter},
};

const NAMES: [&str; 3] = ["collector-name", "collector-connection", "collector-tls"];
const EXPORT: &str = "collector-export";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// All checks of the collector.
pub(super) async fn check(config: &Config, clock: &Clock) -> Result<Vec<Check>, anyhow::Error> {
    let telemetry = &config.telemetry;
    let (_, Some(exporter)) = traces(config, clock)? else {
        let [name, connection, certificate] = NAMES;
        let skip = |name| Check::skipped(name, "telemetry.otlp_endpoint is unset");
        return Ok([name, connection, certificate, EXPORT].map(skip).to_vec());
    };
    let url = telemetry.otlp_url().context("telemetry.otlp_endpoint")?;
    let url = url.map_err(anyhow::Error::msg)?;
    let endpoint = Endpoint {
        names: NAMES,
        key: "telemetry.otlp_endpoint",
        url: &url,
        roots: tls::trusted(None)?,
        authority_remedy: "the collector needs a certificate of a public authority; or send to an agent on this \
                           machine, by plain HTTP",
        connect_timeout: CONNECT_TIMEOUT,
        exposes: telemetry
            .otlp_headers
            .is_some()
            .then_some("telemetry.otlp_headers"),
    };
    let mut checks = reach::check(&endpoint, clock).await;
    checks.push(match first_failed(&checks) {
        Some(cause) => Check::skipped_after(EXPORT, cause),
        None => export(&exporter).await,
    });
    Ok(checks)
}

/// Sends a message without spans.
async fn export(exporter: &Exporter) -> Check {
    let Err(failure) = exporter.try_out().await else {
        return Check::ok(EXPORT, "a message without spans was accepted");
    };
    let (what, remedy) = match failure {
        ExportFailure::Unreachable => (
            "the connection ends before an answer".to_owned(),
            "see whether telemetry.otlp_endpoint leads to OTLP over HTTP, which usually is port 4318",
        ),
        ExportFailure::Timeout => (
            "no answer in time".to_owned(),
            "see whether the collector is overloaded: spans that it does not accept are lost",
        ),
        ExportFailure::Refused(status) => (format!("refused with {status}"), remedy_for(status)),
    };
    Check::failed(EXPORT, what, remedy)
}

fn remedy_for(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "give the header fields that the collector requires, such as Authorization, in telemetry.otlp_headers"
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "see the path of telemetry.otlp_endpoint: without one it is /v1/traces"
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            "see whether telemetry.otlp_endpoint takes OTLP over HTTP in protobuf"
        }
        _ => "see the collector's own log",
    }
}
