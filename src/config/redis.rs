//! The section `redis`: the tier of the cache that replicas share.

mod url;

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

pub use self::url::{RedisUrl, UrlFault};
use super::{duration, printed};

/// The tier of the cache that replicas share, on Redis or Valkey.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// Its address; unset = each replica is on its own.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "masked_url")]
    pub url: Option<SecretString>,
    /// A file that contains the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// The user; unset = the default user, or the one in the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password; unset = none, or the one in the URL.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub password: Option<SecretString>,
    /// A file that contains the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The user at the sentinels; unset = the default user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_username: Option<String>,
    /// That user's password; unset = none.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub sentinel_password: Option<SecretString>,
    /// A file that contains that password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_password_file: Option<PathBuf>,
    /// A file of CA certificates (PEM), the only ones trusted for Redis; unset = the usual authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A file of the certificate that this service presents (PEM), with those that lead to its authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_file: Option<PathBuf>,
    /// A file of that certificate's private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
    /// The keys that encrypt what is stored, 32 bytes each in base64: the first encrypts, all decrypt.
    #[serde(serialize_with = "printed::masked_list")]
    pub encryption_keys: Vec<SecretString>,
    /// A file that contains them, one per line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_keys_file: Option<PathBuf>,
    /// The beginning of every key.
    pub prefix: String,
    /// The longest time of an operation.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl RedisConfig {
    /// The parsed URL. `None` without one.
    pub fn parsed_url(&self) -> Option<Result<RedisUrl, UrlFault>> {
        let url = self.url.as_ref()?;
        Some(RedisUrl::parse(url.expose_secret()))
    }

    /// The bytes of the encryption keys. `None` if one of them is not 32 bytes in base64.
    pub fn key_bytes(&self) -> Option<Vec<[u8; 32]>> {
        let keys = self.encryption_keys.iter();
        keys.map(|key| key_bytes(key.expose_secret())).collect()
    }
}

/// 32 bytes in base64.
pub(super) fn key_bytes(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Prints the URL without user and password.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn masked_url<S: Serializer>(url: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    let parsed = url.as_ref().map(|url| RedisUrl::parse(url.expose_secret()));
    match parsed {
        Some(Ok(url)) => serializer.collect_str(&url),
        _ => printed::masked(url, serializer),
    }
}
