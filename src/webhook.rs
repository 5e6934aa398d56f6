//! Verifies and reads Engage's webhook deliveries. They are sent and signed by Svix [Voyado: Webhooks; Svix: Verifying
//! payloads manually].
//!
//! Only contact ids are read from a payload. Deliveries may be late, repeated and out of order, for 28 hours after a
//! failure, so their values may be older than the cached ones.

mod cipher;
mod contacts;
mod event;
mod signature;

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use secrecy::ExposeSecret;

use self::{cipher::Cipher, event::Envelope, signature::Signer};
pub use self::{
    event::WebhookEvent,
    signature::{SignatureHeaders, Verifier},
};
use crate::config;

/// Why a delivery is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The signature headers are missing or malformed.
    #[error("signature headers missing or malformed")]
    MalformedHeaders,
    /// It was signed too long ago or in the future.
    #[error("timestamp outside of the tolerance")]
    TimestampOutOfRange,
    /// The body was altered, or signed with another secret.
    #[error("no signature matches")]
    SignatureMismatch,
    /// Genuine, but not JSON.
    #[error("the body is not a JSON object")]
    NotJson,
    /// Genuine, but the payload cannot be decrypted.
    #[error("payload cannot be decrypted")]
    Undecryptable,
}

impl WebhookError {
    /// The metric label and log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            WebhookError::MalformedHeaders => "unsigned",
            WebhookError::TimestampOutOfRange => "untimely",
            WebhookError::SignatureMismatch => "forged",
            WebhookError::NotJson => "not-json",
            WebhookError::Undecryptable => "sealed",
        }
    }
}

/// Verifies and reads deliveries.
pub struct WebhookReader {
    signers: Vec<Signer>,
    /// Maximum distance of a delivery's timestamp from now.
    tolerance: Duration,
    cipher: Option<Cipher>,
}

impl WebhookReader {
    /// A reader for deliveries signed with any of the secrets; `None` without secrets. Fails for malformed secrets and
    /// keys.
    pub fn new(config: &config::WebhookConfig) -> Result<Option<Self>, &'static str> {
        let secrets = config.secrets.iter();
        let signers: Option<Vec<Signer>> = secrets
            .map(|secret| Signer::new(secret.expose_secret()))
            .collect();
        let signers = signers.ok_or("a secret is not \"whsec_\" followed by base64")?;
        let cipher = config
            .encryption_key
            .as_ref()
            .map(|key| {
                Cipher::new(key.expose_secret()).ok_or("the key does not have 32 characters")
            })
            .transpose()?;
        Ok((!signers.is_empty()).then_some(Self {
            signers,
            tolerance: config.tolerance,
            cipher,
        }))
    }

    /// Reads the signature headers and checks the timestamp, before the body is read.
    pub fn signature_headers<'a>(
        &self,
        headers: &'a HeaderMap,
        now: Timestamp,
    ) -> Result<SignatureHeaders<'a>, WebhookError> {
        let signature = SignatureHeaders::parse(headers).ok_or(WebhookError::MalformedHeaders)?;
        if signature.is_within(self.tolerance, now) {
            Ok(signature)
        } else {
            Err(WebhookError::TimestampOutOfRange)
        }
    }

    /// A verifier for the body that belongs to these headers.
    pub fn verifier<'a>(&self, headers: SignatureHeaders<'a>) -> Verifier<'a> {
        Verifier::new(headers, &self.signers)
    }

    /// Parses a verified body.
    pub fn read(&self, body: &[u8]) -> Result<WebhookEvent, WebhookError> {
        let envelope = Envelope::parse(body).ok_or(WebhookError::NotJson)?;
        let Some(ciphertext) = envelope.ciphertext() else {
            return Ok(envelope.event());
        };
        let decrypted = self
            .cipher
            .as_ref()
            .and_then(|cipher| cipher.decrypt(&ciphertext));
        let payload = decrypted.ok_or(WebhookError::Undecryptable)?;
        envelope
            .event_with(&payload)
            .ok_or(WebhookError::Undecryptable)
    }
}
