//! What the webhooks' section must keep to.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::Mistakes;
use crate::{
    config::Config,
    engage::webhook::{is_encryption_key, is_secret},
};

/// A tenant's changes are asked for at most so often.
const SHORTEST_POLL: Duration = Duration::from_secs(5);

impl Config {
    pub(super) fn check_webhooks(&self, mistakes: &mut Mistakes) {
        let webhooks = &self.webhooks;
        let secrets = &webhooks.secrets;
        if secrets
            .iter()
            .any(|secret| !is_secret(secret.expose_secret()))
        {
            mistakes.add(
                "webhooks.secrets",
                "holds one that can't sign",
                "give them as the Svix portal shows them: \"whsec_\" and base64",
            );
        }
        let key = webhooks.encryption_key.as_ref();
        if key.is_some_and(|key| !is_encryption_key(key.expose_secret())) {
            mistakes.add(
                "webhooks.encryption_key",
                "does not have 32 ASCII characters",
                "give the key that Voyado shares for encrypted payloads",
            );
        }
        for (key, value) in [
            ("webhooks.tolerance", webhooks.tolerance),
            ("webhooks.silence", webhooks.silence),
            ("webhooks.fallback_lifetime", webhooks.fallback_lifetime),
        ] {
            if value.is_zero() {
                mistakes.add(key, "is zero", "give a duration such as \"5m\"");
            }
        }
        if webhooks.tolerance > Duration::from_secs(60 * 60) {
            mistakes.add(
                "webhooks.tolerance",
                "is longer than an hour",
                "a delivery that somebody recorded could be sent again for that long",
            );
        }
        if webhooks.max_body.as_u64() < 1024 {
            mistakes.add(
                "webhooks.max_body",
                "is too small for a delivery",
                "give at least \"1KiB\"",
            );
        }
        if webhooks
            .changes_poll
            .is_some_and(|poll| poll < SHORTEST_POLL)
        {
            mistakes.add(
                "webhooks.changes_poll",
                "is shorter than 5 s",
                "every poll costs three calls of the API key's budget",
            );
        }
        if webhooks.changes_poll.is_some() && secrets.is_empty() {
            mistakes.add(
                "webhooks.changes_poll",
                "is set, and webhooks.secrets is empty",
                "it repairs gaps between webhooks: give their secret, or unset it",
            );
        }
    }
}
