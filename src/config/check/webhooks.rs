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
        for (index, secret) in secrets.iter().enumerate() {
            let secret = SigningSecret::parse(secret.expose_secret());
            let what = match secret.as_ref().map(SigningSecret::as_bytes) {
                None => "is not \"whsec_\" followed by base64",
                Some(key) if key.len() < MIN_KEY => "is shorter than 16 bytes",
                Some(key) if key.iter().all(|byte| *byte == key[0]) => "repeats a single byte",
                Some(_) => continue,
            };
            let is_only = secrets.len() == 1;
            let item = if is_only {
                String::new()
            } else {
                format!("[{index}]")
            };
            mistakes.add(
                format!("webhooks.secrets{item}"),
                what,
                "give it as the Svix portal shows it: \"whsec_\" and base64",
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
