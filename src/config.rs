//! The configuration: plain data, one struct per section, and how it is read and checked. Imports nothing of the crate
//! but `domain`; each module takes its own section.
//!
//! Layers: the built-in `config/default.toml` < the given file < the environment (`BFF_<SECTION>__<KEY>`). Unknown keys
//! are refused in the file and in the environment. A secret `x` may be given as `x_file`, the path of a file that
//! contains it.

pub mod auth;
pub(crate) mod authorities;
mod check;
pub mod duration;
mod files;
mod hosts;
pub(crate) mod jwk;
mod key_path;
pub mod keys;
mod known_keys;
pub mod layers;
mod links;
pub(crate) mod memory;
mod mistakes;
mod otlp;
mod printed;
pub mod redis;
mod reload;
mod secret_files;
mod spelling;
mod syntax;
mod texts;
mod typed;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use self::layers::FileLayer;
pub use self::{
    auth::{AuthConfig, ClientChannel, ClientConfig, ClientView, JwtAlgorithm, JwtConfig, Scope},
    mistakes::{Mistake, Mistakes},
    redis::{RedisConfig, RedisUrl},
};
use crate::domain::IdentifierKind;

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data listener.
    pub server: ServerConfig,
    /// The operations listener.
    pub operations: OperationsConfig,
    /// Voyado Engage.
    pub engage: EngageConfig,
    /// The cache.
    pub cache: CacheConfig,
    /// Who may send requests.
    pub auth: AuthConfig,
    /// What responses contain.
    pub views: ViewsConfig,
    /// How identifiers are parsed.
    pub identifiers: IdentifiersConfig,
    /// Engage's webhooks.
    pub webhooks: WebhookConfig,
    /// The tier of the cache that replicas share.
    pub redis: RedisConfig,
    /// The log.
    pub telemetry: TelemetryConfig,
}

/// The data listener.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// The longest wait of a caller.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// How long a request's head may take to arrive.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// How long a connection may stay idle between requests.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How long a client may take to accept a piece of the response.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// The largest body that is accepted.
    #[serde(serialize_with = "printed::exact")]
    pub max_body: ByteSize,
    /// The most concurrent connections; one more closes the connection that has been idle longest. Lowered at the start
    /// if the limit of open files is too low.
    pub max_connections: usize,
    /// How long the service goes on answering after SIGTERM, not ready any more, before the drain starts.
    #[serde(with = "duration")]
    pub shutdown_delay: Duration,
    /// How long the shutdown may take after that. Responses in flight get all but two seconds of it, or half if it is
    /// shorter than four.
    #[serde(with = "duration")]
    pub shutdown_grace: Duration,
    /// Whether a national id may be given in a URL.
    pub allow_national_id_in_url: bool,
    /// The origins whose scripts may send requests with a shopper's token.
    pub cors_origins: Vec<String>,
    /// Whether plain hits are answered without hyper.
    pub fast_path: bool,
}

/// The operations listener, for those who run the service, not for its callers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OperationsConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// The token that everything except the probes and the metrics requires, as `Authorization: Bearer`.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub token: Option<SecretString>,
    /// A file that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Host names and addresses, without port, that are allowed in `Host` besides `localhost`, loopback addresses and
    /// the listen address.
    pub hosts: Vec<String>,
}

/// Voyado Engage.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EngageConfig {
    /// The URL of Engage: `https://{client}.voyado.com`; plain http on loopback only.
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
    /// The field that `customKey` searches in this tenant; unset = a match in either counts.
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
    /// The number of replicas that share rate and burst equally. With a shared tier: the share of a replica that has
    /// never reached it.
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

