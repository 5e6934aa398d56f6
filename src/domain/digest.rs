//! Keyed digests, to compare values that must not be stored or logged.
//!
//! A plain hash of a national id can be reversed in seconds, because there are only about 10^8 of them. A digest under
//! a secret key cannot.

use std::fmt;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

/// The first 128 bits of an HMAC-SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyedDigest([u8; 16]);

impl fmt::Display for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Computes [`KeyedDigest`]s under one secret key.
#[derive(Clone)]
pub struct Digester(hmac::Key);

impl Digester {
    /// A digester with a random key: digests of two processes are not comparable.
    pub fn random() -> Self {
        let mut secret = [0; 32];
        // From the system: the library's own entropy source takes tens of milliseconds to start.
        getrandom::fill(&mut secret).expect("the system's random source works");
        Self::with_key(&secret)
    }

    /// A digester with the given key: digests of processes with the same key are comparable.
    pub fn with_key(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The digest of `value` for a `role`. Digests for different roles are unrelated.
    pub fn digest(&self, role: &str, value: &[u8]) -> KeyedDigest {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(role.as_bytes());
        context.update(&[0]);
        context.update(value);
        let mut digest = [0; 16];
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        KeyedDigest(digest)
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester(…)")
    }
}
