//! The section `engage`: Voyado Engage.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{duration, printed};

/// Voyado Engage.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EngageConfig {
    /// The URL of Engage: `https://{client}.voyado.com`; plain http on loopback only, unless `allow_plain_http`.
    pub base_url: String,
    /// Whether plain http is allowed to other machines, which sends the API key and personal data unencrypted.
    pub allow_plain_http: bool,
    /// A file of CA certificates (PEM), the only ones trusted for Engage; unset = the usual authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The API key.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub api_key: Option<SecretString>,
    /// A file that contains the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// The version of Engage's API to call.
    pub api_version: ApiVersion,
    /// The `User-Agent` of calls, of the form `Product/Version`, which Engage requires.
    pub user_agent: String,
    /// The contact type of look-ups that give none; not applied to contact ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_contact_type: Option<String>,
    /// The point definition whose balance is `points.balance`; unset = the balance of the only account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_point_definition: Option<String>,
    /// Whether the names of points are read from Engage's point definitions, once a day.
    pub point_names: bool,
    /// The field that `customKey` searches in this tenant; unset = a match in either field counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_key: Option<CustomKeyField>,
    /// The largest response that is read.
    #[serde(serialize_with = "printed::exact")]
    pub max_response_size: ByteSize,
    /// The longest time of one call.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How long connecting may take.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Calls per second of all replicas together.
    pub requests_per_second: f64,
    /// Calls at once beyond that rate, of all replicas together.
    pub burst: u32,
    /// The number of replicas that share rate and burst equally. With a shared tier it only determines the share of a
    /// replica that has never reached the tier.
    pub replicas: u32,
    /// The most concurrent calls of this process.
    pub max_concurrency: usize,
    /// How long Engage's overview may lag behind its entity endpoints.
    #[serde(with = "duration")]
    pub overview_lag: Duration,
    /// The time zone of times that Engage sends without one.
    pub time_zone: String,
}

/// A version of Engage's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiVersion {
    /// The current version.
    V3,
    /// The version in long-term support, whose overview contains the points.
    V2,
}

/// A field that Engage's `customKey` may search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CustomKeyField {
    /// The member number.
    MemberNumber,
    /// The shop's own customer id.
    ExternalId,
}
