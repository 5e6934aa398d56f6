//! Engage's webhooks: envelopes, signatures (Svix) and sending.
//!
//! One worker sends them in order, once each; they are resent on request only.

mod cipher;
pub(crate) mod event;
mod sender;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;

pub(crate) use event::Event;
pub(crate) use sender::Webhooks;
pub use sender::{Delivery, WebhookTarget};

/// Secret of deliveries until another one is set; invented.
pub const DEFAULT_WEBHOOK_SECRET: &str = "whsec_ZW5nYWdlLXNpbXVsYXRvci1pbnZlbnRlZA==";

/// A signed webhook.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Signs a body like Svix and returns the value of `svix-signature`; `None` if the secret is empty or not base64.
///
/// The secret may have its `whsec_` prefix.
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let secret = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD.decode(secret).ok().filter(|key| !key.is_empty())?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(tag)))
}

impl Signed {
    /// Signs an event, encrypted if there is a key. Fails like [`sign`], and for an invalid key.
    pub(crate) fn new(
        event: &Event,
        event_id: &str,
        secret: &str,
        key: Option<&str>,
        now: Timestamp,
    ) -> Option<Self> {
        let body = match key {
            None => event.envelope(event_id),
            Some(key) => {
                event.encrypted_envelope(event_id, &cipher::encrypt(key, &event.payload())?)
            }
        };
        let id = format!("msg_{}", event_id.replace('-', ""));
        Self::message(&id, body.to_string(), secret, now)
    }

    /// Signs a message.
    fn message(id: &str, body: String, secret: &str, now: Timestamp) -> Option<Self> {
        let timestamp = now.as_second();
        let signature = sign(secret, id, timestamp, &body)?;
        let text = |text: &str| HeaderValue::from_str(text).expect("these are plain ASCII");
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, text("application/json"));
        headers.insert(header::USER_AGENT, text("Svix-Webhooks/1.0 (simulator)"));
        headers.insert("svix-id", text(id));
        headers.insert("svix-timestamp", text(&timestamp.to_string()));
        headers.insert("svix-signature", text(&signature));
        Some(Self { headers, body })
    }

    /// The same message with a new signature.
    pub(crate) fn resign(&self, secret: &str, now: Timestamp) -> Option<Self> {
        let id = self.headers.get("svix-id")?.to_str().ok()?;
        Self::message(id, self.body.clone(), secret, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The secret and time of `tests/fixtures/webhooks/signing.json`, and signatures of its deliveries.
    const SECRET: &str = "whsec_oYn8D9SpnpQQHZtlAPhb518LJCuSK89X";
    const TIMESTAMP: i64 = 1_795_392_000;

    #[test]
    fn known_signature_is_reproduced() {
        let body = r#"{"eventId":"e7e00000-0000-4000-8000-000000000006","eventType":"contact.updated","isEncrypted":false,"payload":{"contactId":"6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01"},"tenant":"exampletenant"}"#;
        assert_eq!(
            sign(SECRET, "msg_fixture00000000000000000006", TIMESTAMP, body).as_deref(),
            Some("v1,zHe/dwb2RvxZR4E+M4eOAcbr031hDPdwODrrNRZLkVI=")
        );
    }

    #[test]
    fn known_signature_of_another_body_is_reproduced() {
        let body = r#"{"eventId":"e7e00000-0000-4000-8000-000000000011","eventType":"reward.voucher.created","isEncrypted":false,"payload":{"Amount":150,"ContactId":"6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01","Currency":"SEK","Id":"8d31c000-2001-4c22-b002-b2d200c00001","UniqueCode":"2511000000017","ValidFrom":"2026-10-01T07:00:00+02:00","ValidTo":"2026-12-31T23:59:59+01:00"},"tenant":"exampletenant"}"#;
        assert_eq!(
            sign(SECRET, "msg_fixture00000000000000000011", TIMESTAMP, body).as_deref(),
            Some("v1,QHoyyaCyQnHNM4Fk+0Lg2uv9Pne6Pl0ZZ9RfccHaoCQ=")
        );
    }

    #[test]
    fn empty_secret_signs_nothing() {
        assert_eq!(sign("whsec_", "msg", TIMESTAMP, "{}"), None);
        assert_eq!(sign("whsec_%%%", "msg", TIMESTAMP, "{}"), None);
    }
}
