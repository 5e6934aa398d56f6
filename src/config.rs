//! The configuration: plain data, one struct per section, and how it is read and checked. Imports only `domain`; each
//! module takes its own section.
//!
//! Layers: the built-in `config/default.toml` < the given file < the environment (`BFF_<SECTION>__<KEY>`). Unknown keys
//! are refused in the file and in the environment. A secret `x` may be given as `x_file`, the path of a file that
//! contains it.

pub mod auth;
pub(crate) mod authorities;
mod check;
pub mod duration;
mod engage;
mod files;
mod hosts;
pub(crate) mod jwk;
mod key_path;
pub mod keys;
mod known_keys;
pub mod layers;
mod links;
mod listeners;
pub(crate) mod memory;
mod mistakes;
mod otlp;
mod printed;
pub mod redis;
mod reload;
mod secret_files;
mod spelling;
mod syntax;
mod telemetry;
mod texts;
mod typed;
mod webhooks;

use std::{collections::BTreeMap, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use self::layers::FileLayer;
pub use self::{
    auth::{AuthConfig, ClientConfig, ClientView, JwtAlgorithm, JwtConfig, Scope},
    engage::{ApiVersion, CustomKeyField, EngageConfig},
    listeners::{OperationsConfig, ServerConfig},
    mistakes::{Mistake, Mistakes},
    redis::{RedisConfig, RedisUrl},
    telemetry::{AuditedViews, LogFormat, TelemetryConfig},
    webhooks::WebhookConfig,
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
    /// Which callers may send requests.
    pub auth: AuthConfig,
    /// What responses contain.
    pub views: ViewsConfig,
    /// How identifiers are parsed.
    pub identifiers: IdentifiersConfig,
    /// Engage's webhooks.
    pub webhooks: WebhookConfig,
    /// The tier of the cache that replicas share.
    pub redis: RedisConfig,
    /// The log and the traces.
    pub telemetry: TelemetryConfig,
}

/// The cache.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// The maximum size of the cache.
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
    /// The country of national ids that could be Swedish or Finnish; unset = the likelier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub national_id_country: Option<NationalIdCountry>,
    /// The kinds whose values belong to at most one contact of a type each: a cached profile answers look-ups by the
    /// values that it shows.
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
