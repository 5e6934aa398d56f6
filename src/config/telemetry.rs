//! The section `telemetry`: the log and the traces.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::printed;

/// The log and the traces.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Which events are logged, in `tracing`'s filter syntax.
    pub log: String,
    /// The format of the log.
    pub log_format: LogFormat,
    /// Whether every request is logged at info, hits too.
    pub access_log: bool,
    /// The views whose look-ups are audited.
    pub audit: AuditedViews,
    /// The key of the digests that replace national ids, and contacts in the log; unset = a random key for each
    /// process.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub digest_key: Option<SecretString>,
    /// A file that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest_key_file: Option<PathBuf>,
    /// The collector that traces are sent to, over OTLP; unset = traces are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// The header fields that it requires: `name=value`, separated by commas.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub otlp_headers: Option<SecretString>,
    /// A file that contains them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_headers_file: Option<PathBuf>,
    /// The share of requests that are traced if the caller does not decide it.
    pub trace_sample_ratio: f64,
}

/// A format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Readable text.
    Pretty,
}

/// The views whose look-ups are audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditedViews {
    /// The full view.
    Full,
    /// Both views.
    All,
}
