//! The shared tier of the cache, from the configuration.

use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;

use super::settings::{bounds, digester, policy};
use crate::{
    clock::Clock,
    config::Config,
    shared_tier::{Settings, SharedTier, budget_name, protocol::Backend},
};

/// The tier on this backend.
pub(super) fn shared_tier(
    config: &Config,
    backend: Arc<dyn Backend>,
    clock: &Clock,
) -> Result<SharedTier, anyhow::Error> {
    Ok(SharedTier::new(settings(config)?, backend, clock.clone()))
}

/// The backend that is configured. `None` without `redis.url`.
pub(super) fn configured_backend(
    config: &Config,
) -> Result<Option<Arc<dyn Backend>>, anyhow::Error> {
    if config.redis.url.is_none() {
        return Ok(None);
    }
    anyhow::bail!("redis.url: the client is not built in yet");
}

fn settings(config: &Config) -> Result<Settings, anyhow::Error> {
    let policy = policy(config);
    Ok(Settings {
        timeout: config.redis.timeout,
        lease: config.engage.timeout,
        overview_lag: policy.overview_lag,
        longest_flight: bounds(config).longest_flight,
        lifetimes: policy.lifetimes,
        negative_lifetime: policy.negative_lifetime,
        // A delivery is accepted while its timestamp is at most the tolerance before or after this machine's clock.
        message_memory: config.webhooks.tolerance * 2,
        encryption_keys: encryption_keys(config)?,
        digester: config
            .telemetry
            .digest_key
            .as_ref()
            .map(|_| digester(config)),
        budget: budget_name(
            config
                .engage
                .api_key
                .as_ref()
                .map_or("", |key| key.expose_secret()),
        ),
        requests_per_second: config.engage.requests_per_second,
        burst: config.engage.burst,
    })
}

/// The configured keys. None are needed for a backend that this process has for itself: then a random one.
fn encryption_keys(config: &Config) -> Result<Vec<[u8; 32]>, anyhow::Error> {
    let keys = config.redis.key_bytes();
    let mut keys = keys.context("redis.encryption_keys: a key is not 32 bytes in base64")?;
    if keys.is_empty() {
        let mut key = [0; 32];
        getrandom::fill(&mut key).context("no random numbers")?;
        keys.push(key);
    }
    Ok(keys)
}
