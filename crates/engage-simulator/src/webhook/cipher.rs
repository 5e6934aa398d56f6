//! Encryption of payloads: AES-256-CBC; the initialisation vector and the ciphertext together, in URL-safe base64.

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey},
    iv::FixedLength,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};

/// Encrypts a text under a key of 32 characters; `None` for any other key. Deterministic, so that runs are repeatable.
pub(super) fn encrypt(key: &str, text: &str) -> Option<String> {
    let iv: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).unwrap_or_default());
    let key = UnboundCipherKey::new(&AES_256, key.as_bytes()).ok()?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
    let mut encrypted = text.as_bytes().to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from(&iv));
    key.less_safe_encrypt(&mut encrypted, context.into()).ok()?;
    Some(URL_SAFE.encode([&iv[..], &encrypted].concat()))
}
