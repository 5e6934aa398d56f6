//! Which callers may send requests, and what each may do.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::duration;
use crate::domain::{Channel, IdentifierKind};

/// Which callers may send requests.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Whether callers without a credential are served; on loopback only.
    pub allow_anonymous: bool,
    /// Servers and tills that send an API key.
    pub clients: Vec<ClientConfig>,
    /// The issuer of shoppers' tokens; unset = no token is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
}

/// The issuer of shoppers' tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The value that a token's `iss` must have.
    pub issuer: String,
    /// The value that a token's `aud` must be or contain.
    pub audience: String,
    /// The algorithms with which the issuer signs.
    pub algorithms: Vec<JwtAlgorithm>,
    /// Where the issuer publishes its keys (RFC 7517).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// A file that contains the issuer's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// The claim that contains the shopper's contact id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_id_claim: Option<String>,
    /// The claim that contains the shopper's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_claim: Option<String>,
    /// The claim that must be true for the address to count.
    #[serde(default = "email_verified")]
    pub email_verified_claim: String,
    /// The claim that lists the shopper's scopes; unset = every token has `customer:read:self`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_claim: Option<String>,
    /// How much the clocks of issuer and service may differ.
    #[serde(default = "default_leeway", with = "duration")]
    pub leeway: Duration,
    /// The accepted types of token: `typ` in the header (RFC 7515, 4.1.9), without `application/`.
    #[serde(default = "default_types")]
    pub types: Vec<String>,
    /// The longest lifetime of a token, from its `iat`, or from now if it has none, to its `exp`.
    #[serde(default = "default_max_lifetime", with = "duration")]
    pub max_lifetime: Duration,
    /// Requests per second of one shopper; unset = no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
}

fn email_verified() -> String {
    "email_verified".to_owned()
}

fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

/// The types of JWTs in general (RFC 7519, 5.1) and of access tokens (RFC 9068, 2.1).
fn default_types() -> Vec<String> {
    vec!["JWT".to_owned(), "at+jwt".to_owned()]
}

fn default_max_lifetime() -> Duration {
    Duration::from_secs(24 * 60 * 60)
}

/// An algorithm with which tokens are signed (RFC 7518, RFC 8037): asymmetric ones only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JwtAlgorithm {
    /// ECDSA with P-256.
    Es256,
    /// ECDSA with P-384.
    Es384,
    /// `EdDSA` with Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSA, PKCS #1, with SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
}

impl From<JwtAlgorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: JwtAlgorithm) -> Self {
        match algorithm {
            JwtAlgorithm::Es256 => Self::ES256,
            JwtAlgorithm::Es384 => Self::ES384,
            JwtAlgorithm::EdDsa => Self::EdDSA,
            JwtAlgorithm::Rs256 => Self::RS256,
            JwtAlgorithm::Rs384 => Self::RS384,
            JwtAlgorithm::Rs512 => Self::RS512,
            JwtAlgorithm::Ps256 => Self::PS256,
            JwtAlgorithm::Ps384 => Self::PS384,
            JwtAlgorithm::Ps512 => Self::PS512,
        }
    }
}

/// A server or till that sends an API key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Its name in the log and the metrics.
    pub id: String,
    /// The SHA-256 digests of its keys, lower-case hex of the whole `X-Api-Key` header value.
    pub key_sha256: Vec<String>,
    /// Its permissions.
    pub scopes: Vec<Scope>,
    /// The identifiers that it may look up by.
    #[serde(default = "default_identifiers")]
    pub identifiers: Vec<IdentifierKind>,
    /// The view of requests that name none.
    #[serde(default)]
    pub view: ClientView,
    /// The channel of requests that name none; unset = promotions of every channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Requests per second; unset = no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// Concurrent requests; unset = no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<usize>,
    /// Distinct unknown identifiers per minute. Beyond it the client is answered only from the cache. Unset = no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_per_minute: Option<u32>,
    /// Distinct contacts per hour. Beyond it the log and the metrics raise an alarm. Unset = no alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people_per_hour: Option<u32>,
    /// Reports of changed customers per second; the burst is ten times as many.
    #[serde(default = "default_changes_per_second")]
    pub changes_per_second: u32,
}

fn default_changes_per_second() -> u32 {
    10
}

pub(super) fn default_identifiers() -> Vec<IdentifierKind> {
    vec![
        IdentifierKind::ContactId,
        IdentifierKind::Email,
        IdentifierKind::MobilePhone,
        IdentifierKind::CustomKey,
    ]
}

/// A permission of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Scope {
    /// Look up customers.
    #[serde(rename = "customer:read")]
    Read,
    /// Request the full view.
    #[serde(rename = "customer:read:full")]
    ReadFull,
    /// Look up the caller's own contact: for a shopper's token.
    #[serde(rename = "customer:read:self")]
    ReadSelf,
    /// Request parts fresh from Engage.
    #[serde(rename = "customer:fresh")]
    Fresh,
    /// Look up many customers with one request.
    #[serde(rename = "customer:batch")]
    Batch,
    /// Report that parts of a customer have changed.
    #[serde(rename = "customer:changed")]
    Changed,
}

impl Scope {
    /// The name in configuration and tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "customer:read",
            Scope::ReadFull => "customer:read:full",
            Scope::ReadSelf => "customer:read:self",
            Scope::Fresh => "customer:fresh",
            Scope::Batch => "customer:batch",
            Scope::Changed => "customer:changed",
        }
    }
}

/// A client's default view: which fields responses contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientView {
    /// The view for shoppers.
    #[default]
    Storefront,
    /// The view for staff.
    Full,
}
