//! Keys of Engage's webhooks, parsed from the texts that the configuration gives.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretBox, SecretSlice};

/// The length of an [`EncryptionKey`] in bytes.
const ENCRYPTION_KEY_LENGTH: usize = 32;

/// A secret that signs webhooks (HMAC-SHA-256).
#[derive(Debug)]
pub struct SigningSecret(SecretSlice<u8>);

impl SigningSecret {
    /// Parses a secret as the Svix portal shows it: `whsec_` and base64. `None` for any other text and for an empty
    /// secret.
    pub fn parse(text: &str) -> Option<Self> {
        let key = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (!key.is_empty()).then(|| Self(key.into()))
    }

    /// The HMAC key, at least one byte.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

/// The key that decrypts payloads of webhooks (AES-256).
#[derive(Debug)]
pub struct EncryptionKey(SecretBox<[u8; ENCRYPTION_KEY_LENGTH]>);

impl EncryptionKey {
    /// Parses a key as Voyado shares it: 32 ASCII characters, which are the bytes of the key. `None` for any other
    /// text.
    pub fn parse(text: &str) -> Option<Self> {
        let key: [u8; ENCRYPTION_KEY_LENGTH] = text.as_bytes().try_into().ok()?;
        key.is_ascii().then(|| Self(SecretBox::new(Box::new(key))))
    }

    /// The AES key.
    pub fn as_bytes(&self) -> &[u8; ENCRYPTION_KEY_LENGTH] {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_secret_is_whsec_and_base64_of_at_least_one_byte() {
        let secret = SigningSecret::parse("whsec_a2V5").expect("a secret");
        assert_eq!(secret.as_bytes(), b"key");
        for text in ["", "whsec_", "a2V5", "whsec_a2V5!", "WHSEC_a2V5"] {
            assert!(SigningSecret::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn encryption_key_is_32_ascii_characters() {
        let text = "0123456789abcdef0123456789abcdef";
        let key = EncryptionKey::parse(text).expect("a key");
        assert_eq!(key.as_bytes(), text.as_bytes());
        for text in [&text[1..], "", "0123456789abcdef0123456789abcdé"] {
            assert!(EncryptionKey::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_output_hides_keys() {
        let secret = SigningSecret::parse("whsec_a2V5").expect("a secret");
        assert!(!format!("{secret:?}").contains("107"), "{secret:?}");
    }
}
