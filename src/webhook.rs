//! Engage's webhooks: whether a delivery is Engage's, and what change it tells of. They come through Svix, which signs
//! them [Voyado: Webhooks; Svix: Verifying payloads manually].
//!
//! Of a payload only the ids of contacts are read. Deliveries come late, repeated and out of order, for 28 hours after a
//! failure: a value in one may be older than what is held.

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
    event::News,
    signature::{Claim, Verifier},
};
use crate::config;

/// Why a delivery is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not say who signed it and when, or says it in another form than Svix.
    #[error("the signature's headers are missing or malformed")]
    Unsigned,
    /// It was signed too long ago, or is from the future.
    #[error("the delivery's time is too far from now")]
    Untimely,
    /// It was altered, or signed with another secret.
    #[error("no signature matches")]
    Forged,
    /// It is Engage's, but not JSON.
    #[error("the body is not a JSON object")]
    NotJson,
    /// It is Engage's, but encrypted, and there is no key that opens it.
    #[error("the payload is encrypted, and no key opens it")]
    Sealed,
}

impl Refusal {
    /// The name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::Unsigned => "unsigned",
            Refusal::Untimely => "untimely",
            Refusal::Forged => "forged",
            Refusal::NotJson => "not-json",
            Refusal::Sealed => "sealed",
        }
    }
}

/// Reads deliveries.
pub struct WebhookReader {
    signers: Vec<Signer>,
    tolerance: Duration,
    cipher: Option<Cipher>,
}

impl WebhookReader {
    /// A reader of what is signed with any of the secrets; `None` where there are none. Fails for secrets and keys that
    /// are none.
    pub fn new(config: &config::Webhooks) -> Result<Option<Self>, &'static str> {
        let secrets = config.secrets.iter();
        let signers: Option<Vec<Signer>> = secrets
            .map(|secret| Signer::new(secret.expose_secret()))
            .collect();
        let signers = signers.ok_or("a secret is not \"whsec_\" and base64")?;
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

    /// How far a delivery's time may be from ours.
    pub fn tolerance(&self) -> Duration {
        self.tolerance
    }

    /// What the headers claim, if it is timely: worth reading the body for.
    pub fn claim<'a>(&self, headers: &'a HeaderMap, now: Timestamp) -> Result<Claim<'a>, Refusal> {
        let claim = Claim::of(headers).ok_or(Refusal::Unsigned)?;
        if claim.is_within(self.tolerance, now) {
            Ok(claim)
        } else {
            Err(Refusal::Untimely)
        }
    }

    /// Verifies the body of what the headers claim.
    pub fn verifier<'a>(&self, claim: Claim<'a>) -> Verifier<'a> {
        Verifier::new(claim, &self.signers)
    }

    /// What a body tells that is known to be Engage's.
    pub fn read(&self, body: &[u8]) -> Result<News, Refusal> {
        let envelope = Envelope::parse(body).ok_or(Refusal::NotJson)?;
        let Some(sealed) = envelope.sealed() else {
            return Ok(envelope.news());
        };
        let opened = self.cipher.as_ref().and_then(|cipher| cipher.open(&sealed));
        let payload = opened.ok_or(Refusal::Sealed)?;
        envelope.news_with(&payload).ok_or(Refusal::Sealed)
    }
}
