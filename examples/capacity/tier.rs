//! The tier that replicas share: the real one over the tests' stand-in of its server, on the shop's clock.

use std::{sync::Arc, time::Duration};

use engage_bff::{
    app::{bounds, policy},
    clock::Clock,
    config::Config,
    shared_tier::{BudgetSettings, Settings, SharedTier, budget_name},
};

use crate::{replica::digester, standin::Standin};

/// The interval at which the server drops expired values. An expired value is not served before that either.
const DROP_EVERY: Duration = Duration::from_secs(60);

/// A server without anything.
pub(crate) fn server(clock: &Clock) -> Standin {
    let server = Standin::new(clock.clone());
    server.drop_every(DROP_EVERY);
    server
}

/// A replica's tier, with the settings that `app` gives it.
pub(crate) fn on(server: &Standin, config: &Config, clock: &Clock) -> SharedTier {
    let policy = policy(config);
    let settings = Settings {
        timeout: config.redis.timeout,
        lease: config.engage.timeout.min(config.server.request_timeout / 2),
        overview_lag: policy.overview_lag,
        longest_flight: bounds(config).longest_flight,
        lifetimes: policy.lifetimes,
        negative_lifetime: policy.negative_lifetime,
        message_memory: config.webhooks.tolerance * 2,
        encryption_keys: vec![*b"a key of no importance, 32 bytes"],
        digester: Some(digester()),
        budget: BudgetSettings {
            name: budget_name("never-used"),
            requests_per_second: config.engage.requests_per_second,
            burst: config.engage.burst,
        },
    };
    SharedTier::new(settings, Arc::new(server.connection()), clock.clone())
}
