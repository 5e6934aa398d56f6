//! The section `webhooks`: Engage's webhooks.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{duration, printed};

/// Engage's webhooks.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The secrets that sign them; empty = no webhooks are accepted.
    #[serde(serialize_with = "printed::masked_list")]
    pub secrets: Vec<SecretString>,
    /// A file that contains them, one per line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_file: Option<PathBuf>,
    /// How much a delivery's timestamp may differ from this machine's clock.
    #[serde(with = "duration")]
    pub tolerance: Duration,
    /// The largest delivery that is accepted.
    #[serde(serialize_with = "printed::exact")]
    pub max_body: ByteSize,
    /// The key that decrypts encrypted payloads.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub encryption_key: Option<SecretString>,
    /// A file that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_key_file: Option<PathBuf>,
    /// The time without a delivery after which the feed counts as silent.
    #[serde(with = "duration")]
    pub silence: Duration,
    /// The longest lifetime while webhooks, or the invalidations of other replicas, may be missing.
    #[serde(with = "duration")]
    pub fallback_lifetime: Duration,
    /// How often `/contacts/changes` is polled while webhooks may be missing; it is also polled once when they arrive
    /// again. Unset = never.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "duration::optional"
    )]
    pub changes_poll: Option<Duration>,
}
