//! Validators in the form of strong ones (RFC 9110, 8.8.3): equal content has equal validators, on every replica and
//! after every restart. They do not cover when the content was fetched.

use aws_lc_rs::digest;

/// The number of digest bytes used: enough to distinguish two responses about one customer.
const LENGTH: usize = 12;
const DIGITS: &[u8; 16] = b"0123456789abcdef";
const OF_GZIP: &str = "-gzip";

/// The validators of an answer, uncompressed and in gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag {
    /// The first digits of the digest, in hexadecimal.
    hex: [u8; 2 * LENGTH],
}

impl ETag {
    /// The validators of this content.
    pub fn of(content: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, content);
        let mut first = [0; LENGTH];
        first.copy_from_slice(&digest.as_ref()[..LENGTH]);
        Self::from(first)
    }

    /// Writes the validator of one form, in quotes.
    pub fn write(&self, is_gzip: bool, text: &mut String) {
        text.push('"');
        text.push_str(self.hex());
        if is_gzip {
            text.push_str(OF_GZIP);
        }
        text.push('"');
    }

    /// The form that the validator `tag`, in quotes, belongs to: `true` for gzip, `false` for uncompressed, `None` for
    /// neither.
    pub fn form_of(&self, tag: &str) -> Option<bool> {
        let opaque = tag.strip_prefix('"')?.strip_suffix('"')?;
        let form = opaque.strip_prefix(self.hex())?;
        match form {
            "" => Some(false),
            OF_GZIP => Some(true),
            _ => None,
        }
    }

    fn hex(&self) -> &str {
        str::from_utf8(&self.hex).expect("hexadecimal digits are text")
    }
}

impl From<[u8; LENGTH]> for ETag {
    fn from(digest: [u8; LENGTH]) -> Self {
        let mut hex = [0; 2 * LENGTH];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xF)];
        }
        Self { hex }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validator_is_the_start_of_the_digest_in_quotes() {
        // SHA-256 of "abc" (FIPS 180-4).
        let etag = ETag::of(b"abc");
        let written = |is_gzip| {
            let mut text = String::new();
            etag.write(is_gzip, &mut text);
            text
        };
        assert_eq!(written(false), "\"ba7816bf8f01cfea414140de\"");
        assert_eq!(written(true), "\"ba7816bf8f01cfea414140de-gzip\"");
        assert_eq!(etag.form_of(&written(false)), Some(false));
        assert_eq!(etag.form_of(&written(true)), Some(true));
        for other in [
            "ba7816bf8f01cfea414140de",
            "\"ba7816bf8f01cfea414140d\"",
            "\"\"",
            "\"",
        ] {
            assert_eq!(etag.form_of(other), None, "{other}");
        }
    }
}