/// The cache.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// The size of the cache.
    #[serde(serialize_with = "printed::exact")]
    pub max_size: ByteSize,
    /// How long a profile is fresh, and the aliases that lead to it.
    #[serde(with = "duration")]
    pub profile_lifetime: Duration,
    /// How long audiences and warnings are fresh.
    #[serde(with = "duration")]
    pub audiences_lifetime: Duration,
    /// How long promotions are fresh.
    #[serde(with = "duration")]
    pub promotions_lifetime: Duration,
    /// How long vouchers are fresh.
    #[serde(with = "duration")]
    pub vouchers_lifetime: Duration,
    /// How long points are fresh.
    #[serde(with = "duration")]
    pub points_lifetime: Duration,
    /// How long each part of a contact's history is fresh.
    #[serde(with = "duration")]
    pub history_lifetime: Duration,
    /// How long after its lifetime data is still served at once, while it is refreshed in the background.
    #[serde(with = "duration")]
    pub stale_while_revalidate: Duration,
    /// How long after its lifetime data is still served while Engage fails.
    #[serde(with = "duration")]
    pub stale_if_error: Duration,
    /// How long a caller waits for a refresh if stale data may be served instead.
    #[serde(with = "duration")]
    pub stale_if_slow: Duration,
    /// How long unknown contacts, ambiguous and malformed identifiers are cached, and the first back-off after a failed
    /// call for one contact.
    #[serde(with = "duration")]
    pub negative_lifetime: Duration,
}

/// What responses contain.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ViewsConfig {
    /// The view for shoppers.
    pub storefront: ViewRules,
    /// The view for staff.
    pub full: ViewRules,
    /// How soon something must expire to be listed in `expiringSoon`, if the caller does not say.
    #[serde(with = "duration::days")]
    pub expiring_within: Duration,
}

/// What one view contains.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ViewRules {
    /// The attributes of Engage in addition to the response's own fields; `"*"` = all except the national id and the
    /// discovery key.
    pub attributes: Vec<String>,
}

/// How identifiers are parsed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IdentifiersConfig {
    /// The country of phone numbers without a country code, ISO 3166-1 alpha-2.
    pub phone_region: String,
    /// Whether national ids with a wrong check digit are refused without a call to Engage.
    pub check_digits: bool,
    /// The country of national ids that could be of either; unset = the likelier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub national_id_country: Option<NationalIdCountry>,
    /// The kinds of which a value belongs to one contact of a type at most: a cached profile answers for those that it
    /// shows.
    pub unique: Vec<IdentifierKind>,
}

/// A country whose national ids are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NationalIdCountry {
    /// Sweden.
    Se,
    /// Finland.
    Fi,
}

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
    /// How long without a delivery until the feed counts as silent.
    #[serde(with = "duration")]
    pub silence: Duration,
    /// The longest lifetime while webhooks may be missing.
    #[serde(with = "duration")]
    pub fallback_lifetime: Duration,
    /// How often `/contacts/changes` is polled while webhooks may be missing; unset = never.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "duration::optional"
    )]
    pub changes_poll: Option<Duration>,
}

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
    /// The key of the digests that replace national ids, and contacts in the log; unset = a random key per process.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub digest_key: Option<SecretString>,
    /// A file that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest_key_file: Option<PathBuf>,
    /// The collector that traces are sent to, over OTLP; unset = none.
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
    /// The share of requests that are traced where the caller does not decide it.
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

impl Config {
    /// Reads the layers and checks the result. `environment` contains the variables of the process.
    pub fn load(
        file: Option<&std::path::Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Mistakes> {
        let file = file.map_or(FileLayer::Nothing, FileLayer::File);
        Self::from_layers(file, environment)
    }

    /// Like [`load`](Self::load), from the text of a file and without an environment.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        Self::from_layers(FileLayer::Text(text), &BTreeMap::new())
    }

    fn from_layers(
        file: FileLayer<'_>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let layers::Merged { mut config, known } = layers::merge(file, environment, &mut mistakes);
        let mut later = Mistakes::default();
        secret_files::read(&mut config, &mut later);
        mistakes.add_all(later, known.as_ref());
        let mut later = Mistakes::default();
        config.check(&mut later);
        mistakes.add_all(later, known.as_ref());
        mistakes.or_ok().map(|()| config)
    }
}
