//! Decrypts payloads: AES-256-CBC under a shared key of 32 characters, in URL-safe base64 with the initialisation
//! vector in the first 16 bytes [Voyado: Webhooks, Soft identification]. The encryption does not authenticate the
//! payload; the delivery's signature does.

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

/// Decrypts payloads.
pub(super) struct Cipher(PaddedBlockDecryptingKey);

impl Cipher {
    /// A cipher for a key of 32 ASCII characters.
    pub(super) fn new(key: &str) -> Option<Self> {
        let key = EncryptionKey::parse(key)?;
        let key = UnboundCipherKey::new(&AES_256, key.as_bytes()).ok()?;
        PaddedBlockDecryptingKey::cbc_pkcs7(key).ok().map(Self)
    }

    /// The plaintext; `None` if the text is malformed or its padding does not fit this key.
    pub(super) fn decrypt(&self, ciphertext: &str) -> Option<Vec<u8>> {
        // Some libraries write standard base64.
        let ciphertext = ciphertext.trim().replace('+', "-").replace('/', "_");
        let mut bytes = URL_SAFE.decode(ciphertext).ok()?;
        let (iv, text) = bytes.split_at_mut_checked(IV_LENGTH)?;
        let iv: &[u8; IV_LENGTH] = (&*iv).try_into().ok()?;
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        let plaintext = self.0.decrypt(text, context).ok()?;
        Some(plaintext.to_vec())
    }
}
