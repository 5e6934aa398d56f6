//! The credentials that requests are admitted by, from the configuration.

use anyhow::Context;

use crate::{
    clock::Clock,
    config::Config,
    http::{Authenticator, Credentials, CurrentCredentials, OperatorRules},
    webhook::WebhookReader,
};

/// The configured credentials.
pub(super) fn configured(
    config: &Config,
    clock: &Clock,
) -> Result<CurrentCredentials, anyhow::Error> {
    let authenticator = Authenticator::new(&config.auth, &config.server, clock);
    let authenticator = authenticator.context("auth.jwt")?;
    Ok(CurrentCredentials::new(with(authenticator, config)?))
}

/// The credentials of another configuration. What clients have used of unchanged limits still counts.
pub(super) async fn replaced(
    before: &CurrentCredentials,
    config: &Config,
) -> Result<Credentials, anyhow::Error> {
    let before = before.to_keep();
    let authenticator = before.authenticator.replaced(&config.auth, &config.server);
    with(authenticator.await?, config)
}

fn with(authenticator: Authenticator, config: &Config) -> Result<Credentials, anyhow::Error> {
    let webhooks = WebhookReader::new(&config.webhooks).map_err(anyhow::Error::msg);
    Ok(Credentials {
        authenticator,
        webhooks: webhooks.context("webhooks")?,
        operators: OperatorRules::new(config.operations.listen.ip(), &config.operations),
    })
}
