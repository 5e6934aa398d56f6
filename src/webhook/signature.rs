//! Svix's signatures: HMAC-SHA-256 over id, time and the raw body
//! [Svix: Verifying payloads manually; Standard Webhooks].

use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use crate::config::keys::SigningSecret;

/// More signatures than any rotation of secrets needs.
const MAX_SIGNATURES: usize = 16;
/// Longer than any message's id.
const MAX_ID: usize = 256;

/// What a delivery's headers claim.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The message's id: the same each time it is sent.
    pub id: &'a str,
    /// When it was signed, in seconds of the Unix epoch.
    timestamp: i64,
    signatures: &'a str,
}

impl<'a> Claim<'a> {
    /// The claim of either family of headers; each must be there once.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let family = |id: &str, timestamp: &str, signatures: &str| {
            let id = only(headers, id)?;
            let is_id =
                (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
            Some(Self {
                id: is_id.then_some(id)?,
                timestamp: only(headers, timestamp)?.parse().ok()?,
                signatures: only(headers, signatures)?,
            })
        };
        family("svix-id", "svix-timestamp", "svix-signature")
            .or_else(|| family("webhook-id", "webhook-timestamp", "webhook-signature"))
    }

    pub(super) fn is_within(&self, tolerance: Duration, now: Timestamp) -> bool {
        let tolerance = SignedDuration::try_from(tolerance).unwrap_or(SignedDuration::MAX);
        Timestamp::from_second(self.timestamp)
            .is_ok_and(|signed_at| signed_at.duration_since(now).abs() <= tolerance)
    }

    /// The signatures of the version that is known.
    fn known(&self) -> impl Iterator<Item = &'a str> {
        let signatures = self.signatures.split(' ').take(MAX_SIGNATURES);
        signatures.filter_map(|signature| signature.strip_prefix("v1,"))
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// One secret.
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// The signer of a secret as the portal shows it.
    pub(super) fn new(secret: &str) -> Option<Self> {
        let key = SigningSecret::parse(secret)?;
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))
    }

    /// The signature of the claimed message, as far as the body.
    fn begin(&self, claim: &Claim<'_>) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(claim.id.as_bytes());
        context.update(b".");
        context.update(claim.timestamp.to_string().as_bytes());
        context.update(b".");
        context
    }
}

/// Compares a body, as it arrives, with what was claimed of it.
pub struct Verifier<'a> {
    claim: Claim<'a>,
    contexts: Vec<hmac::Context>,
}

impl<'a> Verifier<'a> {
    /// Any of these may have signed it: while one secret replaces another both do.
    pub(super) fn new(claim: Claim<'a>, signers: &[Signer]) -> Self {
        Self {
            claim,
            contexts: signers.iter().map(|signer| signer.begin(&claim)).collect(),
        }
    }

    /// The next bytes of the body, exactly as they came.
    pub fn update(&mut self, bytes: &[u8]) {
        for context in &mut self.contexts {
            context.update(bytes);
        }
    }

    /// Whether one of the claimed signatures is of these bytes.
    pub fn is_genuine(self) -> bool {
        let claim = self.claim;
        self.contexts.into_iter().any(|context| {
            let tag = context.sign();
            claim.known().any(|signature| {
                STANDARD.decode(signature).is_ok_and(|given| {
                    constant_time::verify_slices_are_equal(&given, tag.as_ref()).is_ok()
                })
            })
        })
    }
}
