//! Keyed digests: how a value that must not be kept or logged can still be compared.
//!
//! A plain hash of a national id is the national id: there are some 10^8 of them, a matter of
//! seconds. With a secret key it says nothing to whoever has the digest alone.

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

/// Makes [`KeyedDigest`]s under one secret key.
#[derive(Clone)]
pub struct Digester(hmac::Key);

impl Digester {
    /// A digester under a key of its own, drawn at random: digests of two processes can't be compared.
    pub fn random() -> Self {
        let mut secret = [0; 32];
        // Of the system itself: the library's own source of entropy takes tens of milliseconds to start.
        getrandom::fill(&mut secret).expect("the system's random source works");
        Self::with_key(&secret)
    }

    /// A digester under the given key: digests of two processes with one key can be compared.
    pub fn with_key(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The digest of `value` in the given `role`, so that digests made for one purpose say nothing in
    /// another.
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
