//! Checks of `[webhooks]`.

use secrecy::ExposeSecret;

use crate::config::{
    Config,
    keys::{EncryptionKey, SigningSecret},
    mistakes::Mistakes,
};

/// The shortest signing key in bytes: shorter ones can be guessed. Svix generates 24.
const MIN_KEY: usize = 16;

impl Config {
    pub(super) fn check_webhooks(&self, mistakes: &mut Mistakes) {
        let webhooks = &self.webhooks;
        let secrets = &webhooks.secrets;
        for secret in secrets {
            let secret = SigningSecret::parse(secret.expose_secret());
            let what = match secret.as_ref().map(SigningSecret::as_bytes) {
                None => "contains one that is not \"whsec_\" and base64",
                Some(key) if key.len() < MIN_KEY => "contains one that is shorter than 16 bytes",
                Some(key) if key.iter().all(|byte| *byte == key[0]) => {
                    "contains one that repeats a single byte"
                }
                Some(_) => continue,
            };
            mistakes.add(
                "webhooks.secrets",
                what,
                "give them as the Svix portal shows them: \"whsec_\" and base64",
            );
        }
        let key = webhooks.encryption_key.as_ref();
        if key.is_some_and(|key| EncryptionKey::parse(key.expose_secret()).is_none()) {
            mistakes.add(
                "webhooks.encryption_key",
                "does not have 32 ASCII characters",
                "give the key that Voyado shares for encrypted payloads",
            );
        }
        if webhooks.changes_poll.is_some() && secrets.is_empty() {
            mistakes.add(
                "webhooks.changes_poll",
                "is set while webhooks.secrets is empty",
                "polling repairs gaps between webhooks: set their secrets, or remove it",
            );
        }
    }
}
