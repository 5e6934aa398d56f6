//! The configuration: plain data, one struct per section, and how it is read and checked. A leaf that
//! any room may take its own section from.
//!
//! Layers: the built-in `config/default.toml` < the given file < the environment
//! (`BFF_<SECTION>__<KEY>`). Unknown keys are errors in the file and in the environment. A secret may
//! be given as a file's path under its own name with `_file` behind it.

pub mod auth;
pub(crate) mod authorities;
mod check;
pub mod duration;
mod files;
pub(crate) mod jwk;
mod key_path;
pub mod keys;
pub mod layers;
mod links;
mod mistakes;
mod printed;
mod secret_files;
mod spelling;
mod texts;
mod typed;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use self::layers::Source;
pub use self::{
    auth::{AuthConfig, ClientChannel, ClientConfig, ClientView, JwtAlgorithm, JwtConfig, Scope},
    mistakes::{Mistake, Mistakes},
};

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
    /// Who may ask.
    pub auth: AuthConfig,
    /// What leaves.
    pub views: ViewsConfig,
    /// How identifiers are read.
    pub identifiers: IdentifiersConfig,
    /// Engage's webhooks.
    pub webhooks: WebhookConfig,
    /// What is told to operators.
    pub telemetry: TelemetryConfig,
}

/// The data listener.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// A caller's longest wait.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// The longest time that a request's head may take to arrive.
    #[serde(with = "duration")]
    pub header_timeout: Duration,
    /// The longest time that a request's body may take to arrive.
    #[serde(with = "duration")]
    pub body_timeout: Duration,
    /// How long a connection may stay open between requests.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// The longest time that a client may take to accept a piece of the answer.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// The largest body that is read.
    #[serde(serialize_with = "printed::exact")]
    pub max_body: ByteSize,
    /// Connections at the same time: for one more the one that has been idle longest is closed. Fewer where the machine
    /// has not descriptors enough.
    pub max_connections: usize,
    /// How long the service goes on answering once it is told to end, not ready any more, before the drain begins.
    #[serde(with = "duration")]
    pub shutdown_delay: Duration,
    /// How long the shutdown after that may take: answers under way have all but two seconds of it, or half below four.
    #[serde(with = "duration")]
    pub shutdown_grace: Duration,
    /// Whether a national id may be given in a URL.
    pub allow_national_id_in_url: bool,
    /// The pages (scheme, host, port) whose scripts may ask with a shopper's token.
    pub cors_origins: Vec<String>,
    /// Whether plain hits are answered without hyper.
    pub fast_path: bool,
}

/// The operations listener: for the people and machines that run the service, never for its callers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OperationsConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// What everything but the probes and the metrics asks for as `Authorization: Bearer`.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub token: Option<SecretString>,
    /// A file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Host names and addresses, without port, that requests may name in `Host` besides `localhost`, loopback
    /// addresses and the listen address.
    pub hosts: Vec<String>,
}

/// Voyado Engage.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EngageConfig {
    /// Where Engage is: `https://{client}.voyado.com`; plain http on loopback only.
    pub base_url: String,
    /// Whether plain http may leave this machine, the API key and personal data with it.
    pub allow_plain_http: bool,
    /// A file of certificates (PEM) that alone may vouch for Engage, instead of the usual authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The API key.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub api_key: Option<SecretString>,
    /// A file that holds the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// Which version of Engage's API to ask.
    pub api_version: ApiVersion,
    /// Engage requires one, of the form `Product/Version`.
    pub user_agent: String,
    /// The contact type of look-ups that name none; not applied to contact ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_contact_type: Option<String>,
    /// Whose balance is `points.balance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_point_definition: Option<String>,
    /// What `customKey` searches in this tenant, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_key: Option<CustomKeyField>,
    /// The largest answer that is read.
    #[serde(serialize_with = "printed::exact")]
    pub max_response_size: ByteSize,
    /// The longest time of one upstream call.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// The longest time to a connection.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Calls a second, all replicas together.
    pub requests_per_second: f64,
    /// Calls beyond that rate at once, all replicas together.
    pub burst: u32,
    /// Among how many replicas rate and burst are divided.
    pub replicas: u32,
    /// Calls at the same time.
    pub max_concurrency: usize,
    /// How long Engage's overview may lag behind its entity endpoints.
    #[serde(with = "duration")]
    pub overview_lag: Duration,
    /// The zone of Engage's times that name none.
    pub time_zone: String,
}

