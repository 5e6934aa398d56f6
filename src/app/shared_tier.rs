//! The shared tier of the cache, from the configuration.

use std::{fmt::Write, path::PathBuf, sync::Arc};

use anyhow::Context;
use aws_lc_rs::digest::{SHA256, digest};
use secrecy::ExposeSecret;

use super::settings::{bounds, digester, policy};
use crate::{
    clock::Clock,
    config::{Config, RedisConfig, RedisUrl},
    shared_tier::{
        BudgetSettings, Settings, SharedTier, budget_name,
        protocol::Backend,
        redis::{
            RedisBackend,
            link::{Link, LinkConfig, Server, ServerAddress, Tls, User},
        },
    },
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
) -> Result<Option<Arc<RedisBackend>>, anyhow::Error> {
    let Some(link) = link(config)? else {
        return Ok(None);
    };
    let backend = RedisBackend::new(Link::new(link), prefix(config));
    Ok(Some(Arc::new(backend)))
}

/// The connections that are configured.
pub(super) fn link(config: &Config) -> Result<Option<LinkConfig>, anyhow::Error> {
    let redis = &config.redis;
    let Some(url) = redis.parsed_url() else {
        return Ok(None);
    };
    let url = url.map_err(|fault| anyhow::anyhow!("redis.url: {}", fault.what))?;
    let mut link = link_to(&url);
    if url.uses_tls {
        link.tls = Some(tls(redis)?);
    }
    let user = &mut link.user;
    user.name = user.name.take().or_else(|| redis.username.clone());
    user.password = user.password.take().or_else(|| redis.password.clone());
    if let Server::Sentinels { user, .. } = &mut link.server {
        user.name.clone_from(&redis.sentinel_username);
        user.password.clone_from(&redis.sentinel_password);
    }
    Ok(Some(link))
}

/// The connections for this URL, without TLS.
pub fn link_to(url: &RedisUrl) -> LinkConfig {
    let address = |(host, port): &(String, u16)| ServerAddress {
        host: host.clone(),
        port: *port,
    };
    let mut addresses: Vec<_> = url.hosts.iter().map(address).collect();
    let server = match &url.service {
        Some(service) => Server::Sentinels {
            addresses,
            service: service.clone(),
            user: User::default(),
        },
        None => Server::At(addresses.swap_remove(0)),
    };
    LinkConfig {
        server,
        tls: None,
        user: User {
            name: url.username.clone(),
            password: url.password.clone(),
        },
        database: url.database,
    }
}

fn tls(redis: &RedisConfig) -> Result<Tls, anyhow::Error> {
    let read = |key: &'static str, file: &Option<PathBuf>| {
        let bytes = file.as_ref().map(std::fs::read).transpose();
        bytes.with_context(|| format!("{key} can't be read"))
    };
    let authorities = read("redis.ca_file", &redis.ca_file)?;
    let chain = read(
        "redis.client_certificate_file",
        &redis.client_certificate_file,
    )?;
    let key = read("redis.client_key_file", &redis.client_key_file)?;
    let identity = chain.as_deref().zip(key.as_deref());
    Ok(Tls::new(authorities.as_deref(), identity)?)
}

/// The prefix of every key: the configured one and a digest of the tenant, so that two tenants never share a key.
pub(super) fn prefix(config: &Config) -> String {
    let url = reqwest::Url::parse(&config.engage.base_url);
    let tenant = url.map_or_else(
        |_| config.engage.base_url.clone(),
        |url| {
            let host = url.host_str().unwrap_or_default();
            // A port that is not the scheme's default occurs if several simulators run on one machine.
            let port = url.port().map(|port| format!(":{port}"));
            host.to_owned() + &port.unwrap_or_default()
        },
    );
    let mut prefix = config.redis.prefix.clone();
    for byte in &digest(&SHA256, tenant.as_bytes()).as_ref()[..6] {
        write!(prefix, "{byte:02x}").expect("writing to a String does not fail");
    }
    prefix.push(':');
    prefix
}

/// The call budget of the configured API key.
pub(super) fn configured_budget(config: &Config) -> BudgetSettings {
    let key = config.engage.api_key.as_ref();
    BudgetSettings {
        name: budget_name(key.map_or("", |key| key.expose_secret())),
        requests_per_second: config.engage.requests_per_second,
        burst: config.engage.burst,
    }
}

fn settings(config: &Config) -> Result<Settings, anyhow::Error> {
    let policy = policy(config);
    Ok(Settings {
        timeout: config.redis.timeout,
        lease: config.engage.timeout.min(config.server.request_timeout / 2),
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
        budget: configured_budget(config),
    })
}

/// The configured keys. A backend that only this process uses needs none, so it gets a random one.
pub(super) fn encryption_keys(config: &Config) -> Result<Vec<[u8; 32]>, anyhow::Error> {
    let keys = config.redis.key_bytes();
    let mut keys = keys.context("redis.encryption_keys: a key is not 32 bytes in base64")?;
    if keys.is_empty() {
        let mut key = [0; 32];
        getrandom::fill(&mut key).context("no random numbers")?;
        keys.push(key);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix_for(base_url: &str) -> String {
        let text = format!(
            "[engage]\nbase_url = \"{base_url}\"\napi_key = \"a-key\"\n[auth]\nallow_anonymous = true\n"
        );
        prefix(&Config::parse(&text).expect("a configuration"))
    }

    #[test]
    fn caller_that_waited_for_a_lease_has_time_for_a_call() {
        let lease = |timeout: &str| {
            let text = format!(
                "[engage]\nbase_url = \"https://shop.example.com\"\napi_key = \"a-key\"\ntimeout = \"{timeout}\"\n\
                 [server]\nrequest_timeout = \"3s\"\n[auth]\nallow_anonymous = true\n"
            );
            let config = Config::parse(&text).expect("a configuration");
            settings(&config).expect("settings").lease.as_millis()
        };
        assert_eq!([lease("10s"), lease("1s")], [1500, 1000]);
    }

    #[test]
    fn prefix_ends_with_a_digest_of_the_tenant() {
        // printf %s shop.example.com | sha256sum
        let expected = "engage-bff:951623a26f8b:";
        assert_eq!(prefix_for("https://shop.example.com"), expected);
        assert_eq!(
            prefix_for("https://Shop.example.com:443/"),
            prefix_for("https://shop.example.com")
        );
        let others = ["https://toys.example.com", "https://shop.example.com:8443"];
        for other in others {
            assert_ne!(prefix_for(other), prefix_for("https://shop.example.com"));
        }
    }
}
