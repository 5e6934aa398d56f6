//! What keeps the server from reading anything: an epoch's random secret, wrapped by a configured key, and the key
//! derived from it that seals values.
//!
//! Everything is sealed by AES-256-GCM-SIV (RFC 8452) under a random nonce of 96 bits. A nonce that repeats, which would
//! reveal much under AES-GCM, here only shows whether two messages and their contexts are equal. So the number of
//! messages under one key is no concern: after 2^40 of them (1000 a second for 34 years) two share a nonce with a
//! probability of 2^-17, three with 2^-74. An epoch's key ends with the epoch, and a configured key seals one secret per
//! epoch.
//!
//! Not hidden: a value's length, when its request began, and its lifetime.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretBox};

use crate::domain::{Digester, KeyedDigest};

/// The length of all keys.
const KEY: usize = 32;
/// The length of an authentication tag.
const TAG: usize = 16;
/// The format of a wrapped secret: its first byte. **To be raised** whenever names are made differently, or keys are
/// derived differently: replicas that disagree about names must never be in one epoch, since an invalidation by one
/// would miss what another has stored.
const WRAP_FORMAT: u8 = 1;
/// Separates what is derived here from what anything else may derive of the same keys.
const SALT: &[u8] = b"engage-bff shared tier";

/// An epoch's secret, from which its names and seals are derived. Overwritten when it is dropped.
pub(super) struct EpochSecret(SecretBox<[u8; KEY]>);

impl EpochSecret {
    /// A new secret.
    pub(super) fn random() -> Self {
        Self(SecretBox::init_with_mut(|secret: &mut [u8; KEY]| {
            fill_randomly(secret);
        }))
    }

    /// A secret that is not random.
    #[cfg(any(test, fuzzing))]
    pub(super) fn fixed(bytes: [u8; KEY]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    /// The secret sealed by a configured key.
    pub(super) fn wrap(&self, key: &[u8; KEY]) -> Bytes {
        let sealed = wrapping_key(key).seal(&wrap_context(), self.0.expose_secret());
        let mut wrapped = Vec::with_capacity(1 + sealed.len());
        wrapped.push(WRAP_FORMAT);
        wrapped.extend_from_slice(&sealed);
        wrapped.into()
    }

    /// The secret that one of the keys has wrapped, and the index of that key.
    pub(super) fn unwrap(keys: &[[u8; KEY]], wrapped: &[u8]) -> Option<(EpochSecret, usize)> {
        let (&WRAP_FORMAT, sealed) = wrapped.split_first()? else {
            return None;
        };
        let context = wrap_context();
        keys.iter().enumerate().find_map(|(index, key)| {
            let mut opened = wrapping_key(key).open(&context, sealed)?;
            let secret = <[u8; KEY]>::try_from(&opened[..]).ok();
            opened.fill(0);
            let secret = SecretBox::new(Box::new(secret?));
            Some((EpochSecret(secret), index))
        })
    }

    /// A key for a purpose. Keys for different purposes are unrelated.
    pub(super) fn derive(&self, purpose: &str) -> [u8; KEY] {
        derive(self.0.expose_secret(), purpose)
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret(…)")
    }
}

/// The key that seals secrets is derived too, so that the configured one is used for nothing directly.
fn wrapping_key(key: &[u8; KEY]) -> AeadKey {
    AeadKey::new(&derive(key, "wrapped secrets"))
}

fn wrap_context() -> [&'static [u8]; 2] {
    [b"epoch secret", &[WRAP_FORMAT]]
}

/// Seals what is stored in one epoch.
pub(super) struct Sealer {
    key: AeadKey,
    /// Identifies the key under which national ids are digested.
    digests: Option<KeyedDigest>,
}

impl Sealer {
    /// Seals by a key that is derived from the epoch's secret.
    pub(super) fn new(secret: &EpochSecret) -> Self {
        Self {
            key: AeadKey::new(&secret.derive("seals")),
            digests: None,
        }
    }

    /// The same for replicas that digest national ids under the same key as this one. A profile contains such digests,
    /// which mean nothing to replicas with another key: they can't read it. Without a digester, no profile with such
    /// digests is stored or read.
    pub(super) fn with_digester(mut self, digester: &Digester) -> Self {
        self.digests = Some(digester.digest("shared tier", b""));
        self
    }

    /// See [`Sealer::with_digester`].
    pub(super) fn digests(&self) -> Option<KeyedDigest> {
        self.digests
    }

    /// Seals a message. It can only be opened with an equal context: what it is, its format, and where it belongs.
    pub(super) fn seal(&self, context: &[&[u8]], plain: &[u8]) -> Bytes {
        self.key.seal(context, plain).into()
    }

    /// Opens a message; `None` if it was sealed in another epoch or with another context, or was changed.
    pub(super) fn open(&self, context: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
        self.key.open(context, sealed)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// A key with which messages are sealed. A sealed message is its nonce, the ciphertext and the tag.
struct AeadKey(LessSafeKey);

impl AeadKey {
    fn new(key: &[u8; KEY]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).expect("the key has the right length");
        Self(LessSafeKey::new(key))
    }

    fn seal(&self, context: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        fill_randomly(&mut nonce);
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(encoded(context)),
                &mut sealed[NONCE_LEN..],
            )
            .expect("the message is far below the limit of 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    fn open(&self, context: &[&[u8]], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .0
            .open_in_place(nonce, Aad::from(encoded(context)), &mut opened)
            .ok()?
            .len();
        opened.truncate(length);
        Some(opened)
    }
}

/// The fields, each after its length: different lists of fields are different bytes.
pub(super) fn encoded(fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(fields.iter().map(|field| 8 + field.len()).sum());
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        KEY
    }
}

fn derive(secret: &[u8; KEY], purpose: &str) -> [u8; KEY] {
    let mut key = [0; KEY];
    Salt::new(HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&[purpose.as_bytes()], KeyLength)
        .and_then(|derived| derived.fill(&mut key))
        .expect("a key is shorter than the longest output");
    key
}

/// From the system: the library's own entropy source takes tens of milliseconds to start.
fn fill_randomly(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system's random source works");
}

#[cfg(test)]
mod tests;
