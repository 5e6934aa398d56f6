//! The names of things in the tier: digests under a key that is derived from the epoch's secret, so that nothing can be
//! found or recognised by them without it, in this epoch or in another.
//!
//! All replicas in an epoch must make the same names. A change to how they are made must also change the format of
//! wrapped secrets (see `seal`).

use std::fmt;

use aws_lc_rs::{digest, hmac};

use super::{
    protocol::{AliasName, BudgetName, ContactName, MessageName},
    seal::{EpochSecret, encoded},
};
use crate::domain::{ContactId, Lookup};

/// Makes the names of one epoch.
pub(super) struct Names(hmac::Key);

impl Names {
    /// The names of the epoch with this secret.
    pub(super) fn new(secret: &EpochSecret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret.derive("names")))
    }

    /// The name of a contact.
    pub(super) fn contact(&self, id: ContactId) -> ContactName {
        ContactName(self.digest(&[b"contact", id.as_uuid().as_bytes()]))
    }

    /// The name of an alias. By the identifier itself: the look-up's key has a digest of a national id, under a key
    /// that other replicas may not have.
    pub(super) fn alias(&self, lookup: &Lookup) -> AliasName {
        let value = lookup.identifier.expose();
        // A type is never empty.
        let of = lookup.contact_type.as_ref().map_or("", |of| of.folded());
        AliasName(self.digest(&[
            b"alias",
            lookup.identifier.kind().as_str().as_bytes(),
            of.as_bytes(),
            value.as_bytes(),
        ]))
    }

    /// The name of a webhook message with this id.
    pub(super) fn message(&self, id: &str) -> MessageName {
        MessageName(self.digest(&[b"message", id.as_bytes()]))
    }

    fn digest(&self, fields: &[&[u8]]) -> [u8; 16] {
        first_half(hmac::sign(&self.0, &encoded(fields)).as_ref())
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names(…)")
    }
}

/// The name of the call budget of an API key of Engage: the same in every epoch.
pub fn budget_name(api_key: &str) -> BudgetName {
    let fields = encoded(&[b"engage-bff call budget", api_key.as_bytes()]);
    BudgetName(first_half(
        digest::digest(&digest::SHA256, &fields).as_ref(),
    ))
}

fn first_half(digest: &[u8]) -> [u8; 16] {
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
