//! Builds the new values of a reload before anything changes, then puts them in force.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;

use crate::{
    app::{
        credentials::replaced,
        settings::upstream_limits,
        shared_budget::shared_limits,
        shared_tier::{configured_budget, encryption_keys, link},
    },
    config::{Config, Mistake, Mistakes},
    engage::{Admission, CallLimits, Connections, NewConnections},
    http::{Credentials, CurrentCredentials},
    shared_tier::{
        BudgetSettings, SharedTier,
        redis::{
            RedisBackend,
            link::{Link, LinkConfig},
        },
    },
    traces::CollectorHeaders,
};

/// The longest time for connecting to Redis.
const CONNECT: Duration = Duration::from_secs(2);

/// Everything that a reload replaces, except the log's filter.
pub(in crate::app) struct Replaceable {
    pub(in crate::app) credentials: CurrentCredentials,
    pub(in crate::app) connections: Option<Connections>,
    pub(in crate::app) admission: Admission,
    pub(in crate::app) shared: Option<SharedTier>,
    pub(in crate::app) redis: Option<Arc<RedisBackend>>,
    /// The headers for the collector, if traces are on.
    pub(in crate::app) collector: Option<CollectorHeaders>,
}

/// Everything that is ready to be put in force.
pub(super) struct Prepared {
    credentials: Credentials,
    connections: Option<NewConnections>,
    /// The new connection to the shared tier, if it changes.
    redis: Option<NewLink>,
    budget: BudgetSettings,
    /// Rate and burst of calls to Engage, if they change.
    limits: Option<CallLimits>,
    /// The header fields for the collector of traces.
    otlp_fields: HeaderMap,
}

struct NewLink {
    config: LinkConfig,
    keys: Vec<[u8; 32]>,
}

impl Prepared {
    /// Builds the new values; connections and limits only if their keys changed.
    pub(super) async fn new(
        replaceable: &Replaceable,
        config: &Config,
        changed: &[String],
    ) -> Result<Self, Mistakes> {
        let has_changed = |key: &str| changed.iter().any(|changed| changed == key);
        let connections = match &replaceable.connections {
            Some(connections) if has_changed("engage.api_key") || has_changed("engage.ca_file") => {
                let prepared = connections.prepare(&config.engage);
                Some(prepared.map_err(|error| mistake("engage.ca_file", format!("{error:#}")))?)
            }
            _ => None,
        };
        let redis = if changed.iter().any(|key| key.starts_with("redis.")) {
            new_link(config).await?
        } else {
            None
        };
        let has_new_limits =
            has_changed("engage.requests_per_second") || has_changed("engage.burst");
        let otlp_fields = config.telemetry.otlp_fields();
        let otlp_fields =
            otlp_fields.map_err(|what| mistake("telemetry.otlp_headers", what.to_owned()))?;
        // Last, because the state of clients is taken over.
        let credentials = replaced(&replaceable.credentials, config).await;
        Ok(Self {
            credentials: credentials.map_err(|error| issuer_mistake(config, &error))?,
            connections,
            redis,
            budget: configured_budget(config),
            limits: has_new_limits.then(|| limits(config, replaceable.shared.is_some())),
            otlp_fields,
        })
    }

    /// Puts everything in force, for requests that arrive and calls that start from now on.
    pub(super) fn put_in_force(self, replaceable: &Replaceable) {
        replaceable.credentials.replace(self.credentials);
        if let Some((connections, new)) = replaceable.connections.as_ref().zip(self.connections) {
            connections.replace(new);
        }
        if let Some(limits) = self.limits {
            let (rate, burst) = (limits.requests_per_second, limits.burst);
            replaceable.admission.change_limits(rate, burst);
        }
        if let Some(collector) = &replaceable.collector {
            collector.replace(self.otlp_fields);
        }
        let Some(shared) = &replaceable.shared else {
            return;
        };
        shared.replace_budget(self.budget);
        if let Some((redis, new)) = replaceable.redis.as_ref().zip(self.redis) {
            redis.link().configure(new.config);
            shared.replace_keys(&new.keys);
            shared.reconnect();
        }
    }
}

/// The limits of calls to Engage: for all replicas together if they share them.
fn limits(config: &Config, are_shared: bool) -> CallLimits {
    if are_shared {
        shared_limits(config)
    } else {
        upstream_limits(config)
    }
}

/// The new connection to the shared tier, already tried. `None` without that tier.
async fn new_link(config: &Config) -> Result<Option<NewLink>, Mistakes> {
    let invalid = |error: anyhow::Error| mistake("redis", format!("{error:#}"));
    let Some(new) = link(config).map_err(invalid)? else {
        return Ok(None);
    };
    let keys = encryption_keys(config).map_err(invalid)?;
    let trial = Link::new(new.clone());
    match tokio::time::timeout(CONNECT, trial.connect_or_explain()).await {
        Ok(Ok(())) => Ok(Some(NewLink { config: new, keys })),
        Ok(Err(failure)) => Err(mistake("redis", failure.to_string())),
        Err(_) => Err(mistake("redis", "no answer within two seconds".to_owned())),
    }
}

/// The mistake if the issuer's keys can't be read from their new place.
fn issuer_mistake(config: &Config, error: &anyhow::Error) -> Mistakes {
    let jwt = config.auth.jwt.as_ref();
    let has_url = jwt.is_some_and(|jwt| jwt.jwks_url.is_some());
    let key = if has_url {
        "auth.jwt.jwks_url"
    } else {
        "auth.jwt.jwks_file"
    };
    mistake(key, format!("{error:#}"))
}

fn mistake(key: &str, what: String) -> Mistakes {
    Mistake::new(key, what, "correct it, or reload when it works").into()
}
