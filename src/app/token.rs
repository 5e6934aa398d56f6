//! The command `check-token`: how a request with a shopper's token would be treated.

use anyhow::Context;
use jiff::Timestamp;

use super::settings::digester;
use crate::{
    clock::Clock,
    config::Config,
    http::{TokenReport, check_token as report},
};

/// Checks a token like a request's, at the given time or now, with the keys that the issuer publishes now. Fails if no
/// issuer is configured.
pub async fn check_token(
    config: &Config,
    token: &str,
    at: Option<Timestamp>,
) -> Result<TokenReport, anyhow::Error> {
    let jwt = config.auth.jwt.as_ref();
    let jwt = jwt.context("auth.jwt: is missing, so no token is accepted")?;
    let clock = Clock::system();
    let at = at.unwrap_or_else(|| clock.now().wall);
    report(jwt, token, at, &digester(config), clock).await
}