/// A version of Engage's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiVersion {
    /// The current one.
    V3,
    /// In long-term support; its overview holds the points.
    V2,
}

/// What Engage's `customKey` searches.
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
    /// How many bytes it may hold.
    #[serde(serialize_with = "printed::exact")]
    pub max_size: ByteSize,
    /// How long a profile, and a name that leads to it, is fresh.
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
    /// How long after its lifetime data is served while it is refreshed.
    #[serde(with = "duration")]
    pub stale_while_revalidate: Duration,
    /// How long after its lifetime data is served while Engage fails.
    #[serde(with = "duration")]
    pub stale_if_error: Duration,
    /// How long a caller waits for a refresh while what is cached may still be served.
    #[serde(with = "duration")]
    pub stale_if_slow: Duration,
    /// How long "nobody", "several" and "malformed" are remembered.
    #[serde(with = "duration")]
    pub negative_lifetime: Duration,
}

/// What leaves.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ViewsConfig {
    /// What a shopper may see of themselves.
    pub storefront: ViewRules,
    /// What staff may see.
    pub full: ViewRules,
    /// How soon something must lapse to be listed in `expiringSoon`, where the caller does not say.
    #[serde(with = "duration::days")]
    pub expiring_within: Duration,
}

/// What leaves in one view.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ViewRules {
    /// Engage's attributes that leave beyond the answer's own fields; `"*"` = all but the national id
    /// and the discovery key.
    pub attributes: Vec<String>,
}

/// How identifiers are read.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IdentifiersConfig {
    /// The country whose national phone numbers are understood, ISO 3166-1 alpha-2.
    pub phone_region: String,
    /// Whether national ids with a wrong check digit are refused here.
    pub check_digits: bool,
    /// Whose national id it is that could be of either country; unset = by what is likelier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub national_id_country: Option<NationalIdCountry>,
}

/// A country whose national ids are read.
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
    /// The secrets that may sign them; none: there are no webhooks.
    #[serde(serialize_with = "printed::masked_list")]
    pub secrets: Vec<SecretString>,
    /// A file that holds them, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_file: Option<PathBuf>,
    /// How far a delivery's time may be from ours.
    #[serde(with = "duration")]
    pub tolerance: Duration,
    /// The largest delivery that is read.
    #[serde(serialize_with = "printed::exact")]
    pub max_body: ByteSize,
    /// What opens encrypted payloads.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub encryption_key: Option<SecretString>,
    /// A file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_key_file: Option<PathBuf>,
    /// After how long without any the feed counts as silent.
    #[serde(with = "duration")]
    pub silence: Duration,
    /// How long data is fresh at most while changes may go untold.
    #[serde(with = "duration")]
    pub fallback_lifetime: Duration,
    /// How often Engage is asked what changed while they are not told; unset = never.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "duration::optional"
    )]
    pub changes_poll: Option<Duration>,
}

/// What is told to operators.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Which events are logged, in `tracing`'s filter syntax.
    pub log: String,
    /// How they are written.
    pub log_format: LogFormat,
    /// The key of the digests that stand for national ids, and in the log for contacts; unset = a random one per
    /// process.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "printed::masked"
    )]
    pub digest_key: Option<SecretString>,
    /// A file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest_key_file: Option<PathBuf>,
}

/// How log events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Config {
    /// Reads the layers and checks the result. `environment` holds the process's variables.
    pub fn load(
        file: Option<&std::path::Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Mistakes> {
        let file = file.map_or(Source::Nothing, Source::File);
        Self::from_layers(file, environment)
    }

    /// The same with the text of a file, and without an environment.
    pub fn parse(text: &str) -> Result<Self, Mistakes> {
        Self::from_layers(Source::Text(text), &BTreeMap::new())
    }

    fn from_layers(
        source: Source<'_>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let layers::Gathered { mut config, known } =
            layers::gather(source, environment, &mut mistakes);
        let mut later = Mistakes::default();
        secret_files::read(&mut config, &mut later);
        mistakes.add_all(later, known.as_ref());
        let mut later = Mistakes::default();
        config.check(&mut later);
        mistakes.add_all(later, known.as_ref());
        mistakes.or_ok().map(|()| config)
    }
}
