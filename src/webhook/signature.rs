//! Svix signatures: HMAC-SHA-256 over id, timestamp and raw body
//! [Svix: Verifying payloads manually; Standard Webhooks].

use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use crate::config::keys::SigningSecret;

/// More signatures than a rotation of secrets needs.
const MAX_SIGNATURES: usize = 16;
/// Longer than any message id.
const MAX_ID: usize = 256;

/// A delivery's signature headers.
#[derive(Clone, Copy, Debug)]
pub struct SignatureHeaders<'a> {
    /// The message id, the same for every attempt.
    pub id: &'a str,
    /// Time of signing, in seconds since the Unix epoch.
    timestamp: i64,
    signatures: &'a str,
}

impl<'a> SignatureHeaders<'a> {
    /// Parses either family of headers; each header must be present once.
    pub(super) fn parse(headers: &'a HeaderMap) -> Option<Self> {
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

    /// The signatures of the supported version.
    fn supported(&self) -> impl Iterator<Item = &'a str> {
        let signatures = self.signatures.split(' ').take(MAX_SIGNATURES);
        signatures.filter_map(|signature| signature.strip_prefix("v1,"))
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A signing secret.
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// A signer for a secret as shown in the portal.
    pub(super) fn new(secret: &str) -> Option<Self> {
        let key = SigningSecret::parse(secret)?;
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))
    }

    /// The beginning of the message's HMAC: everything before the body.
    fn begin(&self, headers: &SignatureHeaders<'_>) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(headers.id.as_bytes());
        context.update(b".");
        context.update(headers.timestamp.to_string().as_bytes());
        context.update(b".");
        context
    }
}

/// Verifies a body while it arrives.
pub struct Verifier<'a> {
    headers: SignatureHeaders<'a>,
    contexts: Vec<hmac::Context>,
}

impl<'a> Verifier<'a> {
    /// The body may be signed by any of the signers: during a rotation of secrets there are two.
    pub(super) fn new(headers: SignatureHeaders<'a>, signers: &[Signer]) -> Self {
        Self {
            headers,
            contexts: signers
                .iter()
                .map(|signer| signer.begin(&headers))
                .collect(),
        }
    }

    /// Adds the next bytes of the raw body.
    pub fn update(&mut self, bytes: &[u8]) {
        for context in &mut self.contexts {
            context.update(bytes);
        }
    }

    /// Whether one of the signatures matches the body.
    pub fn is_genuine(self) -> bool {
        let headers = self.headers;
        self.contexts.into_iter().any(|context| {
            let tag = context.sign();
            headers.supported().any(|signature| {
                STANDARD.decode(signature).is_ok_and(|given| {
                    constant_time::verify_slices_are_equal(&given, tag.as_ref()).is_ok()
                })
            })
        })
    }
}
