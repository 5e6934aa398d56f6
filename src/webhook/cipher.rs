//! Encrypted payloads: AES-256 in CBC mode under a shared key of 32 characters, in URL-safe base64, of which the first
//! 16 bytes are the initialisation vector [Voyado: Webhooks, Soft identification]. Nothing in the scheme tells whether
//! a text was altered; the delivery's signature does.

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    iv::FixedLength,
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::config::keys::EncryptionKey;

/// With or without padding.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const IV_LENGTH: usize = 16;

/// Opens payloads.
pub(super) struct Cipher(PaddedBlockDecryptingKey);

impl Cipher {
    /// The cipher of a key of 32 ASCII characters.
    pub(super) fn new(key: &str) -> Option<Self> {
        let key = EncryptionKey::parse(key)?;
        let key = UnboundCipherKey::new(&AES_256, key.as_bytes()).ok()?;
        PaddedBlockDecryptingKey::cbc_pkcs7(key).ok().map(Self)
    }

    /// What was sealed; `None` where that was not with this key, as far as can be told.
    pub(super) fn open(&self, sealed: &str) -> Option<Vec<u8>> {
        // Other libraries write the same bytes in the other alphabet.
        let sealed = sealed.trim().replace('+', "-").replace('/', "_");
        let mut bytes = URL_SAFE.decode(sealed).ok()?;
        let (iv, text) = bytes.split_at_mut_checked(IV_LENGTH)?;
        let iv: &[u8; IV_LENGTH] = (&*iv).try_into().ok()?;
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        let opened = self.0.decrypt(text, context).ok()?;
        Some(opened.to_vec())
    }
}
