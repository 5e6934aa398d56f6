//! E-mail addresses: one canonical form per address, so that two spellings are one cache key. Also decides whether a
//! profile's address is well formed, not whether it is deliverable.

mod field;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Maximum length of an address (RFC 3696 erratum 1690).
const MAX_LENGTH: usize = 254;
/// Maximum length of the local part (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL_LENGTH: usize = 64;
/// Maximum length of a label of a domain name (RFC 1035, section 2.3.4).
const MAX_LABEL_LENGTH: usize = 63;

/// An e-mail address in lower case.
///
/// Only ASCII is accepted. Beyond ASCII, case folding differs between implementations (the Kelvin sign, ſ, ß, dotless
/// ı), and a difference from Engage's would merge two contacts.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Email(Box<str>);

/// Why a text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Not the form of an address.
    #[error("not the form of an e-mail address")]
    Malformed,
    /// The domain contains a character outside ASCII; international domains are accepted in their `xn--` form.
    #[error("the domain of an e-mail address must be ASCII; use its xn-- form")]
    DomainNotAscii,
    /// The local part, or a text without `@`, contains a character outside ASCII.
    #[error("an e-mail address must be ASCII")]
    NotAscii,
}

impl Email {
    /// Parses an address, ignoring surrounding blanks and case.
    ///
    /// Fails with [`EmailError::DomainNotAscii`] or [`EmailError::NotAscii`] for text outside ASCII, otherwise with
    /// [`EmailError::Malformed`]. Quoted local parts and address literals are refused, as shops do not accept them.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if !text.is_ascii() {
            let local_is_ascii = text
                .split_once('@')
                .is_some_and(|(local, _)| local.is_ascii());
            return Err(if local_is_ascii {
                EmailError::DomainNotAscii
            } else {
                EmailError::NotAscii
            });
        }
        let text = text.trim_ascii();
        let (local, domain) = text.split_once('@').ok_or(EmailError::Malformed)?;
        if text.len() > MAX_LENGTH || !is_local_part(local) || !is_domain(domain) {
            return Err(EmailError::Malformed);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// Returns the canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the text is a local part; apostrophes and plus signs are allowed.
fn is_local_part(text: &str) -> bool {
    let is_allowed = |byte: u8| IN_LOCAL_PARTS[usize::from(byte)];
    (1..=MAX_LOCAL_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The allowed bytes of a local part. A table, because every request by address uses it.
const IN_LOCAL_PARTS: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        allowed[byte as usize] = !matches!(
            byte,
            b'@' | b'"' | b'(' | b')' | b',' | b':' | b';' | b'<' | b'>' | b'[' | b']' | b'\\'
        );
        byte += 1;
    }
    allowed
};

/// Whether the text is a domain name of at least two labels.
fn is_domain(text: &str) -> bool {
    let mut labels = 0;
    let mut all = text.as_bytes().split(|byte| *byte == b'.');
    all.all(|label| {
        labels += 1;
        is_label(label)
    }) && labels >= 2
}

/// Whether the text is a label of a host name (RFC 1123, section 2.1).
fn is_label(text: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    (1..=MAX_LABEL_LENGTH).contains(&text.len())
        && text.iter().all(is_allowed)
        && !text.starts_with(b"-")
        && !text.ends_with(b"-")
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests;
