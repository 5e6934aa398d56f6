//! A signed webhook delivery that reports a change, as Engage sends it through Svix.

use std::time::UNIX_EPOCH;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{Failure, contacts::contact_id};

/// The signing key in base64, as it follows `whsec_` in the configuration.
pub(crate) const SECRET: &str = "YmVuY2gtd2ViaG9vay1zZWNyZXQtMzItYnl0ZXMtbG9uZw==";

/// Signs deliveries, each with an id of its own.
pub(crate) struct Deliveries {
    key: hmac::Key,
    sent: u64,
}

impl Deliveries {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(SECRET)?),
            sent: 0,
        })
    }

    /// The request that reports a change of this contact.
    pub(crate) fn of(&mut self, number: usize) -> Result<Vec<u8>, Failure> {
        self.sent += 1;
        let now = now()?;
        let id = format!("msg_{}_{}", now.as_nanos(), self.sent);
        let (time, contact) = (now.as_secs(), contact_id(number));
        let body = format!(
            r#"{{"eventType":"contact.updated","isEncrypted":false,"payload":{{"contactId":"{contact}"}}}}"#
        );
        let tag = hmac::sign(&self.key, format!("{id}.{time}.{body}").as_bytes());
        let (signature, length) = (STANDARD.encode(tag), body.len());
        let request = format!(
            "POST /webhooks/engage HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nsvix-id: {id}\r\nsvix-timestamp: {time}\r\n\
             svix-signature: v1,{signature}\r\n\r\n{body}"
        );
        Ok(request.into_bytes())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a delivery is signed with the machine's time"
)]
fn now() -> Result<std::time::Duration, Failure> {
    Ok(std::time::SystemTime::now().duration_since(UNIX_EPOCH)?)
}
